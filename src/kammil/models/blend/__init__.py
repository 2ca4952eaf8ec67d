"""Counts and GRUs, trained together and mixed by a gate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kammil.models.family import Family

if TYPE_CHECKING:
    from kammil.models.blend.learner import BlendLearner
    from kammil.models.blend.model import BlendModel


def _learner() -> BlendLearner:
    from kammil.models.blend.learner import BlendLearner

    return BlendLearner()


def _model() -> type[BlendModel]:
    from kammil.models.blend.model import BlendModel

    return BlendModel


BLEND = Family("blend", _learner, _model, onnx="it looks counts up, for which ONNX has no operator", network_part=True)
