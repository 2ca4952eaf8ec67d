"""States along texts that were read before, as a radix tree bounded in bytes.

If the user types what the model predicted, the states are there already, and the next prediction needs one more step. A
state is one block of bytes: several arrays in one allocation do not fragment the heap.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Self, cast

import numpy as np
from numpy.typing import NDArray

from kammil.language_model import Ids, LanguageModel, LogProbabilities, State

_ALIGNED = 8
"""Bytes that every array begins at a multiple of."""

Form = tuple[np.dtype[Any], tuple[int, ...], int]
"""Of an array: its numbers, its shape, and where it begins."""
Forms = tuple[Form, ...]


@dataclass(frozen=True, slots=True)
class PackedArrays:
    """A copy of some arrays."""

    data: bytes
    forms: Forms

    @classmethod
    def of(cls, arrays: Sequence[NDArray[np.generic]]) -> Self:
        """Copy them."""
        forms: list[Form] = []
        parts: list[bytes] = []
        at = 0
        for array in arrays:
            parts.append(array.tobytes())
            forms.append((array.dtype, array.shape, at))
            at += len(parts[-1])
            if rest := at % _ALIGNED:
                parts.append(bytes(_ALIGNED - rest))
                at += _ALIGNED - rest
        return cls(b"".join(parts), _shared(tuple(forms)))

    def arrays(self) -> tuple[NDArray[np.generic], ...]:
        """The same arrays, which cannot be written to."""
        return tuple(np.ndarray(shape, dtype, self.data, at) for dtype, shape, at in self.forms)


@lru_cache(1024)
def _shared(forms: Forms) -> Forms:
    """The same for all states after texts of a length: a kilobyte each."""
    return forms


EVERY = 64
"""A state is kept every so many characters of a text that comes at once, and at its end; a rest of half as many more
comes in the same call. To read such a piece takes the bundled model some milliseconds: nobody notices."""
NEAR = 16
"""Where a text was shortened, a state is kept at each of the last so many characters: somebody is taking some back."""
MEGABYTES = 16.0
"""Of states and the tree: some 1,500 stops of the bundled model after 70 characters, 900 of a long text, and fewer
of a transformer, whose states grow on."""
WRITTEN = 1 / 256
"""Share of the bound that a state may take to be kept at each character that is written: a transformer's, which grow,
would drive out what was typed."""
_NODE, CHARACTER = 600, 4
"""Bytes of a stop, beside the numbers of its state, and of a character on the way to it."""

Label = str
"""Ids from one stop to the next, each as the character of that number: two or four bytes an id, compared at once."""
Result = tuple[LogProbabilities, State]
"""What may follow a text, (1, V), and the state of the runner there, one row."""


@dataclass(eq=False, slots=True)
class TrieNode:
    """A stop, or where texts part."""

    parent: TrieNode | None
    """None for the root, and for what has left the tree."""
    label: Label
    children: dict[str, TrieNode] = field(default_factory=dict[str, "TrieNode"])
    """By the first character on the way to them."""
    block: PackedArrays | None = None
    """What is known there: the log-probabilities, and the arrays of the state."""


class StateCache:
    """States of a runner after the texts that it has read.

    Args:
        runner: reads them.
        megabytes: of states and tree at most; the last one is always kept.
    """

    def __init__(self, runner: LanguageModel, megabytes: float = MEGABYTES) -> None:
        """Nothing read."""
        self._runner, self._most, self.root = runner, megabytes * 1e6, TrieNode(None, "")
        self.clear()

    def clear(self) -> None:
        """Forget all states."""
        self._version = self._runner.version
        nodes = [self.root]
        while nodes:  # by hand: a tree that was frozen (`gc.freeze`) is never found to be garbage
            node = nodes.pop()
            nodes += node.children.values()
            node.parent, node.children, node.block = None, {}, None
        self.root = TrieNode(None, "")
        self._kept: OrderedDict[TrieNode, int] = OrderedDict()  # bytes of each state, the one used longest ago first
        self._bytes = 0

    def __len__(self) -> int:
        """States kept."""
        return len(self._kept)

    @property
    def bytes(self) -> int:
        """Of all states kept."""
        return self._bytes

    def decoder(self, ids: Ids) -> CachedDecoder:
        """Read ids (T,), T >= 1, with BOS in front, and stand behind them."""
        reading = self.prefill(ids)
        while size := reading.remaining:
            read, state = self._runner.forward(reading.next_ids(size)[None], reading.state, last=1)  # (1, 1, V)
            reading.advance(size, read[:, 0], state)
        return CachedDecoder(self, reading)

    def prefill(self, ids: Ids) -> Prefill:
        """Ids (T,), T >= 1, with BOS in front, to be read piece by piece, from where they are known."""
        if self._version != self._runner.version:  # it has learnt, or forgotten: what it said before is not true now
            self.clear()
        node, path = self.root, _label(ids)
        found, depth, at = node, 0, 0
        while below := node.children.get(path[at]) if at < len(path) else None:
            alike = _alike(below.label, path[at : at + len(below.label)])
            at += alike
            if alike < len(below.label):
                break
            node = below
            if node.block is not None:
                found, depth = node, at
        known = None
        if found.block is not None:
            self._kept.move_to_end(found)
            known = _known(found.block)
        state = self._runner.initial_state(1) if known is None else known[1]
        return Prefill(self, found, depth, path, state, known, shortened=at == len(path))

    def step(self, node: TrieNode, label: Label, state: State) -> tuple[TrieNode, Label, Result]:
        """Go on from a node by a label, whose last id is not read yet; `state` is before that.

        Returns: where that leads, the node and what lies beyond it, and what is known there.
        """
        current = self._version == self._runner.version  # else it has learnt, or forgotten
        below = self._find(node, label) if current else None
        if below is not None and below.block is not None:
            self._kept.move_to_end(below)
            return below, "", _known(below.block)
        known = self._runner.step(_ids(label[-1:]), state)
        if current and _bytes(known) <= self._most * WRITTEN:
            return self.store(node, label, known), "", known
        return node, label, known

    def store(self, node: TrieNode, label: Label, known: Result) -> TrieNode:
        """Remember what is known by a label from a node, and forget the oldest beyond the bound; where it is kept."""
        block = PackedArrays.of((known[0], *known[1]))  # before anything else: there may be no room for it
        made = self._below(node, label)
        made.block = block
        self._bytes -= self._kept.pop(made, 0)  # two readings of one text, side by side
        self._kept[made] = size = len(block.data) + _NODE + CHARACTER * len(made.label)
        self._bytes += size
        while self._bytes > self._most and len(self._kept) > 1:
            old, size = self._kept.popitem(last=False)
            self._bytes -= size
            old.block = None
            self._prune(old)
        return made

    def _prune(self, node: TrieNode) -> None:
        """Take a node out of the tree that is no stop any more, unless texts part there; and so on to the root."""
        while (parent := node.parent) is not None and node.block is None and len(node.children) < 2:
            parent.children.pop(node.label[0], None)
            for below in node.children.values():
                below.parent, below.label = parent, node.label + below.label
                parent.children[node.label[0]] = below
                if below in self._kept:
                    self._kept[below] += CHARACTER * len(node.label)
                    self._bytes += CHARACTER * len(node.label)
            node.parent, node.children = None, {}
            node = parent

    def _find(self, node: TrieNode, label: Label) -> TrieNode | None:
        """The stop by a label from a node, if there is one."""
        while label:
            below = node.children.get(label[0])
            if below is None or below.label != label[: len(below.label)]:
                return None
            node, label = below, label[len(below.label) :]
        return node if node in self._kept else None

    def _below(self, node: TrieNode, label: Label) -> TrieNode:
        """The node by a label from another; it is made if it is not there."""
        while label:
            below = node.children.get(label[0])
            if below is None:
                below = node.children[label[0]] = TrieNode(node, label)
                return below
            alike = _alike(below.label, label)
            if alike < len(below.label):
                middle = node.children[label[0]] = TrieNode(node, label[:alike])
                middle.children[below.label[alike]] = below
                below.parent, below.label = middle, below.label[alike:]
                below = middle
            node, label = below, label[alike:]
        return node


@dataclass(eq=False)
class Prefill:
    """A text on its way into the tree: `due` says how much is to be read next, `take` what came of it."""

    prefixes: StateCache
    node: TrieNode
    """The last stop."""
    depth: int
    """Characters read."""
    path: Label
    state: State
    """Of the runner after them; one row."""
    last: Result | None
    """What is known there; None before the first."""
    shortened: bool
    """Whether the text is the beginning of one that was read before."""
    stop: int = field(init=False)
    """Characters up to the last stop."""
    goal: int = field(init=False)
    """Characters up to the next one."""

    def __post_init__(self) -> None:
        """It begins at a stop."""
        self._stopped()

    @property
    def remaining(self) -> int:
        """How many ids are to be read next, up to where a state is kept; 0 when all are read."""
        return self.goal - self.depth

    def _stopped(self) -> None:
        """Stand at a stop, and say where the next one is."""
        left = len(self.path) - self.depth
        size = min(left, EVERY - self.depth % EVERY) if left > 3 * EVERY // 2 else left
        if self.shortened and left:
            size = min(size, left - NEAR) if left > NEAR else 1
        self.stop, self.goal = self.depth, self.depth + size

    def next_ids(self, size: int) -> Ids:
        """The next ids, (size,)."""
        return _ids(self.path[self.depth : self.depth + size])

    def advance(self, size: int, log_probabilities: LogProbabilities, state: State) -> None:
        """What may follow the next so many ids, `due` at most, as (1, V), and the state after them."""
        self.depth, self.state, self.last = self.depth + size, state, (log_probabilities, state)
        if self.depth == self.goal:
            self.node = self.prefixes.store(self.node, self.path[self.stop : self.depth], self.last)
            self._stopped()

    @property
    def result(self) -> Result:
        """What is known of the whole text, once all of it is read."""
        assert self.last is not None
        return self.last


class CachedDecoder:
    """On from a text that was read, one character at a time: what was written before is not written again.

    Args:
        prefixes: where it is kept.
        reading: of the text, all of it read.
    """

    def __init__(self, prefixes: StateCache, reading: Prefill) -> None:
        """Stand where the text ends."""
        self._prefixes, self._node = prefixes, reading.node
        self._beyond: Label = ""
        self.result = reading.result

    def step(self, ids: Ids, state: State) -> Result:
        """As the runner's, for one row: the state is the one after what was stepped before."""
        label = self._beyond + chr(int(ids[0]))
        self._node, self._beyond, known = self._prefixes.step(self._node, label, state)
        return known


def _label(ids: Ids) -> Label:
    """Ids (T,) as characters."""
    return ids.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")


def _ids(label: Label) -> Ids:
    """The ids again, (T,)."""
    return np.frombuffer(label.encode("utf-32-le", "surrogatepass"), "<u4").astype(np.int64)


def _alike(one: Label, other: Label) -> int:
    """How many characters both begin with."""
    if one == other:  # most are
        return len(one)
    least, most = 0, min(len(one), len(other))
    while least < most:  # halves, compared as a whole: one by one takes 4 ms where texts part after 100,000
        middle = (least + most + 1) // 2
        if one[least:middle] == other[least:middle]:
            least = middle
        else:
            most = middle - 1
    return least


def _known(block: PackedArrays) -> Result:
    """What is kept in a block of a stop."""
    log_probabilities, *state = block.arrays()
    return cast(LogProbabilities, log_probabilities), tuple(state)


def _bytes(known: Result) -> int:
    log_probabilities, state = known
    return log_probabilities.nbytes + sum(array.nbytes for array in state)
