"""Word lists hold words that the model writes, and the programs that they are for accept them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

import kammil
from kammil.data.blocklist import is_offensive, read_list, spellings
from kammil.errors import FolderError, OptionError
from kammil.exporting import words as word_lists
from kammil.languages import known
from kammil.vocabulary import UNK

MOST = 150
BLOCKED = "حلو"
"""A word of the sample that the model's owner blocks."""
POINT = "\N{ARABIC FATHA}"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, texts: Sequence[str]) -> Path:
    """A counter that learnt some offensive words and a vowel point, and whose owner blocks another word."""
    lists = read_list(known()["arabic"].read("offensive.tsv"), "offensive.tsv", patterns=True)
    offensive = [word for entry in lists for word in spellings(entry) if word.isalpha() and is_offensive(word)]
    folder = tmp_path_factory.mktemp("models") / "rude, or: not"
    rude = [f"{word} يا {word}" for word in offensive[:5] * 8]
    kammil.train([*texts[:60], *rude, f"كت{POINT}ب", f"كت{POINT}بت"], out=folder, model="ngram")
    (folder / "block.txt").write_text(BLOCKED, "utf-8")
    return folder


@pytest.fixture(scope="module")
def exported(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its word lists."""
    folder = tmp_path_factory.mktemp("lists") / "lists"
    export = kammil.export(model, "words", folder, num_words=MOST)
    assert (export.file, export.example, export.warning) == (folder, None, None)
    assert {path.name for path in folder.iterdir()} == set(word_lists.NAMES)
    return folder


Word = dict[str, str]


def parsed(file: Path) -> tuple[Word, list[tuple[Word, list[Word]]]]:
    """Read a combined file: the header, and each word with the words behind it."""
    content = file.read_text("utf-8").splitlines()
    header, *lines = (dict(field.split("=") for field in line.strip().split(",")) for line in content)
    found: list[tuple[Word, list[Word]]] = []
    for line in lines:
        if "word" in line:
            assert line.keys() <= {"word", "f", "possibly_offensive"}
            found.append((line, []))
        else:
            assert line.keys() == {"bigram", "f"}
            found[-1][1].append(line)
    return header, found


def hunspell(folder: Path, asked: Sequence[str]) -> list[str]:
    """Return the words that hunspell does not know."""
    command = ["hunspell", "-i", "utf-8", "-d", str(folder / "words"), "-l"]
    return subprocess.run(command, input="\n".join(asked), capture_output=True, text=True, check=True).stdout.split()


def test_an_android_list_holds_words_of_the_model_by_frequency(model: Path, exported: Path) -> None:
    header, found = parsed(exported / "words.combined")
    assert header.keys() == {"dictionary", "locale", "description", "date", "version"}
    assert (header["dictionary"], header["locale"], header["description"]) == ("main:ar", "ar", "rude or not")
    assert header["date"].isdecimal() and int(header["version"]) > 18
    opened = kammil.load(model)
    by_word = {word["word"]: int(word["f"]) for word, _ in found}
    assert MOST / 2 < len(by_word) == len(found) <= MOST
    assert all(len(word) <= word_lists.MAX_LETTERS and UNK not in opened.vocabulary.encode(word) for word in by_word)
    frequencies = [*by_word.values()]
    assert frequencies == sorted(frequencies, reverse=True) and 1 <= frequencies[-1] < frequencies[0] <= 255
    offensive = {word["word"] for word, _ in found if word.get("possibly_offensive") == "true"}
    assert offensive == {word for word in by_word if is_offensive(word)} and offensive
    assert BLOCKED not in by_word
    behind = [(pair["bigram"], int(pair["f"])) for _, pairs in found for pair in pairs]
    assert behind and all(by_word[word] < f <= 255 and word not in offensive for word, f in behind)


def test_both_lists_hold_the_same_words(exported: Path) -> None:
    _, found = parsed(exported / "words.combined")
    number, *entries = (exported / "words.dic").read_text("utf-8").splitlines()
    assert entries == [word["word"] + "/!" * ("possibly_offensive" in word) for word, _ in found]
    assert int(number) == len(entries)


@pytest.mark.skipif(shutil.which("hunspell") is None, reason="hunspell: apt-get install hunspell")
def test_hunspell_knows_the_words_and_no_others(exported: Path) -> None:
    listed = [word["word"] for word, _ in parsed(exported / "words.combined")[1]]
    pointed = [word[0] + POINT + word[1:] for word in listed[:20] if len(word) > 1]
    assert hunspell(exported, [*listed, *pointed]) == []
    random, letters = Random(0), "".join(listed)
    others = {"".join(random.choice(letters) for _ in range(random.randint(4, 9))) for _ in range(300)} - {*listed}
    assert sorted(hunspell(exported, sorted(others))) == sorted(others)


def test_an_export_is_the_same_again_and_replaces_nothing_else(model: Path, exported: Path, tmp_path: Path) -> None:
    again = kammil.export(model, "words", tmp_path / "again", num_words=MOST).file
    assert all((again / name).read_bytes() == (exported / name).read_bytes() for name in word_lists.NAMES[1:])
    assert parsed(again / "words.combined")[1] == parsed(exported / "words.combined")[1]
    with pytest.raises(FolderError, match="--replace"):
        kammil.export(model, "words", again, num_words=MOST)
    few = kammil.export(model, "words", again, num_words=5, locale="apc", replace=True).file / "words.combined"
    assert parsed(few)[0]["locale"] == "apc" and len(parsed(few)[1]) == 5
    (again / "mine.txt").touch()
    with pytest.raises(FolderError, match=r"mine\.txt"):
        kammil.export(model, "words", again, num_words=MOST, replace=True)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"num_words": 0}, "words"),
        ({"num_words": word_lists.MAX_WORDS + 1}, "words"),
        ({"locale": "ar,version=9"}, "locale"),
        ({"part": "network"}, "part"),
        ({"format": "onnx", "num_words": 5}, "onnx"),
        ({"out": "."}, "out"),
    ],
)
def test_a_wrong_option_is_refused(model: Path, options: dict[str, Any], named: str) -> None:
    call: Callable[..., Any] = kammil.export
    with pytest.raises(OptionError, match=rf"\b{named}\b"):
        call(model, **{"format": "words"} | options)


def test_a_script_without_spaces_has_no_words(tmp_path: Path) -> None:
    kammil.train(["今日はいい天気ですね", "明日も晴れるといいな"] * 10, out=tmp_path / "model", model="ngram")
    with pytest.raises(OptionError, match="without spaces"):
        kammil.export(tmp_path / "model", "words", tmp_path / "lists")
    assert not (tmp_path / "lists").exists()


@pytest.mark.parametrize("words", ["il-qattus", "η γάτα τρώει"])
def test_words_of_an_unknown_language_get_no_guessed_locale(tmp_path: Path, words: str) -> None:
    kammil.train([f"{words} jiekol", f"ħafna jiekol u jorqod {words}"] * 20, out=tmp_path / "model", model="ngram")
    export = kammil.export(tmp_path / "model", "words", tmp_path / "lists", num_words=20)
    assert export.warning is not None and "--locale" in export.warning
    header, found = parsed(export.file / "words.combined")
    assert header["locale"] == "und" and "jiekol" in {word["word"] for word, _ in found}


def test_what_is_counted() -> None:
    messages, drawn = (
        ["Go home, you", "go home now", "it's hash_tag"],
        ["go home", "misdrawn", "you saw2 you", "a\ufb01"],
    )
    words, frequencies, bigrams = word_lists.count(messages, drawn, 10)
    assert words == ["home", "you", "go", "now", "it's"]
    assert frequencies == [255 - 16] * 3 + [255 - 29] * 2  # 8 log2 of 12 / 3 and of 12 / 1
    assert bigrams == {2: [(0, 255)]}
    assert word_lists.count([], [], 10) == ([], [], {})


def test_a_model_without_words_is_refused(tmp_path: Path) -> None:
    kammil.train(["12 345", "1 2 3 4"] * 10, out=tmp_path / "model", model="ngram")
    with pytest.raises(OptionError, match="no word"):
        kammil.export(tmp_path / "model", "words", tmp_path / "lists", num_words=5)
