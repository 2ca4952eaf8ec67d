"""A small Transformer of the Llama layout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kammil.models.family import Family, NetworkLearner

if TYPE_CHECKING:
    from kammil.models.transformer.model import TransformerModel
    from kammil.models.transformer.network import Transformer, TransformerSettings


def _learner() -> NetworkLearner[TransformerSettings, Transformer]:
    from kammil.models.transformer import network

    return NetworkLearner(
        settings=network.TransformerSettings,
        build=network.build,
        export=network.export,
        # In two epochs of the benchmark 3.53 bits with this rate, 3.65 with the loop's own.
        training={"learning_rate": 2e-3},
    )


def _model() -> type[TransformerModel]:
    from kammil.models.transformer.model import TransformerModel

    return TransformerModel


TRANSFORMER = Family("transformer", _learner, _model)
