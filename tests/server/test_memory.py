"""Free memory goes back to the system."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest

from kammil.server.memory import trim_heap

STATUS = Path("/proc/self/status")


def resident() -> int:
    """Kilobytes of the process in memory."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1])


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="this C library has no malloc_trim")
@pytest.mark.long
def test_gaps_between_lasting_allocations_are_returned() -> None:
    blocks = [bytes(100_000) for _ in range(1000)]  # below the size from which malloc maps each block by itself
    lasting = blocks[::10]
    full = resident()
    del blocks
    trim_heap()
    assert full - resident() > 60_000  # of 90,000 kB
    assert len(lasting) == 100
