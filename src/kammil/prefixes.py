"""What a model has read, kept as a tree: texts that begin alike share what was read of their beginning.

A person types a character, takes one back, jumps into the middle, and asks for completions and suggestions at every
stop. Each node of the tree is one more character; at some of them stands the state of the model. To read a text is to
go down as far as it is known, and on from the deepest state: a beginning is never read twice while its states are kept.
What a model writes goes into the tree as well: who types on as a completion said finds all of it there, and the next
completion has one character to add. The states that were used longest ago go first.

Shapes: T time, V vocabulary.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np

from kammil.models.base import Ids, LogProbabilities, Runner, State

EVERY = 64
"""A state is kept every so many characters of a text that comes at once, and at its end; a rest of half as many more
comes in the same call. To read such a piece takes the bundled model some milliseconds: nobody notices."""
NEAR = 16
"""Where a text was shortened, a state is kept at each of the last so many characters: somebody is taking some back."""
MEGABYTES = 16.0
"""Of states and the tree: some 600 pieces of text of the bundled model, fewer of a transformer, whose states grow."""
WRITTEN = 1 / 256
"""Share of the bound that a state may take to be kept at each character that is written: a transformer's, which grow,
would drive out what was typed."""
_NODE = 320
"""Bytes of a character in the tree, with the table of those that follow it: a piece of 64 takes more than its state."""


@dataclass(eq=False, slots=True)
class Node:
    """One more character of a text."""

    parent: Node | None
    id: int
    children: dict[int, Node] = field(default_factory=dict[int, "Node"])
    known: tuple[LogProbabilities, State] | None = None


class Prefixes:
    """States of a runner after the texts that it has read.

    Args:
        runner: reads them.
        megabytes: of states and tree at most; the last one is always kept.
    """

    def __init__(self, runner: Runner, megabytes: float = MEGABYTES) -> None:
        """Nothing read."""
        self._runner, self._most, self._root = runner, megabytes * 1e6, Node(None, -1)
        self._clear()

    def _clear(self) -> None:
        """Forget all states."""
        self._version = self._runner.version
        # By hand: a root that was frozen (`gc.freeze`) is never found to be garbage, nor is what it holds.
        self._root.children.clear()
        self._root = Node(None, -1)
        self._kept: OrderedDict[Node, int] = OrderedDict()  # bytes of each state, the one used longest ago first
        self._bytes = 0

    def __len__(self) -> int:
        """States kept."""
        return len(self._kept)

    @property
    def bytes(self) -> int:
        """Of all states kept."""
        return self._bytes

    def walk(self, ids: Ids) -> Walk:
        """Read ids (T,), T >= 1, with BOS in front, and stand behind them."""
        reading = self.reading(ids)
        while size := reading.due:
            read, state = self._runner.read(reading.piece(size)[None], reading.state, last=1)  # (1, 1, V)
            reading.take(size, read[:, 0], state)
        return Walk(self, reading)

    def step(self, node: Node, ids: Ids, state: State) -> tuple[Node, tuple[LogProbabilities, State]]:
        """One more id, (1,), after a node where `state` is: the node below, what may follow there, (1, V), and the
        state."""
        id = int(ids[0])
        below = node.children.get(id)
        if self._version != self._runner.version:  # it has learnt, or forgotten
            return Node(node, id), self._runner.step(ids, state)
        if below is not None and below.known is not None and below in self._kept:
            self._kept.move_to_end(below)
            return below, below.known
        made = self._runner.step(ids, state)
        if below is None:
            below = Node(node, id)
        if _bytes(*made) <= WRITTEN * self._most:
            node.children[id] = below
            self.keep(below, *made, characters=1)
        return below, made

    def reading(self, ids: Ids) -> Reading:
        """Ids (T,), T >= 1, with BOS in front, to be read piece by piece, from where they are known."""
        if self._version != self._runner.version:  # it has learnt, or forgotten: what it said before is not true now
            self._clear()
        node, path = self._root, ids.tolist()
        found, depth, walked = node, 0, 0
        for id in path:
            below = node.children.get(id)
            if below is None:
                break
            node, walked = below, walked + 1
            if node.known is not None:
                found, depth = node, walked
        if found.known is not None:
            self._kept.move_to_end(found)
        state = self._runner.start(1) if found.known is None else found.known[1]
        return Reading(self, found, depth, depth, path, state, found.known, shortened=walked == len(path))

    def keep(self, node: Node, log_probabilities: LogProbabilities, state: State, *, characters: int) -> None:
        """Remember a state, so many characters behind the last one, and forget the oldest ones beyond the bound."""
        node.known = log_probabilities, state
        self._bytes -= self._kept.pop(node, 0)  # two readings of one text, side by side
        size = _bytes(log_probabilities, state) + _NODE * characters
        self._kept[node] = size
        self._bytes += size
        while self._bytes > self._most and len(self._kept) > 1:
            old, size = self._kept.popitem(last=False)
            self._bytes -= size
            old.known = None
            while old.parent is not None and old.known is None and not old.children:
                if old.parent.children.get(old.id) is not old:
                    break  # it had left the tree while somebody went on reading below it
                del old.parent.children[old.id]
                old = old.parent


@dataclass(eq=False)
class Reading:
    """A text on its way into the tree: `due` says how much is to be read next, `take` what came of it."""

    prefixes: Prefixes
    node: Node
    depth: int
    """Characters read."""
    kept: int
    """Characters read up to the last state that is kept."""
    path: list[int]
    state: State
    """Of the runner after them; one row."""
    last: tuple[LogProbabilities, State] | None
    """What may follow them, (1, V), and that state; None before the first."""
    shortened: bool
    """Whether the text is the beginning of one that was read before."""

    @property
    def due(self) -> int:
        """How many ids are to be read next, up to where a state is kept; 0 when all are read."""
        left = len(self.path) - self.depth
        size = min(left, EVERY - self.depth % EVERY) if left > 3 * EVERY // 2 else left
        if self.shortened and left:
            size = min(size, left - NEAR) if left > NEAR else 1
        return size

    def piece(self, size: int) -> Ids:
        """The next ids, (size,)."""
        return np.array(self.path[self.depth : self.depth + size], np.int64)

    def take(self, size: int, log_probabilities: LogProbabilities, state: State) -> None:
        """What may follow the next so many ids, `due` at most, as (1, V), and the state after them."""
        whole = size == self.due
        for id in self.path[self.depth : self.depth + size]:
            self.node = self.node.children.setdefault(id, Node(self.node, id))
        self.depth, self.state, self.last = self.depth + size, state, (log_probabilities, state)
        if whole:
            self.prefixes.keep(self.node, log_probabilities, state, characters=self.depth - self.kept)
            self.kept = self.depth

    @property
    def known(self) -> tuple[LogProbabilities, State]:
        """What may follow the whole text, once all of it is read, and the state there."""
        assert self.last is not None
        return self.last


class Walk:
    """On from a text that was read, one character at a time: what was written before is not written again.

    Args:
        prefixes: where it is kept.
        reading: of the text, all of it read.
    """

    def __init__(self, prefixes: Prefixes, reading: Reading) -> None:
        """Stand where the text ends."""
        self._prefixes, self._node = prefixes, reading.node
        self.known = reading.known
        """What may follow the text, (1, V), and the state there, one row."""

    def step(self, ids: Ids, state: State) -> tuple[LogProbabilities, State]:
        """As the runner's, for one row: the state is the one after what was stepped before."""
        self._node, known = self._prefixes.step(self._node, ids, state)
        return known


def _bytes(log_probabilities: LogProbabilities, state: State) -> int:
    return log_probabilities.nbytes + sum(array.nbytes for array in state)
