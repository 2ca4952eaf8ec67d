"""Explain why a model was surprised: the bits of every character, likely alternatives, and the influence of experts.

By the rule of Aumann & Shapley (1974, "Values of Non-Atomic Games") all scores of a blend are scaled from 0 to 1 in
equal steps, and each expert is credited with what its part of every step saved of the log2 V bits of a uniform choice.
So attributions add up exactly, and of two experts that know the same neither is missed. Shapes: T time, V vocabulary, K
experts, Q steps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence, Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kammil.completion.completer import Completer
from kammil.decoding.sampling import NO_PROBABILITIES
from kammil.engine.reference import log_softmax
from kammil.errors import FolderError, OptionError
from kammil.language_model import ExpertAttribution, Ids, max_positions
from kammil.text import HANDLE, URL, shortened, words
from kammil.vocabulary import BOS, EOS, PAD, UNK

_MAX_POSITIONS = 64
_MAX_EXPERTS = 3
_NODES, _WEIGHTS = (np.asarray(a) / 2 for a in np.polynomial.legendre.leggauss(32))
"""Gauss-Legendre quadrature, (Q,): exact for scores that differ by at most 40."""


@dataclass(frozen=True)
class Alternative:
    """A character that was likely at a position."""

    text: str
    """Empty for the end of text, U+FFFD for any unknown character."""
    probability: float


@dataclass(frozen=True)
class Attribution:
    """The bits that one expert saved."""

    expert: str
    """In plain words, such as `word so far, background texts`."""
    bits: float
    """Negative if it favoured others; all sum to log2 V less the bits of the character."""


@dataclass(frozen=True)
class CharacterScore:
    """The score of one character, or of the end."""

    text: str
    """Empty for the end of text."""
    bits: float
    """With the cost of naming an unknown character."""
    probability: float
    rank: int | None
    """1 for the most probable one; None if unknown."""
    alternatives: tuple[Alternative, ...]
    """The most probable characters, best first, without placeholders."""
    credits: tuple[Attribution, ...]
    """The largest attributions; empty without experts."""


@dataclass(frozen=True)
class Explanation:
    """The explanation of each character of a text."""

    given: str
    """The normalised text before it."""
    text: str
    bits_per_character: float | None
    """Mean bits without the end of text; None for an empty text."""
    places: tuple[CharacterScore, ...]
    """Scores of each character, then of the end."""

    def __repr__(self) -> str:
        """Return the text and its mean bits."""
        mean = "" if self.bits_per_character is None else f", {self.bits_per_character:.2f} bits a character"
        return f"<Explanation of {shortened(self.text)!r}{mean}>"

    def words(self) -> list[tuple[str, float | None]]:
        """Return each word with its mean bits, and what stands between with None."""
        pieces: list[tuple[str, float | None]] = []
        done = 0
        for begin, end in words(self.text):
            pieces.append((self.text[done:begin], None))
            pieces.append((self.text[begin:end], sum(p.bits for p in self.places[begin:end]) / (end - begin)))
            done = end
        return [piece for piece in (*pieces, (self.text[done:], None)) if piece[0]]


def explain(model: Completer, text: str, *, given: str = "", k: int = 3, context: Sequence[str] = ()) -> Explanation:
    """Explain each character of `text` after `given`, and earlier messages (`Completer.in_context`), with the k most
    probable alternatives; `OptionError` for a k below 1, `FolderError` for a model that gives no probabilities."""
    model = model.in_context(context)
    before, seen = model.split_prompt(text, given)
    return explain_written(model, before, seen, k=k)


def aumann_shapley(contributions: NDArray[np.floating], ids: Ids) -> NDArray[np.floating]:
    """Attribute the bits saved on true ids, (T,), to experts, (T, K), from their scores, (T, K, V); errors are 1e-5
    bits."""
    total = contributions.sum(axis=1)  # (T, V)
    total -= total.max(axis=1, keepdims=True)
    mean = np.zeros_like(total)
    for node, weight in zip(_NODES + 0.5, _WEIGHTS, strict=True):  # one array of all steps would not fit into L2
        p = np.exp(total * total.dtype.type(node))
        p *= total.dtype.type(weight) / p.sum(axis=1, keepdims=True)
        mean += p
    true = contributions[np.arange(len(ids)), :, ids]  # (T, K)
    return (true - (contributions @ mean[:, :, None])[..., 0]) / math.log(2)


def explain_written(model: Completer, prompt: str, written: str, *, k: int = 3) -> Explanation:
    """Explain what the model wrote after a prompt, and its end, by the unfiltered model."""
    if k < 1:
        raise OptionError(f"k is {k}, but it must be 1 or more: a number of alternatives.")
    predictor, vocabulary = model.language_model, model.vocabulary
    hidden = {PAD, BOS, UNK, *vocabulary.encode(URL + HANDLE).tolist()}
    before = model.normalise(prompt)
    lead = np.concatenate([[BOS], vocabulary.encode(before)])
    targets = np.append(vocabulary.encode(written), EOS)
    inputs = np.concatenate([lead[-1:], targets[:-1]])
    characters = [*written, ""]
    names = [expert_label(name) for name in predictor.experts] if isinstance(predictor, ExpertAttribution) else []
    state = predictor.initial_state(1)
    if len(lead) > 1:
        _, state = predictor.forward(lead[None, :-1], state, last=1)
    places: list[CharacterScore] = []
    piece_size = max_positions(_MAX_POSITIONS, predictor.vocabulary_size * max(1, len(names)))
    for begin in range(0, len(targets), piece_size):
        piece = slice(begin, begin + piece_size)
        ids, true = inputs[None, piece], targets[piece]
        attributions: list[tuple[Attribution, ...]] = [()] * len(true)
        if isinstance(predictor, ExpertAttribution):  # their sum gives the log-probabilities
            (scores,), state = predictor.expert_scores(ids, state)  # (T, K, V)
            log_probabilities = log_softmax(scores.sum(axis=1))  # (T, V)
            attributions = [_top_experts(names, row) for row in aumann_shapley(scores, true)]
        else:
            (log_probabilities,), state = predictor.forward(ids, state)
        rows = zip(characters[piece], true.tolist(), log_probabilities, attributions, strict=True)
        for text, id, row, experts in rows:
            bits = float(-row[id]) / math.log(2) + (vocabulary.unknown_bits if id == UNK else 0)
            if not math.isfinite(bits):
                raise FolderError(NO_PROBABILITIES)
            rank = None if id == UNK else int((row > row[id]).sum()) + 1
            shown = _top_ids(row, k, hidden - {id})
            alternatives = tuple(Alternative(vocabulary.piece(i), float(np.exp(row[i]))) for i in shown)
            places.append(CharacterScore(text, bits, 2.0**-bits, rank, alternatives, experts))
    costs = [place.bits for place in places[:-1]]
    return Explanation(before, written, sum(costs) / len(costs) if costs else None, tuple(places))


def _top_ids(row: NDArray[np.floating], k: int, hidden: Set[int]) -> list[int]:
    """Return the k most probable ids of a row, (V,), of equals the lower first, without `hidden` ones."""
    among = np.arange(len(row))
    if (least := len(row) - k - len(hidden)) > 0:  # sorting all would take longer than a step of the model
        among = np.flatnonzero(row >= np.partition(row, least)[least])
    order = among[np.argsort(-row[among], kind="stable")]
    return [id for id in order.tolist() if id not in hidden][:k]


def _top_experts(names: Sequence[str], saved: NDArray[np.floating]) -> tuple[Attribution, ...]:
    order: list[int] = np.argsort(-np.abs(saved), kind="stable")[:_MAX_EXPERTS].tolist()
    return tuple(Attribution(names[i], float(saved[i])) for i in order if saved[i])


def expert_label(expert: str) -> str:
    """Describe an expert in plain words."""
    source, _, kind = expert.rpartition(" ")
    if not source:
        return expert
    words = {
        "w": "word so far",
        "w1": "word so far and the word before",
        "w2": "word so far and two words before",
        "w1s": "word so far and the word before the last",
    }
    where = {"counts": "", "background": ", background texts", "this text": ", earlier in this text"}
    what = words.get(kind) or ("last character" if kind == "o1" else f"last {kind[1:]} characters")
    return what + where[source]
