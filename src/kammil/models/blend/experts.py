"""The n-gram experts of a blend in training: counts of the texts, read for each text without its own.

Shapes as in `network`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from tempfile import SpooledTemporaryFile
from typing import NamedTuple, TypeAlias

import numpy as np
import regex
from numpy.typing import NDArray

from kammil.language_model import Ids, State
from kammil.models.blend.model import BACKGROUND, IN_WORD, OWN, BlendSettings
from kammil.models.family import Chunk
from kammil.ngrams.compression import pack
from kammil.ngrams.contexts import ContextHasher
from kammil.ngrams.count_table import Contribution, CountTable, Keys, Level, Rows, count_cutoffs, keys_of, levels
from kammil.ngrams.features import ExpertFeatures, TextCache, columns_of, expert_features
from kammil.progress import tracked
from kammil.vocabulary import BOS, EOS, PAD, SPECIALS, UNK, CharacterVocabulary

_MARK = regex.compile(r"\p{M}")
_LONG, _MAX_KEPT_BYTES = 1024, 1 << 28
"""Minimum number of positions of a near-duplicate group that keeps its counts, and maximum bytes of all such counts
(docs/log.md#may-a-large-group-of-near-duplicates-keep-its-own-counts)."""
_IN_MEMORY = 1 << 25
"""Maximum bytes of a context type's keys in memory; more go to a temporary file."""
_PART = 1 << 23
"""Approximate number of positions counted at once."""


def _take(file: SpooledTemporaryFile[bytes]) -> Keys:
    """Return the keys in a file, (P,), and delete them."""
    with file:
        file.seek(0)
        return np.frombuffer(file.read(), np.uint32)


_Counts: TypeAlias = tuple[Sequence[CountTable], Sequence[Level]]
"""Tables, which share no key, and levels of one context type, within the budget."""


def _select(tables: Sequence[CountTable], cutoff: int) -> list[CountTable]:
    return [table.select(table.totals >= cutoff) for table in tables]


class KeptCounts(NamedTuple):
    """A base's counts, which stay in a separate table."""

    table: CountTable
    packed: Mapping[str, NDArray[np.generic]]
    """The table as stored in the base's folder, by names without prefix."""
    is_counted: Sequence[bool]
    """Whether each training text is counted there: learning cannot subtract it, so does not look it up."""


class NgramExperts:
    """The tables of a training run, and the features of its texts.

    Args:
        kin: near-duplicate group of each training text.
        background: encoded texts counted in a separate table, which the network does not learn.
        kept: that table, in place of `background`.
    """

    def __init__(
        self,
        train: Sequence[Ids],
        validation: Sequence[Ids],
        *,
        kin: Sequence[int],
        background: Sequence[Ids],
        vocabulary: CharacterVocabulary,
        settings: BlendSettings,
        kept: KeptCounts | None = None,
    ) -> None:
        self._in_word = in_word(vocabulary)
        self._contexts = ContextHasher(settings.kinds, self._in_word)
        self._columns = columns_of(settings.history, settings.kinds)
        self._history = TextCache(len(self._columns))
        self._texts = {True: train, False: validation}
        files, followers = self._read(validation)
        held_out = [_take(file) for file in files], followers.astype(np.int64)
        counted = {OWN: self._count(train, held_out, settings, settings.min_count)}
        if background:
            counted[BACKGROUND] = self._count(background, held_out, settings, max(2, settings.min_count))
        cutoffs = count_cutoffs([[kept for _, kept in kinds] for kinds in counted.values()], settings.megabytes)
        self._cutoffs = dict(zip(counted, cutoffs, strict=True))
        self._min_count = settings.min_count
        # Pruned before training: the gate must learn from the counts that the folder will hold.
        self.tables = {
            prefix: CountTable.concat(
                [table for (ours, _), n in zip(kinds, self._cutoffs[prefix], strict=True) for table in _select(ours, n)]
            ).fit_16_bits()
            for prefix, kinds in counted.items()
        }
        self._of_base = kept
        if kept is not None:
            self.tables[BACKGROUND] = kept.table
        _, self._kin, sizes = np.unique(kin, return_inverse=True, return_counts=True)
        self._by_group = np.argsort(self._kin, kind="stable")  # texts of a group side by side
        self._group_begins = np.append(0, np.cumsum(sizes))
        self._kept: dict[int, Contribution] = {}
        self._kept_bytes = 0
        self._states: dict[tuple[bool, int], dict[int, State]] = {}

    @property
    def count(self) -> int:
        """K."""
        return len(self._contexts.context_types) * len(self.tables) + len(self._columns)

    def features(self, rows: Sequence[Chunk], width: int, *, learning: bool) -> ExpertFeatures:
        """Compute the features of rows of `width` positions, of which those beyond a text match nothing.

        Learning reads training texts without the counts of their near-duplicates; else rows are of validation texts.
        """
        experts = len(self._contexts.context_types)
        lengths = np.array([len(row.ids) - 1 for row in rows])
        ids = np.full((len(rows), width), PAD, np.int64)
        for i, row in enumerate(rows):
            ids[i, : lengths[i]] = row.ids[:-1]
        states = [self._state_before(row.text, row.begin, learning=learning) for row in rows]
        recent, words = (np.concatenate(part) for part in zip(*states, strict=True))
        keys = keys_of(self._contexts.hash_contexts(ids, (recent, words))[0])  # (B, T, K)
        start = self._history.initial_state(len(rows))
        cached, _ = self._history.look_up(ids, keys[..., self._columns], start, last=width)
        beyond = (np.arange(width) >= lengths[:, None]).reshape(-1)  # (P,)
        found: list[Rows] = []
        for table in self.tables.values():
            found.append(table.find(keys.reshape(-1, experts)))
            found[-1][beyond] = -1
        pairs = list(zip(self.tables.values(), found, strict=True))
        if not learning:
            return expert_features([*(table.read(rows_found) for table, rows_found in pairs), cached])
        if self._of_base is not None:
            counted = [self._of_base.is_counted[row.text] for row in rows]  # (B,)
            pairs[1][1].reshape(len(rows), -1)[counted] = -1
        own, rows_found = pairs[0]
        by_text = rows_found.reshape(len(rows), width, experts)
        contributions = [self._contribution(row, by_text[i, : lengths[i]]) for i, row in enumerate(rows)]
        first = own.read_without(rows_found, contributions, min_count=self._min_count).prune(self._cutoffs[OWN])
        return expert_features([first, *(table.read(rows_found) for table, rows_found in pairs[1:]), cached])

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return the arrays of a model folder."""
        arrays: dict[str, NDArray[np.generic]] = {IN_WORD: self._in_word.astype(np.uint8)}
        for prefix, table in self.tables.items():
            if prefix == BACKGROUND and self._of_base is not None:
                arrays |= {BACKGROUND + name: array for name, array in self._of_base.packed.items()}
            else:
                arrays |= pack(table, prefix)
        return arrays

    def _contribution(self, row: Chunk, rows_found: Rows) -> Contribution:
        """Return the counts of a text and its near-duplicates; `rows_found`, (T, K), are the chunk's."""
        group = int(self._kin[row.text])
        if group in self._kept:
            return self._kept[group]
        kin = self._by_group[self._group_begins[group] : self._group_begins[group + 1]].tolist()
        if len(kin) == 1 and len(rows_found) == len(self._texts[True][row.text]) + 1:
            return Contribution.of(rows_found, row.ids[1:])
        members = [self._texts[True][member] for member in kin]
        found: list[Rows] = []
        for member in members:
            ids = np.concatenate([[BOS], member])[None]
            hashes, _ = self._contexts.hash_contexts(ids, self._contexts.initial_state(1))
            found.append(self.tables[OWN].find(keys_of(hashes[0])))
        contribution = Contribution.of(
            np.concatenate(found), np.concatenate([np.append(member, EOS) for member in members]).astype(np.int64)
        )
        if sum(len(rows) for rows in found) > _LONG and self._kept_bytes < _MAX_KEPT_BYTES:
            self._kept[group] = contribution
            self._kept_bytes += contribution.pairs.nbytes + contribution.counts.nbytes
        return contribution

    def _state_before(self, text: int, begin: int, *, learning: bool) -> State:
        if not begin:
            return self._contexts.initial_state(1)
        known = self._states.setdefault((learning, text), {0: self._contexts.initial_state(1)})
        if begin not in known:
            nearest = max(at for at in known if at < begin)
            ids = np.concatenate([[BOS], self._texts[learning][text]])[None, nearest:begin]
            known[begin] = self._contexts.hash_contexts(ids, known[nearest])[1]
        return known[begin]

    def _read(self, texts: Sequence[Ids]) -> tuple[list[SpooledTemporaryFile[bytes]], NDArray[np.uint16]]:
        """Return a file of each context type's 32-bit keys, and the followers, (P,), in any order of positions."""
        keys = [SpooledTemporaryFile[bytes](_IN_MEMORY) for _ in self._contexts.context_types]
        lengths = np.array([len(text) for text in texts], np.int64)
        followers = np.empty(int((lengths + 1).sum()), np.uint16)
        order = np.argsort(lengths, kind="stable")
        at = 0
        for chosen in tracked(np.array_split(order, max(1, len(order) // 256)), "reading the texts for counting"):
            ids = np.full((len(chosen), max((len(texts[i]) for i in chosen), default=0) + 2), PAD, np.int64)
            ids[:, 0] = BOS
            for row, i in enumerate(chosen):
                ids[row, 1 : len(texts[i]) + 2] = np.append(texts[i], EOS)
            hashes, _ = self._contexts.hash_contexts(ids[:, :-1], self._contexts.initial_state(len(chosen)))
            inside = ids[:, 1:] != PAD
            for file, column in zip(keys, keys_of(hashes[inside]).T, strict=True):
                file.write(column.tobytes())
            read = ids[:, 1:][inside]
            followers[at : at + len(read)] = read
            at += len(read)
        return keys, followers

    def _count(
        self, texts: Sequence[Ids], held_out: tuple[Sequence[Keys], Ids], settings: BlendSettings, min_count: int
    ) -> list[_Counts]:
        """Count each context type; drop contexts that even the whole budget could not hold.

        `held_out` are the validation texts' keys of each type and followers, (P,) each.
        """
        files, read = self._read(texts)
        parts = len(read) // _PART + 1
        counted: list[_Counts] = []
        for kind in tracked(range(len(files)), "counting"):
            keys = _take(files[kind])
            # Parts are ranges of keys, so they share none.
            part_of = ((keys >> np.uint32(16)) * np.uint32(parts) >> np.uint32(16)).astype(np.uint16)
            chosen = (part_of == n for n in range(parts))
            pairs = ((keys[part], read[part].astype(np.int64)) for part in chosen)
            tables = [CountTable.of([pair], max_followers=settings.most, min_count=min_count) for pair in pairs]
            kept = levels(tables, held_out[0][kind], held_out[1])
            ((cutoff,),) = count_cutoffs([[kept]], settings.megabytes)
            counted.append((_select(tables, cutoff) if cutoff > 1 else tables, kept))
        return counted


def in_word(vocabulary: CharacterVocabulary) -> NDArray[np.bool_]:
    """Return which ids belong to words, (V,): letters, digits, marks, underscores and UNK."""
    characters = [c.isalnum() or c == "_" or _MARK.match(c) is not None for c in vocabulary.characters]
    specials = [i == UNK for i in range(SPECIALS)]
    return np.array(specials + characters, np.bool_)
