"""Words: frequent words are units, everything else is spelled with character units.

A network that reads words sees further back in as many steps. Each character is a unit as well, so there is no unknown
word: one network decides at each step whether a word or a character comes next (compare Mielke & Eisner 2019,
arXiv:1804.08205). The network is that of `models/gru`; `UnitModel` turns its output into characters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pydantic import Field

from kammil.language_model import Ids
from kammil.models.family import NetworkLearner
from kammil.models.gru.network import GRUSettings, build, export
from kammil.models.subwords.pretokenize import Pretoken, Segmenter, joinable_characters, pretokens
from kammil.models.subwords.trie import UnitVocabulary
from kammil.vocabulary import CharacterVocabulary


class WordSettings(GRUSettings):
    """Sizes of the network, and which words are units."""

    word_texts: int = Field(default=3, ge=2, le=1_000_000)
    """Minimum number of training texts with a word that becomes a unit. Not tuned: the benchmark's tweets give 3,128
    units with 3, 5,904 with 2, and 1,472 with 5."""
    most_words: int = Field(default=8192, ge=0, le=1 << 18)
    """Maximum number of units of two characters or more: the most frequent words."""


def word_segmenter(texts: Sequence[Ids], vocabulary: CharacterVocabulary, settings: WordSettings) -> Segmenter:
    """Choose the frequent words of the training texts, each with the space before it."""
    in_texts = Counter(piece for text in texts for piece in set(pretokens(text, vocabulary)))
    joinable = joinable_characters(texts, vocabulary.size)
    frequent = [
        (p, n) for p, n in in_texts.items() if n >= settings.word_texts and len(p) > 1 and joinable[list(p)].all()
    ]
    frequent.sort(key=lambda pair: (-pair[1], pair[0]))
    words = sorted(piece for piece, _ in frequent[: settings.most_words])
    numbers: dict[Pretoken, int] = {word: vocabulary.size + i for i, word in enumerate(words)}
    return Segmenter(
        UnitVocabulary(vocabulary.size, words),
        vocabulary,
        lambda piece: [numbers[piece]] if piece in numbers else piece,
    )


LEARNER = NetworkLearner(settings=WordSettings, build=build, export=export, segment=word_segmenter)
