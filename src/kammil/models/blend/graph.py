"""The ONNX graph of the networks of a blend, without its counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import onnx

from kammil.models.blend.settings import BlendSettings, member_prefixes
from kammil.models.gru.graph import Weights, of_networks


def graph(settings: Mapping[str, Any], weights: Weights) -> onnx.ModelProto:
    """Build the graph of the members, whose scores are averaged."""
    members = member_prefixes(BlendSettings.model_validate(settings).networks)
    return of_networks("kammil-blend-network", weights, members)
