"""Model folders: whole or not there; and nothing but one sentence comes of a broken, foreign or hostile one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

import kammil
from kammil import files, folder_swap
from kammil import model_folder as folders
from kammil.completion.scoring import score_texts
from kammil.data.bloom import SeenTexts
from kammil.errors import FolderError, KammilError
from kammil.evaluation import baselines

TEXTS = ["شو حلو الشعور لما تنجح", "مرحبا"]


@pytest.fixture
def copy(trained: Path, tmp_path: Path) -> Path:
    """A model folder to break."""
    return shutil.copytree(trained, tmp_path / "copy")


@pytest.fixture(scope="module")
def bench(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder that is broken and mended many times."""
    return shutil.copytree(trained, tmp_path_factory.mktemp("bench") / trained.name)


@contextmanager
def altered(folder: Path, name: str, content: bytes) -> Generator[None]:
    """The folder with another content of one file, for a while."""
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(content)
    try:
        yield
    finally:
        (folder / name).write_bytes(whole)


def refused(folder: Path, *, match: str = "[a-z]") -> None:
    """Opening ends in one plain sentence."""
    with pytest.raises(FolderError, match=match) as caught:
        kammil.load(folder)
    check_sentence(str(caught.value))


def check_sentence(message: str) -> None:
    assert "\n" not in message
    assert message.endswith((".", "kammil train FILE --out " + message.rpartition(" ")[2]))
    assert 20 < len(message) < 600


def works_or_is_refused(folder: Path) -> None:
    """Whatever the folder holds: it opens, completes, scores and is compared, or says in one sentence why not."""
    try:
        model = kammil.load(folder)
        made = model.complete("شو حلو", length=6, seed=1)
        assert "".join(model.stream("شو حلو", length=6, seed=1)) == made.text
        model.complete("\ud800", length=3, temperature=0)
        assert len(model.score("شو").bits) == 3
        assert model.model is not None
        assert SeenTexts(model.model.seen).is_memorised(TEXTS[0]) in {"new", "seen"}
        for runner in baselines.runners(model.model.baselines, model.vocabulary.size).values():
            score_texts(runner, model.vocabulary, TEXTS)
    except KammilError as error:
        check_sentence(str(error))


# ---- reading


FILES = [folders.MODEL, folders.VOCABULARY, folders.WEIGHTS, folders.SEEN, folders.BASELINES]


def files_of(folder: Path) -> list[str]:
    """Names of the files of this family."""
    return [name for name in (*FILES, folders.STEP, folders.METRICS, folders.CARD) if (folder / name).exists()]


def test_arrays_come_back_however_they_lie_in_memory(tmp_path: Path) -> None:
    whole = np.arange(24.0).reshape(4, 6)
    arrays: dict[str, NDArray[np.float64]] = {"turned": whole.T, "chosen": whole[:, [3, 2]], "others": whole[:, ::2]}
    folders.put_arrays(tmp_path / "arrays", arrays)
    again = load_arrays((tmp_path / "arrays").read_bytes())
    assert {name: array.tolist() for name, array in again.items()} == {n: a.tolist() for n, a in arrays.items()}


def test_a_whole_folder_is_read(trained: Path) -> None:
    model = folders.read(trained)
    assert model.description.format == folders.FORMAT
    assert model.description.family == trained.name
    assert model.metrics["validation"]["texts"] > 0
    assert model.card.startswith(f"# {trained.name}")
    assert (model.artifacts.step is None) == (trained.name in {"ngram", "blend"})
    assert sorted(path.name for path in trained.iterdir()) == sorted(files_of(trained))


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
        if name == folders.STEP and bench.name == "gru":
            continue  # it is there for other engines
        if name != folders.CARD:
            with altered(bench, name, content):
                refused(bench)


def test_a_card_that_is_no_text_is_refused(bench: Path) -> None:
    with altered(bench, folders.CARD, b"\xff"):
        refused(bench, match=r"README\.md is not UTF-8")


@given(st.data())
@settings(max_examples=150)
def test_a_truncated_file_is_refused(bench: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([name for name in files_of(bench) if name != folders.CARD]))
    whole = (bench / name).read_bytes()
    with altered(bench, name, whole[: data.draw(st.integers(0, len(whole) - 1))]):
        if name == folders.STEP:  # a graph without its last bytes may still be a graph
            works_or_is_refused(bench)
        else:
            refused(bench)


@given(st.data())
@settings(max_examples=250)
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
def test_wrong_descriptions_are_refused(copy: Path, key: str, value: object, match: str) -> None:
    change_json(copy / folders.MODEL, lambda fields: fields.update({key: value}))
    if key == "settings" and isinstance(value, dict) and (copy / folders.STEP).exists():
        works_or_is_refused(copy)  # the settings of a network tell how it was made; running it needs none
    else:
        refused(copy, match=match)


def test_a_vocabulary_of_another_size_is_refused(copy: Path) -> None:
    change_json(copy / folders.VOCABULARY, lambda fields: fields["characters"].pop())
    refused(copy, match="vocabulary")


def test_files_of_another_family_are_refused(copy: Path) -> None:
    other = "gru" if (copy / folders.STEP).exists() is False else "ngram"
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
@settings(max_examples=100)
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


def test_a_file_too_large_is_not_read(copy: Path) -> None:
    with (copy / folders.WEIGHTS).open("r+b") as file:
        file.truncate((2 << 30) + 1)  # no space is taken: a hole
    refused(copy, match="more than 2 GiB")


@pytest.mark.parametrize("name", ["nothing", "file", "empty", "x" * 300, "\0", "\ud800", "file/below"])
def test_what_is_no_folder_is_said(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("hello")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FolderError) as caught:
        kammil.load(tmp_path / name)
    assert "\n" not in str(caught.value)


# ---- hostile graphs


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> Path:
    """A folder with a graph."""
    folder = tmp_path_factory.mktemp("network") / "words"  # a GRU by itself runs from its weights
    kammil.train(texts[:60], out=folder, model="words", embedding=4, hidden=6, epochs=1, device="cpu")
    return folder


def graph_of(folder: Path) -> onnx.ModelProto:
    return onnx.load_model_from_string((folder / folders.STEP).read_bytes())


def refused_graph(folder: Path, graph: onnx.ModelProto, *, match: str = "step.onnx") -> None:
    with altered(folder, folders.STEP, graph.SerializeToString()):
        refused(folder, match=match)


@pytest.mark.parametrize("place", ["secret.bin", "../here/secret.bin", "{}/secret.bin", "*/_ORT_MEM_ADDR_/*"])
@pytest.mark.parametrize("inside", ["initializer", "attribute"])
def test_a_graph_reads_no_file(
    network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, inside: str
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    graph = graph_of(network)
    bias = next(value for value in graph.graph.initializer if value.name == "output_bias")
    content = numpy_helper.to_array(bias).tobytes()
    (here / "secret.bin").write_bytes(content)
    bias.ClearField("raw_data")
    bias.data_location = TensorProto.EXTERNAL
    for key, value in (("location", place.format(here)), ("length", str(len(content)))):
        bias.external_data.add(key=key, value=value)
    if inside == "attribute":
        graph.graph.node.insert(0, helper.make_node("Constant", [], ["output_bias"], value=bias))
        graph.graph.initializer.remove(bias)
    refused_graph(network, graph, match="outside itself")


def test_a_foreign_graph_is_refused(network: Path) -> None:
    numbers = TensorProto.FLOAT
    foreign = helper.make_model(
        helper.make_graph(
            [helper.make_node("Identity", ["x"], ["y"])],
            "identity",
            [helper.make_tensor_value_info("x", numbers, [1])],
            [helper.make_tensor_value_info("y", numbers, [1])],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    refused_graph(network, foreign, match="not the graph of a Kammil model")


def shapes_of(graph: onnx.ModelProto, name: str) -> Any:
    """The dimensions of an input or output."""
    for value in (*graph.graph.input, *graph.graph.output):
        if value.name == name:
            return value.type.tensor_type.shape.dim
    raise AssertionError(name)


def test_a_graph_of_another_vocabulary_is_refused(network: Path) -> None:
    graph = graph_of(network)
    for value in graph.graph.initializer:
        if value.name in {"output", "output_bias"}:
            array = numpy_helper.to_array(value)[..., :-1]
            value.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array), value.name))
    shapes_of(graph, "log_probabilities")[2].dim_value -= 1
    refused_graph(network, graph, match=r"\d+ units, \d+ outputs")


@pytest.mark.parametrize(
    ("name", "width"),
    [*(("state_0", width) for width in ("H", 0, -1, 7, 1 << 40)), ("log_probabilities", 7), ("log_probabilities", 0)],
)
def test_a_graph_whose_sizes_do_not_fit_is_refused(network: Path, name: str, width: str | int) -> None:
    graph = graph_of(network)
    last = shapes_of(graph, name)[-1]
    if isinstance(width, str):
        last.dim_param = width
    else:
        last.dim_value = width
    with altered(network, folders.STEP, graph.SerializeToString()), pytest.raises(FolderError) as caught:
        kammil.load(network).complete("شو")
    check_sentence(str(caught.value))


def test_a_graph_that_gives_more_than_it_says_is_refused(network: Path) -> None:
    graph = graph_of(network)
    graph.graph.node[-1].output[0] = "half"
    graph.graph.node.append(helper.make_node("Concat", ["half", "half"], ["log_probabilities"], axis=1))
    with altered(network, folders.STEP, graph.SerializeToString()):
        model = kammil.load(network)
        with pytest.raises(FolderError, match="other shapes") as caught:
            model.complete("شو")
        check_sentence(str(caught.value))


def test_a_graph_of_other_types_is_refused(network: Path) -> None:
    graph = graph_of(network)
    for value in graph.graph.input:
        if value.name == "ids":
            value.type.tensor_type.elem_type = TensorProto.INT32
    refused_graph(network, graph)


def test_a_graph_that_fails_while_running_says_so(network: Path) -> None:
    graph = graph_of(network)
    for value in graph.graph.initializer:
        if value.name == "embedding":  # too few rows: reading a character points outside
            value.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(value)[:4].copy(), "embedding"))
    with altered(network, folders.STEP, graph.SerializeToString()):
        model = kammil.load(network)
        for call in (model.complete, model.score):
            with pytest.raises(FolderError, match=r"step\.onnx cannot be run") as caught:
                call("شو")
            check_sentence(str(caught.value))


@pytest.mark.parametrize("wrong", [b"\xff\xfe", b"\0" * 10])
def test_a_refused_graph_prints_nothing(network: Path, capfd: pytest.CaptureFixture[str], wrong: bytes) -> None:
    graph = (network / folders.STEP).read_bytes()
    with altered(
        network, folders.STEP, graph.replace(b"log_probabilities", wrong + b"log_probabilities"[len(wrong) :])
    ):
        refused(network)
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


# ---- writing


def fill(folder: Path, mark: str = "new") -> None:
    """Something that passes for a model folder."""
    files.write_atomic(folder / folders.MODEL, json.dumps({"format": 1, "family": mark}).encode())


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def family_in(folder: Path) -> str:
    return json.loads((folder / folders.MODEL).read_text("utf-8"))["family"]


def test_a_folder_appears_when_it_is_whole(tmp_path: Path) -> None:
    with folders.new(tmp_path / "a" / "model") as draft:
        fill(draft)
        assert not (tmp_path / "a" / "model").exists()
    assert left_in(tmp_path / "a") == ["model"]
    assert left_in(tmp_path / "a" / "model") == [folders.MODEL]
    assert (tmp_path / "a" / "model").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, FolderError, SystemExit])
@pytest.mark.parametrize("replace", [False, True])
def test_a_crash_leaves_what_was_there(tmp_path: Path, error: type[BaseException], replace: bool) -> None:
    if replace:
        with folders.new(tmp_path / "model") as draft:
            fill(draft, "old")
    with pytest.raises(error), folders.new(tmp_path / "model", replace=replace) as draft:
        fill(draft)
        raise error
    assert left_in(tmp_path) == (["model"] if replace else [])
    assert not replace or family_in(tmp_path / "model") == "old"


def test_the_old_folder_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    with folders.new(tmp_path / "model") as draft:
        fill(draft, "old")
        files.write_atomic(draft / "extra", b"")
    with folders.new(tmp_path / "model", replace=True) as draft:
        fill(draft)
        assert family_in(tmp_path / "model") == "old"
    assert family_in(tmp_path / "model") == "new"
    assert left_in(tmp_path) == ["model"]
    assert left_in(tmp_path / "model") == [folders.MODEL]


def test_the_old_folder_comes_back_if_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with folders.new(tmp_path / "model") as draft:
        fill(draft, "old")
    rename = Path.rename

    def unable(one: Path, other: Path) -> bool:
        return False

    monkeypatch.setattr(folder_swap, "exchanged", unable)  # a system that cannot

    def failing(path: Path, target: Path) -> Path:
        if path.suffix == ".draft":
            raise OSError(28, "No space left on device")
        return rename(path, target)

    with pytest.raises(FolderError, match="No space left"), folders.new(tmp_path / "model", replace=True) as draft:
        fill(draft)
        monkeypatch.setattr(Path, "rename", failing)
    assert left_in(tmp_path) == ["model"]
    assert family_in(tmp_path / "model") == "old"


def test_a_model_is_not_overwritten_unless_asked(tmp_path: Path) -> None:
    with folders.new(tmp_path / "model") as draft:
        fill(draft, "old")
    with pytest.raises(FolderError, match="--replace"), folders.new(tmp_path / "model"):
        raise AssertionError("the block is not entered")
    assert family_in(tmp_path / "model") == "old"


@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("kind", ["file", "folder", "foreign model.json", "broken model.json", "dangling link", "loop"])
def test_what_is_no_model_is_never_overwritten(tmp_path: Path, kind: str, replace: bool) -> None:
    path = tmp_path / "model"
    match kind:
        case "file":
            path.write_text("mine")
        case "dangling link":
            path.symlink_to(tmp_path / "nowhere")
        case "loop":
            path.symlink_to(path)
        case _:
            path.mkdir()
            (path / "notes.txt").write_text("mine")
            if kind == "foreign model.json":
                (path / folders.MODEL).write_text('{"layers": 3}')
            if kind == "broken model.json":
                (path / folders.MODEL).write_text('{"format": 1')
    with pytest.raises(FolderError, match="no model folder") as caught, folders.new(path, replace=replace):
        raise AssertionError("the block is not entered")
    check_sentence(str(caught.value))
    assert path.is_symlink() or (path if path.is_file() else path / "notes.txt").read_text() == "mine"


def test_an_empty_folder_may_be_filled(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    with folders.new(tmp_path / "model") as draft:
        fill(draft)
    assert family_in(tmp_path / "model") == "new"


@pytest.mark.parametrize("replace", [False, True])
def test_what_appears_in_the_meantime_stays(tmp_path: Path, replace: bool) -> None:
    path = tmp_path / "model"
    with pytest.raises(FolderError, match="no model folder"), folders.new(path, replace=replace) as draft:
        fill(draft)
        path.mkdir()
        (path / "notes.txt").write_text("mine")
    assert left_in(tmp_path) == ["model"]
    assert (path / "notes.txt").read_text() == "mine"


def test_a_link_to_a_model_stays_a_link(tmp_path: Path) -> None:
    with folders.new(tmp_path / "far" / "model") as draft:
        fill(draft, "old")
    (tmp_path / "link").symlink_to(tmp_path / "far" / "model")
    with folders.new(tmp_path / "link", replace=True) as draft:
        fill(draft)
    assert (tmp_path / "link").is_symlink()
    assert family_in(tmp_path / "far" / "model") == "new"
    assert left_in(tmp_path / "far") == ["model"]


@pytest.mark.parametrize("name", ["x" * 300, "\0", "\ud800", "file/model", "file/a/model"])
def test_places_that_cannot_be_written(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(FolderError, match=r"cannot write|no model folder") as caught, folders.new(tmp_path / name):
        raise AssertionError("the block is not entered")
    assert "\n" not in str(caught.value)
    assert left_in(tmp_path) == ["file"]


def test_put_replaces_whole_files(tmp_path: Path) -> None:
    files.write_atomic(tmp_path / "a", b"old")
    files.write_atomic(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert left_in(tmp_path) == ["a"]
    with pytest.raises(FolderError, match="cannot write"):
        files.write_atomic(tmp_path / "missing" / "a", b"")


FULL = """
import resource, sys
from pathlib import Path
import kammil
from kammil.data import readers as reading
resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))
try:
    kammil.train(reading.sample()[:60], out=Path(sys.argv[1]), model="ngram", replace=True)
except kammil.KammilError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="file sizes cannot be limited there")
@pytest.mark.parametrize("before", [False, True])
def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path, before: bool) -> None:
    if before:
        with folders.new(tmp_path / "model") as draft:
            fill(draft, "old")
    command = [sys.executable, "-W", "error", "-c", FULL, str(tmp_path / "model")]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "cannot write" in run.stdout
    assert "File too large" in run.stdout
    assert len(run.stdout.splitlines()) == 1
    assert run.stderr == ""
    assert left_in(tmp_path) == (["model"] if before else [])
    assert not before or family_in(tmp_path / "model") == "old"
