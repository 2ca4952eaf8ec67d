"""The structs and constants that `kernel.c` and Python share, and a check that both mean the same by them.

Letters as in `kernel.c`, which gives the shapes of all arrays.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

from kammil.engine.quantization import MOST
from kammil.engine.weights import STEPS
from kammil.ngrams.adaptive import ID_BITS, LEVELS
from kammil.ngrams.contexts import WORD_KINDS
from kammil.ngrams.features import CLUES, FEATURES
from kammil.ngrams.text_cache import WINDOW
from kammil.vocabulary import PAD

COLUMN_BLOCK, INPUT_GROUP = 64, 4
"""Outputs, and inputs of each, whose weights are stored together."""
LOG_TABLE_SIZE = 256
"""Smaller counts have their logarithm in a table."""
WORD_STATE = 4
"""Numbers in the state of the contexts that are made of words."""
CONTEXT_OF_WORDS = {name: -1 - i for i, name in enumerate(WORD_KINDS)}
"""What stands for these contexts where others have their number of ids."""
REQUEST_SIZES = ("batch", "time", "last", "length")
"""The numbers that a request begins with; those of the adaptive counts follow."""
MESSAGE_HEADER = len(REQUEST_SIZES) + 3 * LEVELS
"""Numbers before the arrays of a request."""


class QuantizedMatrix(ctypes.Structure):
    """A matrix of 8-bit weights."""

    _fields_ = [(name, ctypes.c_void_p) for name in ("weights", "scales", "zero_offsets")] + [
        (name, ctypes.c_int64) for name in ("inputs", "outputs")
    ]


class GRUWeights(ctypes.Structure):
    """One network."""

    _fields_ = [
        ("recurrent", QuantizedMatrix),
        ("output", QuantizedMatrix),
        ("input_gates", ctypes.c_void_p),
        ("input_new", ctypes.c_void_p),
    ]


_SIZES = (
    "vocabulary", "networks", "hidden", "gate", "tables", "context_types", "cache_types", "max_order", "bucket_size",
    "large_size", "uses_words", "steps",
)  # fmt: skip
_ARRAYS = (
    "bias", "feature_weights", "score_weights", "score_bias", "log_table", "adaptive_weights", "id_hashes", "salts",
    "context_spec", "in_word", "cache_columns", "bucket_shifts", "bucket_offsets", "bucket_begins", "table_keys",
    "follower_begins", "pruned", "follower_ids", "follower_counts", "large_positions", "large_counts",
    "kept_memory", "kept_ids", "kept_counts", "kept_adaptive_counts",
)  # fmt: skip


class Model(ctypes.Structure):
    """A blend, or a GRU alone, and the scratch memory that is kept between calls."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in _SIZES),
        ("gru", ctypes.POINTER(GRUWeights)),
        *((name, ctypes.c_void_p) for name in _ARRAYS),
        *((name, ctypes.c_int64) for name in ("kept_bytes", "kept_capacity", "lock")),
    ]
