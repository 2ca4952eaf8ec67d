"""Graphs written byte by byte are what the `onnx` package reads."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from kammil.models import attention, gru, transformer
from kammil.models.wire import OURS, Attribute, Node, Value, model

ATTRIBUTES = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.floats(width=32, allow_nan=False),
    st.text(max_size=5),
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=4),
)


@given(st.dictionaries(st.text("abc", min_size=1), ATTRIBUTES, max_size=3))
def test_attributes_are_read_as_they_were_written(attributes: dict[str, Attribute]) -> None:
    written = onnx.load_model_from_string(model("g", [Node("Op", ["a"], ["b"], attributes)], [], [], {}))
    read = {a.name: helper.get_attribute_value(a) for a in written.graph.node[0].attribute}
    assert {k: v.decode() if isinstance(v, bytes) else v for k, v in read.items()} == attributes


@pytest.mark.parametrize("kind", [np.float32, np.uint8, np.int8, np.int64])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 130)])
def test_constants_are_read_as_they_were_written(kind: type[np.generic], shape: tuple[int, ...]) -> None:
    value = np.arange(int(np.prod(shape)), dtype=kind).reshape(shape)
    written = onnx.load_model_from_string(model("g", [], [], [], {"name": value}))
    (read,) = written.graph.initializer
    again = numpy_helper.to_array(read)
    assert read.name == "name" and again.dtype == value.dtype and again.shape == shape and (again == value).all()


def test_names_sizes_and_operator_sets() -> None:
    inputs: list[Value] = [("x", np.float32, ["B", 300]), ("n", np.int64, [])]
    written = onnx.load_model_from_string(model("g", [Node("Op", ["x", ""], ["y"], {}, OURS)], inputs, [], {}))
    assert [(s.domain, s.version) for s in written.opset_import] == [("", 17), (OURS, 1)]
    x, n = written.graph.input
    assert [d.dim_param or d.dim_value for d in x.type.tensor_type.shape.dim] == ["B", 300]
    assert n.type.tensor_type.elem_type == onnx.TensorProto.INT64 and not n.type.tensor_type.shape.dim
    assert list(written.graph.node[0].input) == ["x", ""] and written.graph.node[0].domain == OURS


def test_every_family_writes_a_sound_graph() -> None:
    torch.manual_seed(0)
    for made in (
        gru.export(gru.build(50, gru.GRUSettings(hidden=8))),
        attention.export(attention.build(50, attention.AttentionSettings(hidden=8))),
        transformer.export(transformer.build(50, transformer.TransformerSettings(width=16))),
    ):
        onnx.checker.check_model(onnx.load_model_from_string(made.step or b""), full_check=True)
