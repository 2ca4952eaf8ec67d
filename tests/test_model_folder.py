"""Model folders are complete or absent; a broken, foreign or hostile one is refused in one sentence."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

import kammil
from kammil import model_folder as folders
from kammil.completion.scoring import score_texts
from kammil.data.bloom import BloomFilter
from kammil.errors import FolderError, KammilError
from kammil.evaluation import baselines

TEXTS = ["شو حلو الشعور لما تنجح", "مرحبا"]


@pytest.fixture
def copy(trained: Path, tmp_path: Path) -> Path:
    """A model folder to break."""
    return shutil.copytree(trained, tmp_path / "copy")


@pytest.fixture(scope="module")
def bench(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder that is broken and repaired many times."""
    return shutil.copytree(trained, tmp_path_factory.mktemp("bench") / trained.name)


@contextmanager
def altered(folder: Path, name: str, content: bytes) -> Generator[None]:
    """Change the content of one file within the block."""
    original = (folder / name).read_bytes()
    (folder / name).write_bytes(content)
    try:
        yield
    finally:
        (folder / name).write_bytes(original)


def refused(folder: Path, *, match: str = "[a-z]") -> None:
    """Check that opening the folder raises one plain sentence."""
    with pytest.raises(FolderError, match=match) as caught:
        kammil.load(folder)
    check_sentence(str(caught.value))


def check_sentence(message: str) -> None:
    assert "\n" not in message
    assert message.endswith((".", "kammil train FILE --out " + message.rpartition(" ")[2]))
    assert 20 < len(message) < 600


def works_or_is_refused(folder: Path) -> None:
    """Check that the folder opens, completes, scores and is compared, or raises one sentence."""
    try:
        model = kammil.load(folder)
        completion = model.complete("شو حلو", length=6, seed=1)
        assert "".join(model.stream("شو حلو", length=6, seed=1)) == completion.text
        model.complete("\ud800", length=3, temperature=0)
        assert len(model.score("شو").bits) == 3
        assert model.model is not None
        assert BloomFilter(model.model.seen).novelty(TEXTS[0]) in {"new", "seen"}
        for runner in baselines.load_baselines(model.model.baselines, model.vocabulary.size).values():
            score_texts(runner, model.vocabulary, TEXTS)
    except KammilError as error:
        check_sentence(str(error))


# ---- reading


FILES = [folders.MODEL, folders.VOCABULARY, folders.WEIGHTS, folders.SEEN, folders.BASELINES]


def files_of(folder: Path) -> list[str]:
    """Return the names of the files in the folder."""
    return [name for name in (*FILES, folders.METRICS, folders.CARD) if (folder / name).exists()]


def test_arrays_come_back_however_they_lie_in_memory(tmp_path: Path) -> None:
    matrix = np.arange(24.0).reshape(4, 6)
    arrays: dict[str, NDArray[np.float64]] = {"turned": matrix.T, "chosen": matrix[:, [3, 2]], "others": matrix[:, ::2]}
    folders.write_arrays(tmp_path / "arrays", arrays)
    again = load_arrays((tmp_path / "arrays").read_bytes())
    assert {name: array.tolist() for name, array in again.items()} == {n: a.tolist() for n, a in arrays.items()}


def test_a_whole_folder_is_read(trained: Path) -> None:
    model = folders.read(trained)
    assert model.description.format == folders.FORMAT
    assert model.description.family == trained.name
    assert model.metrics["validation"]["texts"] > 0
    assert model.card.startswith(f"# {trained.name}")
    assert sorted(path.name for path in trained.iterdir()) == sorted([*files_of(trained), folders.EVENTS])


def test_a_page_is_told_the_characters(copy: Path) -> None:
    vocabulary = json.loads((copy / folders.VOCABULARY).read_text("utf-8"))
    assert folders.about(copy)["characters"] == "".join(vocabulary["characters"])
    half = {
        **vocabulary,
        "characters": sorted([*vocabulary["characters"], "\ud83d"]),
    }  # no answer of a server can hold it
    (copy / folders.VOCABULARY).write_text(json.dumps(half), "utf-8")
    assert folders.about(copy)["characters"] == "".join(vocabulary["characters"])


def test_a_missing_file_is_named(copy: Path) -> None:
    for name in files_of(copy):
        if name not in {folders.METRICS, folders.CARD}:
            content = (copy / name).read_bytes()
            (copy / name).unlink()
            refused(copy, match=name)
            (copy / name).write_bytes(content)


@pytest.mark.parametrize("name", [folders.METRICS, folders.CARD])
def test_a_model_runs_without_what_is_only_told_of_it(copy: Path, name: str) -> None:
    (copy / name).unlink()
    works_or_is_refused(copy)
    assert kammil.load(copy).complete("شو", length=3, temperature=0).text


@pytest.mark.parametrize(
    "content",
    [b"", b"\0", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"\xff\xfe{\0}\0", b"null", b"[1, 2]", b'"text"', b"[" * 100_000],
    ids=["empty", "zero", "png", "utf16", "null", "list", "string", "nested"],
)
def test_foreign_content_is_refused(bench: Path, content: bytes) -> None:
    for name in files_of(bench):
        if name != folders.CARD:
            with altered(bench, name, content):
                refused(bench)


def test_a_card_that_is_no_text_is_refused(bench: Path) -> None:
    with altered(bench, folders.CARD, b"\xff"):
        refused(bench, match=r"README\.md is not UTF-8")


@given(st.data())
@settings(max_examples=60)
def test_a_truncated_file_is_refused(bench: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([name for name in files_of(bench) if name != folders.CARD]))
    original = (bench / name).read_bytes()
    with altered(bench, name, original[: data.draw(st.integers(0, len(original) - 1))]):
        refused(bench)


@given(st.data())
@settings(max_examples=100)
def test_random_bytes_do_no_harm(bench: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(files_of(bench)))
    content = bytearray((bench / name).read_bytes())
    # Half of the changes fall where a file says what it holds.
    place = st.integers(0, min(len(content), 1000) - 1) | st.integers(0, len(content) - 1)
    for at, byte in data.draw(st.lists(st.tuples(place, st.integers(0, 255)), min_size=1, max_size=8)):
        content[at] = byte
    with altered(bench, name, bytes(content)):
        works_or_is_refused(bench)


@pytest.mark.parametrize("found", [0, 2, "1", None, 1.5, [1], 10**4000, "x" * 10_000])
def test_another_format_is_refused(copy: Path, found: object) -> None:
    change_json(copy / folders.MODEL, lambda fields: fields.update(format=found))
    refused(copy, match="reads format 1")


def change_json(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    fields: dict[str, Any] = json.loads(path.read_text("utf-8"))
    change(fields)
    path.write_text(json.dumps(fields), "utf-8")


@pytest.mark.parametrize(
    ("key", "value", "match"),
    [
        ("extra", 1, "extra"),
        ("family", 3, "family"),
        ("family", "oracle", "'oracle'"),
        ("family", "../ngram", "ngram"),
        ("family", "\ud800", "family"),
        ("settings", [], "settings"),
        ("settings", {"order": "many"}, "order"),
        ("settings", {"order": 99}, "order"),
        ("settings", {"order": None}, "order"),
        ("settings", {"depth": 2}, "depth"),
        ("rules", {"nfc": "perhaps"}, "nfc"),
        ("rules", {"rot13": True}, "rot13"),
        ("rules", 1, "rules"),
        ("training", "long", "training"),
    ],
)
def test_wrong_descriptions_are_refused(trained: Path, copy: Path, key: str, value: object, match: str) -> None:
    change_json(copy / folders.MODEL, lambda fields: fields.update({key: value}))
    if key == "settings" and isinstance(value, dict) and trained.name in {"gru", "subwords"}:
        works_or_is_refused(copy)  # the settings of a network tell how it was made; running it needs none
    else:
        refused(copy, match=match)


def test_a_vocabulary_of_another_size_is_refused(copy: Path) -> None:
    change_json(copy / folders.VOCABULARY, lambda fields: fields["characters"].pop())
    refused(copy, match="vocabulary")


def test_files_of_another_family_are_refused(trained: Path, copy: Path) -> None:
    other = "gru" if trained.name in {"ngram", "blend"} else "ngram"
    change_json(copy / folders.MODEL, lambda fields: fields.update(family=other, settings={"order": 2}))
    refused(copy)


@pytest.mark.parametrize("name", [folders.SEEN, folders.BASELINES, folders.WEIGHTS])
@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"bits": np.zeros(3, np.uint8), "unigram": np.zeros(3, np.int64)},
        {"bits": np.zeros((8, 8), np.uint8), "unigram": np.full(100, -1), "size": np.array(8)},
        {"bits": np.full(8, np.nan), "unigram": np.full(100, np.nan), "size": np.array([np.nan])},
        {"bits": np.zeros(0, np.uint8), "unigram": np.zeros(0, np.int64), "size": np.zeros(0, np.int64)},
        {"size": np.array([1 << 62])},
    ],
)
def test_foreign_arrays_are_refused(bench: Path, name: str, arrays: dict[str, Any]) -> None:
    with altered(bench, name, save_arrays(arrays)):
        works_or_is_refused(bench)
        if name == folders.WEIGHTS and bench.name == "ngram":
            refused(bench)
        if name != folders.WEIGHTS:
            with pytest.raises(FolderError, match=name):
                kammil.evaluate(kammil.load(bench), TEXTS)


def test_offsets_that_wrap_around_are_refused(bench: Path) -> None:
    if bench.name != "ngram":
        name, prefix = folders.BASELINES, "ngram."
    else:
        name, prefix = folders.WEIGHTS, ""
    arrays = dict(load_arrays((bench / name).read_bytes()))
    limits = np.iinfo(np.int64)
    arrays[prefix + "keys.1"] = arrays[prefix + "keys.1"][:4]
    # Each is more than the one before by a positive number, if numbers wrap around.
    arrays[prefix + "offsets.1"] = np.array([0, limits.max, limits.min, -1, len(arrays[prefix + "ids.1"])])
    with altered(bench, name, save_arrays(arrays)), pytest.raises(FolderError, match="not consistent"):
        kammil.evaluate(kammil.load(bench), TEXTS)


@given(st.data())
@settings(max_examples=50)
def test_hostile_counts_do_no_harm(bench: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([folders.WEIGHTS, folders.BASELINES]))
    arrays = dict(load_arrays((bench / name).read_bytes()))
    key = data.draw(st.sampled_from(sorted(arrays)))
    flat = arrays[key].ravel().copy()
    limits = np.iinfo(flat.dtype) if flat.dtype.kind in "iu" else None
    largest = float(np.finfo(flat.dtype).max) if limits is None else 0.0
    values = st.sampled_from([0, 1, 2, limits.min, limits.max] if limits else [0.0, np.nan, np.inf, -np.inf, largest])
    for at in data.draw(st.lists(st.integers(0, len(flat) - 1), min_size=1, max_size=4)):
        flat[at] = data.draw(values)
    arrays[key] = flat.reshape(arrays[key].shape)
    with altered(bench, name, save_arrays(arrays)):
        works_or_is_refused(bench)


def test_a_link_out_of_the_folder_is_refused(copy: Path, tmp_path: Path) -> None:
    for name in files_of(copy):
        outside = (copy / name).rename(tmp_path / name)
        (copy / name).symlink_to(outside)
        refused(copy, match="link out of the folder")
        outside.replace(copy / name)


@pytest.mark.parametrize("make", ["directory", "loop", "dangling", "pipe"])
def test_what_is_no_file_is_refused(copy: Path, make: str) -> None:
    path = copy / folders.WEIGHTS
    path.unlink()
    match make:
        case "directory":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case _:
            path.symlink_to(path.name if make == "loop" else "nowhere")
    refused(copy, match="weights")


@pytest.mark.parametrize(
    ("name", "most", "limit"),
    [
        (folders.WEIGHTS, 2 << 30, "2 GiB"),
        (folders.MODEL, 64 << 20, "64 MiB"),
        (folders.VOCABULARY, 64 << 20, "64 MiB"),
        (folders.METRICS, 64 << 20, "64 MiB"),
        ("config.json", 64 << 20, "64 MiB"),
        ("tokenizer.json", 64 << 20, "64 MiB"),
    ],
)
def test_a_file_too_large_is_not_read(copy: Path, name: str, most: int, limit: str) -> None:
    (copy / name).touch()
    with (copy / name).open("r+b") as file:
        file.truncate(most + 1)  # no space is taken: a hole
    refused(copy, match=f"more than {limit}")


@pytest.mark.parametrize("name", ["nothing", "file", "empty", "x" * 300, "\0", "\ud800", "file/below"])
def test_what_is_no_folder_is_said(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("hello")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FolderError) as caught:
        kammil.load(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_graph_of_an_earlier_version_is_not_opened(copy: Path) -> None:
    expected = kammil.load(copy).complete("شو", seed=1)
    (copy / "step.onnx").write_bytes(b"whatever")
    assert kammil.load(copy).complete("شو", seed=1) == expected


def test_options_that_are_no_more_are_left_out_of_an_older_folder(trained: Path, copy: Path) -> None:
    def add(fields: dict[str, Any]) -> None:
        recipe = fields["training"]["recipe"]
        recipe["training"] |= {"shard": False, "floor": 0.01}
        for named in (fields["settings"], recipe["settings"]):
            named |= {"pretrained": None, "pretrained_texts": 300, "pretrained_window": None}

    change_json(copy / folders.MODEL, add)
    assert folders.read(copy).description == folders.read(trained).description
    kammil.load(copy)


def test_a_blend_with_a_pretrained_model_names_the_last_version_that_opened_it(bench: Path) -> None:
    fields = json.loads((bench / folders.MODEL).read_text("utf-8"))
    fields["settings"] |= {"pretrained": "tuned", "pretrained_texts": 300, "pretrained_window": 64}
    with altered(bench, folders.MODEL, json.dumps(fields).encode()):
        refused(bench, match=r"0\.1\.0")
        with pytest.raises(FolderError, match=r"0\.1\.0"):
            folders.summary(bench)
