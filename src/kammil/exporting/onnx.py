"""Write a model as one ONNX file: the graph of a network, and in its metadata the characters and the text rules.

`docs/export.md` says what inputs, outputs and metadata mean.
"""

from __future__ import annotations

import json
from typing import Literal

import numpy as np

from kammil import model_folder as folders
from kammil.engine.weights import unpack
from kammil.errors import FolderError, MissingExtraError, OptionError
from kammil.models.family import FAMILIES, load_model
from kammil.ngrams.features import Floats
from kammil.text import TextRules
from kammil.vocabulary import BOS, EOS, PAD, UNK

FORMAT = "1"
"""Format of the metadata, increased when an older reader would misread them."""


def write(model: folders.ModelFiles, part: Literal["all", "network"]) -> tuple[bytes, str | None]:
    """Return the file of a model, and what is missing in it; `OptionError` for a family that does not fit."""
    name = model.description.family
    family = FAMILIES.get(name)
    has_part = family is not None and family.part
    if part == "network" and not has_part:
        raise OptionError(f"part is network, but only a blend has parts, and this is a model of family {name}.")
    reason = "this Kammil does not know it" if family is None else family.onnx
    if family is None or (reason is not None and part == "all"):
        way_out = "export its network alone with --part network" if has_part else "train one with --model gru"
        raise OptionError(f"a model of family {name} does not fit into ONNX: {reason}; {way_out}.")
    try:
        import onnx

        graph = family.graph(model.description.settings, checked_weights(model))
    except ModuleNotFoundError as error:
        raise MissingExtraError("an export to ONNX needs onnx", "train") from error
    vocabulary = model.vocabulary
    metadata = {
        "kammil": FORMAT,
        "family": f"{name} network" if part == "network" else name,
        "vocabulary": json.dumps([vocabulary.piece(id) for id in range(vocabulary.size)]),
        "specials": json.dumps({"pad": PAD, "unk": UNK, "bos": BOS, "eos": EOS}),
        "writable": json.dumps([id for id in range(vocabulary.size) if id not in vocabulary.unwritable]),
        "rules": json.dumps(TextRules.from_dict(model.description.rules).to_dict()),
    }
    onnx.helper.set_model_props(graph, metadata)
    onnx.checker.check_model(graph, full_check=True)
    left = "the counts of the blend are not in the file, so it predicts worse than the blend and learns no texts."
    return graph.SerializeToString(), left if part == "network" else None


def checked_weights(model: folders.ModelFiles) -> dict[str, Floats]:
    """Return the weights of a network in single precision; `FolderError` where they do not fit its vocabulary."""
    language_model = load_model(model.description.family, model.description.settings, model.artifacts)
    if language_model.vocabulary_size != model.vocabulary.size:
        raise FolderError("weights.safetensors and vocabulary.json are of two models; copy the model folder again.")
    return {name: array.astype(np.float32, copy=False) for name, array in unpack(model.artifacts.weights).items()}


EXAMPLE = '''\
"""Goes on with a text, with the most probable character at every step: python THIS-FILE TEXT"""

import json, sys
from pathlib import Path

import numpy as np
import onnxruntime

model = onnxruntime.InferenceSession(Path(__file__).with_suffix(".onnx"))
about = {k: json.loads(v) for k, v in model.get_modelmeta().custom_metadata_map.items() if k != "family"}
pieces, special, text = about["vocabulary"], about["specials"], " ".join(sys.argv[1:])
state = {i.name: np.zeros([{"B": 1, "S": 0}.get(n, n) for n in i.shape], "f") for i in model.get_inputs()[2:]}
read, most = [special["bos"], *(pieces.index(c) if c in pieces else special["unk"] for c in text)], len(text) + 30
while read != [special["eos"]] and len(text) < most:
    log_probabilities, *new = model.run(None, {"ids": [read], "last": [1], **state})
    read, state = [max(about["writable"], key=log_probabilities[0, 0].item)], dict(zip(state, new))
    text += pieces[read[0]]
sys.stdout.buffer.write((text + "\\n").encode())
'''
"""Source of a program that completes a text with the ONNX file of the program's name."""
