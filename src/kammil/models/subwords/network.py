"""Words and subwords: the network of `models/gru` over frequent words or byte-pair units.

*Pretokens*, runs of letters, digits or signs with the space before them, become one unit or several. Every character is
a unit too, so any text can be written (compare Mielke & Eisner 2019, arXiv:1804.08205).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

import numpy as np
import regex
from numpy.typing import NDArray
from pydantic import Field
from tokenizers import Tokenizer, models, trainers

from kammil.language_model import Ids
from kammil.models.family import NetworkLearner
from kammil.models.gru.network import GRUSettings, build
from kammil.models.subwords.model import UnitVocabulary
from kammil.vocabulary import SPECIALS, CharacterVocabulary

Pretoken = tuple[int, ...]
"""Character ids of a pretoken or unit."""

_PRETOKENS = regex.compile(r" ?[\p{L}\p{M}]+| ?\p{N}+| ?[^\s\p{L}\p{M}\p{N}]+|\s")
_FIRST, _LAST = 0xF0000, 0x10FFFF
"""Private code points stand for characters while merges are learnt: the library rejects surrogates."""


class WordSettings(GRUSettings):
    """Sizes of the network, and which words are units."""

    word_texts: int = Field(default=3, ge=2, le=1_000_000)
    """Minimum number of training texts with a word that becomes a unit; not tuned."""
    most_words: int = Field(default=8192, ge=0, le=1 << 18)
    """Maximum number of units of two characters or more: the most frequent words."""


class SubwordSettings(GRUSettings):
    """Sizes of the network, and the number of subwords."""

    subwords: int = Field(default=1000, ge=0, le=1 << 18)
    """Maximum number of units of two characters or more; 300 give the same bits, and 1000 fewer steps a text."""


class Segmenter:
    """Segments texts into units; `cut` splits a pretoken."""

    def __init__(
        self,
        vocabulary: CharacterVocabulary,
        longer: Sequence[Pretoken],
        cut: Callable[[Pretoken], Sequence[Pretoken]],
    ) -> None:
        self.units, self._vocabulary, self._cut = UnitVocabulary(vocabulary.size, longer), vocabulary, cut
        self._numbers = {unit: vocabulary.size + i for i, unit in enumerate(longer)}
        self._cache: dict[Pretoken, list[int]] = {}

    def encode(self, ids: Ids) -> Ids:
        """Convert character ids to unit ids."""
        units: list[int] = []
        for piece in pretokens(ids, self._vocabulary):
            if piece not in self._cache:
                self._cache[piece] = [self._numbers.get(unit, unit[0]) for unit in self._cut(piece)]
            units += self._cache[piece]
        return np.array(units, np.int64)


def pretokens(ids: Ids, vocabulary: CharacterVocabulary) -> list[Pretoken]:
    """Split a text into pretokens."""
    text, values = vocabulary.decode(ids), ids.tolist()  # one character an id, as there is no PAD, BOS or EOS
    return [tuple(values[match.start() : match.end()]) for match in _PRETOKENS.finditer(text)]


def _joinable_characters(texts: Sequence[Ids], size: int) -> NDArray[np.bool_]:
    """Return which characters, (V,), stand in two texts or more; rarer ones may become UNK and join no longer unit."""
    in_texts = np.bincount(np.concatenate([np.unique(text) for text in texts]), minlength=size)
    in_texts[:SPECIALS] = 0
    return in_texts > 1


def word_segmenter(texts: Sequence[Ids], vocabulary: CharacterVocabulary, settings: WordSettings) -> Segmenter:
    """Choose the frequent words, with the space before."""
    in_texts = Counter(piece for text in texts for piece in set(pretokens(text, vocabulary)))
    joinable = _joinable_characters(texts, vocabulary.size)
    frequent = [
        (p, n) for p, n in in_texts.items() if n >= settings.word_texts and len(p) > 1 and joinable[list(p)].all()
    ]
    frequent.sort(key=lambda pair: (-pair[1], pair[0]))
    words = {piece for piece, _ in frequent[: settings.most_words]}
    return Segmenter(vocabulary, sorted(words), lambda piece: [piece] if piece in words else [(id,) for id in piece])


def bpe_segmenter(texts: Sequence[Ids], vocabulary: CharacterVocabulary, settings: SubwordSettings) -> Segmenter:
    """Learn byte-pair encoding (Sennrich et al. 2016, arXiv:1508.07909), but of characters.

    Half of an Arabic letter means nothing.
    """
    joinable = np.flatnonzero(_joinable_characters(texts, vocabulary.size))[: _LAST - _FIRST + 1].tolist()
    code_points = {id: chr(_FIRST + i) for i, id in enumerate(joinable)}
    character_ids = {c: id for id, c in code_points.items()}

    def runs(piece: Pretoken) -> Iterator[tuple[bool, list[int]]]:
        """Split around characters that must not be merged."""
        return ((joins, list(run)) for joins, run in groupby(piece, key=lambda id: id in code_points))

    def shown(run: Sequence[int]) -> str:
        return "".join(code_points[id] for id in run)

    tokenizer = Tokenizer(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=len(joinable) + settings.subwords,
        show_progress=False,
        min_frequency=2,
        initial_alphabet=list(character_ids),
    )
    pieces = (piece for text in texts for piece in pretokens(text, vocabulary))
    tokenizer.train_from_iterator([shown(run) for piece in pieces for joins, run in runs(piece) if joins], trainer)
    units = {token: tuple(character_ids[c] for c in token) for token in tokenizer.get_vocab()}

    def cut(piece: Pretoken) -> list[Pretoken]:
        found: list[Pretoken] = []
        for joins, run in runs(piece):
            found += [units[t] for t in tokenizer.encode(shown(run)).tokens] if joins else [(id,) for id in run]
        return found

    return Segmenter(vocabulary, sorted(unit for unit in units.values() if len(unit) > 1), cut)


WORDS = NetworkLearner(settings=WordSettings, build=build, segment=word_segmenter)
SUBWORDS = NetworkLearner(settings=SubwordSettings, build=build, segment=bpe_segmenter)
