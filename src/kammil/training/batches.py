"""Texts to padded batches: BOS and characters in, characters and EOS out, one text a row.

Shapes: B batch, T time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from kammil.language_model import Ids
from kammil.vocabulary import BOS, EOS, PAD, UNK

Objective = Literal["text", "completion"]
TARGET_LENGTH = 30
"""Characters that a completion is judged by, from the middle of the text on: the notebook's task."""


@dataclass(frozen=True)
class Chunk:
    """A piece of a text to learn from."""

    ids: Ids
    """(T + 1,): each id but the last is an input, each but the first a target."""
    first: int
    """First target position that counts."""
    stop: int
    """One past the last target position that counts."""
    text: int = 0
    """Number of the text."""
    begin: int = 0
    """Position of the text at which the piece begins."""


@dataclass(frozen=True)
class Batch:
    """One padded batch; padding stands at the end of each row, where a causal model cannot see it."""

    inputs: Ids
    """(B, T): BOS, then the characters."""
    targets: Ids
    """(B, T): the characters, then EOS: what follows each input."""
    counted: NDArray[np.bool_]
    """(B, T): positions that enter the loss."""
    rows: tuple[Chunk, ...]
    """What the batch was made of."""


def make_rows(texts: Sequence[Ids], *, objective: Objective, block: int, widths: Ids | None = None) -> list[Chunk]:
    """Rows of at most `block` targets each; every counted target of every text is in exactly one row.

    Texts longer than a block are cut into consecutive blocks, each beginning with the id before it. With
    `objective="completion"` only the 30 characters after the middle of a text count (as many as it has, and its end).
    `widths` gives the characters of each id where ids are units, (V,): then the units that begin among these count.
    """
    made: list[Chunk] = []
    for number, text in enumerate(texts):
        ids = np.concatenate([[BOS], text, [EOS]])
        first, stop = 0, len(text) + 1
        if objective == "completion":
            lengths = np.ones(len(text), np.int64) if widths is None else widths[text]
            begins = np.append(0, lengths.cumsum())  # (T + 1,): characters before each target
            middle = int(begins[-1]) // 2
            first, stop = (int(at) for at in np.searchsorted(begins, [middle, middle + TARGET_LENGTH]))
        for begin in range(0, len(text) + 1, block):
            piece = ids[begin : begin + block + 1]
            counted = (max(0, first - begin), min(stop - begin, len(piece) - 1))
            if counted[0] < counted[1]:
                made.append(Chunk(piece, *counted, text=number, begin=begin))
    return made


def pad(rows: Sequence[Chunk]) -> Batch:
    """The rows as one batch."""
    width = max(len(row.ids) for row in rows)
    ids = np.full((len(rows), width), PAD, np.int64)
    counted = np.zeros((len(rows), width - 1), np.bool_)
    for i, row in enumerate(rows):
        ids[i, : len(row.ids)] = row.ids
        counted[i, row.first : row.stop] = True
    return Batch(ids[:, :-1], ids[:, 1:], counted, tuple(rows))


def batches(
    rows: Sequence[Chunk], size: int, *, rare: Ids | None = None, generator: np.random.Generator | None = None
) -> Iterator[Batch]:
    """All rows once, `size` at a time. In order without a generator; with one, shuffled for learning.

    Learning shuffles rows, then sorts within pools of 16 batches by length, so that little is padded and the order
    still differs in every epoch. Each occurrence of a `rare` id is replaced by UNK half of the time: the model learns
    where unknown characters turn up.
    """
    if generator is None:
        order = np.argsort([len(row.ids) for row in rows], kind="stable")
        groups = [order[i : i + size] for i in range(0, len(order), size)]
    else:
        order = generator.permutation(len(rows))
        groups = list[NDArray[np.int64]]()
        for i in range(0, len(order), 16 * size):
            pool = order[i : i + 16 * size]
            pool = pool[np.argsort([len(rows[j].ids) for j in pool], kind="stable")]
            groups += [pool[j : j + size] for j in range(0, len(pool), size)]
        groups = [groups[i] for i in generator.permutation(len(groups))]
    for group in groups:
        batch = pad([rows[i] for i in group])
        if generator is not None and rare is not None and len(rare):
            batch = _hide(batch, rare, generator)
        yield batch


def _hide(batch: Batch, rare: Ids, generator: np.random.Generator) -> Batch:
    """The batch with half of its rare characters turned into UNK, the same ones in inputs and targets."""
    ids = np.concatenate([batch.inputs, batch.targets[:, -1:]], axis=1)  # (B, T + 1)
    ids[np.isin(ids, rare) & (generator.random(ids.shape) < 0.5)] = UNK
    return Batch(ids[:, :-1], ids[:, 1:], batch.counted, batch.rows)


Arrays = tuple[NDArray[np.generic], ...]


class ExtraInputs(Protocol):
    """Arrays for a model's `forward`, beside the ids."""

    def __call__(self, batch: Batch, *, learning: bool) -> Arrays:
        """Of a batch of training texts (`learning`) or of validation texts."""
        ...


@dataclass(frozen=True)
class TrainingData:
    """What a network learns from and is judged by while it learns."""

    train: Sequence[Ids]
    """Encoded texts, specials left out."""
    validation: Sequence[Ids]
    """Encoded texts that share no near-duplicate with the training texts."""
    rare: Ids
    """Ids of characters that stand in one training text only: taught as unknown half of the time."""
    unknown_bits: float
    """What an unknown character costs beside its UNK."""
    widths: Ids | None = None
    """Characters of each id, (V,), where ids are units; None where each is one character. Bits are per character and
    end of text either way. Those of units are the bits of one way to cut the texts, so an upper bound: what the running
    side needs is less. The accuracy is that of ids."""
    evidence: ExtraInputs | None = None
    """What a model is shown beside the ids."""
