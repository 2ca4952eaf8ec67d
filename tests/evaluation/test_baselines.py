"""Baselines, counted by hand."""

from __future__ import annotations

import lzma
import math
from collections import Counter

import numpy as np
import pyppmd
import pytest

from kammil.completion.scoring import score_texts
from kammil.errors import FolderError
from kammil.evaluation import baselines
from kammil.evaluation.metrics import compute_metrics, half, target_span
from kammil.language_model import Ids, LanguageModel, LogProbabilities, State
from kammil.models.ngram import counting as ngram_counting
from kammil.models.ngram import model as ngram_model
from kammil.vocabulary import BOS, EOS, PAD, SPECIALS, UNK, CharacterVocabulary

TRAIN = ["abba", "abc", "a a"]
TEST = ["ab", "cab ?"]


@pytest.fixture
def vocabulary() -> CharacterVocabulary:
    return CharacterVocabulary.from_texts(TRAIN)


@pytest.fixture
def models(vocabulary: CharacterVocabulary) -> dict[str, LanguageModel]:
    counted = baselines.count([vocabulary.encode(text) for text in TRAIN], vocabulary.size)
    return baselines.load_baselines(counted, vocabulary.size)


def test_unigram_bits_are_the_cross_entropy(vocabulary: CharacterVocabulary, models: dict[str, LanguageModel]) -> None:
    counts = Counter([*"".join(TRAIN), *["end"] * len(TRAIN)])
    kinds = [*vocabulary.characters, "end", "unknown"]
    p = {kind: (counts[kind] + 1) / (counts.total() + len(kinds)) for kind in kinds}
    expected = 0.0
    for text in TEST:
        for character in text:
            covered = character in vocabulary.characters
            expected -= math.log2(p[character if covered else "unknown"]) - (0 if covered else vocabulary.unknown_bits)
        expected -= math.log2(p["end"])
    traces = score_texts(models["unigram"], vocabulary, TEST)
    assert sum(float(trace.bits.sum()) for trace in traces) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", ["unigram", f"{baselines.ORDER}-gram"])
def test_baselines_are_distributions_over_what_a_text_can_hold(
    vocabulary: CharacterVocabulary, models: dict[str, LanguageModel], name: str
) -> None:
    model = models[name]
    assert model.vocabulary_size == vocabulary.size
    ids = np.array([[BOS, *vocabulary.encode("ab?")], [BOS, *vocabulary.encode("c a")]])
    rows, state = model.forward(ids, model.initial_state(2))
    p = np.exp(rows.astype(np.float64))
    assert p.shape == (2, 4, vocabulary.size)
    assert p.sum(-1) == pytest.approx(1, abs=1e-6)
    assert (p[..., [PAD, BOS]] == 0).all()
    assert (p[..., [UNK, *range(EOS, vocabulary.size)]] > 0).all()
    tail, _ = model.forward(ids, model.initial_state(2), last=1)
    assert tail[:, 0] == pytest.approx(rows[:, -1])
    assert model.step(ids[:, 0], state)[0].shape == (2, vocabulary.size)


def test_the_ngram_baseline_is_the_family(vocabulary: CharacterVocabulary, models: dict[str, LanguageModel]) -> None:
    encoded = [vocabulary.encode(text) for text in TRAIN]
    settings, artifacts = ngram_counting.fit(
        encoded, (), vocabulary.size, ngram_model.NGramSettings(order=baselines.ORDER)
    )
    family = ngram_model.NGramModel(settings, artifacts.weights)
    for baseline, counter in zip(
        score_texts(models[f"{baselines.ORDER}-gram"], vocabulary, TEST),
        score_texts(family, vocabulary, TEST),
        strict=True,
    ):
        assert baseline.bits == pytest.approx(counter.bits)


class Even(LanguageModel):
    """Every id is as likely as any other."""

    vocabulary_size = SPECIALS + 4

    def initial_state(self, batch: int) -> State:
        return ()

    def forward(self, ids: Ids, state: State, *, last: int | None = None) -> tuple[LogProbabilities, State]:
        shape = (len(ids), last or ids.shape[1], self.vocabulary_size)
        return np.full(shape, -math.log(self.vocabulary_size), np.float32), state


def test_an_even_choice_costs_the_logarithm_of_the_vocabulary(vocabulary: CharacterVocabulary) -> None:
    expected = math.log2(vocabulary.size)
    assert expected == 3.0
    metrics = compute_metrics(Even(), vocabulary, ["ab", "cab a"] * 5, 30)
    for interval in (
        metrics.bits_per_character,
        metrics.bits_per_character_with_end,
        metrics.target_bits_per_character,
    ):
        assert interval is not None
        assert (interval.value, interval.low, interval.high) == pytest.approx((expected,) * 3)
    assert metrics.perplexity is not None
    assert metrics.perplexity.value == pytest.approx(vocabulary.size)


def test_foreign_arrays_are_said_in_one_sentence(vocabulary: CharacterVocabulary) -> None:
    counted = baselines.count([vocabulary.encode(text) for text in TRAIN], vocabulary.size)
    with pytest.raises(FolderError, match="another model"):
        baselines.load_baselines(counted, vocabulary.size + 1)
    for name in counted:
        remaining = {key: value for key, value in counted.items() if key != name}
        for wrong in (
            remaining,
            remaining | {name: counted[name][:0]},
            remaining | {name: counted[name].astype(np.float64)},
        ):
            with pytest.raises(FolderError, match=r"baselines\.safetensors"):
                baselines.load_baselines(wrong, vocabulary.size)


def test_the_uniform_row_pays_the_same_for_each_character(vocabulary: CharacterVocabulary) -> None:
    bits = baselines.uniform(vocabulary, "ab?")
    even = math.log2(vocabulary.size)
    assert bits.tolist() == pytest.approx([even, even, even + vocabulary.unknown_bits, even])


@pytest.mark.parametrize(
    "counts", [np.zeros(EOS, np.int64), np.zeros((2, 9), np.int64), np.zeros(9), np.array([0, 0, 0, 5, -1, 3])]
)
def test_what_are_no_counts_of_ids_is_refused(counts: np.ndarray) -> None:
    with pytest.raises(ValueError, match="not whole numbers, one for each id"):
        baselines.UnigramModel(counts)
    assert baselines.UnigramModel(np.zeros(EOS + 1, np.int64)).vocabulary_size == EOS + 1


def test_texts_sum_to_the_growth_of_the_whole(texts: list[str]) -> None:
    train, validation, test = texts[:300], texts[300:340], texts[340:400]
    bits = baselines.ppmd(train, validation, test, [*map(target_span, test)])

    def size(content: list[str]) -> int:
        encoder = pyppmd.Ppmd7Encoder(bits.order, 1 << 28)
        return len(encoder.encode("".join(f"{text}\n" for text in content).encode()) + encoder.flush())

    grown = 8 * (size(train + test) - size(train))
    assert bits.bits_with_end.sum() == pytest.approx(grown, abs=16)  # the range coder holds back a byte or two
    assert ((bits.target_bits >= 0) & (bits.target_bits <= bits.bits_with_end)).all()
    share = sum(min(30, len(text) - half(text)) for text in test) / sum(len(text) + 1 for text in test)
    assert bits.target_bits.sum() / bits.bits_with_end.sum() == pytest.approx(share, abs=0.1)


def test_validation_chooses_the_order(texts: list[str]) -> None:
    train, validation, test = texts[:200], texts[300:340], texts[340:345]

    def paid(order: int) -> int:
        encoder = pyppmd.Ppmd7Encoder(order, 1 << 24)
        encoder.encode("".join(f"{text}\n" for text in train).encode())
        return len(encoder.encode("".join(f"{text}\n" for text in validation).encode()))

    order = baselines.ppmd(train, validation, test, [*map(target_span, test)]).order
    assert paid(order) == min(map(paid, baselines.ORDERS))


def test_what_was_read_before_is_cheap(texts: list[str]) -> None:
    familiar, new = texts[:20], ["Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich"] * 1
    bits = baselines.ppmd(texts[:200], texts[200:220], [*familiar, *new], [*map(target_span, [*familiar, *new])])
    per_character = bits.bits_with_end / np.array([len(text) + 1 for text in [*familiar, *new]])
    assert per_character[:-1].max() < per_character[-1]
    assert baselines.lzma_bits(texts[:200], familiar) < 0.5 * baselines.lzma_bits(texts[:200], texts[300:320])


def test_lzma_is_weighed_as_a_whole(texts: list[str]) -> None:
    train, test = texts[:100], texts[100:140]
    bits = baselines.lzma_bits(train, test)
    before, after = ("".join(f"{t}\n" for t in part).encode() for part in (train, train + test))
    preset = 9 | lzma.PRESET_EXTREME
    sizes = [len(lzma.compress(content, preset=preset)) for content in (before, after)]
    assert bits == pytest.approx(8 * (sizes[1] - sizes[0]), abs=64)  # that container pads to 4 bytes
    assert bits < math.log2(256) * len(after[len(before) :])


def test_line_breaks_and_lone_surrogates_are_texts_too() -> None:
    test = ["a\nb", "\ud800c"]
    bits = baselines.ppmd(["ab\n", "cd"], ["a"], test, [*map(target_span, test)])
    assert bits.bits_with_end.shape == (2,)
