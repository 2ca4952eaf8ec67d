"""Find near-duplicate texts, so that none is both learnt from and tested on.

Two texts are near-duplicates when they share `MIN_SHARE` or more of the distinct `SHINGLE`-character runs of the one
that has fewer (containment), after `kammil.text.fold`. The count is exact. MinHash with LSH finds high *Jaccard*
similarity, and a containment of 0.3 is a Jaccard of 0.18 for texts of one length, 0.05 where one is five times the
other. On 100,000 texts, LSH set to 0.18 makes 69 % of the joins between texts that are no copies, in twelve to sixteen
times the time (`benchmarks/duplicates.py`).

An index maps every shingle of two texts or more to its texts. Two ideas keep the search near-linear:
- *Prefix filter* (Chaudhuri et al. 2006; Bayardo et al. 2007): of `need` shared shingles, one is not among a text's
  `need - 1` commonest, so only its rarer shingles propose partners.
- *Levels*: a level compares texts through shingles of at most `cap` texts. Texts with the same common shingles and the
  same `need` are one item of the next level, where `cap` doubles. Boilerplate in 20,000 texts becomes a handful of
  items, not 200 million pairs.

Data that defies both costs time, never accuracy (50,000 mixtures of 5 out of 30 phrases take 2 minutes). Only hashes
can collide: the chance that any two of 10^8 shingles agree is below 0.0003.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kammil.errors import OptionError
from kammil.progress import tracked
from kammil.text import TextRules, fold, fold_spelling

SHINGLE = 15
"""Characters without spaces: some three Arabic words, longer than most formulas."""
MIN_SHARE = 0.3
"""Share of the smaller text: a repost cut to a third counts, one greeting in two long texts does not."""

_FIRST_CAP = 16  # maximum number of texts of a shingle, at first
_LOW_MASK = (1 << 32) - 1  # of two numbers in one, such as owner << 32 | token
_BLOCK = 1 << 22  # characters, pairs or shingles at a time: some 100 MB of arrays
_PARTITION = 1 << 24  # shingles sorted at a time: 0.5 GB
_BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2^64
_AS_SEEN = TextRules(urls=False, handles=False)

_Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Hashes = NDArray[np.uint64]


def key(text: str) -> str:
    """Return the fold or, if empty, a space and the visible characters."""
    return fold(text) or " " + "".join(_AS_SEEN.normalise(text).split())


def loose_key(text: str) -> str:
    """Return what copies share in any spelling."""
    return fold_spelling(text) or key(text)


def exact_key(text: str) -> str:
    """Return what exact copies share: letters, digits and underscores, else `key`."""
    return fold(text, underscores=True) or key(text)


@dataclass(frozen=True)
class Rule:
    """Near-duplicates have equal keys, or share shingles."""

    shingle: int = SHINGLE
    share: float = MIN_SHARE
    """Above 0 and at most 1."""
    min_shared: int = 1
    """Minimum where keys differ."""
    key: Callable[[str], str] = key
    longer: bool = False
    """Whether it is the share of the text with more shingles."""

    def __post_init__(self) -> None:
        """Raise `OptionError` for a number out of range."""
        if self.shingle < 1:
            raise OptionError(f"A shingle of {self.shingle} characters is too short; give 1 or more.")
        if not 0 < self.share <= 1:
            raise OptionError(f"A share of {self.share} is out of range; give a number above 0 and at most 1.")


RULE = Rule()
QUOTATION_RULE = Rule(shingle=8, share=0.4, min_shared=16, key=loose_key)
"""Quotations from memory, where changed words break runs of 15. 16 shared shingles, 23 letters in a row, are longer
than common formulas (docs/log.md#which-near-duplicates-do-15-letter-runs-not-find)."""
VERSION_RULE = Rule(share=0.5, longer=True)
"""Versions share half of the *longer* text: chains of parts of the shorter one led from 3,119 tweets to 1,604 of
170,000 texts, of which none of 40 resembled a tweet."""
_COMPARED = 100_000
"""Texts compared at a time: their shared 8-letter runs would fill the memory."""


def overlap(first: str, second: str) -> float:
    """Return the share of the distinct shingles of the text with fewer that the other has too."""
    a, b = (shingles(key(text), SHINGLE) for text in (first, second))
    return len(a & b) / min(len(a), len(b))


def groups(texts: Sequence[str], rule: Rule = RULE) -> Ints:
    """Return the near-duplicate group of every text, (N,), numbered in order of first appearance.

    Groups are the connected components of the pairs. A fold shorter than a shingle matches only itself, a text without
    letters or digits only copies; all blank texts are one group.
    """
    keys, unit = _units(texts, rule)
    levels = _levels(keys, rule)
    firsts = [np.arange(len(keys))]  # for each item of a level, one unit in it
    for level in levels:
        first = np.zeros(level.solid.size, np.int64)
        first[level.up[level.up >= 0]] = firsts[-1][level.up >= 0]
        firsts.append(first)
    lefts: list[Ints] = []
    rights: list[Ints] = []
    above = np.zeros(0, np.bool_)  # items of the level above whose members belong together
    for depth in reversed(range(len(levels))):
        level, first, below = levels[depth], firsts[depth + 1], firsts[depth]
        together = level.solid.copy()
        together[level.left] = together[level.right] = True
        if depth + 1 < len(levels):
            rising = levels[depth + 1].up
            together |= (rising >= 0) & above[rising]
        member = np.flatnonzero((level.up >= 0) & together[level.up])
        lefts += [first[level.left], below[member]]
        rights += [first[level.right], first[level.up[member]]]
        above = together
    root = _components(len(keys), np.concatenate([*lefts, *rights]), np.concatenate([*rights, *lefts]))
    # numbered in order of first appearance, as units are
    number = np.cumsum(root == np.arange(root.size)) - 1
    return number[root][unit]


def nearest_duplicates(texts: Sequence[str], among: Sequence[str], rule: Rule = RULE) -> Ints:
    """Return for every text, (N,), the index in `among` of its first copy, else of a near-duplicate, else -1."""
    keys, unit = _units([*among, *texts], rule)
    levels = _levels(keys, rule)
    copy = np.full(len(keys), -1)
    copy[unit[: len(among)][::-1]] = np.arange(len(among))[::-1]  # the last write, so the first copy, stays
    sources = [copy]  # for each item of a level, one of `among` in it, or -1
    for level in levels:
        source = np.full(level.solid.size, -1)
        member = np.flatnonzero((level.up >= 0) & (sources[-1] >= 0))
        source[level.up[member]] = sources[-1][member]
        sources.append(source)
    found = np.zeros(0, np.int64)
    for depth in reversed(range(len(levels))):
        level, source, above = levels[depth], sources[depth + 1], found
        found = np.where(level.solid, source, -1)
        for left, right in ((level.left, level.right), (level.right, level.left)):
            match = source[right] >= 0
            found[left[match]] = source[right[match]]
        if depth + 1 < len(levels):
            rising = levels[depth + 1].up
            found = np.where((found < 0) & (rising >= 0), above[rising], found)
    nearest = np.where(copy >= 0, copy, found[levels[0].up])
    return nearest[unit[len(among) :]]


def resembling(texts: Sequence[str], among: Sequence[str]) -> NDArray[np.bool_]:
    """Return whether each text, (N,), resembles one of `among`, or is a version of one that does.

    Three rules apply, since a memorised test text costs more than a pair that a split misses.
    """
    similar = np.zeros(len(texts), np.bool_)
    for start in range(0, len(texts), _COMPARED):
        part = slice(start, start + _COMPARED)
        for rule in (RULE, QUOTATION_RULE):
            similar[part] |= nearest_duplicates(texts[part], among, rule) >= 0
    version = groups(texts, VERSION_RULE)
    return np.isin(version, version[similar])


@dataclass(frozen=True)
class _Level:
    """If two items are near, so is every pair of their members."""

    up: Ints  # (members,) item of each item of the level below; -1 for none
    solid: _Bools  # (items,) whether its members are near-duplicates
    left: Ints  # (pairs,) first items of the near pairs ...
    right: Ints  # ... and second items


def _units(texts: Sequence[str], rule: Rule) -> tuple[list[str], Ints]:
    number: dict[str, int] = {}
    keys = map(rule.key, tracked(texts, "looking for near-duplicates"))
    unit = np.fromiter((number.setdefault(key, len(number)) for key in keys), np.int64, len(texts))
    return list(number), unit


def _levels(keys: list[str], rule: Rule) -> list[_Level]:
    """Find all near-duplicate pairs of distinct keys, which are the first level's items."""
    owner, token, size = _repeated(keys, rule.shingle)
    need = np.maximum(np.ceil(rule.share * size - 1e-9), max(rule.min_shared, 1)).astype(
        np.int64
    )  # 0.56 * 25 must be 14
    solid = np.zeros(len(keys), np.bool_)
    rank = np.argsort(np.argsort(need, kind="stable"), kind="stable")  # items stand in order of need
    up, owner, need = rank, rank[owner], np.sort(need)
    levels: list[_Level] = []
    cap = _FIRST_CAP
    while True:
        # tokens are numbered from common to rare, without those of one item
        held = np.bincount(token)
        order = np.argsort(-held, kind="stable")
        place = np.empty_like(order)
        place[order] = np.arange(order.size)
        entries = np.sort((owner << 32 | place[token])[held[token] > 1])
        held = held[order]
        common = int(np.searchsorted(-held, -cap))  # tokens below this number stand in more than cap items
        left, right = _pairs(entries, held, common, need, longer=rule.longer)
        levels.append(_Level(up, solid, left, right))
        owner, token = entries >> 32, entries & _LOW_MASK
        owner, token = owner[token < common], token[token < common]
        cap *= 2
        if not np.any(np.bincount(owner, minlength=need.size) >= need):
            return levels
        up, solid, owner, token, need = _merge(owner, token, need)


def _merge(owner: Ints, token: Ints, need: Ints) -> tuple[Ints, _Bools, Ints, Ints, Ints]:
    present, begin, size = np.unique(owner, return_index=True, return_counts=True)
    signature = np.add.reduceat(_mix(token), begin) + _mix(~need[present])
    _, sample, item = np.unique(signature, return_index=True, return_inverse=True)
    order = np.argsort(need[present[sample]], kind="stable")
    rank = np.argsort(order)
    up = np.full(need.size, -1)
    up[present] = rank[item]
    sample = sample[order]
    sampled = np.zeros(need.size, np.bool_)
    sampled[present[sample]] = True
    kept = sampled[owner]
    solid = size[sample] >= need[present[sample]]
    return up, solid, up[owner[kept]], token[kept], need[present[sample]]


def _pairs(entries: Ints, held: Ints, common: int, need: Ints, *, longer: bool) -> tuple[Ints, Ints]:
    """Find the near pairs of items, lower need first, that share a token numbered `common` or above.

    Entries, (E,), are item << 32 | token, sorted: items ascend in need, tokens run from common to rare.
    """
    item, token = entries >> 32, entries & _LOW_MASK
    size = np.bincount(item, minlength=need.size)
    begin = np.cumsum(size) - size
    asks = (np.arange(item.size) - begin[item] >= need[item] - 1) & (token >= common)
    unasked = size - np.bincount(item[asks], minlength=need.size)
    by_token = np.argsort(token, kind="stable")
    place = np.empty_like(by_token)
    place[by_token] = np.arange(by_token.size)
    holder = item[by_token]
    asking = np.flatnonzero(asks)
    after = place[asking] + 1  # partners of equal or higher need stand behind it
    partners = np.cumsum(held)[token[asking]] - after
    lefts: list[Ints] = []
    rights: list[Ints] = []
    # a pair's shared tokens stand together, but at a block's edge
    for block in _blocks(partners):
        width, asker = partners[block], item[asking[block]]
        left = np.repeat(asker, width)
        pair, times = np.unique(left << 32 | holder[_ranges(after[block], width)], return_counts=True)
        left, right = pair >> 32, pair & _LOW_MASK
        required = need[right if longer else left]
        is_near = times >= required
        cut = (left == asker[0]) | (left == asker[-1])  # they may share more in another block
        open_ = np.flatnonzero(~is_near & (cut | (times + unasked[left] >= required)))
        for part in _blocks(size[left[open_]]):
            ask = open_[part]
            width = size[left[ask]]
            wanted = np.repeat(right[ask] << 32, width) | token[_ranges(begin[left[ask]], width)]
            spot = np.minimum(np.searchsorted(entries, wanted), entries.size - 1)
            shared = np.add.reduceat(entries[spot] == wanted, np.cumsum(width) - width, dtype=np.int64)
            is_near[ask] = shared >= required[ask]
        lefts.append(left[is_near])
        rights.append(right[is_near])
    return np.concatenate([np.zeros(0, np.int64), *lefts]), np.concatenate([np.zeros(0, np.int64), *rights])


def _components(count: int, left: Ints, right: Ints) -> Ints:
    """Return the smallest node of each component, (count,), by hooking and pointer jumping."""
    root = np.arange(count)
    while left.size:
        a, b = root[left], root[right]
        np.minimum.at(root, np.maximum(a, b), np.minimum(a, b))
        while np.any(root != (up := root[root])):
            root = up
        open_ = root[left] != root[right]
        left, right = left[open_], right[open_]
    return root


# ---- hashed shingles


def shingles(folded: str, shingle: int) -> set[str]:
    """Return the distinct shingles of a key; a short key is one shingle."""
    if folded.startswith(" "):
        return {folded}
    return {folded[start : start + shingle] for start in range(max(len(folded) - shingle, 0) + 1)}


def _repeated(keys: list[str], shingle: int) -> tuple[Ints, Ints, Ints]:
    """Return owner (index of a key) and token (number) of shingles of two keys or more, and each key's number of
    shingles. One range of hashes is in memory at a time."""
    long = np.array([len(k) >= shingle and not k.startswith(" ") for k in keys], np.bool_)
    size = np.where(long, np.array([len(k) - shingle + 1 for k in keys], np.int64), 1)
    parts = 1 + int(size.sum()) // _PARTITION
    owners: list[Ints] = []
    tokens: list[Ints] = []
    first = 0
    for part in tracked(range(parts), "looking for near-duplicates"):
        owner, value = _hashes(keys, np.flatnonzero(long), shingle, part, parts)
        order = np.argsort(value)
        value = value[order]
        token = np.concatenate([[0], np.cumsum(value[1:] != value[:-1])])[: value.size]
        common = np.bincount(token)[token] > 1
        entry = np.sort(token[common] << 32 | owner[order][common])
        repeats = np.concatenate([[False], entry[1:] == entry[:-1]])[: entry.size]
        size -= np.bincount(entry[repeats] & _LOW_MASK, minlength=len(keys))
        entry = entry[~repeats]
        token = entry >> 32
        entry = entry[np.bincount(token)[token] > 1]
        _, token = np.unique(entry >> 32, return_inverse=True)
        owners.append(entry & _LOW_MASK)
        tokens.append(token + first)
        first += int(token.max(initial=-1)) + 1
    return np.concatenate(owners), np.concatenate(tokens), size


def _hashes(keys: list[str], which: Ints, shingle: int, part: int, parts: int) -> tuple[Ints, Hashes]:
    """Return owner and hash of shingles of the keys `which`, for hashes in range `part` of `parts`.

    The hash is the sum of _mix(c[i]) * BASE^i modulo 2^64: a difference of running sums, shifted down.
    """
    length = np.array([len(keys[k]) for k in which], np.int64)
    owners = [np.zeros(0, np.int64)]
    values = [np.zeros(0, np.uint64)]
    for block in _blocks(length):
        text = "".join([keys[k] for k in which[block]])
        codes = np.frombuffer(text.encode("utf-32-le"), np.dtype("<u4"))
        powers = np.cumprod(np.full(codes.size, _BASE, np.uint64))
        back = np.cumprod(np.full(codes.size, pow(_BASE, -1, 1 << 64), np.uint64))
        sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(_mix(codes) * powers)])
        width = length[block] - shingle + 1
        start = _ranges(np.cumsum(length[block]) - length[block], width)
        value = (sums[start + shingle] - sums[start]) * back[start]
        in_part = (value >> np.uint64(32)) * np.uint64(parts) >> np.uint64(32) == part
        owners.append(np.repeat(which[block], width)[in_part])
        values.append(value[in_part])
    return np.concatenate(owners), np.concatenate(values)


def _mix(numbers: NDArray[np.integer]) -> Hashes:
    """Hash numbers by SplitMix64 (Steele et al. 2014)."""
    z = numbers.astype(np.uint64) * np.uint64(_BASE) + np.uint64(_BASE)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _blocks(width: Ints) -> Iterator[slice]:
    """Yield consecutive slices whose widths sum to at most `_BLOCK`, or of one element."""
    ends = np.cumsum(width)
    start = 0
    while start < width.size:
        done = int(ends[start - 1]) if start else 0
        stop = max(int(np.searchsorted(ends, done + _BLOCK, side="right")), start + 1)
        yield slice(start, stop)
        start = stop


def _ranges(start: Ints, width: Ints) -> Ints:
    return np.repeat(start - np.cumsum(width) + width, width) + np.arange(int(width.sum()))
