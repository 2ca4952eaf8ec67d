"""An exported ONNX file predicts what the model folder predicts, in a program without Kammil."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from tests.near_equals import assert_chosen_alike

import kammil
from kammil import model_folder as folders
from kammil.completion.completer import Completer
from kammil.engine.weights import unpack
from kammil.errors import FolderError, KammilError, MissingExtraError, OptionError
from kammil.exporting.onnx import EXAMPLE
from kammil.language_model import ExpertAttribution
from kammil.models.family import FAMILIES
from kammil.models.gru import model as gru_model
from kammil.models.gru import network as gru_network
from kammil.models.gru.model import SinglePrecisionGRU
from kammil.text import TextRules
from kammil.vocabulary import CharacterVocabulary

FolderOf = Callable[[str], Path]
PROMPTS = ["شو رأيك", "شو حلو ", "كيفك اليوم يا 🦊 ", ""]


def runs(program: Path | None, text: str) -> str:
    """Return what the program beside the file prints; it cannot import our package."""
    assert program is not None
    code = f"import sys; sys.modules['kammil'] = None; sys.argv[1:] = [{text!r}]; __file__ = {str(program)!r}\n"
    done = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", code + program.read_text("utf-8")], capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b""), done.stderr.decode()
    return done.stdout.decode().removesuffix("\n")


def step_by_step(file: Path, read: list[int]) -> NDArray[np.float32]:
    """Return the log-probabilities after each id, (T, V), from the file alone, one id a call."""
    session = onnxruntime.InferenceSession(file)
    state = {
        i.name: np.zeros([n if isinstance(n, int) else int(n == "B") for n in i.shape], np.float32)
        for i in session.get_inputs()[2:]
    }
    outputs: list[NDArray[np.float32]] = []
    for id in read:
        output, *new = session.run(None, {"ids": np.array([[id]]), "last": np.array([1]), **state})
        outputs.append(np.asarray(output)[0, 0])
        state = dict(zip(state, new, strict=True))
    return np.stack(outputs)


@pytest.mark.parametrize("family", [name for name, each in FAMILIES.items() if each.onnx is None])
def test_the_file_says_what_the_folder_says(folder_of: FolderOf, tmp_path: Path, family: str) -> None:
    export = kammil.export(folder_of(family), out=tmp_path / "model.onnx")
    assert export.warning is None
    content = onnx.load(export.file)
    onnx.checker.check_model(content, full_check=True)
    metadata: dict[str, Any] = {
        p.key: p.value if p.key == "family" else json.loads(p.value) for p in content.metadata_props
    }
    model = kammil.load(folder_of(family))
    assert metadata["family"] == family and metadata["rules"] == TextRules().to_dict()
    assert [model.vocabulary.piece(id) for id in range(model.vocabulary.size)] == metadata["vocabulary"]

    specials: dict[str, int] = metadata["specials"]
    table: dict[str, int] = {c: id for id, c in enumerate(metadata["vocabulary"]) if c}
    read = [specials["bos"], *(table.get(c, specials["unk"]) for c in "شو رأيك نطلع بكرا؟ 🦊")]
    language_model = (
        SinglePrecisionGRU(folders.read(folder_of(family)).artifacts.weights)
        if family == "gru"
        else model.language_model
    )
    expected, _ = language_model.forward(np.array([read]), language_model.initial_state(1))
    assert step_by_step(export.file, read) == pytest.approx(expected[0], abs=1e-5)
    completer = Completer(language_model, model.vocabulary, model.rules)
    for prompt in PROMPTS:
        ran = runs(export.example, prompt)
        assert ran.startswith(prompt)
        assert_chosen_alike(completer, prompt, ran.removeprefix(prompt), completer.complete(prompt, temperature=0).text)


def test_the_networks_of_a_blend_are_what_their_weights_say(folder_of: FolderOf, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="--part network"):
        kammil.export(folder_of("blend"), out=tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())
    export = kammil.export(folder_of("blend"), out=tmp_path / "model.onnx", part="network")
    assert export.warning is not None and "counts" in export.warning
    content = onnx.load(export.file)
    onnx.checker.check_model(content, full_check=True)
    model = kammil.load(folder_of("blend"))
    read = [2, *model.vocabulary.encode("شو رأيك نطلع بكرا؟").tolist()]
    weights = {k: v.astype(np.float64) for k, v in unpack(folders.read(folder_of("blend")).artifacts.weights).items()}
    assert step_by_step(export.file, read) == pytest.approx(gru(weights, read), abs=1e-5)
    # The networks of a blend are quantized in the folder; else they are the same.
    assert isinstance(model.language_model, ExpertAttribution)
    added, _ = model.language_model.expert_scores(
        np.array([read]), model.language_model.initial_state(1)
    )  # (1, T, 1 + K, V)
    scores = added[0, :, 0].astype(np.float64)
    assert step_by_step(export.file, read) == pytest.approx(normalised(scores), abs=0.1)
    greedy = Completer(SinglePrecisionGRU(weights), model.vocabulary, model.rules)
    for prompt in PROMPTS:
        ran = runs(export.example, prompt)
        assert ran.startswith(prompt)
        assert_chosen_alike(greedy, prompt, ran.removeprefix(prompt), greedy.complete(prompt, temperature=0).text)


def gru(w: dict[str, NDArray[np.float64]], read: list[int]) -> NDArray[np.float64]:
    """Compute the network as in the textbook, in double precision; return log-probabilities (T, V)."""
    h = np.zeros(w["gru.weight_hh_l0"].shape[1])
    scores: list[NDArray[np.float64]] = []
    for id in read:
        xr, xz, xn = np.split(w["gru.weight_ih_l0"] @ w["embedding.weight"][id] + w["gru.bias_ih_l0"], 3)
        hr, hz, hn = np.split(w["gru.weight_hh_l0"] @ h + w["gru.bias_hh_l0"], 3)
        z = 1 / (1 + np.exp(-xz - hz))
        h = (1 - z) * np.tanh(xn + hn / (1 + np.exp(-xr - hr))) + z * h
        scores.append(w["output.weight"] @ h + w["output.bias"])
    return normalised(np.stack(scores))


def normalised(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    return scores - np.log(np.exp(scores).sum(axis=-1, keepdims=True))


@pytest.mark.parametrize("family", [name for name, each in FAMILIES.items() if each.onnx is not None])
def test_what_does_not_fit_is_refused_with_the_way_out(folder_of: FolderOf, tmp_path: Path, family: str) -> None:
    with pytest.raises(OptionError, match=rf"a model of family {family} does not fit .*: .*; .* --(model|part) "):
        kammil.export(folder_of(family), out=tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_every_wrong_request_is_one_sentence(folder_of: FolderOf, tmp_path: Path) -> None:
    for asked, message in (
        ({"format": "pdf"}, "format is 'pdf'"),
        ({"part": "counts"}, "part is 'counts'"),
        ({"part": "network"}, "only a blend has parts"),
        ({"out": tmp_path / "model.bin"}, "must end in .onnx"),
        ({"out": tmp_path / "no" / "model.onnx"}, "cannot write"),
    ):
        options: dict[str, Any] = {"out": tmp_path / "model.onnx", **asked}
        with pytest.raises(KammilError, match=message):
            kammil.export(folder_of("gru"), **options)
    (tmp_path / "model.py").write_text("mine")
    with pytest.raises(FolderError, match="--replace"):
        kammil.export(folder_of("gru"), out=tmp_path / "model.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["model.py"]
    assert kammil.export(folder_of("gru"), out=tmp_path / "model.onnx", replace=True).file.exists()


@pytest.mark.parametrize("prefixes", [[""], ["", "others.0.", "others.1."]])
def test_members_are_averaged(prefixes: list[str]) -> None:
    torch.manual_seed(0)
    members = [
        gru_network.build(20, gru_network.GRUSettings(embedding=4, hidden=hidden, dropout=0)) for hidden in (5, 6, 7)
    ]
    used = dict(zip(prefixes, members, strict=False))
    weights = {p + name: value.detach().numpy() for p, m in used.items() for name, value in m.state_dict().items()}
    ids = np.array([[2, 7, 8, 19], [2, 1, 4, 5]])
    with torch.no_grad():
        scores = torch.stack([member(torch.from_numpy(ids)) for member in used.values()]).mean(0)
    session = onnxruntime.InferenceSession(
        gru_model.graph_of_networks("several", weights, prefixes).SerializeToString()
    )
    state = {f"state_{i}": np.zeros((2, 5 + i), np.float32) for i in range(len(prefixes))}
    output = session.run(["log_probabilities"], {"ids": ids, "last": np.array([3]), **state})[0]
    assert np.asarray(output) == pytest.approx(scores.log_softmax(-1).numpy()[:, -3:], abs=1e-5)


def test_a_folder_of_two_models_is_not_passed_on(folder_of: FolderOf, tmp_path: Path) -> None:
    folder = shutil.copytree(folder_of("gru"), tmp_path / "model")
    other = CharacterVocabulary("abc")
    (folder / "vocabulary.json").write_text(other.to_json(), "utf-8")
    with pytest.raises(FolderError, match="are of two models"):
        kammil.export(folder, out=tmp_path / "model.onnx")
    (folder / "weights.safetensors").unlink()
    with pytest.raises(FolderError, match=r"weights.safetensors cannot be read"):
        kammil.export(folder, out=tmp_path / "model.onnx")


def test_without_onnx_it_is_said_what_to_install(
    folder_of: FolderOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtraError, match=r"needs onnx; run: pip install .*\[train\]"):
        kammil.export(folder_of("gru"), out=tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_the_page_shows_the_program_that_is_written() -> None:
    page = (Path(__file__).parents[2] / "docs" / "export.md").read_text("utf-8")
    assert f"```python\n{EXAMPLE}```" in page


def test_the_program_has_ten_lines_below_its_imports() -> None:
    _, program = EXAMPLE.split("import onnxruntime\n\n")
    assert len(program.splitlines()) == 10
