"""Why a model was surprised: of every character what it cost, what else was likely, and whom the model believed.

A family that adds up what several experts say (the blend) also tells what each of them was worth. An even choice among
all V ids costs log2 V bits. What the true character cost less than that was saved by the experts together, and is
shared out among them as Aumann & Shapley (1974, "Values of Non-Atomic Games") share out a cost: all are turned up from
nothing to what they are, in equal steps, and each is credited with what its own part of every step saved. The shares
add up exactly; to leave one expert out instead says nothing where two know the same, since neither is missed.

Shapes: T time, V vocabulary, K experts, Q steps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kammil.completion.completer import Completer
from kammil.completion.explain.display import expert_label
from kammil.decoding.filters import log_softmax, temperature
from kammil.decoding.sampling import NO_PROBABILITIES
from kammil.errors import FolderError, OptionError
from kammil.language_model import ExpertAttribution, Ids, LogProbabilities, max_positions
from kammil.text import shortened
from kammil.vocabulary import BOS, EOS, PAD, UNK

_PIECE = 64
"""Positions at a time at most: of each there are K x V numbers, some 80 KB."""
_CREDITED = 3
"""Experts named for a character: the others rarely have a tenth of a bit."""
_NODES, _WEIGHTS = (np.asarray(a) / 2 for a in np.polynomial.legendre.leggauss(32))
"""Of Gauss's quadrature, Q: exact to rounding for scores within 40 of one another, to 1e-6 bits within 60."""


@dataclass(frozen=True)
class Alternative:
    """Something that might have stood there."""

    text: str
    """The character; empty for the end of text, U+FFFD for any character that the model does not know."""
    probability: float


@dataclass(frozen=True)
class Attribution:
    """What one expert of a blend was worth."""

    expert: str
    """In plain words: `network`, `last 5 characters`, `word so far and the word before, background texts`."""
    bits: float
    """Saved of the even choice; below zero where it spoke for others. The credits of all experts and the bits of the
    character make log2 V together (an unknown character's choice among those not covered comes on top)."""


@dataclass(frozen=True)
class CharacterScore:
    """One character of a text, or its end, as the model saw it coming."""

    text: str
    """The character; empty for the end of text."""
    bits: float
    """What it cost; an unknown character in full."""
    probability: float
    """2 to the power of -bits."""
    rank: int | None
    """1 for the most probable; None for an unknown character, which no guess hits."""
    alternatives: tuple[Alternative, ...]
    """The most probable, best first; the true one is among them if it belongs there."""
    credits: tuple[Attribution, ...]
    """The experts that mattered most, best or worst; empty for a family that has none."""


@dataclass(frozen=True)
class Explanation:
    """A text, character by character."""

    given: str
    """What stood before it, as the model sees it."""
    text: str
    """The text, as the model sees it."""
    bits_per_character: float | None
    """Mean of the characters, without the end of text; None for an empty text."""
    places: tuple[CharacterScore, ...]
    """One for each character of the text, then one for its end."""

    def __repr__(self) -> str:
        """What was explained, and how surprising it was: the places would fill a screen."""
        each = "" if self.bits_per_character is None else f", {self.bits_per_character:.2f} bits a character"
        return f"<Explanation of {shortened(self.text)!r}{each}>"

    def _repr_html_(self) -> str:
        """The text coloured by its bits, for a notebook."""
        from kammil.completion.explain.fragments import heat_map  # one room to the right: this is a door

        return heat_map(self)


@dataclass(frozen=True)
class TemperatureSweep:
    """One distribution at several temperatures."""

    text: str
    """What it follows, as the model sees it."""
    temperatures: tuple[float, ...]
    alternatives: tuple[tuple[Alternative, ...], ...]
    """For each temperature the same characters, most probable first."""
    bits: tuple[float, ...]
    """Entropy at each temperature, of all characters."""


def explain(model: Completer, text: str, *, given: str = "", k: int = 3) -> Explanation:
    """Each character of `text` after `given`, with the k alternatives that were most probable.

    `OptionError` for a k below 1, `FolderError` for a model that gives no probabilities.
    """
    before, seen = model.split_prompt(text, given)
    return _explain(model, before, seen, k)


def explain_written(model: Completer, prompt: str, written: str, *, k: int = 3) -> Explanation:
    """Each character that the model wrote after a prompt, under the unfiltered model, and the end of text after it,
    whether written or not. What was written is taken as it is: it has been normalised text, character by character."""
    return _explain(model, model.normalise(prompt), written, k)


def temperature_sweep(model: Completer, text: str, temperatures: Sequence[float], k: int = 8) -> TemperatureSweep:
    """What may follow a text, the k most probable characters, at several temperatures; 0 leaves the best one alone.

    `OptionError` for a temperature below zero, none at all, or a k below 1.
    """
    _check(k)
    if not temperatures:
        raise OptionError("no temperature is given; name one or several, such as 0.5,1,1.5.")
    for value in temperatures:
        if not (math.isfinite(value) and value >= 0):
            raise OptionError(f"the temperature is {value}, but it must be a number from 0 up.")
    row = model.after(text)[0].astype(np.float64)  # (1, V)
    if not np.isfinite(row).any():
        raise FolderError(NO_PROBABILITIES)
    shown = _best(row[0], k)
    made: list[tuple[Alternative, ...]] = []
    bits: list[float] = []
    for value in temperatures:
        if value:
            p = np.exp(log_softmax(temperature(value)(row)))[0]  # (V,)
        else:
            p = (np.arange(row.shape[1]) == row.argmax()).astype(np.float64)
        made.append(tuple(Alternative(model.vocabulary.piece(id), float(p[id])) for id in shown))
        bits.append(float(-(p[p > 0] * np.log2(p[p > 0])).sum()) + 0.0)
    return TemperatureSweep(model.normalise(text), tuple(temperatures), tuple(made), tuple(bits))


def aumann_shapley(contributions: NDArray[np.floating], ids: Ids) -> NDArray[np.floating]:
    """Bits that each expert saved of the true ids (T,), (T, K), from what it adds to all scores, (T, K, V).

    Worked out as precisely as the scores are given: in single precision for a fraction of the time, 1e-5 bits off.
    """
    total = contributions.sum(axis=1)  # (T, V)
    total -= total.max(axis=1, keepdims=True)
    mean = np.zeros_like(total)
    for node, weight in zip(_NODES + 0.5, _WEIGHTS, strict=True):  # all steps at once would not fit into the cache
        p = np.exp(total * total.dtype.type(node))
        p *= total.dtype.type(weight) / p.sum(axis=1, keepdims=True)
        mean += p
    true = contributions[np.arange(len(ids)), :, ids]  # (T, K)
    return (true - (contributions @ mean[:, :, None])[..., 0]) / math.log(2)


def _explain(model: Completer, before: str, seen: str, k: int) -> Explanation:
    """Read both, of the second piece by piece."""
    _check(k)
    runner, vocabulary = model.language_model, model.vocabulary
    lead = np.concatenate([[BOS], vocabulary.encode(before)])
    targets = np.append(vocabulary.encode(seen), EOS)
    inputs = np.concatenate([lead[-1:], targets[:-1]])
    characters = [*seen, ""]
    names = [expert_label(name) for name in runner.experts] if isinstance(runner, ExpertAttribution) else []
    state = runner.initial_state(1)
    if len(lead) > 1:
        _, state = runner.forward(lead[None, :-1], state, last=1)
    places: list[CharacterScore] = []
    together = max_positions(_PIECE, runner.vocabulary_size * max(1, len(names)))
    for begin in range(0, len(targets), together):
        piece = slice(begin, begin + together)
        ids, true = inputs[None, piece], targets[piece]
        shares: list[tuple[Attribution, ...]] = [()] * len(true)
        if isinstance(
            runner, ExpertAttribution
        ):  # what is added tells all; to read as well would run the network twice
            (added,), state = runner.expert_scores(ids, state)  # (T, K, V)
            log_probabilities = log_softmax(added.sum(axis=1))  # (T, V)
            shares = [_most(names, row) for row in aumann_shapley(added, true)]
        else:
            (log_probabilities,), state = runner.forward(ids, state)
        for text, id, row, share in zip(characters[piece], true, log_probabilities, shares, strict=True):
            places.append(_place(model, text, int(id), row, share, k))
    costs = [place.bits for place in places[:-1]]
    return Explanation(before, seen, sum(costs) / len(costs) if costs else None, tuple(places))


def _place(
    model: Completer, text: str, id: int, row: LogProbabilities, share: tuple[Attribution, ...], k: int
) -> CharacterScore:
    """One character, from the log-probabilities (V,) of all."""
    vocabulary = model.vocabulary
    bits = float(-row[id]) / math.log(2) + (vocabulary.unknown_bits if id == UNK else 0)
    if not math.isfinite(bits):
        raise FolderError(NO_PROBABILITIES)
    rank = None if id == UNK else int((row > row[id]).sum()) + 1
    others = tuple(Alternative(vocabulary.piece(other), float(np.exp(row[other]))) for other in _best(row, k))
    return CharacterScore(text, bits, 2.0**-bits, rank, others, share)


def _best(row: NDArray[np.floating], k: int) -> list[int]:
    """The k most probable ids of a row, (V,), best first; of equals the lower ones; PAD and BOS are never meant."""
    among = np.arange(len(row))
    if (least := len(row) - k - 2) > 0:  # to sort all of them would take longer than the model's own step
        among = np.flatnonzero(row >= np.partition(row, least)[least])
    order = among[np.argsort(-row[among], kind="stable")]
    return order[(order != PAD) & (order != BOS)][:k].tolist()


def _most(names: Sequence[str], saved: NDArray[np.floating]) -> tuple[Attribution, ...]:
    """The experts with the largest credits, (K,), whichever way, and none that has none."""
    order: list[int] = np.argsort(-np.abs(saved), kind="stable")[:_CREDITED].tolist()
    return tuple(Attribution(names[i], float(saved[i])) for i in order if saved[i])


def _check(k: int) -> None:
    if k < 1:
        raise OptionError(f"k is {k}, but at least one alternative must be asked for.")
