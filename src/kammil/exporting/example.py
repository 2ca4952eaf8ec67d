"""The program beside an exported file, which needs NumPy and ONNX Runtime but not Kammil."""

from __future__ import annotations

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
