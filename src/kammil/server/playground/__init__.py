"""The page on which people type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

HEADERS: Mapping[str, str] = MappingProxyType({"Content-Security-Policy": "default-src 'self'"})
"""To be sent with every file of the page."""


@dataclass(frozen=True)
class Asset:
    """One file of the page."""

    content: bytes
    media: str
    """For the header `Content-Type`."""


def assets() -> Mapping[str, Asset]:
    """All files by their path below the page's address; the page itself is ""."""
    return {"": Asset(b"<!doctype html><title>Kammil</title><p>Kammil answers under /v1.", "text/html; charset=utf-8")}
