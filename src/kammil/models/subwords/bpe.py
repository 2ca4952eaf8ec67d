"""Subwords: byte-pair encoding (BPE), learnt from the user's own texts.

The idea: begin with characters, join the pair of neighbours that is most frequent into one unit, and again, as often as
there are units wanted (Sennrich, Haddow & Birch 2016, "Neural machine translation of rare words with subword units",
arXiv:1508.07909). Frequent words become one unit, rare ones a few; no list of words is needed, and beginnings such as
"وال" are found by themselves. Here a pair is one of characters, not of bytes: half of an Arabic letter means nothing.

The network is that of `gru.py`, over units; its running side gives characters (`units.py`), summed over all ways to cut
what was read, so it needs neither the joins nor the library.

Left out: bytes (the vocabulary covers the texts' characters, and UNK the rest).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np
from pydantic import Field
from tokenizers import Tokenizer, models, trainers

from kammil.language_model import Ids
from kammil.models.family import NetworkLearner
from kammil.models.gru.network import GRUSettings, build, export
from kammil.models.subwords.pretokenize import Pretoken, Segmenter, most_common, pretokens
from kammil.models.subwords.trie import UnitVocabulary
from kammil.vocabulary import CharacterVocabulary

_FIRST, _LAST = 0xF0000, 0x10FFFF
"""Code points that stand for characters while joins are learnt: planes for private use, free of lone surrogates, which
the library cannot take. There are more of them than any texts have characters."""


class SubwordSettings(GRUSettings):
    """Sizes of the network, and how many subwords there are."""

    subwords: int = Field(default=1000, ge=0, le=1 << 18)
    """Units of two characters or more, at most. On the benchmark's validation tweets 300 need as many bits after three
    passes (3.25 each); with 1000 a text takes fewer steps."""


def bpe_segmenter(texts: Sequence[Ids], vocabulary: CharacterVocabulary, settings: SubwordSettings) -> Segmenter:
    """Learn the joins from the pieces of the training texts."""
    joinable = np.flatnonzero(most_common(texts, vocabulary.size))[: _LAST - _FIRST + 1].tolist()
    stand_in = {id: chr(_FIRST + i) for i, id in enumerate(joinable)}
    back = {c: id for id, c in stand_in.items()}

    def runs(piece: Pretoken) -> list[tuple[bool, Pretoken]]:
        """A piece cut where a character begins or ends that must stay alone."""
        return [(joins, tuple(run)) for joins, run in groupby(piece, key=lambda id: id in stand_in)]

    def seen() -> list[str]:
        return [
            "".join(stand_in[id] for id in run)
            for text in texts
            for piece in pretokens(text, vocabulary)
            for joins, run in runs(piece)
            if joins
        ]

    tokenizer = Tokenizer(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=len(joinable) + settings.subwords,
        show_progress=False,
        min_frequency=2,
        initial_alphabet=list(back),
    )
    tokenizer.train_from_iterator(seen(), trainer)
    spelled = {token: tuple(back[c] for c in token) for token in tokenizer.get_vocab()}
    longer = sorted(unit for unit in spelled.values() if len(unit) > 1)
    numbers = {unit: vocabulary.size + i for i, unit in enumerate(longer)}

    def cut(piece: Pretoken) -> list[int]:
        found: list[int] = []
        for joins, run in runs(piece):
            if joins:
                tokens = tokenizer.encode("".join(stand_in[id] for id in run)).tokens
                found += [numbers[spelled[t]] if len(t) > 1 else back[t] for t in tokens]
            else:
                found += run
        return found

    return Segmenter(UnitVocabulary(vocabulary.size, longer), vocabulary, cut)


LEARNER = NetworkLearner(settings=SubwordSettings, build=build, export=export, segment=bpe_segmenter)
