"""GRUs over words or byte-pair units, read as characters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kammil.models.family import Family, NetworkLearner

if TYPE_CHECKING:
    from kammil.models.gru.network import GRU
    from kammil.models.subwords.bpe import SubwordSettings
    from kammil.models.subwords.model import UnitModel
    from kammil.models.subwords.words import WordSettings


def _words() -> NetworkLearner[WordSettings, GRU]:
    from kammil.models.gru import network
    from kammil.models.subwords import words

    return NetworkLearner(
        settings=words.WordSettings, build=network.build, export=network.export, segment=words.word_segmenter
    )


def _subwords() -> NetworkLearner[SubwordSettings, GRU]:
    from kammil.models.gru import network
    from kammil.models.subwords import bpe

    return NetworkLearner(
        settings=bpe.SubwordSettings, build=network.build, export=network.export, segment=bpe.bpe_segmenter
    )


def _model() -> type[UnitModel]:
    from kammil.models.subwords.model import UnitModel

    return UnitModel


_NO_GRAPH = "it adds up many ways to cut a text into units, for which ONNX has no operator"
WORDS = Family("words", _words, _model, onnx=_NO_GRAPH)
SUBWORDS = Family("subwords", _subwords, _model, onnx=_NO_GRAPH)
