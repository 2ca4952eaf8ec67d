"""A gated recurrent unit (GRU) over characters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kammil.models.family import Family, NetworkLearner

if TYPE_CHECKING:
    from kammil.models.gru import network
    from kammil.models.gru.model import GRUModel


def _learner() -> NetworkLearner[network.GRUSettings, network.GRU]:
    from kammil.models.gru import network

    return NetworkLearner(settings=network.GRUSettings, build=network.build, export=network.export)


def _model() -> type[GRUModel]:
    from kammil.models.gru.model import GRUModel

    return GRUModel


GRU = Family("gru", _learner, _model)
