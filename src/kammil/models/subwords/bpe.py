"""Subwords: byte-pair encoding, learnt from the user's own texts (Sennrich, Haddow & Birch 2016, arXiv:1508.07909).

Begin with characters, merge the most frequent pair of neighbours into one unit, and repeat until there are enough.
Frequent words become one unit, rare ones a few. Pairs are of characters, not of bytes: half of an Arabic letter means
nothing. The network is that of `models/gru`, over units; `UnitModel` turns its output into characters.
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
from kammil.models.subwords.pretokenize import Pretoken, Segmenter, joinable_characters, pretokens
from kammil.models.subwords.trie import UnitVocabulary
from kammil.vocabulary import CharacterVocabulary

_FIRST, _LAST = 0xF0000, 0x10FFFF
"""Code points that stand for characters while merges are learnt: planes for private use, without lone surrogates, which
the library rejects. There are more of them than any texts have characters."""


class SubwordSettings(GRUSettings):
    """Sizes of the network, and the number of subwords."""

    subwords: int = Field(default=1000, ge=0, le=1 << 18)
    """Maximum number of units of two characters or more. On the benchmark's validation tweets 300 give the same bits
    after three passes (3.25 each); with 1000 a text takes fewer steps."""


def bpe_segmenter(texts: Sequence[Ids], vocabulary: CharacterVocabulary, settings: SubwordSettings) -> Segmenter:
    """Learn BPE merges from the pretokens of the training texts."""
    joinable = np.flatnonzero(joinable_characters(texts, vocabulary.size))[: _LAST - _FIRST + 1].tolist()
    code_points = {id: chr(_FIRST + i) for i, id in enumerate(joinable)}
    character_ids = {c: id for id, c in code_points.items()}

    def runs(piece: Pretoken) -> list[tuple[bool, Pretoken]]:
        """Split a pretoken around characters that must not be merged."""
        return [(joins, tuple(run)) for joins, run in groupby(piece, key=lambda id: id in code_points)]

    def joinable_runs() -> list[str]:
        return [
            "".join(code_points[id] for id in run)
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
        initial_alphabet=list(character_ids),
    )
    tokenizer.train_from_iterator(joinable_runs(), trainer)
    token_ids = {token: tuple(character_ids[c] for c in token) for token in tokenizer.get_vocab()}
    longer = sorted(unit for unit in token_ids.values() if len(unit) > 1)
    numbers = {unit: vocabulary.size + i for i, unit in enumerate(longer)}

    def cut(piece: Pretoken) -> list[int]:
        units: list[int] = []
        for joins, run in runs(piece):
            if joins:
                tokens = tokenizer.encode("".join(code_points[id] for id in run)).tokens
                units += [numbers[token_ids[t]] if len(t) > 1 else character_ids[t] for t in tokens]
            else:
                units += run
        return units

    return Segmenter(UnitVocabulary(vocabulary.size, longer), vocabulary, cut)


LEARNER = NetworkLearner(settings=SubwordSettings, build=build, export=export, segment=bpe_segmenter)
