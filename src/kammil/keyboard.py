"""Keyboards: which keys lie beside which."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_KEYBOARDS = (
    ("ضصثقفغعهخحجد", "شسيبلاتنمكط", "ئءؤرىةوزظ"),  # Arabic, as phones have it
    ("qwertyuiop", "asdfghjkl", "zxcvbnm"),
)


def _neighbours() -> dict[str, str]:
    found: dict[str, str] = {}
    for rows in _KEYBOARDS:
        for r, row in enumerate(rows):
            for c, letter in enumerate(row):
                around = [(r, c - 1), (r, c + 1), (r - 1, c), (r - 1, c + 1), (r + 1, c - 1), (r + 1, c)]
                found[letter] = "".join(rows[a][b] for a, b in around if 0 <= a < 3 and 0 <= b < len(rows[a]))
    return found


NEIGHBOURS: Mapping[str, str] = MappingProxyType(_neighbours())
"""Letter -> the letters beside it in its row, and those above and below."""
