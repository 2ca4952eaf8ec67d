"""Interpolated Kneser-Ney over characters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kammil.models.family import CountingLearner, Family

if TYPE_CHECKING:
    from kammil.models.ngram.model import NGramModel, NGramSettings


def _learner() -> CountingLearner[NGramSettings]:
    from kammil.models.ngram import counting, model

    return CountingLearner(settings=model.NGramSettings, count=counting.fit)


def _model() -> type[NGramModel]:
    from kammil.models.ngram.model import NGramModel

    return NGramModel


NGRAM = Family("ngram", _learner, _model, onnx="it looks counts up, for which ONNX has no operator")
