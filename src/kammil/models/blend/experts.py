"""The n-gram experts of a blend while it learns: counts of the training texts, without the text at hand.

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
from kammil.ngrams.text_cache import TextCache, columns
from kammil.progress import phase, tracked
from kammil.vocabulary import BOS, EOS, PAD, SPECIALS, UNK, CharacterVocabulary

_MARK = regex.compile(r"\p{M}")
_LARGE = 8
"""A larger group of near-duplicates is counted once and kept, so that a greeting which everybody sends costs no time
(docs/log.md#may-a-large-group-of-near-duplicates-keep-its-own-counts)."""


@dataclass(frozen=True)
class _Read:
    """Texts as the tables see them, one after the other; a text of n ids has n + 1 positions."""

    keys: Keys
    """(P, K): keys of the contexts."""
    followers: Ids
    """(P,): what followed."""
    starts: Index
    """First position of each text, and the number of positions."""

    def span(self, text: int) -> slice:
        return slice(int(self.starts[text]), int(self.starts[text + 1]))


class NgramExperts:
    """The tables of a run, and the evidence they give about its texts.

    Args:
        train, validation: encoded texts.
        kin: near-duplicate group of each training text.
        background: encoded texts that are counted in a table of their own, and not learnt from.
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
        self._columns = columns(settings.kinds, settings.history)
        self._history = TextCache(len(self._columns))
        self._train, self._validation = self._read(train), self._read(validation)
        counted = {OWN: _count(self._train, settings.most)}
        if background:
            counted[BACKGROUND] = _count(self._read(background), settings.most, least=2)
        read = self._validation
        least = count_cutoffs(list(counted.values()), read.keys, read.followers, settings.megabytes)
        self._least = dict(zip(counted, least, strict=True))
        # The gate must learn on what will be there. Of its own counts a text finds fewer than others will: what it
        # brought is taken out first, so the rare ones are dropped while reading, and from the folder.
        self._exported = {
            prefix: CountTable.merged([t.where(t.totals >= n) for t, n in zip(kinds, self._least[prefix], strict=True)])
            for prefix, kinds in counted.items()
        }
        self.tables = {**self._exported, OWN: CountTable.merged(counted[OWN])}
        # Every pass asks for the same contexts: looked up once.
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
        return len(self._contexts.kinds) * len(self.tables) + len(self._columns)

    def features(self, rows: Sequence[TextPiece], width: int, *, learning: bool) -> ExpertFeatures:
        """Evidence about a batch of `width` positions a row; about those beyond its end nothing is known.

        While learning, rows are of the training texts, and each is looked up in the counts of all texts that are no
        near-duplicates of its own; else rows are of the validation texts.
        """
        read, found = (self._train, self._found) if learning else (self._validation, self._found_validation)
        experts = len(self._contexts.kinds)
        keys = np.zeros((len(rows), width, experts), np.uint32)
        given = [np.full((len(rows), width, experts), -1, np.int32) for _ in found]  # nowhere, beyond a text's end
        ids = np.full((len(rows), width), PAD, np.int64)
        for i, row in enumerate(rows):
            begin, length = int(read.starts[row.text]) + row.begin, len(row.ids) - 1
            ids[i, :length], keys[i, :length] = row.ids[:-1], read.keys[begin : begin + length]
            for there, places in zip(given, found, strict=True):
                there[i, :length] = places[begin : begin + length]
        start = self._history.initial_state(len(rows))
        earlier, _ = self._history.look_up(ids, keys[..., self._columns], start, last=width)
        flat = [there.reshape(len(rows) * width, -1) for there in given]  # (P, K)
        if not learning:
            least = self._least.values()
            read_all = [t.read(f).at_least(n) for t, f, n in zip(self.tables.values(), flat, least, strict=True)]
            return expert_features([*read_all, earlier])
        own, *others = self.tables.values()
        first = own.read_without(flat[0], [self._brought(row.text) for row in rows])
        entries = [first.at_least(self._least[OWN])]
        entries += [table.read(there) for table, there in zip(others, flat[1:], strict=True)]
        return expert_features([*entries, earlier])

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """What the running side needs of it."""
        made: dict[str, NDArray[np.generic]] = {IN_WORD: self._in_word.astype(np.uint8)}
        for prefix, table in self._exported.items():
            made |= pack(table, prefix)
        return made

    def _brought(self, text: int) -> Contribution:
        """What a text and its near-duplicates brought to their table; of a large group it is counted once."""
        group = self._kin[text]
        if group in self._large:
            return self._large[group]
        spans = [self._train.span(member) for member in self._members[group]]
        brought = Contribution.of(
            np.concatenate([self._found[0][span] for span in spans]),
            np.concatenate([self._train.followers[span] for span in spans]),
        )
        if len(spans) > _LARGE:
            self._large[group] = brought
        return brought

    def _read(self, texts: Sequence[Ids]) -> _Read:
        """Hash texts, those of like length together."""
        starts = np.concatenate([[0], np.cumsum([len(text) + 1 for text in texts], dtype=np.int64)])
        keys = np.empty((int(starts[-1]), len(self._contexts.kinds)), np.uint32)
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
    """What was read, counted kind by kind."""
    kinds = range(read.keys.shape[1])
    return [
        CountTable.of([(read.keys[:, k], read.followers)], most=most, least=least) for k in tracked(kinds, "counting")
    ]


def in_word(vocabulary: CharacterVocabulary) -> NDArray[np.bool_]:
    """Which ids belong to words, (V,): letters, digits, marks, underscores, and unknown characters."""
    characters = [c.isalnum() or c == "_" or _MARK.match(c) is not None for c in vocabulary.characters]
    specials = [i == UNK for i in range(SPECIALS)]
    return np.array(specials + characters, np.bool_)
