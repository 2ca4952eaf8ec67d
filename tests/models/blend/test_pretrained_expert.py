"""A pretrained model in a blend: a distribution, the same learning and running, silent about what it has learnt."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import kammil
from kammil import model_folder as folders
from kammil.completion.completer import Completer
from kammil.completion.explain.attribution import explain
from kammil.completion.explain.display import expert_label
from kammil.completion.scoring import score_texts
from kammil.data.bloom import learnt_texts
from kammil.engine.reference import log_softmax
from kammil.errors import FolderError, OptionError
from kammil.language_model import Ids, LanguageModel, LogProbabilities, State, select_rows
from kammil.models.blend.model import BlendModel
from kammil.models.blend.network import PretrainedGate as LearningGate
from kammil.models.blend.pretrained_expert import GATE, IDS, PREFIX, PretrainedExpert, PretrainedGate, ids_between
from kammil.models.blend.pretrained_texts import PretrainedTexts
from kammil.models.blend.settings import BlendSettings
from kammil.models.family import TrainingTexts
from kammil.models.registry import family, load_model
from kammil.training.batches import make_rows
from kammil.vocabulary import BOS, SPECIALS, UNK, CharacterVocabulary

SHORT: dict[str, Any] = {"epochs": 2, "batch_size": 16, "device": "cpu", "threads": 1, "report": False}
SMALL: dict[str, Any] = {
    "embedding": 8,
    "hidden": 16,
    "gate": 8,
    "dropout": 0.0,
    "kinds": ("o1", "o3"),
    "history": ("o1",),
}
LEARNT, NEW, HELD_OUT = slice(0, 32), slice(24, 72), slice(100, 106)
"""Texts of the pretrained model; of the blend, eight of which are the same; and of validation."""


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory, texts: list[str], tiny_base: Callable[[], str]) -> Path:
    """A fine-tuned model."""
    folder = tmp_path_factory.mktemp("tuned") / "tuned"
    own: dict[str, Any] = {"base": tiny_base(), "window": 64, "learning_rate": 3e-3}
    kammil.train(texts[LEARNT], validation=texts[HELD_OUT], out=folder, model="pretrained", **own, **SHORT)
    return folder


@pytest.fixture(scope="module")
def blend(tmp_path_factory: pytest.TempPathFactory, texts: list[str], tuned: Path) -> tuple[Path, float]:
    """A blend of which it is a part, and the bits of validation while it was trained."""
    folder = tmp_path_factory.mktemp("blend") / "blend"
    own: dict[str, Any] = {"pretrained": str(tuned), "pretrained_texts": 12, "precision": "float32"}
    result = kammil.train(
        texts[NEW],
        validation=texts[HELD_OUT],
        out=folder,
        model="blend",
        **own,
        **SMALL,
        **SHORT,
    )
    best = min(epoch["validation_bits"] for epoch in result.history)
    return folder, best


@pytest.fixture(scope="module")
def model(blend: tuple[Path, float]) -> Completer:
    return kammil.load(blend[0])


class Table(LanguageModel):
    """Says the same after everything."""

    def __init__(self, probabilities: list[float]) -> None:
        self.row = np.log(np.array(probabilities, np.float32) / sum(probabilities))
        self.read: list[Ids] = []

    @property
    def vocabulary_size(self) -> int:
        return len(self.row)

    def initial_state(self, batch: int) -> State:
        return (np.zeros((batch, 1)),)

    def forward(self, ids: Ids, state: State, *, last: int | None = None) -> tuple[LogProbabilities, State]:
        self.read.append(ids)
        return np.broadcast_to(self.row, (*ids.shape, len(self.row))).copy(), state


@given(st.sets(st.sampled_from("abcdef")), st.sets(st.sampled_from("cdefgh")), st.integers(0, 99))
def test_its_probabilities_are_a_distribution_over_the_blend(ours: set[str], theirs: set[str], seed: int) -> None:
    blend, pretrained = (CharacterVocabulary(sorted(each)) for each in (ours, theirs))
    chances = np.random.default_rng(seed).uniform(0.1, 1, pretrained.size)
    table = Table(chances.tolist())
    expert = PretrainedExpert(table, ids_between(blend, pretrained))
    read = np.array([[BOS, *range(SPECIALS, blend.size)]])
    scores, _ = expert.forward(read, expert.model.initial_state(1), None)
    p, own = np.exp(scores[0, 0].astype(np.float64)), np.exp(table.row.astype(np.float64))
    assert scores.shape == (1, read.shape[1], blend.size) and p.sum() == pytest.approx(1, abs=1e-5)
    for character in ours & theirs:
        assert p[blend.encode(character)] == pytest.approx(own[pretrained.encode(character)], rel=1e-4)
    rest = own[UNK] + sum(own[pretrained.encode(character)[0]] for character in theirs - ours)
    for character in ours - theirs:
        assert p[blend.encode(character)] == pytest.approx(rest / (1 + len(ours - theirs)), rel=1e-4)
    assert table.read[0].tolist() == [[BOS, *pretrained.encode("".join(blend.characters)).tolist()]]


@pytest.mark.parametrize("ids", [[0, 1, 2, 3, 9], [0, 1, 2, 3, -1], [1, 0, 2, 3], [[0, 1, 2, 3]], [0, 1, 2]])
def test_ids_that_do_not_fit_are_refused(ids: list[Any]) -> None:
    with pytest.raises(ValueError, match="ids"):
        PretrainedExpert(Table([1.0] * 6), np.array(ids))


def test_both_sides_have_one_gate() -> None:
    torch.manual_seed(1)
    gate, generator = LearningGate(), np.random.default_rng(1)
    for parameter in gate.parameters():
        torch.nn.init.normal_(parameter)
    logits, theirs = (log_softmax(3 * generator.normal(size=(2, 5, 9)).astype(np.float32)) for _ in range(2))
    weights = {GATE + name: value.detach().numpy() for name, value in gate.state_dict().items()}
    added = PretrainedGate.of(weights).weights(logits, theirs) * theirs
    one, none = torch.tensor([1.0, 1.0]), torch.tensor([0.0, 1.0])
    learnt = gate(torch.from_numpy(logits), torch.from_numpy(theirs), one).detach().numpy()
    assert learnt == pytest.approx(logits + added, abs=1e-4)
    assert added.std() > 0.1
    silent = gate(torch.from_numpy(logits), torch.from_numpy(theirs), none).detach().numpy()
    assert (silent[0] == logits[0]).all() and (silent[1] == learnt[1]).all()


@pytest.mark.long
def test_it_runs_as_it_was_trained(blend: tuple[Path, float], model: Completer, texts: list[str]) -> None:
    assert model.model is not None and model.model.description.settings["pretrained_window"] == 64
    seen = [model.normalise(text) for text in texts[HELD_OUT]]
    traces = score_texts(model.language_model, model.vocabulary, seen)
    bits = sum(trace.bits.sum() for trace in traces) / sum(len(trace.bits) for trace in traces)
    assert bits == pytest.approx(blend[1], abs=0.02)  # whole numbers in place of single precision


def test_it_changes_what_follows(blend: tuple[Path, float], model: Completer) -> None:
    files = folders.read(blend[0])
    alone = load_model("blend", {**files.description.settings, "pretrained": None}, files.artifacts)
    ids = np.array([[BOS, *model.vocabulary.encode("شو رأيك")]])
    with_it, _ = model.language_model.forward(ids, model.language_model.initial_state(1))
    without, _ = alone.forward(ids, alone.initial_state(1))
    assert np.abs(with_it - without).max() > 0.01


@pytest.fixture
def ids(model: Completer) -> Ids:
    drawn = np.random.default_rng(3).integers(SPECIALS, model.vocabulary.size, (3, 12))
    drawn[:, 0], drawn[1, 5] = BOS, UNK
    return drawn


def test_it_keeps_the_contract(model: Completer, ids: Ids) -> None:
    runner = model.language_model
    assert isinstance(runner, BlendModel)
    whole, end = runner.forward(ids, runner.initial_state(3))
    assert np.exp(whole.astype(np.float64)).sum(-1) == pytest.approx(1, abs=1e-4)
    assert runner.forward(ids, runner.initial_state(3), last=2)[0] == pytest.approx(whole[:, -2:], abs=1e-5)
    state = runner.initial_state(3)
    for t in range(ids.shape[1]):
        step, state = runner.step(ids[:, t], state)
        assert step == pytest.approx(whole[:, t], abs=1e-4)
    assert len(state) == len(end) and runner.state_size(12) > sum(array[0].size for array in end)
    longer, _ = runner.step(ids[[2, 0], 1], select_rows(end, np.array([2, 0])))
    short, long = runner.forward(ids[:1, :4], runner.initial_state(1))[1], select_rows(end, np.array([0]))
    padded = runner.pad_states([short, long])
    both = tuple(np.concatenate(arrays) for arrays in zip(*padded, strict=True))
    assert runner.step(ids[[0, 0], 1], both)[0][1] == pytest.approx(longer[1], abs=1e-4)
    scores, after = runner.expert_scores(ids, runner.initial_state(3))
    assert scores.shape[2] == len(runner.experts) and runner.experts[-1] == "pretrained model"
    assert log_softmax(scores.sum(2)) == pytest.approx(whole, abs=1e-4)
    assert all(np.array_equal(one, other) for one, other in zip(after[5:], end[5:], strict=True))


def test_people_use_it_like_any_other(blend: tuple[Path, float], tuned: Path, model: Completer) -> None:
    assert f"A part of it is {tuned.name} (SHA-256 `" in folders.card(blend[0])
    assert str(tuned.parent) not in (blend[0] / "model.json").read_text("utf-8")
    assert len(model.complete("شو رأيك ", length=5, seed=1).text) <= 5
    assert model.suggest("شو رأ", k=2, threshold=1e-9)
    before = model.score("كلمة غريبة جدا").bits_per_character
    model.learn("كلمة غريبة جدا")
    assert model.score("كلمة غريبة جدا").bits_per_character < before
    assert len(explain(model, "شو رأيك").places) == len("شو رأيك") + 1
    assert expert_label("pretrained model") == "pretrained model"


def test_it_is_silent_about_texts_that_it_has_learnt(tuned: Path, texts: list[str]) -> None:
    files = folders.read(tuned)
    both = [*texts[LEARNT], *texts[HELD_OUT]]
    learnt = learnt_texts(files.seen, both)
    assert learnt[: len(texts[LEARNT])].all() and not learnt[len(texts[LEARNT]) :].any()
    changed = [texts[0] + " !", texts[0][: len(texts[0]) // 2] + "x" * 200]
    assert learnt_texts(files.seen, changed).tolist() == [True, False]
    vocabulary = CharacterVocabulary.from_texts(texts[NEW])
    train, validation = ([vocabulary.encode(text) for text in texts[part]] for part in (NEW, HELD_OUT))
    settings = BlendSettings(pretrained=str(tuned), pretrained_texts=10)
    made = PretrainedTexts.of(settings, TrainingTexts(texts[NEW], train, validation, vocabulary))
    assert len(made.read[True]) == 10 and min(made.read[True]) >= LEARNT.stop - NEW.start
    assert sorted(made.read[False]) == list(range(len(texts[HELD_OUT])))
    rows = make_rows(train, objective="text", block=16)
    for row in rows:
        scores, was_read = made.features([row], 20, learning=True)
        assert was_read[0] == (row.text in made.read[True])
        expected = made.read[True][row.text][row.begin :][: len(row.ids) - 1] if was_read[0] else scores[0, :0]
        assert np.array_equal(scores[0, : len(expected)], expected) and not scores[0, len(expected) :].any()


def test_what_is_not_new_to_it_is_refused(
    tuned: Path, tmp_path: Path, texts: list[str], folder_of: Callable[[str], Path]
) -> None:
    def train(part: slice, validation: slice, **options: Any) -> None:
        given: dict[str, Any] = {"pretrained": str(tuned), **SMALL, **SHORT, **options}
        kammil.train(texts[part], validation=texts[validation], out=tmp_path / "model", model="blend", **given)

    with pytest.raises(OptionError, match="30 of 30 training texts"):
        train(slice(0, 30), HELD_OUT)
    way_out = r"name others with --validation, or .+ --set 'exclude=\[\"FILE\"\]' texts that resemble"
    with pytest.raises(OptionError, match=f"8 of 8 validation texts; {way_out}"):
        train(slice(60, 100), slice(0, 8))
    with pytest.raises(OptionError, match="networks=1"):
        train(NEW, HELD_OUT, networks=2)
    with pytest.raises(OptionError, match=r"ngram; .*pretrained"):
        train(NEW, HELD_OUT, pretrained=str(folder_of("ngram")))
    with pytest.raises(FolderError, match="there is no model folder"):
        train(NEW, HELD_OUT, pretrained="nowhere")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_lacks_a_part_is_refused(blend: tuple[Path, float]) -> None:
    files = folders.read(blend[0])
    settings, arrays = files.description.settings, files.artifacts.weights
    for name in (IDS, f"{GATE}output.bias", next(name for name in arrays if name.startswith(f"{PREFIX}transformer"))):
        without = {other: array for other, array in arrays.items() if other != name}
        with pytest.raises(FolderError, match="do not fit"):
            family("blend").open(settings, type(files.artifacts)(without, files.artifacts.documents))
    wrong = {**arrays, IDS: arrays[IDS][:-1]}
    with pytest.raises(FolderError, match="another vocabulary"):
        family("blend").open(settings, type(files.artifacts)(wrong, files.artifacts.documents))


def test_history_that_is_not_counted_is_refused_with_a_sentence(tmp_path: Path, few: list[str]) -> None:
    options: dict[str, Any] = {"kinds": ("o1", "o2", "w"), **SHORT}
    with pytest.raises(OptionError, match=r'o3 is not among kinds; give history=\["o1", "o2", "w"\] too'):
        kammil.train(few, out=tmp_path / "model", model="blend", **options)
