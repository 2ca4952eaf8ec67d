"""Selection of the fastest compiled build of `kernel.c` for this machine.

The first build runs on every processor of its architecture and names the best level.
"""

from __future__ import annotations

import ctypes
import os
from functools import lru_cache
from pathlib import Path
from zlib import crc32

from kammil.engine.layout import disagreement

SOURCE = Path(__file__).with_name("kernel.c")
PORTABLE = "KAMMIL_PORTABLE"
"""Environment variable that rules out builds."""


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
        how = "with --force-reinstall and --no-cache-dir, since pip keeps what it built without one"
        return None, f"; install kammil where there is a C compiler to make them faster, {how}"
    try:
        first = open_build(build_path(0))
        best = next(level for level in range(first.kammil_best_level(), -1, -1) if build_path(level).is_file())
        code = open_build(build_path(best)) if best else first
    except (OSError, AttributeError) as error:  # for another machine, or of another source
        return None, f", since the build of {SOURCE.name} is of no use here ({error}); install kammil again"
    if not code.kammil_vectorised():
        return None, f", since {SOURCE.name} has no vector code for this processor"
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
    code.kammil_search_bytes.argtypes, code.kammil_search_bytes.restype = [pointer, message, message], number
    code.kammil_search.argtypes = [pointer, message, message, *5 * (pointer,)]
    code.kammil_matmul.argtypes = [pointer, pointer, number, pointer]
    return code
