"""The structs and constants that Python and `kernel.c`, which documents array shapes, share.

Each build exports its constants, sizes and offsets, since this module may disagree.
"""

from __future__ import annotations

import ctypes
from typing import ClassVar

import numpy as np

from kammil.engine.weights import STATE_MAX, WEIGHT_MAX
from kammil.ngrams.adaptive import ID_BITS, LEVELS
from kammil.ngrams.contexts import WORD_CONTEXTS, WORD_STATE
from kammil.ngrams.features import GATE_FEATURES, SCORE_FEATURES, WINDOW
from kammil.vocabulary import BOS, PAD

Dtypes = dict[str, type[np.generic]]

COLUMN_BLOCK, INPUT_GROUP = 64, 4
"""Outputs of a matrix, and inputs of each, whose weights are stored together."""
LOG_TABLE_SIZE = 256
"""Counts with a logarithm in a table."""
CONTEXT_OF_WORDS = {name: -1 - i for i, name in enumerate(WORD_CONTEXTS)}
"""Codes in `context_spec`, where other contexts have their number of ids."""
MESSAGE_HEADER = 5 + 3 * LEVELS
"""Numbers before a request's arrays."""
QUERY_HEADER = 13
"""Numbers before a search's arrays."""
BEGINS, CONTINUES, ENDS_WORDS, FOREIGN, CAREFUL = CLASSES = 1, 2, 4, 8, 16
"""Bits of what an id is to words."""
LETTER, LONG_VOWEL = KINDS = 1, 2
"""Bits of what a folded letter is."""

_CONSTANTS = {
    "GATE_FEATURES": GATE_FEATURES,
    "SCORE_FEATURES": SCORE_FEATURES,
    "WINDOW": WINDOW,
    "PAD": PAD,
    "BOS": BOS,
    "WORD_STATE": WORD_STATE,
    "STATE_ZERO": STATE_MAX + 1,
    "STATE_MAX": STATE_MAX,
    "WEIGHT_MAX": WEIGHT_MAX,
    "COLUMN_BLOCK": COLUMN_BLOCK,
    "INPUT_GROUP": INPUT_GROUP,
    "LOG_TABLE_SIZE": LOG_TABLE_SIZE,
    "ADAPTIVE_TABLES": LEVELS,
    "ID_BITS": ID_BITS,
    "MESSAGE_HEADER": MESSAGE_HEADER,
    "QUERY_HEADER": QUERY_HEADER,
    **dict(zip(("BEGINS", "CONTINUES", "ENDS_WORDS", "FOREIGN", "CAREFUL"), CLASSES, strict=True)),
    **dict(zip(("LETTER", "LONG_VOWEL"), KINDS, strict=True)),
    **{f"CONTEXT_{name.upper()}": number for name, number in CONTEXT_OF_WORDS.items()},
}


def _numbers(*names: str) -> list[tuple[str, type[ctypes.c_int64]]]:
    return [(name, ctypes.c_int64) for name in names]


def _pointers(*names: str) -> list[tuple[str, type[ctypes.c_void_p]]]:
    return [(name, ctypes.c_void_p) for name in names]


class QuantizedMatrix(ctypes.Structure):
    """A matrix of 8-bit weights."""

    dtypes: ClassVar[Dtypes] = {"weights": np.int8, "scales": np.float32, "zero_offsets": np.int32}
    _fields_ = [*_pointers(*dtypes), *_numbers("inputs", "outputs")]


class GRUWeights(ctypes.Structure):
    """The weights of one network."""

    dtypes: ClassVar[Dtypes] = {"input_gates": np.float16, "input_new": np.float16}
    _fields_ = [("recurrent", QuantizedMatrix), ("output", QuantizedMatrix), *_pointers(*dtypes)]


class Model(ctypes.Structure):
    """A blend or a GRU, and scratch memory."""

    dtypes: ClassVar[Dtypes] = {
        "bias": np.float32,
        "feature_weights": np.float32,
        "score_weights": np.float32,
        "score_bias": np.float32,
        "log_table": np.float32,
        "id_hashes": np.uint64,
        "salts": np.uint64,
        "context_spec": np.int64,
        "in_word": np.uint8,
        "cache_columns": np.int64,
        "layer_columns": np.int64,
        "layer_weights": np.float32,
        "trust": np.float32,
        "bucket_shifts": np.uint32,
        "bucket_offsets": np.uint32,
        "bucket_begins": np.uint32,
        "table_keys": np.uint32,
        "follower_begins": np.uint32,
        "pruned": np.uint16,
        "follower_ids": np.uint16,
        "follower_counts": np.uint16,
        "large_positions": np.int64,
        "large_counts": np.int64,
    }
    _fields_ = [
        *_numbers("vocabulary", "networks", "hidden", "gate", "tables", "context_types", "cache_types", "max_order"),
        *_numbers("hashed_types"),
        *_numbers("bucket_size", "large_size", "uses_words", "layer_types", "steps"),
        ("gru", ctypes.POINTER(GRUWeights)),
        *_pointers(*dtypes),
        *_pointers("kept_memory", "kept_ids", "kept_counts"),
        *_numbers("kept_bytes", "kept_capacity", "lock"),
    ]


class SortedCounts(ctypes.Structure):
    """Counts learnt at run time."""

    dtypes: ClassVar[Dtypes] = {}
    _fields_ = _numbers("pairs", "counts", "size")


class Request(ctypes.Structure):
    """New ids of texts, and their state."""

    dtypes: ClassVar[Dtypes] = {
        "input_ids": np.int64,
        "recent_ids": np.int64,
        "word_state": np.uint64,
        "cached_ids": np.int64,
        "hidden": np.float32,
        "cached_keys": np.uint32,
        "trust": np.float32,
    }
    _fields_ = [
        *_numbers("batch", "time", "last", "length", "trusts"),
        ("adaptive", SortedCounts * LEVELS),
        *_pointers(*dtypes),
    ]


class State(ctypes.Structure):
    """The state of texts, its arrays in this order in memory."""

    dtypes: ClassVar[Dtypes] = {name: kind for name, kind in Request.dtypes.items() if name != "input_ids"}
    _fields_ = [*_pointers(*dtypes), *_numbers("length", "trusts")]


class _Entry(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("value", ctypes.c_int64)]


def disagreement(code: ctypes.CDLL) -> str | None:
    """Return the first disagreement of a build and Python, if any."""
    code.kammil_layout.restype = ctypes.POINTER(_Entry)
    built: dict[str, int] = {}
    for entry in code.kammil_layout():
        if entry.name is None:
            break
        built[entry.name.decode()] = entry.value
    expected = _layout()
    for name in {**expected, **built}:
        if expected.get(name) != built.get(name):
            return f"{name} is {built.get(name, 'unknown')} in the build and {expected.get(name, 'unknown')} in Python"
    return None


def _layout() -> dict[str, int]:
    layout = dict(_CONSTANTS)
    for struct in (QuantizedMatrix, GRUWeights, Model, SortedCounts, Request, State):
        for name, *_ in struct._fields_:
            layout[f"{struct.__name__}.{name}"] = getattr(struct, name).offset
        for name, kind in struct.dtypes.items():
            layout[f"*{struct.__name__}.{name}"] = np.dtype(kind).itemsize
        layout[f"sizeof {struct.__name__}"] = ctypes.sizeof(struct)
    return layout
