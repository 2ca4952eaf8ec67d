"""Graphs written byte by byte are what the `onnx` package reads."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from kammil.engine.onnx.graph import GraphBuilder
from kammil.engine.onnx.protobuf import OURS, Attribute, Node, Value, model
from kammil.engine.onnx.runtime import session
from kammil.models.attention import network as attention_network
from kammil.models.attention import onnx as attention_onnx
from kammil.models.gru import network as gru_network
from kammil.models.transformer import network as transformer_network
from kammil.models.transformer import onnx as transformer_onnx

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


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.uint8, np.int8, np.int64])
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
        gru_network.export(gru_network.build(50, gru_network.GRUSettings(hidden=8))),
        attention_onnx.export(attention_network.build(50, attention_network.AttentionSettings(hidden=8))),
        transformer_onnx.export(transformer_network.build(50, transformer_network.TransformerSettings(width=16))),
    ):
        onnx.checker.check_model(onnx.load_model_from_string(made.step or b""), full_check=True)


def test_a_graph_within_a_graph_uses_what_is_around_it() -> None:
    inner = GraphBuilder("step_")
    sum_ = inner.add("Add", "before", inner.add("Mul", "now", "factor"))
    kept = inner.add("Identity", sum_)
    number: type[np.generic] = np.float32
    body = inner.body(
        "step", [("before", number, [1]), ("now", number, [1])], [(sum_, number, [1]), (kept, number, [1])]
    )
    g = GraphBuilder()
    _, along = g.add_multi(2, "Scan", "start", "all", num_scan_inputs=1, body=body)
    g.add("Identity", along, output="sums")
    inputs: list[Value] = [("start", number, [1]), ("all", number, ["T", 1]), ("factor", number, [1])]
    graph = g.write("sums", inputs, [("sums", number, ["T", 1])])
    onnx.checker.check_model(onnx.load_model_from_string(graph), full_check=True)
    given = {"start": np.ones(1), "all": np.arange(4.0)[:, None], "factor": np.full(1, 2.0)}
    (sums,) = session(graph).run(["sums"], {name: value.astype(np.float32) for name, value in given.items()})
    assert np.asarray(sums)[:, 0].tolist() == [1, 3, 7, 13]
