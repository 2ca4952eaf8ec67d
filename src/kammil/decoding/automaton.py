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
        wanted, writable = set("".join([*forbid, *force])), set(pieces) - {""}
        letters = sorted(wanted & writable)
        number = {letter: i for i, letter in enumerate(letters)}
        usable = len(letters) + bool(writable - wanted)  # classes that can be written
        self._class: Ids = np.array([number.get(piece, len(letters)) for piece in pieces], np.int64)  # (V,)
        self._writable = np.array([piece != "" for piece in pieces])  # (V,)
        # Letters that only a text that was typed can have come behind the class of all others.
        number |= {letter: i for i, letter in enumerate(sorted(wanted - writable), len(letters) + 1)}
        self._number, self._other, self._longest = number, len(letters), max(map(len, forbid), default=0)
        refused, bad = _tree(forbid, number, self._other)
        wanted_to, found = _tree(force, number, self._other)
        self._after_typed = refused
        # States: a node of each tree and the set of forced strings that stand, those that can be reached. A text may
        # begin behind any beginning of a forbidden string, which was typed; what is forced must be written whole.
        complete = (1 << len(force)) - 1
        states: dict[tuple[int, int, int, bool], int] = {(node, 0, 0, False): node for node in range(len(refused))}
        table, queue = list[list[int]](), deque(states)
        while queue:
            node, wish, have, _ = queue.popleft()
            row: list[int] = []
            for symbol in range(len(letters) + 1):
                to, below = refused[node][symbol], wanted_to[wish][symbol]
                after = (to, below, have | found[below], bad[to] != 0)
                if after not in states:
                    states[after] = len(states)
                    queue.append(after)
                row.append(states[after])
            table.append(row)
        listed = list(states)
        self._next: Ids = np.array(table, np.int64)  # (S, C)
        wrong = np.array([written for *_, written in listed])
        self._needs = np.where(
            wrong, _NEVER, np.where([have == complete for _, _, have, _ in listed], 0, _NEVER)
        )  # (S,)
        while True:  # shortest ways back from where nothing is missing
            below = self._needs[self._next[:, :usable]].min(axis=1, initial=_NEVER)
            shorter = np.where(wrong, _NEVER, np.minimum(self._needs, below + 1))
            if (shorter == self._needs).all():
                break
            self._needs = shorter

    def start(self, text: str) -> int:
        """Return the state after a text that was typed: it may hold forbidden strings, and begin one."""
        node = 0
        for letter in text[max(0, len(text) - self._longest) :]:
            node = self._after_typed[node][self._number.get(letter, self._other)]
        return node

    def after(self, states: Ids, ids: Ids) -> Ids:
        """Return the states (B,) after one more character each, (B,)."""
        return self._next[states, self._class[ids]]

    def allowed(self, states: Ids, room: Ids) -> NDArray[np.bool_]:
        """Return which ids may follow, (B, V), where `room` (B,) characters are left to write, this one included."""
        fits = self._needs[self._next[states]] <= room[:, None] - 1  # (B, C)
        return fits[:, self._class] & self._writable

    def missing(self, states: Ids) -> Ids:
        """Return how many characters are needed at least until every forced string stands, (B,)."""
        return self._needs[states]


def _tree(strings: Sequence[str], number: dict[str, int], other: int) -> tuple[list[list[int]], list[int]]:
    """Return where each class of letters leads from each node, and which of the strings end there (bits).

    `number` are the classes of letters that matter, `other` that of all others, which lead to the root.
    """
    width = max([other, *number.values()]) + 1
    to, found = [[-1] * width], [0]
    for i, string in enumerate(strings):
        node = 0
        for letter in string:
            if to[node][number[letter]] < 0:
                to[node][number[letter]] = len(to)
                to.append([-1] * width)
                found.append(0)
            node = to[node][number[letter]]
        found[node] |= 1 << i
    suffix, queue = [0] * len(to), deque([0])
    while queue:  # level by level: a node's longest proper end is complete before the node is
        node = queue.popleft()
        for symbol, below in enumerate(to[node]):
            instead = to[suffix[node]][symbol] if node else 0
            if below < 0:
                to[node][symbol] = instead
            else:
                suffix[below] = instead
                found[below] |= found[instead]
                queue.append(below)
    return to, found
