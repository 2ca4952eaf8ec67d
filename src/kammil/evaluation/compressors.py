"""Bits that general compressors need for the same texts: LZMA, which finds repeats, and PPMd, which predicts bytes.

A compressor reads the training texts in UTF-8, a separator after each, and then the test texts. It is charged for the
growth of its output there: 8 bits a byte, separators included, as models are charged for ends of texts. It goes on
learning while it reads the test texts, which models do not; that is in its favour (0.01 bits a character on the 64
validation tweets of the benchmark after its 2,487: PPMd pays 3.21, and 3.22 if it starts each of them afresh).

PPMd (Shkarin 2002; variant H) writes as it reads, so the size of its output is known between any two characters, to a
byte; the errors of neighbours cancel. LZMA looks ahead by thousands of bytes, so only its total size is known.
"""

from __future__ import annotations

import lzma
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kammil.errors import MissingExtraError
from kammil.evaluation.bootstrap import Array
from kammil.progress import tracked

ORDERS = (4, 6, 8, 10, 12, 16)
"""Orders of PPMd that validation chooses from: the most bytes that it looks back. An Arabic letter takes two."""
_MEMORY_BYTES = 1 << 28
"""Memory for PPMd's contexts: when it is full, PPMd forgets all contexts and begins anew."""


@dataclass(frozen=True)
class CompressedBits:
    """Bits that PPMd needed for each text."""

    order: int
    """The order that validation chose."""
    target_bits: Array
    """(N,): bits of the target characters."""
    bits_with_end: Array
    """(N,): bits of the text and its separator."""


def ppmd(
    train: Sequence[str], validation: Sequence[str], test: Sequence[str], targets: Sequence[slice]
) -> CompressedBits:
    """Compress test texts, none empty, after the training texts with PPMd; `MissingExtraError` without pyppmd."""
    separator = _separator([*train, *validation, *test])
    training = _utf8(train, separator)
    judged = _utf8(validation, separator)
    order = min(ORDERS, key=lambda order: _output_growth(order, training, [judged])[0])
    pieces: list[bytes] = []
    for text, target in zip(test, targets, strict=True):
        for part in (text[: target.start], text[target], text[target.stop :] + separator):
            pieces.append(part.encode("utf-8", "surrogatepass"))
    growth = 8.0 * np.array(_output_growth(order, training, pieces)).reshape(len(test), 3)
    return CompressedBits(order, growth[:, 1], growth.sum(axis=1))


def _output_growth(order: int, training: bytes, pieces: Sequence[bytes]) -> list[int]:
    """Return by how many bytes PPMd's output grows over each piece, after it has read the training texts."""
    try:
        import pyppmd
    except ModuleNotFoundError as error:
        raise MissingExtraError("PPMd needs pyppmd", "train") from error
    encoder = pyppmd.Ppmd7Encoder(order, _MEMORY_BYTES)
    encoder.encode(training)
    return [len(encoder.encode(piece)) for piece in tracked(pieces, "compressing")]


def lzma_bits(train: Sequence[str], test: Sequence[str]) -> float:
    """Return the bits that LZMA (preset 9, extreme) needs for test texts and separators, after the training texts."""
    separator = _separator([*train, *test])
    training = _utf8(train, separator)
    return 8.0 * (_lzma_size(training + _utf8(test, separator)) - _lzma_size(training))


def _lzma_size(content: bytes) -> int:
    return len(lzma.compress(content, lzma.FORMAT_ALONE, preset=9 | lzma.PRESET_EXTREME))


def _separator(texts: Sequence[str]) -> str:
    """Choose the separator of texts: a line break, unless some text contains one."""
    return "\0" if any("\n" in text for text in texts) else "\n"


def _utf8(texts: Sequence[str], separator: str) -> bytes:
    return "".join(text + separator for text in texts).encode("utf-8", "surrogatepass")
