"""llama.cpp runs an exported GGUF file, and predicts what the model folder predicts."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.exporting.conftest import CHARACTERS

import kammil
from kammil import model_folder as folders
from kammil.errors import MissingExtraError, OptionError
from kammil.exporting import gguf
from kammil.language_model import LanguageModel
from kammil.models.registry import load_model
from kammil.text import RAW, TextRules
from kammil.vocabulary import BOS, SPECIALS, UNK

llama_cpp = pytest.importorskip(
    "llama_cpp", reason="llama.cpp runs the file; it is compiled where it is installed: pip install llama-cpp-python"
)
FolderOf = Callable[[str], Path]
Noise = Callable[[TextRules], Path]
F32 = 0
"""Number of single precision among the types of llama.cpp."""


class Pair:
    """A model folder and its GGUF file."""

    def __init__(self, folder: Path, out: Path) -> None:
        export = kammil.export(folder, "gguf", out)
        assert (export.file, export.example, export.warning) == (out, None, None)
        self.files = folders.read(folder)
        self.ours: LanguageModel = load_model("transformer", self.files.description.settings, self.files.artifacts)
        # The cache of keys and values has half precision if nothing is said.
        self.theirs = llama_cpp.Llama(
            str(out), n_ctx=128, logits_all=True, n_threads=1, verbose=False, type_k=F32, type_v=F32
        )

    def difference(self, ids: list[int]) -> float:
        """The largest difference of two log-probabilities after any of the ids."""
        self.theirs.reset()
        self.theirs.eval(ids)
        theirs = normalised(np.array(self.theirs.scores[: len(ids)], np.float64))
        return float(np.abs(theirs - self.ours.forward(np.array([ids]), self.ours.initial_state(1))[0][0]).max())

    def tokenize(self, text: str) -> list[int]:
        return list(self.theirs.tokenize(text.encode(), special=False))


def normalised(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    scores = scores - scores.max(axis=-1, keepdims=True)
    return scores - np.log(np.exp(scores).sum(axis=-1, keepdims=True))


@pytest.fixture(scope="module")
def noisy(noise: Noise, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return Pair(noise(RAW), tmp_path_factory.mktemp("gguf") / "noise.gguf")


@pytest.fixture(scope="module")
def real(folder_of: FolderOf, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return Pair(folder_of("transformer"), tmp_path_factory.mktemp("gguf") / "real.gguf")


@given(st.lists(st.integers(0, SPECIALS + len(CHARACTERS) - 1), min_size=1, max_size=60))
def test_it_predicts_the_same(noisy: Pair, ids: list[int]) -> None:
    assert noisy.difference(ids) < 1e-3


@pytest.mark.parametrize("text", ["شو رأيك نطلع بكرا؟ 🦊", "🔗 👤 ", "", "شو حلو " * 12])
def test_a_trained_model_predicts_the_same(real: Pair, text: str) -> None:
    ids = real.tokenize(text)
    assert ids == [BOS, *real.files.vocabulary.encode(text)]
    assert real.difference(ids) < 1e-3


HELD = "".join(sorted(set(CHARACTERS) - set("\0▁\ud83d")))


@given(st.text(st.sampled_from(HELD) | st.sampled_from("xyz🦊ﷺ"), max_size=20))
def test_a_text_is_encoded_as_by_the_vocabulary_but_for_runs_of_unknown_characters(noisy: Pair, text: str) -> None:
    ids = noisy.files.vocabulary.encode(text).tolist()
    runs = [list(run) for _, run in itertools.groupby(ids)]
    expected = [id for run in runs for id in (run[:1] if run[0] == UNK else run)]
    assert noisy.tokenize(text) == [BOS, *expected]
    assert noisy.theirs.detokenize(ids).decode() == "".join(c for c in text if c in HELD)


@pytest.mark.parametrize("text", ["<s>", "a</s><pad><unk>"])
def test_no_text_is_encoded_to_a_special_id(noisy: Pair, text: str) -> None:
    assert noisy.tokenize(text) == [BOS, *noisy.files.vocabulary.encode(text)]


@pytest.mark.parametrize("prompt", ["شو رأيك", "شو حلو ", "ي"])
def test_the_most_probable_text_is_the_same(real: Pair, folder_of: FolderOf, prompt: str) -> None:
    never = dict.fromkeys(real.files.vocabulary.unwritable, -10000.0)
    done = real.theirs.create_completion(prompt, max_tokens=30, temperature=0, logit_bias=never)
    text = kammil.load(folder_of("transformer")).complete(prompt, temperature=0).text
    assert isinstance(done, dict) and done["choices"][0]["text"] == text


def test_rotary_pairs_stand_beside_each_other() -> None:
    rows = np.arange(12, dtype=np.float32)[:, None].repeat(12, axis=1)
    assert gguf.pairs_beside(rows, heads=2)[:, 0].tolist() == [0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11]


def test_wrong_requests_are_one_sentence(noise: Noise, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OptionError, match=r"\.gguf"):
        kammil.export(noise(RAW), "gguf", tmp_path / "model.bin")
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(MissingExtraError, match=r"needs gguf; run: pip install .*\[gguf\]"):
        kammil.export(noise(RAW), "gguf", tmp_path / "model.gguf")
    assert not list(tmp_path.iterdir())
