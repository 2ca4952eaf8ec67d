"""A site computes what Python computes, in Node and in a browser, with nothing on its server but files."""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import unicodedata
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from tests import needs
from tests.near_equals import assert_ranked_alike

import kammil
from kammil import model_folder as folders
from kammil.completion.completer import Completer
from kammil.completion.ghost_text import MAX_WORDS
from kammil.data.blocklist import is_offensive, offensive_words, spellings
from kammil.errors import FolderError, KammilError, OptionError
from kammil.evaluation.suggestion_hits import with_slips
from kammil.exporting.web import build
from kammil.text import TextRules

ROOT = Path(__file__).parents[2]
NODE = shutil.which("node")
DRIVER = Path(__file__).with_name("web_driver.mjs")
NEAR = 1e-5
Ask = Callable[..., list[Any]]


def run(site: Path, calls: Sequence[Sequence[Any]]) -> list[Any]:
    if NODE is None:
        pytest.skip(needs.NODE)
    done = subprocess.run(
        [NODE, DRIVER, site], input=json.dumps(calls), capture_output=True, text=True, check=True, timeout=300
    )
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def model() -> Completer:
    return kammil.load()


@pytest.fixture(scope="module")
def prompts(lines: list[str]) -> list[str]:
    return [text[: 6 + i % 20] for i, text in enumerate(lines)]


def begun_blocked_words() -> list[str]:
    words = [spellings(entry)[0].strip() for entry in offensive_words().entries[::7]]
    return [word[:-1] for word in words if len(word) > 3]


def silent_prompts() -> list[str]:
    lines = (ROOT / "benchmarks" / "silence.tsv").read_text("utf-8").splitlines()
    others = "ميشال|جبران با|kos om|badde antehr|nayyake |كس|بدي انتحر شو هالحكي والله ما بعرف شو بدي قول بس "
    long = [
        " " + "مسؤوليات" * 5,
        "!" * 90 + " و",
        "ه" * 90 + " و",
        " \U0001f62d" * 60,
        " слово ד ﺑﻌﺪ " + "漢" * 90 + " ",
    ]
    long = [f"بدي انتحر{rest * times} " for rest in long for times in (1, 3, 7, 9)]
    return [line.split("\t")[1] for line in lines if not line.startswith("#")] + others.split("|") + long


def written(model: Completer, prompt: str, **options: Any) -> dict[str, Any]:
    made = model.complete(prompt, preset="plain", **options)
    return {"text": made.text, "finishReason": made.finish_reason, "bits": pytest.approx(made.bits, abs=NEAR)}


@pytest.mark.parametrize("name", build.BUILDS)
def test_probabilities_scores_and_seeded_texts_are_those_of_python(
    name: str, site: Path, model: Completer, lines: list[str], prompts: list[str], tmp_path: Path
) -> None:
    """With the build that Node would not choose, too."""
    if name == "kammil.wasm":
        lines, prompts = lines[:5], prompts[:10]
        shutil.copytree(site, tmp_path / "plain")
        site = tmp_path / "plain"
        shutil.copy(site / name, site / "kammil-simd.wasm")
    calls = [
        *(["after", prompt] for prompt in prompts[:50]),
        *(["score", text] for text in lines[:30]),
        *(["complete", prompt, {"seed": seed}] for seed, prompt in enumerate(prompts)),
    ]
    answers = iter(run(site, calls))
    for prompt in prompts[:50]:
        assert next(answers) == pytest.approx(model.after(prompt)[0][0].tolist(), abs=NEAR)
    for text in lines[:30]:
        assert next(answers)["bits"] == pytest.approx(list(model.score(text).bits), abs=NEAR)
    for seed, prompt in enumerate(prompts):
        assert next(answers) == written(model, prompt, seed=seed)


OPTIONS: list[dict[str, Any]] = [
    {"seed": 2**53 - 1, "length": 100, "temperature": 1.0},
    {"temperature": 0.0},
    {"temperature": 3.0, "length": 70, "seed": 5},
    {"stop": [" ", "؟"], "seed": 1},
    {"length": 0},
    {"length": 300, "seed": 3, "temperature": 0.4},
]


def test_options_and_blocked_words_are_those_of_python(site: Path, model: Completer, prompts: list[str]) -> None:
    asked: list[tuple[str, dict[str, Any]]]
    asked = [(prompt, options) for prompt in ["", "👍🏿 ", "x\U0001d400", *prompts[:4]] for options in OPTIONS]
    begun = [(word, {"seed": seed}) for word in begun_blocked_words() for seed in range(3)]
    all_words = [["complete", prompt, options] for prompt, options in [*asked, *begun]]
    offensive = [["complete", word, {**options, "allowOffensive": True}] for word, options in begun]
    answers = run(site, [*all_words, *offensive])
    for (prompt, options), answer in zip([*asked, *begun], answers, strict=False):
        assert answer == written(model, prompt, **options), (prompt, options)
    allowed = answers[len(all_words) :]
    for (word, options), answer in zip(begun, allowed, strict=True):
        assert answer == written(model, word, **options, allow_offensive=True)
    differ = [one for one, other in zip(answers[len(asked) :], allowed, strict=False) if one["text"] != other["text"]]
    assert len(differ) > 10, "hardly any word was blocked"
    assert is_offensive(" ".join(word + one["text"] for (word, _), one in zip(begun, allowed, strict=True)))


def test_it_learns_and_forgets_as_python_does(site: Path, lines: list[str]) -> None:
    ours = kammil.load()
    learnt = ["القطة نطت عالبراد وما رضيت تنزل", "القطة نطت عالبراد وما رضيت تنزل", "القطة نامت @rana", *lines[:5]]
    word = next(spellings(entry)[0] for entry in offensive_words().entries if entry.language == "levantine")
    learnt.append(f"يا {word} شو عملت")
    prompts = ["القطة ", "القطة نطت ", "", f"يا {word[:-1]}", "الق"]
    asked = [[name, prompt] for name in ("after", "complete", "suggest") for prompt in prompts]
    calls, expected = [], []
    for method, some in (("learn", learnt), ("forget", learnt[:2]), ("forget", learnt[2:]), ("learn", learnt[:2])):
        for text in some:
            getattr(ours, method)(text)
        calls += [*([method, text] for text in some[:1]), [method, *some[1:]], *asked]
        expected += [None, None]
        expected += [pytest.approx(ours.after(prompt)[0][0].tolist(), abs=NEAR) for prompt in prompts]
        expected += [ask(ours, prompt) for ask in (written, suggested) for prompt in prompts]
    assert run(site, calls) == expected
    unlearnt, *_ = run(site, [["forget", "القطة"]])
    assert "not learnt" in unlearnt["error"]


def test_it_spells_as_the_writer_does_and_python_too(site: Path, lines: list[str]) -> None:
    ours = kammil.load()
    learnt = [
        "القهوه جاهزه والبسكوت عالطاوله",
        "الصوره حلوه كتير اذا",
        "رايحه شوف الشقه الجديده",
        "السياره قدام البنايه",
    ]
    prompts = [
        "",
        "وصلت عالمدرس",
        "بدي ",
        "الغرف",
        "عم اشرب القهوه",
        "القهوة جاهزة والطاول",
        "شو ا",
        "mni7a",
        *lines[:3],
    ]
    for text in learnt:
        ours.learn(text)
    calls = [["learn", *learnt], *([name, prompt] for name in ("complete", "suggest") for prompt in prompts)]
    calls += [["phrase", prompt, NO_STOCK] for prompt in prompts] + [["reading", "mabsuta "]]
    expected = [ask(ours, prompt) for ask in (written, suggested) for prompt in prompts]
    _, *answers, reading = run(site, calls)
    assert answers == [*expected, *(phrased(ours, prompt, **NO_STOCK) for prompt in prompts)]
    assert reading["reading"] == ours.reading("mabsuta ")[0] == "مبسوطه "


NO_STOCK: dict[str, Any] = {"words": MAX_WORDS - 1}
"""One word less than stock phrases need."""
GHOST = ("phrase", {**NO_STOCK, "threshold": 0.03})
"""So that there is much."""
TAUGHT = "القطة نطت عالبراد وما رضيت تنزل"
CONTEXTS = [
    ["وين بدنا نتعشى الليلة؟", "سمعت في مطعم جديد اسمه زعرور، بالجميزة", "حلو، وبعرف الطريق لعند زعرور"],
    [" ", "\x1f\x85", "x" * 3000, "@rana https://a.b", "\ud800 شو؟", "🔗" * 300, "نفس الحكي", "نفس الحكي"],
    [],
]


def scored(model: Completer, text: str, given: str, context: Sequence[str]) -> dict[str, Any]:
    score = model.score(text, given, context=context)
    return {"text": score.text, "bits": pytest.approx(list(score.bits), abs=NEAR)}


def test_earlier_messages_are_read_as_in_python(site: Path, lines: list[str]) -> None:
    """Too many of them as well, what was learnt before, and one context after another."""
    ours = kammil.load()
    for text in (TAUGHT, "بدي روح عالسوق"):
        ours.learn(text)
    calls: list[list[Any]] = [["learn", TAUGHT, "بدي روح عالسوق"]]
    expected: list[Any] = [None]
    for context in (*CONTEXTS, lines[:90], lines[:91], CONTEXTS[0]):
        for text in ("", "خلينا نروح ع", "زع", "shu a5", "نفس ", lines[88][:12]):
            calls += [["score", text, "", 0, context], ["complete", text, {"seed": 7, "context": context}]]
            calls += [[name, text, {**options, "context": context}] for name, options in (("suggest", {}), GHOST)]
            expected += [scored(ours, text, "", context), written(ours, text, seed=7, context=context)]
            expected += [suggested(ours, text, context=context), phrased(ours, text, **GHOST[1], context=context)]
    assert run(site, calls) == expected
    alone, *others = (
        ours.score("زعرور", "نروح لعند ", context=some).bits_per_character for some in ([], *CONTEXTS[:2])
    )
    assert alone - others[0] > 0.5 > abs(alone - others[1])


def test_sessions_do_not_see_each_others_context(site: Path, lines: list[str]) -> None:
    texts = [lines[90][:n] for n in range(4, 16, 3)]
    turns, *fresh = run(
        site,
        [
            ["turns", texts, [CONTEXTS[0], lines[:30], []]],
            *(["suggest", text, {"context": context}] for text in texts for context in (CONTEXTS[0], lines[:30], [])),
        ],
    )
    assert json.loads(json.dumps(turns), parse_float=rounded) == json.loads(json.dumps(fresh), parse_float=rounded)


def test_a_context_is_not_learnt(site: Path) -> None:
    """Neither first words nor offensive ones; it cannot be forgotten, and no learnt text is taken back with it."""
    word = next(spellings(entry)[0] for entry in offensive_words().entries if entry.language == "levantine")
    context = [f"يا {word} شو عملت", TAUGHT, "زعرور زعرور", "زعرور"]
    asked = [["after", "القطة "], ["suggest", f"يا {word[:-1]}"], ["suggest", ""]]
    calls = [
        *asked,
        ["suggest", "", {"context": context}],
        *asked,
        ["suggest", f"يا {word[:-1]}", {"context": context}],
    ]
    calls += [["forget", TAUGHT], ["learn", TAUGHT], ["suggest", "القطة ", {"context": context}], ["forget", TAUGHT]]
    answers = run(site, [*calls, *asked])
    assert answers[:3] == answers[4:7] == answers[-3:]
    assert word not in [each["text"] for each in answers[7]]
    assert "not learnt" in answers[8]["error"]
    assert answers[9] is answers[11] is None


def mixed_prompts(lines: Sequence[str], number: int) -> list[str]:
    """Texts cut anywhere, as they are, with slips, in Latin letters, in English, and oddities."""
    generator = random.Random(number)
    arabizi = [line.split("\t")[2] for line in (ROOT / "recipes" / "arabizi.tsv").read_text("utf-8").splitlines()]
    english = (ROOT / "benchmarks" / "english.txt").read_text("utf-8").splitlines()
    odd = [
        "",
        " ",
        "1",
        "12 ",
        "😂",
        "؟",
        "و",
        "7abibi",
        "3an",
        "the ",
        "ههههههه",
        "كتيييييير",
        "@ab",
        "好",
        "é",
        "👩🏽‍💻",
    ]

    def cut(text: str) -> str:
        return text[: generator.randint(0, len(text))]

    made: list[str] = []
    for i, line in enumerate(generator.choices(lines, k=number)):
        latin, kind = generator.choice(arabizi), i % 10
        slipped = cut(with_slips([line], 0.12, seed=i)[0])
        mixed = [line + " ", slipped, slipped, cut(latin), cut(line) + " " + cut(latin), cut(generator.choice(english))]
        made.append([*mixed, cut(line) + generator.choice(odd), generator.choice(odd)][kind] if kind < 8 else cut(line))
    return made


def suggested(model: Completer, prompt: str, **options: Any) -> list[dict[str, Any]]:
    return [
        {
            "text": each.text,
            "completion": each.added,
            "probability": pytest.approx(each.probability, abs=NEAR),
            "replaces": each.replaces,
        }
        for each in model.suggest(prompt, **options)
    ]


def phrased(model: Completer, prompt: str, **options: Any) -> dict[str, Any]:
    ghost = model.phrase(prompt, **options)
    return {"completion": ghost.added, "probability": pytest.approx(ghost.probability, abs=NEAR)}


def assert_same_words(site: Path, model: Completer, prompts: Sequence[str]) -> None:
    calls = [[name, prompt, options] for prompt in prompts for name, options in (("suggest", {}), GHOST)]
    answers = run(site, calls)
    lists, ghosts = answers[::2], answers[1::2]
    assert ghosts == [phrased(model, prompt, **GHOST[1]) for prompt in prompts]
    for prompt, words in zip(prompts, lists, strict=True):
        assert_ranked_alike(
            [((word["completion"], word["text"], word["replaces"]), word["probability"]) for word in words],
            [((word.added, word.text, word.replaces), word.probability) for word in model.suggest(prompt)],
        )
    assert sum(bool(words) for words in lists) > len(prompts) / 2
    assert sum(any(word["replaces"] for word in words) for words in lists) > len(prompts) / 20
    assert sum(" " in ghost["completion"].strip() for ghost in ghosts) > len(prompts) / 50


def test_latin_letters_are_read_as_in_python(site: Path, model: Completer, lines: list[str]) -> None:
    prompts = [*mixed_prompts(lines, 60), "bukra rayi7 3al", "sba7 el kh", "the bank of", "", "شو kifak"]
    answers = run(site, [["reading", prompt] for prompt in prompts])
    assert [(each["reading"], each["replaces"]) for each in answers] == [model.reading(prompt) for prompt in prompts]
    assert sum(bool(each["replaces"]) for each in answers) > 3


def test_suggestions_and_ghost_text_are_those_of_python(site: Path, model: Completer, lines: list[str]) -> None:
    assert_same_words(site, model, mixed_prompts(lines, 150))


@pytest.mark.long
def test_suggestions_after_a_thousand_prompts_are_those_of_python(site: Path, model: Completer) -> None:
    files = [*(ROOT / "benchmarks").glob("prompts*.txt")]
    assert_same_words(
        site, model, mixed_prompts([line for file in files for line in file.read_text().splitlines()], 1000)
    )


def test_options_of_suggestions_are_those_of_python(site: Path, model: Completer, prompts: list[str]) -> None:
    texts = [*prompts[:6], *begun_blocked_words()[:12], "انا رحت ع السوف", "shu a5b"]
    lists: list[dict[str, Any]] = [{"k": 8, "threshold": 0.002}, {"correct": False}, {"allow_offensive": True, "k": 5}]
    ghosts: list[dict[str, Any]] = [{"ghost": "eager"}, {"ghost": "quiet"}, {"threshold": 0.2, "allow_offensive": True}]
    asked = [("suggest", suggested, options, text) for options in lists for text in texts]
    asked += [("phrase", phrased, {**options, **NO_STOCK}, text) for options in ghosts for text in texts]
    calls = [[name, text, {to_camel(key): value for key, value in each.items()}] for name, _, each, text in asked]
    assert run(site, calls) == [ask(model, text, **options) for _, ask, options, text in asked]


def test_where_python_is_silent_a_site_is(site: Path, model: Completer) -> None:
    prompts = silent_prompts()
    options: list[dict[str, Any]] = [{}, {"allow_offensive": True}]
    asked = [(text, each) for text in prompts for each in options]
    calls = [
        [name, text, {to_camel(key): value for key, value in each.items()}]
        for name in ("suggest", "phrase", "complete", "reading")
        for text, each in asked
    ]
    expected: list[Any] = [suggested(model, text, **each) for text, each in asked]
    expected += [phrased(model, text, **each, **NO_STOCK) for text, each in asked]
    expected += [written(model, text, seed=0, **each) for text, each in asked]
    answers = run(site, calls)
    assert answers[: len(expected)] == expected
    silent = [one["silent"] for one in answers[len(expected) :: 2]]
    for text, is_silent, words in zip(prompts, silent, answers[: len(asked) : 2], strict=True):
        reading, replaces = model.reading(text)
        assert is_silent == model.refusals().silent(text, text[: len(text) - replaces] + reading)
        assert not (is_silent and words)
    assert 16 <= sum(silent) < len(prompts) / 2


def test_long_lists_are_those_of_python(site: Path, model: Completer, lines: list[str]) -> None:
    """Longer than the search is wide, which the word of content that stands third is of, too."""
    texts = ["انشاالله ", "بتعرفوا أنو صارلي سنة ", *(line.rpartition(" ")[0] + " " for line in lines[:20])]
    options: dict[str, Any] = {"k": 32, "threshold": 0.002}
    answers = run(site, [["suggest", text, options] for text in texts])
    assert answers == [suggested(model, text, **options) for text in texts]
    assert sum(len(words) == 32 for words in answers) > 5


def test_a_text_that_a_stop_cuts_ends_with_no_blocked_word(site: Path, model: Completer) -> None:
    """Such a word may begin another one, and stand alone where a stop cuts that one."""
    words = {spellings(entry)[0].strip()[:-1] for entry in offensive_words().entries if entry.language == "levantine"}
    begun = sorted(word for word in words if 1 < len(word) < 6 and not is_offensive(word))
    asked = [(word, {"seed": seed, "stop": [stop]}) for word in begun for seed in range(4) for stop in "نيرت"]
    answers = run(site, [["complete", word, options] for word, options in asked])
    assert not [word for (word, _), answer in zip(asked, answers, strict=True) if is_offensive(word + answer["text"])]
    for (word, options), answer in [*zip(asked, answers, strict=True)][::20]:
        assert answer == written(model, word, **options), (word, options)


def test_a_session_suggests_what_was_learnt_meanwhile(site: Path) -> None:
    text = "القطة نطت عال"
    lessons = [["learn", f"{text}براد"]] * 3
    before, *_, after, fresh = run(site, [["suggested", [text]], *lessons, ["suggested", [text]], ["suggest", text]])
    assert before != after == [fresh] and fresh[0]["text"] == "عالبراد"


def test_another_model_suggests_its_own_words_and_none_that_its_owner_blocks(
    site: Path, folder_of: Callable[[str], Path], lines: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del site  # which finds the compiler
    folder = shutil.copytree(folder_of("blend"), tmp_path / "model")
    first = kammil.load(folder).suggest("")[0].text
    (folder / folders.BLOCK).write_text(f"{first}\n", "utf-8")
    monkeypatch.chdir(folder)
    kammil.export(".", "web", tmp_path / "site")
    assert json.loads((tmp_path / "site" / "model" / "about.json").read_text("utf-8"))["id"] == "model"
    model, prompts = kammil.load(folder), ["", *mixed_prompts(lines, 30)]
    calls = [["suggest", text, {"allowOffensive": allowed}] for text in prompts for allowed in (False, True)]
    expected = [suggested(model, text, allow_offensive=allowed) for text in prompts for allowed in (False, True)]
    answers = run(tmp_path / "site", calls)
    assert answers == expected
    assert sum(map(len, answers)) > len(answers)
    assert first not in [word["text"] for words in answers for word in words]


def test_scripts_without_spaces_get_no_words(site: Path, tmp_path: Path) -> None:
    shutil.copytree(site, tmp_path / "site")
    tables = tmp_path / "site" / "model" / "suggest.json"
    tables.write_text(json.dumps({**json.loads(tables.read_text("utf-8")), "words": None}))
    *refused, reading = run(tmp_path / "site", [["suggest", "x"], ["phrase", "x"], ["reading", "x"]])
    assert all("spaces" in answer["error"] for answer in refused)
    assert reading == {"reading": "", "replaces": 0, "silent": False}  # so that the page completes a text there


def to_camel(name: str) -> str:
    return name.replace("_o", "O")


def test_what_is_typed_in_a_session_makes_no_difference(site: Path, lines: list[str]) -> None:
    edits = [lines[0][:n] for n in (3, 9, 4, 20)] + [lines[1][:12], "", lines[1][:12], " ".join(lines[:40]), lines[0]]
    typed, *fresh = run(site, [["typed", edits], *(["complete", text] for text in edits)])
    assert typed == [each["text"] for each in fresh]
    edits = ["انا بالسوف"[:n] for n in range(11)] + ["انا بالسوق", "shu", "shu a5", "shu ", "shu a", "how a", ""]
    typed, *fresh = run(site, [["suggested", edits], *(["suggest", text] for text in edits)])
    assert json.loads(json.dumps(typed), parse_float=rounded) == json.loads(json.dumps(fresh), parse_float=rounded)


def rounded(number: str) -> float:
    return round(float(number), 5)


def test_nothing_that_a_call_allocates_is_left(site: Path) -> None:
    grown = run(site, [["grows", "كيف shu a5", 12]])[0]
    assert grown <= 2 * 65536  # two pages of WebAssembly's memory


PIECES = st.sampled_from(
    [
        *(
            "http://",
            "HTTPS://x",
            "www.",
            "a@b.co",
            "@",
            "＠",
            "_",
            ".",
            "-",
            "+",
            "(",
            ")",
            "/",
            " ",
            "\u00a0",
            "\u3000",
        ),
        *(
            "\u0640",
            "\u064b",
            "\u0651\u064e",
            "\u0301",
            "\u200c",
            "\u200d",
            "\u200f",
            "\ufeff",
            "\0",
            "\x1c",
            "\x85",
            "\n",
        ),
        *(
            "👩\u200d💻",
            "\U0001f3f4\U000e0067\U000e007f",
            "\U000e0067",
            "1",
            "٢",
            "۳",
            "0",
            "٠",
            "12/05/2020",
            "2020-11-30",
        ),
        *(
            "+963 944 123 456",
            "09441234567",
            "1234 5678 1234 5678",
            "GB33BUKB20201555555555",
            "أ",
            "ا\u0654",
            "ﷺ",
            "\ud800",
        ),
    ]
)
ASSIGNED = st.characters(exclude_categories=["Cn", "Co"])  # Python's and Node's tables are of two versions of Unicode
RULES: list[dict[str, bool]] = [
    {},
    {"numbers": True},
    {"urls": False, "invisible": False},
    {"nfc": False, "spaces": False, "handles": False},
]


def test_text_rules_are_those_of_python(site: Path) -> None:
    made: list[str] = []

    @given(st.lists(st.one_of(PIECES, ASSIGNED), max_size=30).map("".join))
    @settings(max_examples=1500, database=None, deadline=None)
    def collect(text: str) -> None:
        made.append(text)

    collect()
    strings = [text for text in made if all(unicodedata.category(c) != "Cn" for c in text)]
    assert len(strings) > 1000
    answers = run(site, [["rules", rules, strings] for rules in RULES])
    for rules, found in zip(RULES, answers, strict=True):
        normalise = TextRules.from_dict(rules).normalise
        assert found == [normalise(text) for text in strings]


def test_random_numbers_are_those_of_numpy(site: Path) -> None:
    seeds = [[0, 0], [1, 0], [2**32, 0], [2**64 - 1, 3], [7, 0, 29, 1], [2**64 - 1, 2**40, 5, 6, 7]]
    answers = run(site, [["random", [str(n) for n in seed], 40] for seed in seeds])
    assert answers == [np.random.default_rng(seed).random(40).tolist() for seed in seeds]


def test_wrong_options_get_a_sentence(site: Path) -> None:
    wrong = [{"lenght": 3}, {"seed": -1}, {"seed": 0.5}, {"length": -1}, {"temperature": "warm"}, {"stop": [""]}]
    calls = [
        *(["complete", "", options] for options in wrong),
        ["learn", " "],
        ["learn", "ب" * 4001],
        ["suggest", "", {"k": 0}],
        ["suggest", "", {"context": "شو"}],
        ["score", "شو", "", 0, [5]],
    ]
    answers = run(site, [*calls, ["phrase", "", {"ghost": "shy"}]])
    named = ["lenght", "seed", "seed", "length", "temperature", "stop", "empty", "4000", "k", "context", "5", "ghost"]
    for name, answer in zip(named, answers, strict=True):
        assert name in answer["error"]


def test_only_strings_are_texts(site: Path) -> None:
    methods = ("complete", "suggest", "phrase", "reading", "score", "after", "learn", "forget", "normalise")
    for answer in run(site, [*([name, 5] for name in methods), ["learn", ["شو"]], ["score", "شو", 5]]):
        assert "text is" in answer["error"] and "string" in answer["error"]


def in_node(code: str) -> str:
    if NODE is None:
        pytest.skip(needs.NODE)
    command = [NODE, "--max-old-space-size=1000", "--input-type=module", "--eval", code]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stdout.strip()


def test_the_element_may_be_imported_where_there_is_no_page(site: Path) -> None:
    module = (site / "kammil-text.js").as_uri()
    assert in_node(f"console.log(typeof (await import({module!r})).attach)") == "function"


@pytest.mark.parametrize(
    "change",
    [
        {"kinds": ["o99999999"], "history": []},
        {"kinds": ["w", "w"], "history": []},
        {"networks": 10**9},
        {"hidden": 8192},
        {"hidden": 2**40},
        {"sizes": (2**40, 2**40)},
        {"sizes": (-1, 0)},
        {"sizes": (1000, 1000)},
        {"size": 2**60},
        {"copies": 300},
        {"characters": ["x"] * 10**6},
    ],
)
def test_a_model_that_asks_for_more_than_its_files_hold_is_refused(
    change: dict[str, Any], site: Path, tmp_path: Path
) -> None:
    shutil.copytree(site, tmp_path / "site")
    model = tmp_path / "site" / "model"
    described = json.loads((model / folders.MODEL).read_text("utf-8"))
    weights = bytearray((model / folders.WEIGHTS).read_bytes())
    (length,) = struct.unpack_from("<Q", weights)
    at, _ = json.loads(weights[8 : 8 + length])["counts.sizes"]["data_offsets"]
    if "sizes" in change:  # a stream gives more, too
        struct.pack_into("<2q", weights, 8 + length + at, *change["sizes"])
    elif "size" in change:
        struct.pack_into("<Q", weights, 0, change["size"])
    elif "copies" in change:  # of the same bytes
        range_ = [0, len(weights) - 8 - length]
        header = json.loads(weights[8 : 8 + length])
        header |= {f"{i}": {"dtype": "U8", "data_offsets": range_} for i in range(change["copies"])}
        weights[: 8 + length] = struct.pack("<Q", len(json.dumps(header))) + json.dumps(header).encode()
    elif "characters" in change:
        (model / folders.VOCABULARY).write_text(json.dumps(change))
    else:
        described["settings"] |= change
    (model / folders.MODEL).write_text(json.dumps(described))
    (model / folders.WEIGHTS).write_bytes(weights)
    assert "export it again" in refusal(tmp_path / "site")


Packed = dict[str, NDArray[Any]]
"""The arrays of a folder, fields of its counts unpacked."""


def packed(values: NDArray[np.int64]) -> NDArray[np.uint8]:
    planes = np.ascontiguousarray(values.astype("<u4").view(np.uint8).reshape(-1, 4).T)
    return np.frombuffer(zlib.compress(planes.tobytes(), 1), np.uint8)


def unpacked(array: NDArray[np.uint8]) -> NDArray[np.int64]:
    planes = np.frombuffer(zlib.decompress(array.tobytes()), np.uint8).reshape(4, -1)
    return np.ascontiguousarray(planes.T).view("<u4")[:, 0].astype(np.int64)


def with_weights(site: Path, out: Path, change: Callable[[Packed], None]) -> Path:
    """A site whose model has other weights: its `counts.` fields are changed as whole numbers, the rest as stored."""
    shutil.copytree(site, out)
    shutil.copytree(
        folders.locate(Path(folders.PRETRAINED)), out / "model", dirs_exist_ok=True
    )  # which Python reads, too
    path = out / "model" / folders.WEIGHTS
    arrays: Packed = load_file(path)
    fields = [f"counts.{name}" for name in ("gaps", "widths", "lost", "ids", "counts")]
    arrays |= {name: unpacked(arrays[name]) for name in fields}
    change(arrays)
    arrays |= {name: packed(arrays[name]) for name in fields}
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, path)
    return out


def beyond_the_vocabulary(arrays: Packed) -> None:
    arrays["counts.ids"][::50] = 60_000


def beyond_two_bytes(arrays: Packed) -> None:
    arrays["counts.ids"][::50] += 1 << 16


def a_sum_beyond_32_bits(arrays: Packed) -> None:
    arrays["counts.widths"][1000:1002] += 1 << 31


def other_followers(arrays: Packed) -> None:
    arrays["counts.widths"][0] += 1


def no_followers(arrays: Packed) -> None:
    widths = arrays["counts.widths"]
    widths[0], widths[1] = widths[:2].sum(), 0


def more_followers_than_letters(arrays: Packed) -> None:
    widths = arrays["counts.widths"]
    widths[0], widths[1:500] = widths[:500].sum() - 499, 1


def no_count(arrays: Packed) -> None:
    arrays["counts.counts"][::50] = 0


def keys_that_are_no_hashes(arrays: Packed) -> None:
    arrays["counts.gaps"][:] = 1


def keys_beyond_32_bits(arrays: Packed) -> None:
    arrays["counts.gaps"][-1] = (1 << 32) - 1


def an_infinite_bias(arrays: Packed) -> None:
    arrays["output.bias"] = np.where(np.arange(len(arrays["output.bias"])) == 5, np.inf, arrays["output.bias"])


def no_number(arrays: Packed) -> None:
    arrays["gate_in.bias"] = np.full_like(arrays["gate_in.bias"], np.nan)


def infinite_scales(arrays: Packed) -> None:
    arrays["output.weight.scales"] = np.full_like(arrays["output.weight.scales"], np.inf)


def negative_scales(arrays: Packed) -> None:
    arrays["output.weight.scales"] = -arrays["output.weight.scales"]


DAMAGES = [
    *(beyond_the_vocabulary, beyond_two_bytes, a_sum_beyond_32_bits, no_followers, more_followers_than_letters),
    *(other_followers, no_count, keys_that_are_no_hashes, keys_beyond_32_bits),
    *(an_infinite_bias, no_number, infinite_scales, negative_scales),
]


def refusal(site: Path) -> str:
    module = (site / "kammil.js").as_uri()
    return in_node(f"await (await import({module!r})).load().catch((error) => console.log(error.message))")


@pytest.mark.parametrize("damage", DAMAGES)
def test_weights_that_python_refuses_are_refused(damage: Callable[[Packed], None], site: Path, tmp_path: Path) -> None:
    made = with_weights(site, tmp_path / "site", damage)
    with pytest.raises(FolderError):
        kammil.load(made / "model")
    assert "export it again" in refusal(made)


@pytest.mark.parametrize("damage", ["header", "entry", "range", "stream"])
def test_a_damaged_file_of_weights_is_refused_by_the_same_sentence(damage: str, site: Path, tmp_path: Path) -> None:
    shutil.copytree(site, tmp_path / "site")
    path = tmp_path / "site" / "model" / folders.WEIGHTS
    weights = path.read_bytes()
    (length,) = struct.unpack_from("<Q", weights)
    header, body = json.loads(weights[8 : 8 + length]), bytearray(weights[8 + length :])
    if damage == "entry":
        header["counts.ids"] = None
    elif damage == "range":  # no whole number of floats
        header["output.bias"]["data_offsets"][1] -= 1
    elif damage == "stream":
        begin, end = header["counts.ids"]["data_offsets"]
        body[begin + 2 : end] = bytes(end - begin - 2)
    text = json.dumps(header).encode()
    text = b"{" + text if damage == "header" else text
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)
    assert "export it again" in refusal(tmp_path / "site")


def test_counts_as_other_models_have_them_are_read_as_in_python(site: Path, prompts: list[str], tmp_path: Path) -> None:
    """Contexts of one hash, of which the first is found, and counts of more than two bytes."""

    def change(arrays: Packed) -> None:
        gaps = arrays["counts.gaps"]
        gaps[3::2] += gaps[2:-1:2]
        gaps[2:-1:2] = 0
        arrays["counts.counts"][::5] += 1 << 16

    made = with_weights(site, tmp_path / "site", change)
    model = kammil.load(made / "model")
    expected = [pytest.approx(model.after(prompt)[0][0].tolist(), abs=NEAR) for prompt in prompts[:20]]
    assert run(made, [["after", prompt] for prompt in prompts[:20]]) == expected


def test_the_module_is_small(site: Path) -> None:
    """2,900 of the bytes bought what was said before, with its types and silence, a writer's spelling and words."""
    code = [path for path in site.iterdir() if path.is_file()]
    assert sum(len(gzip.compress(path.read_bytes())) for path in code) < 92_900


@pytest.mark.parametrize("family", ["gru", "ngram"])
def test_other_families_are_refused(family: str, folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=family):
        kammil.export(folder_of(family), "web", tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_a_part_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="part"):
        kammil.export(folders.PRETRAINED, "web", tmp_path / "site", part="network")


def test_an_export_gives_the_same_bytes_whatever_the_order_of_sets(site: Path, tmp_path: Path) -> None:
    del site  # which compiles the engine
    made: list[dict[Path, bytes]] = []
    for seed in ("1", "2"):
        out = tmp_path / seed
        command = [sys.executable, "-m", "kammil", "export", folders.PRETRAINED, "--format", "web", "--out", out]
        subprocess.run(command, env=os.environ | {"PYTHONHASHSEED": seed}, check=True, capture_output=True, timeout=200)
        made.append({path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()})
    one, other = made
    assert one.keys() == other.keys() and not [path for path in one if one[path] != other[path]]


def test_without_zig_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "place", tmp_path.joinpath)
    monkeypatch.setattr(build, "zig", lambda: None)
    with pytest.raises(FolderError, match="pip install ziglang"):
        kammil.export(folders.PRETRAINED, "web", tmp_path / "site")
    monkeypatch.setattr(build, "zig", lambda: ["false"])
    with pytest.raises(FolderError, match="zig"):
        kammil.export(folders.PRETRAINED, "web", tmp_path / "site")


def test_only_an_earlier_site_is_replaced(site: Path, tmp_path: Path) -> None:
    site = shutil.copytree(site, tmp_path / "site")
    with pytest.raises(KammilError, match="--replace"):
        kammil.export(folders.PRETRAINED, "web", site)
    kammil.export(folders.PRETRAINED, "web", site, replace=True)
    (site / "notes.txt").write_text("mine")
    with pytest.raises(KammilError, match=r"notes\.txt"):
        kammil.export(folders.PRETRAINED, "web", site, replace=True)
