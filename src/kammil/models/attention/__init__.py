"""A GRU that attends to its own past and can copy from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kammil.models.family import Family, NetworkLearner

if TYPE_CHECKING:
    from kammil.models.attention.model import AttentionModel
    from kammil.models.attention.network import AttentionSettings, PointerGRU


def _learner() -> NetworkLearner[AttentionSettings, PointerGRU]:
    from kammil.models.attention import network

    return NetworkLearner(settings=network.AttentionSettings, build=network.build, export=network.export)


def _model() -> type[AttentionModel]:
    from kammil.models.attention.model import AttentionModel

    return AttentionModel


ATTENTION = Family("attention", _learner, _model)
