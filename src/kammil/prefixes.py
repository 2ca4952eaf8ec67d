"""What a model has read, kept as a tree: texts that begin alike share what was read of their beginning.

A person types a character, takes one back, jumps into the middle, and asks for completions and suggestions at every
stop. Each node of the tree is one more character; at some of them stands the state of the model. To read a text is to
go down as far as it is known, and on from the deepest state: a beginning is never read twice while its states are kept.
The states that were used longest ago go first.

Shapes: T time, V vocabulary.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np

from kammil.models.base import Ids, LogProbabilities, Runner, State

EVERY = 64
"""A state is kept every so many characters of a text that comes at once, and at its end. To read such a piece takes the
bundled model as long as a person takes to notice nothing, 3 ms."""
NEAR = 16
"""Where a text was shortened, a state is kept at each of the last so many characters: somebody is taking some back."""
MEGABYTES = 16.0
"""Of states: some 2,000 of the bundled model at 70 characters, fewer of a transformer, whose states grow."""


@dataclass(eq=False, slots=True)
class _Node:
    """One more character of a text."""

    parent: _Node | None
    id: int
    children: dict[int, _Node] = field(default_factory=dict[int, "_Node"])
    known: tuple[LogProbabilities, State] | None = None


class Prefixes:
    """States of a runner after the texts that it has read.

    Args:
        runner: reads them.
        megabytes: of states at most; the last one is always kept.
    """

    def __init__(self, runner: Runner, megabytes: float = MEGABYTES) -> None:
        """Nothing read."""
        self._runner, self._most = runner, megabytes * 1e6
        self._clear()

    def _clear(self) -> None:
        """Forget all states."""
        self._version = self._runner.version
        self._root = _Node(None, -1)
        self._kept: OrderedDict[_Node, int] = OrderedDict()  # bytes of each state, the one used longest ago first
        self._bytes = 0

    def __len__(self) -> int:
        """States kept."""
        return len(self._kept)

    @property
    def bytes(self) -> int:
        """Of all states kept."""
        return self._bytes

    def after(self, ids: Ids) -> tuple[LogProbabilities, State]:
        """What may follow ids (T,), T >= 1, with BOS in front, as (1, V), and the state there; one row."""
        if self._version != self._runner.version:  # it has learnt, or forgotten: what it said before is not true now
            self._clear()
        node, path = self._root, [int(id) for id in ids]
        found, depth = self._root, 0
        walked = 0
        for id in path:
            below = node.children.get(id)
            if below is None:
                break
            node, walked = below, walked + 1
            if node.known is not None:
                found, depth = node, walked
        if found.known is not None:
            self._kept.move_to_end(found)
        shortened = walked == len(path)
        state = self._runner.start(1) if found.known is None else found.known[1]
        while depth < len(path):
            left = len(path) - depth
            size = (
                (min(EVERY - depth % EVERY, left - NEAR) if left > NEAR else 1) if shortened else EVERY - depth % EVERY
            )
            piece = np.array([path[depth : depth + size]], np.int64)  # (1, size)
            read, state = self._runner.read(piece, state, last=1)  # (1, 1, V)
            for id in path[depth : depth + size]:
                found = found.children.setdefault(id, _Node(found, id))
            depth += piece.shape[1]
            self._keep(found, read[:, 0], state)
        assert found.known is not None
        return found.known

    def _keep(self, node: _Node, log_probabilities: LogProbabilities, state: State) -> None:
        """Remember a state, and forget the oldest ones beyond the bound."""
        node.known = log_probabilities, state
        self._kept[node] = size = log_probabilities.nbytes + sum(array.nbytes for array in state)
        self._bytes += size
        while self._bytes > self._most and len(self._kept) > 1:
            old, size = self._kept.popitem(last=False)
            self._bytes -= size
            old.known = None
            while old.parent is not None and old.known is None and not old.children:
                del old.parent.children[old.id]
                old = old.parent
