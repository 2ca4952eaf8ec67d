"""One ONNX file that suffices: the graph of a network, and in its metadata the characters and the text rules.

Inputs are `ids` (B, T), `last` (1,) and a state; outputs the log-probabilities of what follows the last positions,
(B, last, V), and the new state: see `kammil.engine.onnx.runtime`. The metadata are strings, JSON but for the
first two:

| name | holds |
|---|---|
| `kammil` | number of this format |
| `family` | of the model, or `blend network` |
| `vocabulary` | the text of every id; empty for padding, begin and end |
| `specials` | ids of `pad`, `unk`, `bos` and `eos` |
| `writable` | ids that a completion may choose from, the end among them |
| `rules` | text rules by name: what is done to a text before the model reads it |
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Literal

from kammil import model_folder as folders
from kammil.engine.onnx.protobuf import metadata
from kammil.engine.onnx.runtime import OnnxModel, session
from kammil.engine.quantization import unpack
from kammil.errors import FolderError, OptionError
from kammil.models.blend.settings import BlendSettings, member_prefixes
from kammil.models.gru.onnx import graph
from kammil.models.registry import FAMILIES, load_model
from kammil.text import TextRules
from kammil.vocabulary import BOS, EOS, PAD, UNK

FORMAT = "1"
"""Raised when a reader of the metadata could misread them."""


def write(model: folders.ModelFiles, part: Literal["all", "network"]) -> tuple[bytes, str | None]:
    """The file of a model, and what is not in it; `OptionError` for a family that does not fit."""
    name = model.description.family
    family = FAMILIES.get(name)
    has_part = family is not None and family.network_part
    if part == "network":
        if not has_part:
            raise OptionError(f"part is network, but only a blend has parts, and this is a model of family {name}.")
        return _file(model, "blend network", _networks(model)), (
            "the counts of the blend are not in the file, so it predicts worse than the blend and learns no texts."
        )
    reason = "this Kammil does not know it" if family is None else family.onnx
    if reason is not None:
        way_out = "export its network alone with --part network" if has_part else "train one with --model gru"
        raise OptionError(f"a model of family {name} does not fit into ONNX: {reason}; {way_out}.")
    if model.artifacts.step is None:
        raise FolderError("step.onnx is missing; copy the model folder again.")
    return _file(model, name, model.artifacts.step), None


def _networks(model: folders.ModelFiles) -> bytes:
    """The graph of a blend's networks: what it says where no context was ever seen."""
    settings = model.description.settings
    load_model("blend", settings, model.artifacts)  # refuses arrays that do not fit, with its own sentence
    weights = unpack(model.artifacts.weights)
    return graph("kammil-blend-network", weights, member_prefixes(BlendSettings.model_validate(settings).networks))


def _file(model: folders.ModelFiles, family: str, step: bytes) -> bytes:
    """A graph and its metadata, opened to see that they are there."""
    if OnnxModel(step).vocabulary_size != model.vocabulary.size:
        raise FolderError("step.onnx and vocabulary.json are of two models; copy the model folder again.")
    about = _about(model, family)
    content = step + metadata(about)
    if session(content).get_modelmeta().custom_metadata_map != about:
        raise FolderError("step.onnx has metadata of its own, which no model of ours has; do not trust it.")
    return content


def _about(model: folders.ModelFiles, family: str) -> Mapping[str, str]:
    """The metadata."""
    vocabulary = model.vocabulary
    return {
        "kammil": FORMAT,
        "family": family,
        "vocabulary": json.dumps([vocabulary.piece(id) for id in range(vocabulary.size)]),
        "specials": json.dumps({"pad": PAD, "unk": UNK, "bos": BOS, "eos": EOS}),
        "writable": json.dumps([id for id in range(vocabulary.size) if id not in vocabulary.unwritable]),
        "rules": json.dumps(TextRules.from_dict(model.description.rules).to_dict()),
    }
