"""Turn texts into padded batches for teacher forcing (see `loss`): the targets are the inputs shifted by one.

    inputs    BOS  s    h    u        position t: the last character that the model has read
    targets   s    h    u    EOS      position t: the character that it must predict

Shapes: B batch, T time, V vocabulary.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kammil.distributed import Share
from kammil.language_model import Ids
from kammil.models.family import Chunk
from kammil.vocabulary import BOS, EOS, PAD, UNK

Objective = Literal["text", "completion"]
TARGET_LENGTH = 30
"""Length in characters of a judged completion, from the middle of a text on."""


@dataclass(frozen=True, eq=False)
class Chunks(Sequence[Chunk]):
    """Chunks of texts, each cut when it is indexed; columns are (N,)."""

    encoded: Sequence[Ids]
    texts: NDArray[np.int32]
    begins: NDArray[np.int32]
    firsts: NDArray[np.int32]
    stops: NDArray[np.int32]
    lengths: NDArray[np.int32]
    """Number of ids, T + 1."""

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return self.take(np.arange(len(self))[index])
        text, begin, length = int(self.texts[index]), int(self.begins[index]), int(self.lengths[index])
        ids = np.concatenate([[BOS], self.encoded[text], [EOS]])[begin : begin + length]
        return Chunk(ids, int(self.firsts[index]), int(self.stops[index]), text, begin)

    def take(self, indices: Ids) -> Chunks:
        """Return the chunks of these indices."""
        columns = (self.texts, self.begins, self.firsts, self.stops, self.lengths)
        return Chunks(self.encoded, *(column[indices] for column in columns))


@dataclass(frozen=True)
class Batch:
    """A batch padded at the ends of its rows, so that a causal model needs no mask."""

    inputs: Ids
    """(B, T): BOS, then the characters."""
    targets: Ids
    """(B, T): the characters, then EOS."""
    counted: NDArray[np.bool_]
    """(B, T): positions that enter the loss."""
    rows: tuple[Chunk, ...]
    share: Share | None = None
    """Its rows of a batch that several processes divide."""
    total: int | None = None
    """Counted positions in all processes; None where this is the whole batch."""


def make_rows(texts: Sequence[Ids], *, objective: Objective, block: int, widths: Ids | None = None) -> Chunks:
    """Cut texts into chunks of at most `block` targets; each target that counts is in exactly one.

    With `objective="completion"` only targets that begin in the 30 characters after the middle of a text count.
    `widths` (V,): number of characters of each id, 1 by default.
    """
    found = tuple(array("i") for _ in range(5))
    for number, text in enumerate(texts):
        first, stop = 0, len(text) + 1
        if objective == "completion":
            lengths = np.ones(len(text), np.int64) if widths is None else widths[text]
            begins = np.append(0, lengths.cumsum())  # (T + 1,): characters before each target
            middle = int(begins[-1]) // 2
            first, stop = (int(at) for at in np.searchsorted(begins, [middle, middle + TARGET_LENGTH]))
        for begin in range(0, len(text) + 1, block):
            length = min(block + 1, len(text) + 2 - begin)
            counted = (max(0, first - begin), min(stop - begin, length - 1))
            if counted[0] < counted[1]:
                for column, value in zip(found, (number, begin, *counted, length), strict=True):
                    column.append(value)
    return Chunks(texts, *(np.array(column, np.int32) for column in found))


def pad(rows: Sequence[Chunk]) -> Batch:
    """Pad chunks to the longest; targets are the inputs shifted by one."""
    width = max(len(row.ids) for row in rows)
    ids = np.full((len(rows), width), PAD, np.int64)
    counted = np.zeros((len(rows), width - 1), np.bool_)
    for i, row in enumerate(rows):
        ids[i, : len(row.ids)] = row.ids
        counted[i, row.first : row.stop] = True
    return Batch(ids[:, :-1], ids[:, 1:], counted, tuple(rows))


def batches(
    rows: Sequence[Chunk], size: int, *, rare: Sequence[int] | Ids = (), generator: np.random.Generator | None = None
) -> Iterator[Batch]:
    """Yield every chunk once: sorted by length without a generator, shuffled with one (for learning).

    Shuffling sorts pools of 16 batches by length, against padding, and replaces half of the `rare` ids by UNK, so that
    the model learns where unknown characters turn up.
    """
    rare = np.array(rare, np.int64)
    lengths = rows.lengths if isinstance(rows, Chunks) else np.array([len(row.ids) for row in rows])
    if generator is None:
        order = np.argsort(lengths, kind="stable")
        groups = [order[i : i + size] for i in range(0, len(order), size)]
    else:
        order = generator.permutation(len(rows))
        groups = list[NDArray[np.int64]]()
        for i in range(0, len(order), 16 * size):
            pool = order[i : i + 16 * size]
            pool = pool[np.argsort(lengths[pool], kind="stable")]
            groups += [pool[j : j + size] for j in range(0, len(pool), size)]
        groups = [groups[i] for i in generator.permutation(len(groups))]
    for group in groups:
        batch = pad([rows[i] for i in group])
        if generator is not None and len(rare):
            ids = np.concatenate([batch.inputs, batch.targets[:, -1:]], axis=1)  # (B, T + 1)
            ids[np.isin(ids, rare) & (generator.random(ids.shape) < 0.5)] = UNK
            batch = replace(batch, inputs=ids[:, :-1], targets=ids[:, 1:])
        yield batch


def divide(batch: Batch, rank: int, size: int) -> Batch:
    """Return every `size`-th row from `rank` on, or one that does not count, since every process must take a step."""
    rows = tuple(range(rank, len(batch.rows), size)) or (0,)
    chosen = list(rows)
    counted = batch.counted[chosen] & (rank < len(batch.rows))
    return Batch(
        batch.inputs[chosen],
        batch.targets[chosen],
        counted,
        tuple(batch.rows[row] for row in rows),
        Share(rows, len(batch.rows)),
        int(batch.counted.sum()),
    )


def draw(weights: NDArray[np.float64], generator: np.random.Generator) -> Ids:
    """Draw an epoch's indices by systematic sampling (Madow 1949), in random order.

    A chunk of weight w is drawn floor(w) or floor(w) + 1 times; independent draws would leave out a third.
    """
    order = generator.permutation(len(weights))  # else neighbours would be drawn together
    ends = np.floor(np.cumsum(weights[order]) + generator.random()).astype(np.int64)
    return np.repeat(order, np.diff(ends, prepend=0))


Arrays = tuple[NDArray[np.generic], ...]
