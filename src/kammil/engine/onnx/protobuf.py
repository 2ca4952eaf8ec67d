"""ONNX files, byte by byte: what is needed of the format to write a graph, so that running a model needs no `onnx`.

An ONNX file is a protocol buffer (https://protobuf.dev/programming-guides/encoding): every field is its number and its
kind, then a number in base 128 or a length and that many bytes. The numbers of the fields are those of `onnx.proto`.
The tests read what is written here with the `onnx` package and have it check every graph.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Attribute = int | float | str | bytes | Sequence[int]
"""Of a node; bytes are a graph of its own, as `graph` writes it."""
Value = tuple[str, type[np.generic], Sequence[int | str]]
"""An input or output of a graph: name, type of its numbers, sizes; a size that is a name is open."""

IR, OPSET = 8, 17
"""Read by every ONNX Runtime since 1.12."""
OURS = "com.microsoft"
"""The domain of ONNX Runtime's own operators."""

FLOAT, WHOLE, DOUBLE = 1, 7, 11
"""The types of numbers that a `Cast` is asked for: float32, int64 and float64."""

_TYPES: dict[np.dtype[Any], int] = {
    np.dtype(t): n
    for t, n in (
        (np.float32, FLOAT),
        (np.float16, 10),
        (np.uint8, 2),
        (np.int8, 3),
        (np.int64, WHOLE),
        (np.float64, DOUBLE),
    )
}
_FLOAT, _INT, _STRING, _GRAPH, _INTS = 1, 2, 3, 5, 7
"""Kinds of attributes."""


@dataclass
class Node:
    """One operation of a graph."""

    op: str
    inputs: Sequence[str]
    outputs: list[str]
    attributes: Mapping[str, Attribute] = field(default_factory=dict[str, Attribute])
    domain: str = ""


def model(
    name: str,
    nodes: Sequence[Node],
    inputs: Sequence[Value],
    outputs: Sequence[Value],
    constants: Mapping[str, NDArray[np.generic]],
) -> bytes:
    """The bytes of an ONNX file; `KeyError` for a constant whose type is none of those above."""
    operators = [_bytes(8, _bytes(1, domain.encode()) + _whole(2, version)) for domain, version in _domains(nodes)]
    return b"".join([_whole(1, IR), _bytes(7, graph(name, nodes, inputs, outputs, constants)), *operators])


def graph(
    name: str,
    nodes: Sequence[Node],
    inputs: Sequence[Value],
    outputs: Sequence[Value],
    constants: Mapping[str, NDArray[np.generic]],
) -> bytes:
    """The bytes of a graph: that of a file, or the body of a node such as `Scan`."""
    return b"".join(
        [
            *(_bytes(1, _node(node)) for node in nodes),
            _bytes(2, name.encode()),
            *(_bytes(5, _tensor(key, value)) for key, value in constants.items()),
            *(_bytes(11, _value(value)) for value in inputs),
            *(_bytes(12, _value(value)) for value in outputs),
        ]
    )


def metadata(entries: Mapping[str, str]) -> bytes:
    """What an ONNX file says about itself, by name: bytes to put behind those of the file.

    A protocol buffer may be written in pieces: fields that repeat add up, wherever they stand.
    """
    return b"".join(_bytes(14, _bytes(1, k.encode()) + _bytes(2, v.encode())) for k, v in entries.items())


def _domains(nodes: Sequence[Node]) -> list[tuple[str, int]]:
    """The sets of operators that are used, with their versions."""
    return [("", OPSET), *((domain, 1) for domain in sorted({node.domain for node in nodes} - {""}))]


def _node(node: Node) -> bytes:
    return b"".join(
        [
            *(_bytes(1, name.encode()) for name in node.inputs),
            *(_bytes(2, name.encode()) for name in node.outputs),
            _bytes(4, node.op.encode()),
            *(_bytes(5, _attribute(name, value)) for name, value in node.attributes.items()),
            _bytes(7, node.domain.encode()),
        ]
    )


def _attribute(name: str, value: Attribute) -> bytes:
    named = _bytes(1, name.encode())
    if isinstance(value, float):
        return named + _key(2, 5) + struct.pack("<f", value) + _whole(20, _FLOAT)
    if isinstance(value, int):
        return named + _whole(3, value) + _whole(20, _INT)
    if isinstance(value, str):
        return named + _bytes(4, value.encode()) + _whole(20, _STRING)
    if isinstance(value, bytes):
        return named + _bytes(6, value) + _whole(20, _GRAPH)
    return named + b"".join(_whole(8, n) for n in value) + _whole(20, _INTS)


def _tensor(name: str, value: NDArray[np.generic]) -> bytes:
    sizes = b"".join(_whole(1, n) for n in value.shape)
    return sizes + _whole(2, _TYPES[value.dtype]) + _bytes(8, name.encode()) + _bytes(9, value.tobytes())


def _value(value: Value) -> bytes:
    name, kind, sizes = value
    dims = b"".join(_bytes(1, _bytes(2, n.encode()) if isinstance(n, str) else _whole(1, n)) for n in sizes)
    return _bytes(1, name.encode()) + _bytes(2, _bytes(1, _whole(1, _TYPES[np.dtype(kind)]) + _bytes(2, dims)))


def _key(number: int, kind: int) -> bytes:
    return _varint(number << 3 | kind)


def _whole(number: int, value: int) -> bytes:
    """A whole-number field."""
    return _key(number, 0) + _varint(value)


def _bytes(number: int, value: bytes) -> bytes:
    """A field of text, of raw bytes, or of fields."""
    return _key(number, 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; a negative number as its 64-bit complement."""
    value &= (1 << 64) - 1
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    made.append(value)
    return bytes(made)
