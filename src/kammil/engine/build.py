"""Selection of the fastest compiled build of `kernel.c` for this machine.

The first build runs on every processor of its architecture and names the best level.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from time import perf_counter
from zlib import crc32

import numpy as np

from kammil.engine.layout import COLUMN_BLOCK, QuantizedMatrix, disagreement

SOURCE = Path(__file__).with_name("kernel.c")
PORTABLE = "KAMMIL_PORTABLE"
"""Environment variable that rules out builds."""
_INPUTS, _OUTPUTS, _RUNS = 256, 768, 20
"""Inputs and outputs of a timed product, and repetitions."""


@lru_cache(1)
def load_native() -> ctypes.CDLL | None:
    """Return the fastest build; None for the portable engine."""
    return _find()[0]


def engine_name() -> str:
    """Return a sentence on the engine that runs here, and why."""
    if load_native():
        return "Blends and GRUs run in the compiled engine."
    return f"Blends and GRUs run in the portable engine{_find()[1]}."


def _find() -> tuple[ctypes.CDLL | None, str]:
    if os.environ.get(PORTABLE):
        return None, f", since {PORTABLE} is set; without it they may be faster"
    if not build_path(0).is_file():
        return None, "; install kammil where there is a C compiler to make them faster"
    try:
        first = open_build(build_path(0))
        best = next(level for level in range(first.kammil_best_level(), -1, -1) if build_path(level).is_file())
        code = open_build(build_path(best)) if best else first
    except (OSError, AttributeError) as error:  # for another machine, or of another source
        return None, f", since the build of {SOURCE.name} is of no use here ({error}); install kammil again"
    if not code.kammil_vectorised() and not _beats_numpy(code):
        return None, ", which is faster on this processor"
    return code, ""


def build_path(level: int) -> Path:
    """Return the file of a build; higher levels need newer processors."""
    return Path(__file__).with_name(f"_kernel_{level}.so")


def open_build(path: Path) -> ctypes.CDLL:
    """Load a build; `OSError` for a wrong machine, source or `layout`."""
    code = ctypes.CDLL(str(path))
    code.kammil_source_crc.restype = ctypes.c_uint32
    if code.kammil_source_crc() != crc32(SOURCE.read_bytes()):
        raise OSError(f"{path.name} was made of another source")
    if different := disagreement(code):
        raise OSError(f"in {path.name}, {different}")
    number, pointer, message = ctypes.c_int64, ctypes.c_void_p, ctypes.c_char_p
    code.kammil_free.argtypes = [pointer]
    code.kammil_forward.argtypes = [pointer, message, pointer, pointer, pointer]
    code.kammil_sample.argtypes = [
        *(pointer, message, number, pointer, ctypes.c_double, pointer, number),
        *(pointer, pointer, pointer),
    ]
    code.kammil_matmul.argtypes = [pointer, pointer, number, pointer]
    return code


def _beats_numpy(code: ctypes.CDLL) -> bool:
    """Compare a build without vector code, which is slower by half on x86-64 without extensions."""
    x_q = np.full(_INPUTS, 128, np.uint8)
    weights, sums = np.zeros((_OUTPUTS // COLUMN_BLOCK, _INPUTS, COLUMN_BLOCK), np.int8), np.empty(_OUTPUTS, np.int32)
    zero_offsets = np.zeros(_OUTPUTS, np.int32)
    addresses = (array.ctypes.data for array in (weights, zero_offsets, zero_offsets))
    matrix = QuantizedMatrix(*addresses, _INPUTS, _OUTPUTS)
    x, dense = np.ones((1, _INPUTS), np.float32), np.ones((_INPUTS, _OUTPUTS), np.float32)

    def multiply() -> None:
        code.kammil_matmul(ctypes.addressof(matrix), x_q.ctypes.data, 1, sums.ctypes.data)

    return _seconds(multiply) < _seconds(lambda: x @ dense)


def _seconds(call: Callable[[], object]) -> float:
    times: list[float] = []
    for _ in range(_RUNS):
        begin = perf_counter()
        call()
        times.append(perf_counter() - begin)
    return min(times)
