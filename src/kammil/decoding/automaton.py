"""Forbidden and forced strings as one automaton: what may follow so that both are kept to, exactly.

Aho & Corasick (1975) find many strings at once in one pass: a state is the longest end of the text that begins one of
them. Beside it stands which forced strings are there already. Every state knows how many characters it needs at least
until nothing is missing any more, without a forbidden string on the way; a character is allowed if what is needed
after it still fits. So no choice leads into a dead end. Shapes: B batch, V vocabulary, S states, C classes of ids.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kammil.errors import OptionError
from kammil.language_model import Ids

_NEVER = 1 << 30
"""More characters than any completion has."""


class StringAutomaton:
    """An automaton over ids.

    Args:
        forbid: strings that must not be written.
        force: strings that must be.
        pieces: the character of each id, (V,); "" for one that cannot be written.

    `OptionError` for a forced string that cannot be written.
    """

    def __init__(self, forbid: Sequence[str], force: Sequence[str], pieces: Sequence[str]) -> None:
        """Build the states that can be reached, and what each needs."""
        for string in force:
            lost = sorted(set(string) - set(pieces))
            if lost:
                raise OptionError(f"force is {string!r}, but this model cannot write {lost[0]!r}; leave it out.")
        letters = sorted(set("".join([*forbid, *force])) & set(pieces))
        number = {letter: i for i, letter in enumerate(letters)}
        usable = len(letters) + any(piece and piece not in number for piece in pieces)  # classes that can be written
        self._class: Ids = np.array([number.get(piece, len(letters)) for piece in pieces], np.int64)  # (V,)
        self._writable = np.array([piece != "" for piece in pieces])  # (V,)
        to, bad, found = _tree(forbid, force, number)
        # States: a node and the set of forced strings that stand, those that can be reached.
        complete = (1 << len(force)) - 1
        states: dict[tuple[int, int], int] = {(0, 0): 0}
        table, queue = list[list[int]](), deque(states)
        while queue:
            node, have = queue.popleft()
            row: list[int] = []
            for symbol in range(len(letters) + 1):
                below = to[node][symbol] if symbol < len(letters) else 0
                after = (below, have | found[below])
                if after not in states:
                    states[after] = len(states)
                    queue.append(after)
                row.append(states[after])
            table.append(row)
        listed = list(states)
        self._next: Ids = np.array(table, np.int64)  # (S, C)
        wrong = np.array([bad[node] for node, _ in listed])
        self._needs = np.where(wrong, _NEVER, np.where([have == complete for _, have in listed], 0, _NEVER))  # (S,)
        while True:  # shortest ways back from where nothing is missing
            below = self._needs[self._next[:, :usable]].min(axis=1, initial=_NEVER)
            shorter = np.where(wrong, _NEVER, np.minimum(self._needs, below + 1))
            if (shorter == self._needs).all():
                break
            self._needs = shorter

    def after(self, states: Ids, ids: Ids) -> Ids:
        """The states (B,) after one more character each, (B,)."""
        return self._next[states, self._class[ids]]

    def allowed(self, states: Ids, room: Ids) -> NDArray[np.bool_]:
        """Which ids may follow, (B, V), where `room` (B,) characters are left to write, this one included."""
        fits = self._needs[self._next[states]] <= room[:, None] - 1  # (B, C)
        return fits[:, self._class] & self._writable

    def missing(self, states: Ids) -> Ids:
        """Characters that are needed at least until every forced string stands, (B,)."""
        return self._needs[states]


def _tree(
    forbid: Sequence[str], force: Sequence[str], number: dict[str, int]
) -> tuple[list[list[int]], list[bool], list[int]]:
    """Of each node: where each letter leads, whether a forbidden string ends there, which forced ones do (bits)."""
    to, bad, found = [[-1] * len(number)], [False], [0]
    for i, string in enumerate([*force, *forbid]):
        if not all(letter in number for letter in string):
            continue  # a forbidden string that this model cannot write
        node = 0
        for letter in string:
            if to[node][number[letter]] < 0:
                to[node][number[letter]] = len(to)
                to.append([-1] * len(number))
                bad.append(False)
                found.append(0)
            node = to[node][number[letter]]
        if i < len(force):
            found[node] |= 1 << i
        else:
            bad[node] = True
    suffix, queue = [0] * len(to), deque([0])
    while queue:  # level by level: a node's longest proper end is complete before the node is
        node = queue.popleft()
        for symbol, below in enumerate(to[node]):
            instead = to[suffix[node]][symbol] if node else 0
            if below < 0:
                to[node][symbol] = instead
            else:
                suffix[below] = instead
                bad[below] |= bad[instead]
                found[below] |= found[instead]
                queue.append(below)
    return to, bad, found
