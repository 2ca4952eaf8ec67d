"""The n-gram experts of a blend in training: counts of the training texts, each read without the text itself.

Shapes: B batch, T time, P = B * T positions, V vocabulary, K experts, N entries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import regex
from numpy.typing import NDArray

from kammil.language_model import Ids
from kammil.models.blend.settings import BACKGROUND, IN_WORD, OWN, BlendSettings
from kammil.models.family import TextPiece
from kammil.ngrams.compression import pack
from kammil.ngrams.contexts import ContextHasher
from kammil.ngrams.count_table import Contribution, CountTable, Index, Keys, keys_of
from kammil.ngrams.features import ExpertFeatures, expert_features
from kammil.ngrams.pruning import count_cutoffs
from kammil.ngrams.text_cache import TextCache, kind_columns
from kammil.progress import phase, tracked
from kammil.vocabulary import BOS, EOS, PAD, SPECIALS, UNK, CharacterVocabulary

_MARK = regex.compile(r"\p{M}")
_LARGE = 8
"""A larger group of near-duplicates is counted once and kept, so that a greeting which everybody sends costs no time
(docs/log.md#may-a-large-group-of-near-duplicates-keep-its-own-counts)."""


@dataclass(frozen=True)
class _Read:
    """Keys and followers of all positions, text after text; a text of n ids has n + 1 positions."""

    keys: Keys
    """(P, K): keys of the contexts."""
    followers: Ids
    """(P,): the id that followed."""
    starts: Index
    """First position of each text, and the number of positions."""

    def span(self, text: int) -> slice:
        return slice(int(self.starts[text]), int(self.starts[text + 1]))


class NgramExperts:
    """The tables of a training run, and the features of its texts.

    Args:
        train, validation: encoded texts.
        kin: near-duplicate group of each training text.
        background: encoded texts that are counted in a separate table; the network does not learn them.
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
    ) -> None:
        """Count the texts."""
        self._in_word = in_word(vocabulary)
        self._contexts = ContextHasher(settings.kinds, self._in_word)
        self._columns = kind_columns(settings.kinds, settings.history)
        self._history = TextCache(len(self._columns))
        self._train, self._validation = self._read(train), self._read(validation)
        counted = {OWN: _count(self._train, settings.most)}
        if background:
            counted[BACKGROUND] = _count(self._read(background), settings.most, least=2)
        read = self._validation
        least = count_cutoffs(list(counted.values()), read.keys, read.followers, settings.megabytes)
        self._least = dict(zip(counted, least, strict=True))
        # The gate must learn from the counts that the folder will hold. A training text's contribution is subtracted
        # before rare contexts are pruned, so pruning is done when the table is read, and once more for the folder.
        self._exported = {
            prefix: CountTable.concat(
                [t.select(t.totals >= n) for t, n in zip(kinds, self._least[prefix], strict=True)]
            )
            for prefix, kinds in counted.items()
        }
        self.tables = {**self._exported, OWN: CountTable.concat(counted[OWN])}
        # Every epoch reads the same contexts, so they are looked up once.
        with phase("looking the texts up"):
            self._found, self._found_validation = (
                [table.find(read.keys) for table in self.tables.values()] for read in (self._train, self._validation)
            )
        self._kin = [int(k) for k in kin]
        self._members: dict[int, list[int]] = {}
        for text, group in enumerate(self._kin):
            self._members.setdefault(group, []).append(text)
        self._large: dict[int, Contribution] = {}

    @property
    def count(self) -> int:
        """K."""
        return len(self._contexts.context_types) * len(self.tables) + len(self._columns)

    def features(self, rows: Sequence[TextPiece], width: int, *, learning: bool) -> ExpertFeatures:
        """Compute the features of a batch with `width` positions a row; positions beyond a text's end match nothing.

        While learning, rows are of the training texts, and each is looked up in the counts of all texts that are no
        near-duplicates of it; else rows are of the validation texts.
        """
        read, found = (self._train, self._found) if learning else (self._validation, self._found_validation)
        experts = len(self._contexts.context_types)
        keys = np.zeros((len(rows), width, experts), np.uint32)
        found_rows = [np.full((len(rows), width, experts), -1, np.int32) for _ in found]  # -1: no match
        ids = np.full((len(rows), width), PAD, np.int64)
        for i, row in enumerate(rows):
            begin, length = int(read.starts[row.text]) + row.begin, len(row.ids) - 1
            ids[i, :length], keys[i, :length] = row.ids[:-1], read.keys[begin : begin + length]
            for row_places, places in zip(found_rows, found, strict=True):
                row_places[i, :length] = places[begin : begin + length]
        start = self._history.initial_state(len(rows))
        cached, _ = self._history.look_up(ids, keys[..., self._columns], start, last=width)
        flat = [places.reshape(len(rows) * width, -1) for places in found_rows]  # (P, K)
        if not learning:
            least = self._least.values()
            matches = [t.read(f).prune(n) for t, f, n in zip(self.tables.values(), flat, least, strict=True)]
            return expert_features([*matches, cached])
        train, *others = self.tables.values()
        first = train.read_without(flat[0], [self._contribution(row.text) for row in rows])
        matches = [first.prune(self._least[OWN])]
        matches += [table.read(places) for table, places in zip(others, flat[1:], strict=True)]
        return expert_features([*matches, cached])

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return the arrays of the tables and of word characters in a model folder."""
        arrays: dict[str, NDArray[np.generic]] = {IN_WORD: self._in_word.astype(np.uint8)}
        for prefix, table in self._exported.items():
            arrays |= pack(table, prefix)
        return arrays

    def _contribution(self, text: int) -> Contribution:
        """The counts of a text and its near-duplicates in their table; those of a large group are kept."""
        group = self._kin[text]
        if group in self._large:
            return self._large[group]
        spans = [self._train.span(member) for member in self._members[group]]
        contribution = Contribution.of(
            np.concatenate([self._found[0][span] for span in spans]),
            np.concatenate([self._train.followers[span] for span in spans]),
        )
        if len(spans) > _LARGE:
            self._large[group] = contribution
        return contribution

    def _read(self, texts: Sequence[Ids]) -> _Read:
        """Hash the contexts of texts, those of similar length together."""
        starts = np.concatenate([[0], np.cumsum([len(text) + 1 for text in texts], dtype=np.int64)])
        keys = np.empty((int(starts[-1]), len(self._contexts.context_types)), np.uint32)
        order = np.argsort([len(text) for text in texts], kind="stable")
        for chosen in tracked(np.array_split(order, max(1, len(order) // 256)), "reading the texts for counting"):
            ids = np.full((len(chosen), max((len(texts[i]) for i in chosen), default=0) + 1), PAD, np.int64)
            ids[:, 0] = BOS
            for row, i in enumerate(chosen):
                ids[row, 1 : len(texts[i]) + 1] = texts[i]
            hashes, _ = self._contexts.hash_contexts(ids, self._contexts.initial_state(len(chosen)))
            for row, i in enumerate(chosen):
                keys[starts[i] : starts[i + 1]] = keys_of(hashes[row, : len(texts[i]) + 1])
        followers = np.concatenate([*(np.append(text, EOS) for text in texts), np.zeros(0, np.int64)])
        return _Read(keys, followers.astype(np.int64), starts)


def _count(read: _Read, most: int, least: int = 1) -> list[CountTable]:
    """One table for each context type."""
    kinds = range(read.keys.shape[1])
    return [
        CountTable.of([(read.keys[:, k], read.followers)], max_followers=most, min_count=least)
        for k in tracked(kinds, "counting")
    ]


def in_word(vocabulary: CharacterVocabulary) -> NDArray[np.bool_]:
    """Return which ids belong to words, (V,): letters, digits, marks, underscores, and unknown characters."""
    characters = [c.isalnum() or c == "_" or _MARK.match(c) is not None for c in vocabulary.characters]
    specials = [i == UNK for i in range(SPECIALS)]
    return np.array(specials + characters, np.bool_)
