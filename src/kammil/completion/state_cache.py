"""A cache of the states along texts that were read before: a radix tree bounded in bytes, whose *stops* are nodes with
a state. After a typed character that the model predicted, the next prediction needs one step. Threads may share one."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from threading import Lock
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from kammil.language_model import Ids, LanguageModel, LogProbabilities, State

_ALIGNMENT = 8  # bytes

ArrayLayouts = tuple[tuple[np.dtype[Any], tuple[int, ...], int], ...]
"""Data type, shape and offset of each."""
PackedArrays = tuple[bytes, ArrayLayouts]


def pack(arrays: Sequence[NDArray[np.generic]]) -> PackedArrays:
    """Copy several arrays to one allocation, which does not fragment the heap."""
    layouts, parts, at = list[Any](), list[bytes](), 0
    for array in arrays:
        content = array.tobytes()
        parts.append(content.ljust(-(-len(content) // _ALIGNMENT) * _ALIGNMENT, b"\0"))
        layouts.append((array.dtype, array.shape, at))
        at += len(parts[-1])
    return b"".join(parts), _interned(tuple(layouts))


def unpack(packed: PackedArrays) -> tuple[NDArray[Any], ...]:
    """Return the arrays, read-only, without a copy."""
    data, layouts = packed
    return tuple(np.ndarray(shape, dtype, data, at) for dtype, shape, at in layouts)


@lru_cache(1024)  # texts of one length share a layout of a kilobyte
def _interned(layouts: ArrayLayouts) -> ArrayLayouts:
    return layouts


STRIDE = 64
"""Number of characters between states; a remainder of up to half as many is read in the same call."""
NEAR_END = 16
"""Number of last characters of a shortened text that each get a state: the user deletes them one by one."""
MAX_MEGABYTES = 16.0
"""Bound: some 1,500 stops of the bundled model after 70 characters."""
MAX_STEP_SHARE = 1 / 256
"""Maximum share of the bound for a generated character's state: a transformer's would drive out those of typed text."""
_NODE_BYTES, CHARACTER_BYTES = 1_200, 4
"""Bytes of a stop with an answer and without its state, and of each character of its label."""

Label = str
"""Ids as code points: fast to compare."""
Answer = TypeVar("Answer")
Result = tuple[LogProbabilities, State]
"""Log-probabilities of what follows, (1, V), and the state, one row."""


@dataclass(eq=False, slots=True)
class TrieNode:
    """A stop, or a position where texts diverge."""

    parent: TrieNode | None
    label: Label
    children: dict[str, TrieNode] = field(default_factory=dict[str, "TrieNode"])
    """By the first character of their labels."""
    block: PackedArrays | None = None
    answered: tuple[object, Any] | None = None
    """The last question about the text, and its answer."""


class StateCache:
    """The states of a language model along texts, bounded in megabytes, the last one apart."""

    def __init__(self, model: LanguageModel, megabytes: float = MAX_MEGABYTES) -> None:
        self._model, self.megabytes, self.root = model, megabytes, TrieNode(None, "")
        self._lock = Lock()  # not held while the model reads
        self.clear()

    def __del__(self) -> None:
        """Free the tree now."""
        self._unlink()

    def clear(self) -> None:
        """Drop all states."""
        with self._lock:
            self._clear()

    def _clear(self) -> None:
        self._version = self._model.version
        self._unlink()
        self.root = TrieNode(None, "")
        self._kept: OrderedDict[TrieNode, int] = OrderedDict()  # bytes of each stop, least recently used first
        self.bytes = 0
        """Bytes of all stops."""

    def _unlink(self) -> None:
        """Cut the cycles of nodes: after `gc.freeze` the collector never finds them."""
        nodes = [self.root]
        while nodes:
            node = nodes.pop()
            nodes += node.children.values()
            node.parent, node.children, node.block, node.answered = None, {}, None, None

    def __len__(self) -> int:
        """Return the number of stops."""
        return len(self._kept)

    def decoder(self, ids: Ids) -> Prefill:
        """Read ids, (T,), BOS first, to the end."""
        reading = self.reading(ids)
        while True:
            try:
                next(reading)
            except StopIteration as end:
                return end.value

    def reading(self, ids: Ids) -> Generator[None, None, Prefill]:
        """Read ids as `decoder` does; yields before every piece."""
        prefill = self.prefill(ids)
        while size := prefill.remaining:
            yield
            read, state = self._model.forward(prefill.next_ids(size)[None], prefill.state, last=1)  # (1, 1, V)
            prefill.advance(size, read[:, 0], state)
        return prefill

    def prefill(self, ids: Ids) -> Prefill:
        """Begin to read ids, (T,), BOS first, from the longest cached prefix."""
        with self._lock:
            return self._prefill(ids)

    def _prefill(self, ids: Ids) -> Prefill:
        if self._version != self._model.version:  # after learning the states are out of date
            self._clear()
        node, path = self.root, ids.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")
        deepest, depth, at = node, 0, 0
        while below := node.children.get(path[at]) if at < len(path) else None:
            common = _common_length(below.label, path[at : at + len(below.label)])
            at += common
            if common < len(below.label):
                break
            node = below
            if node.block is not None:
                deepest, depth = node, at
        result = None
        if deepest.block is not None:
            self._kept.move_to_end(deepest)
            log_probabilities, *read = unpack(deepest.block)
            result = log_probabilities, tuple(read)
        state = self._model.initial_state(1) if result is None else result[1]
        return Prefill(self, deepest, depth, path, state, result, shortened=at == len(path))

    def step(self, node: TrieNode, label: Label, state: State) -> tuple[TrieNode, Label, Result]:
        """Read the last id of a label from a node, given the state before; returns the last stop, the label from there,
        and the result."""
        with self._lock:
            current, below, rest = self._version == self._model.version, node, label
            while current and rest and (child := below.children.get(rest[0])) and rest.startswith(child.label):
                below, rest = child, rest[len(child.label) :]
            if current and not rest and below.block is not None:
                self._kept.move_to_end(below)
                log_probabilities, *read = unpack(below.block)
                return below, "", (log_probabilities, tuple(read))
        result = self._model.step(_ids(label[-1:]), state)
        if current and sum(array.nbytes for array in (result[0], *result[1])) <= 1e6 * self.megabytes * MAX_STEP_SHARE:
            return self.store(node, label, result), "", result
        return node, label, result

    def store(self, node: TrieNode, label: Label, result: Result) -> TrieNode:
        """Store the result at the end of a label from a node; returns the stop."""
        block = pack((result[0], *result[1]))  # first, so that a MemoryError leaves the tree as it was
        with self._lock:
            return self._store(node, label, block)

    def _store(self, node: TrieNode, label: Label, block: PackedArrays) -> TrieNode:
        stored = self._insert(node, label)
        stored.block = block
        self.bytes -= self._kept.pop(stored, 0)  # not 0 if two prefills of one text run side by side
        self._kept[stored] = size = len(block[0]) + _NODE_BYTES + CHARACTER_BYTES * len(stored.label)
        self.bytes += size
        while self.bytes > 1e6 * self.megabytes and len(self._kept) > 1:
            old, size = self._kept.popitem(last=False)
            self.bytes -= size
            old.block = old.answered = None
            self._prune(old)
        return stored

    def _prune(self, node: TrieNode) -> None:
        # A node without a state goes, unless texts diverge there.
        while (parent := node.parent) is not None and node.block is None and len(node.children) < 2:
            parent.children.pop(node.label[0], None)
            for below in node.children.values():
                below.parent, below.label = parent, node.label + below.label
                parent.children[node.label[0]] = below
                if below in self._kept:
                    self._kept[below] += CHARACTER_BYTES * len(node.label)
                    self.bytes += CHARACTER_BYTES * len(node.label)
            node.parent, node.children = None, {}
            node = parent

    def _insert(self, node: TrieNode, label: Label) -> TrieNode:
        while label:
            below = node.children.get(label[0])
            if below is None:
                below = node.children[label[0]] = TrieNode(node, label)
                return below
            common = _common_length(below.label, label)
            if common < len(below.label):
                middle = node.children[label[0]] = TrieNode(node, label[:common])
                middle.children[below.label[common]] = below
                below.parent, below.label = middle, below.label[common:]
                below = middle
            node, label = below, label[common:]
        return node


@dataclass(eq=False)
class Prefill:
    """A text that is being read into the cache: read `next_ids(remaining)`, or fewer, then `advance`; at its end `step`
    decodes one character at a time, from the cache where it can."""

    state_cache: StateCache
    node: TrieNode
    depth: int
    """Number of ids read."""
    path: Label
    state: State
    last: Result | None
    shortened: bool
    """Whether a text read before begins so."""
    unstored: Label = ""
    """Characters of steps behind the last stop."""
    stop: int = field(init=False)
    goal: int = field(init=False)
    """Number of ids up to the last and the next stop."""

    def __post_init__(self) -> None:
        """Plan the first stop."""
        self._plan_stop()

    @property
    def remaining(self) -> int:
        """Number of ids up to the next stop."""
        return self.goal - self.depth

    def _plan_stop(self) -> None:
        left = len(self.path) - self.depth
        size = min(left, STRIDE - self.depth % STRIDE) if left > 3 * STRIDE // 2 else left
        if self.shortened and left:
            size = min(size, left - NEAR_END) if left > NEAR_END else 1
        self.stop, self.goal = self.depth, self.depth + size

    def next_ids(self, size: int) -> Ids:
        """Return the next ids, (size,)."""
        return _ids(self.path[self.depth : self.depth + size])

    def advance(self, size: int, log_probabilities: LogProbabilities, state: State) -> None:
        """Take the results of reading `size` ids: (1, V), and state."""
        self.depth, self.state, self.last = self.depth + size, state, (log_probabilities, state)
        if self.depth == self.goal:
            self.node = self.state_cache.store(self.node, self.path[self.stop : self.depth], self.last)
            self._plan_stop()

    @property
    def result(self) -> Result:
        """The result of the whole text."""
        assert self.last is not None
        return self.last

    def once(self, question: object, answer: Callable[[Result], Answer]) -> Answer:
        """Return the answer to a question about the whole text, found anew only after another question."""
        known = self.node.answered
        if known is None or known[0] != question:
            self.node.answered = known = question, answer(self.result)
        return known[1]

    def step(self, ids: Ids, state: State) -> Result:
        """Step one row from the last state."""
        label = self.unstored + chr(int(ids[0]))
        self.node, self.unstored, result = self.state_cache.step(self.node, label, state)
        return result


def _ids(label: Label) -> Ids:
    return np.frombuffer(label.encode("utf-32-le", "surrogatepass"), "<u4").astype(np.int64)


def _common_length(a: Label, b: Label) -> int:
    if a == b:
        return len(a)
    low, high = 0, min(len(a), len(b))
    while low < high:  # a loop over characters takes 4 ms for 100,000
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
