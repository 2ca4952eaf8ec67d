"""Explain why a model was surprised: the bits of every character, likely alternatives, and the influence of experts.

A family that adds the scores of several experts (the blend) also attributes bits to each of them. A uniform choice
among all V ids costs log2 V bits. The experts together save the difference to the bits of the true character, and it is
attributed to them by the rule of Aumann & Shapley (1974, "Values of Non-Atomic Games"): all scores are scaled from 0
to 1 in equal steps, and each expert is credited with what its own part of every step saved. The attributions add up
exactly. Leaving out one expert at a time would not do: where two know the same, neither is missed.

Shapes: T time, V vocabulary, K experts, Q steps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence, Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kammil.completion.completer import Completer
from kammil.decoding.filters import log_softmax
from kammil.decoding.sampling import NO_PROBABILITIES
from kammil.errors import FolderError, OptionError
from kammil.language_model import ExpertAttribution, Ids, LogProbabilities, max_positions
from kammil.text import HANDLE, URL, shortened, words
from kammil.vocabulary import BOS, EOS, PAD, UNK

_MAX_POSITIONS = 64
"""Most positions in one call: each has K x V scores, some 80 KB."""
_MAX_EXPERTS = 3
"""Most experts named for a character: the others rarely have a tenth of a bit."""
_NODES, _WEIGHTS = (np.asarray(a) / 2 for a in np.polynomial.legendre.leggauss(32))
"""Nodes and weights of Gauss-Legendre quadrature, (Q,): exact to rounding for scores that differ by at most 40, to 1e-6
bits for 60."""


@dataclass(frozen=True)
class Alternative:
    """A character that was likely at a position."""

    text: str
    """The character; empty for the end of text, U+FFFD for any character that the model does not know."""
    probability: float


@dataclass(frozen=True)
class Attribution:
    """The bits that one expert of a blend saved."""

    expert: str
    """Its name in plain words: `network`, `last 5 characters`, `word so far and the word before, background texts`."""
    bits: float
    """Bits saved compared with a uniform choice; negative if the expert favoured other characters. The attributions of
    all experts and the bits of the character sum to log2 V (for an unknown character without the part beyond UNK)."""


@dataclass(frozen=True)
class CharacterScore:
    """The score of one character of a text, or of its end."""

    text: str
    """The character; empty for the end of text."""
    bits: float
    """Its bits, with the cost of naming an unknown character."""
    probability: float
    """2 to the power of -bits."""
    rank: int | None
    """1 for the most probable character; None for an unknown one, which is never predicted."""
    alternatives: tuple[Alternative, ...]
    """The most probable characters, best first; the true one may be among them. Placeholders for links, handles and
    unknown characters, which nobody types, are left out."""
    credits: tuple[Attribution, ...]
    """The experts with the largest attributions, positive or negative; empty for a family without experts."""


@dataclass(frozen=True)
class Explanation:
    """The explanation of a text, character by character."""

    given: str
    """The text before it, as the model sees it."""
    text: str
    """The text, as the model sees it."""
    bits_per_character: float | None
    """Mean bits of the characters, without the end of text; None for an empty text."""
    places: tuple[CharacterScore, ...]
    """Scores of each character of the text, then of its end."""

    def __repr__(self) -> str:
        """Return the text and its mean bits: the scores of all characters would fill a screen."""
        mean = "" if self.bits_per_character is None else f", {self.bits_per_character:.2f} bits a character"
        return f"<Explanation of {shortened(self.text)!r}{mean}>"

    def words(self) -> list[tuple[str, float | None]]:
        """Return each word of the text with the mean bits of its characters, and with None what stands between two."""
        pieces: list[tuple[str, float | None]] = []
        done = 0
        for begin, end in words(self.text):
            pieces.append((self.text[done:begin], None))
            pieces.append((self.text[begin:end], sum(p.bits for p in self.places[begin:end]) / (end - begin)))
            done = end
        return [piece for piece in (*pieces, (self.text[done:], None)) if piece[0]]


def explain(model: Completer, text: str, *, given: str = "", k: int = 3) -> Explanation:
    """Explain each character of `text` after `given`, with the k most probable alternatives.

    `OptionError` for a k below 1, `FolderError` for a model that gives no probabilities.
    """
    before, seen = model.split_prompt(text, given)
    return _explain(model, before, seen, k)


def explain_written(model: Completer, prompt: str, written: str, *, k: int = 3) -> Explanation:
    """Explain each character that the model wrote after a prompt, and the end of text after it, written or not.

    Probabilities are those of the unfiltered model. `written` is not normalised again.
    """
    return _explain(model, model.normalise(prompt), written, k)


def aumann_shapley(contributions: NDArray[np.floating], ids: Ids) -> NDArray[np.floating]:
    """Attribute the bits saved on the true ids (T,) to experts, (T, K), given their scores of all ids, (T, K, V).

    The precision is that of the scores: single precision takes a fraction of the time, with errors of 1e-5 bits.
    """
    total = contributions.sum(axis=1)  # (T, V)
    total -= total.max(axis=1, keepdims=True)
    mean = np.zeros_like(total)
    for node, weight in zip(_NODES + 0.5, _WEIGHTS, strict=True):  # one array of all steps would not fit into L2
        p = np.exp(total * total.dtype.type(node))
        p *= total.dtype.type(weight) / p.sum(axis=1, keepdims=True)
        mean += p
    true = contributions[np.arange(len(ids)), :, ids]  # (T, K)
    return (true - (contributions @ mean[:, :, None])[..., 0]) / math.log(2)


def _explain(model: Completer, before: str, seen: str, k: int) -> Explanation:
    """Read the text before, then explain the text piece by piece."""
    _check_k(k)
    predictor, vocabulary = model.language_model, model.vocabulary
    lead = np.concatenate([[BOS], vocabulary.encode(before)])
    targets = np.append(vocabulary.encode(seen), EOS)
    inputs = np.concatenate([lead[-1:], targets[:-1]])
    characters = [*seen, ""]
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
        if isinstance(predictor, ExpertAttribution):  # their sum gives the log-probabilities: no second forward pass
            (scores,), state = predictor.expert_scores(ids, state)  # (T, K, V)
            log_probabilities = log_softmax(scores.sum(axis=1))  # (T, V)
            attributions = [_top_experts(names, row) for row in aumann_shapley(scores, true)]
        else:
            (log_probabilities,), state = predictor.forward(ids, state)
        for text, id, row, experts in zip(characters[piece], true, log_probabilities, attributions, strict=True):
            places.append(_character_score(model, text, int(id), row, experts, k))
    costs = [place.bits for place in places[:-1]]
    return Explanation(before, seen, sum(costs) / len(costs) if costs else None, tuple(places))


def _character_score(
    model: Completer, text: str, id: int, row: LogProbabilities, experts: tuple[Attribution, ...], k: int
) -> CharacterScore:
    """Build the score of one character from the log-probabilities of all, (V,)."""
    vocabulary = model.vocabulary
    bits = float(-row[id]) / math.log(2) + (vocabulary.unknown_bits if id == UNK else 0)
    if not math.isfinite(bits):
        raise FolderError(NO_PROBABILITIES)
    rank = None if id == UNK else int((row > row[id]).sum()) + 1
    shown = _top_ids(row, k, _placeholder_ids(model) - {id})
    alternatives = tuple(Alternative(vocabulary.piece(i), float(np.exp(row[i]))) for i in shown)
    return CharacterScore(text, bits, 2.0**-bits, rank, alternatives, experts)


def _top_ids(row: NDArray[np.floating], k: int, left_out: Set[int] = frozenset()) -> list[int]:
    """Return the k most probable ids of a row, (V,), best first, the lower of equals, without PAD, BOS and these."""
    hidden = {PAD, BOS, *left_out}
    among = np.arange(len(row))
    if (least := len(row) - k - len(hidden)) > 0:  # sorting all would take longer than a step of the model
        among = np.flatnonzero(row >= np.partition(row, least)[least])
    order = among[np.argsort(-row[among], kind="stable")]
    return [id for id in order.tolist() if id not in hidden][:k]


def _placeholder_ids(model: Completer) -> set[int]:
    """Return UNK, and the ids of the placeholders for links and handles in this vocabulary."""
    return {UNK, *model.vocabulary.encode(URL + HANDLE).tolist()}


def _top_experts(names: Sequence[str], saved: NDArray[np.floating]) -> tuple[Attribution, ...]:
    """Return the experts with the largest attributions, positive or negative, of all (K,); none with 0."""
    order: list[int] = np.argsort(-np.abs(saved), kind="stable")[:_MAX_EXPERTS].tolist()
    return tuple(Attribution(names[i], float(saved[i])) for i in order if saved[i])


def _check_k(k: int) -> None:
    if k < 1:
        raise OptionError(f"k is {k}, but at least one alternative must be asked for.")


def expert_label(expert: str) -> str:
    """Describe an expert in plain words: its context, and its source unless that is the model's own texts."""
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
