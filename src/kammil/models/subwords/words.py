"""Words: the frequent ones are units, everything else is spelled with character units.

The idea: a network that reads whole words sees further back in as many steps, and need not spell " في" ever again. But
short texts hold more different words than any list: so each character is a unit as well, a word that is not listed is
spelled, and there is no unknown word. One network learns both, and decides at each step whether a word or a character
comes next. (Kneser & Ney's and everybody's <unk> is what this avoids; compare Mielke & Eisner 2019, "Spell once, summon
anywhere", arXiv:1804.08205, whose speller is a network of its own.)

The network is that of `gru.py`, over units; its running side gives characters (`units.py`).

Left out: a separate speller, and vectors for words that are made from their characters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pydantic import Field

from kammil.language_model import Ids
from kammil.models.family import NetworkLearner
from kammil.models.gru.network import GRUSettings, build, export
from kammil.models.subwords.pretokenize import Pretoken, Segmenter, most_common, pretokens
from kammil.models.subwords.trie import UnitVocabulary
from kammil.vocabulary import CharacterVocabulary


class WordSettings(GRUSettings):
    """Sizes of the network, and which words are units."""

    word_texts: int = Field(default=3, ge=2, le=1_000_000)
    """A word is a unit if so many training texts hold it. Not tuned: 3 makes 3,128 units of the benchmark's tweets, 2
    makes 5,904 and 5 makes 1,472."""
    most_words: int = Field(default=8192, ge=0, le=1 << 18)
    """Units of two characters or more, at most: the most frequent are taken."""


def word_segmenter(texts: Sequence[Ids], vocabulary: CharacterVocabulary, settings: WordSettings) -> Segmenter:
    """Choose the frequent words of the training texts, each with the space before it."""
    in_texts = Counter(piece for text in texts for piece in set(pretokens(text, vocabulary)))
    whole = most_common(texts, vocabulary.size)
    enough = [(p, n) for p, n in in_texts.items() if n >= settings.word_texts and len(p) > 1 and whole[list(p)].all()]
    enough.sort(key=lambda pair: (-pair[1], pair[0]))
    words = sorted(piece for piece, _ in enough[: settings.most_words])
    numbers: dict[Pretoken, int] = {word: vocabulary.size + i for i, word in enumerate(words)}
    return Segmenter(
        UnitVocabulary(vocabulary.size, words),
        vocabulary,
        lambda piece: [numbers[piece]] if piece in numbers else piece,
    )


LEARNER = NetworkLearner(settings=WordSettings, build=build, export=export, segment=word_segmenter)
