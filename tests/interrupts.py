"""Interrupts, as by Ctrl-C, at any line of the package."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def interrupt(act: Callable[[], object], line: int | None, *modules: str) -> int:
    """Act, with a KeyboardInterrupt before so manieth a line of some modules; return how many lines ran.

    Not where a `with` begins and ends: Python looks for signals behind calls, and never between a lock and its block.
    """
    count = 0

    def traced(frame: FrameType, event: str, _: object) -> Any:
        nonlocal count
        if not frame.f_code.co_filename.endswith(modules):
            return None
        if event != "line" or linecache.getline(frame.f_code.co_filename, frame.f_lineno).lstrip().startswith("with "):
            return traced
        count += 1
        if count == line:
            sys.settrace(None)
            raise KeyboardInterrupt
        return traced

    before = sys.gettrace()
    sys.settrace(traced)
    try:
        act()
    finally:
        sys.settrace(before)
    return count
