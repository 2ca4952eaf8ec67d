"""Configurations of pretrained models (`config.json`), without what a stranger's may do beyond describing a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

_UNSAFE = ("auto_map", "quantization_config", "name_or_path", "dtype", "torch_dtype", "num_labels")
"""Parts of a configuration that name code, kernels or another format of the weights; and the number of labels, for each
of which transformers makes a name, though a language model has none."""


def without_code(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration without what is in `_UNSAFE`, and without other names of code, kernels and paths."""
    kept = {
        name: value
        for name, value in config.items()
        if name not in _UNSAFE and not name.startswith("_") and not name.endswith(("_implementation", "kernels"))
    }
    return {name: without_code(cast(dict[str, Any], v)) if isinstance(v, dict) else v for name, v in kept.items()}
