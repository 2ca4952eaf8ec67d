"""The builds of `kernel.c`, which a C compiler makes when the package is built: which of them runs on this machine.

The first runs on every processor of its kind, and says which of the others can run here. Without any, the portable
engine does the work.
"""

from __future__ import annotations

import ctypes
import os
from functools import lru_cache
from pathlib import Path
from zlib import crc32

SOURCE = Path(__file__).with_name("kernel.c")
PORTABLE = "KAMMIL_PORTABLE"
"""Variable of the environment: not empty, and nothing compiled is used."""


@lru_cache(1)
def load_native() -> ctypes.CDLL | None:
    """The best build that this machine can run; None where there is none, or where it is not wanted."""
    if os.environ.get(PORTABLE) or not build(0).is_file():
        return None
    try:
        plain = opened(build(0))
        best = next(level for level in range(plain.kammil_level(), -1, -1) if build(level).is_file())
        return opened(build(best)) if best else plain
    except (OSError, AttributeError):  # made for another machine, or of another source
        return None


def engine_name() -> str:
    """Which engine runs blends and GRUs here, in a sentence."""
    if load_native():
        return "Blends and GRUs run in the compiled engine."
    if os.environ.get(PORTABLE):
        return f"Blends and GRUs run in the portable engine, since {PORTABLE} is set; without it they may be faster."
    return "Blends and GRUs run in the portable engine; install kammil where there is a C compiler to make them faster."


def build(level: int) -> Path:
    """The file of a build: the higher its level, the newer the processors that it needs."""
    return Path(__file__).with_name(f"_kernel_{level}.so")


def opened(path: Path) -> ctypes.CDLL:
    """Its code; `OSError` for a file that this machine cannot load, or that was not made of this very source."""
    code = ctypes.CDLL(str(path))
    code.kammil_source.restype = ctypes.c_uint32
    if code.kammil_source() != crc32(SOURCE.read_bytes()):
        raise OSError(f"{path} was made of another source")
    number, place, message = ctypes.c_int64, ctypes.c_void_p, ctypes.c_char_p
    code.kammil_close.argtypes = [place]
    code.kammil_read.argtypes = [place, message, place, place, place]
    code.kammil_draw.argtypes = [
        *(place, message, number, place, ctypes.c_double, place, number),
        *(place, place, place),
    ]
    return code
