"""What general compressors pay for the same texts: LZMA, which finds repeats, and PPMd, which predicts bytes.

A compressor reads the training texts in UTF-8, a separator after each, and goes on to the test texts. What is charged
is what its output grows by there: 8 bits a byte, separators included, as models are charged for ends of texts. It goes
on learning while it reads the test texts, which models do not; that is in its favour (0.01 bits a character on the 64
validation tweets of the benchmark after its 2,487: PPMd pays 3.21, and 3.22 where it meets each of them first).

PPMd (Shkarin 2002; variant H) writes as it reads, so the output can be weighed between any two characters, to a byte;
the errors of neighbours cancel. LZMA looks ahead by thousands of bytes and can be weighed as a whole only.
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
"""Bytes that PPMd looks back at most; validation chooses. An Arabic letter takes two."""
_MEMORY = 1 << 28
"""Bytes for PPMd's contexts: when they are full it forgets everything and begins anew."""


@dataclass(frozen=True)
class CompressedBits:
    """What PPMd paid for each text."""

    order: int
    """The one that validation chose."""
    target_bits: Array
    """(N,): for the target characters."""
    bits_with_end: Array
    """(N,): for the text and its separator."""


def ppmd(
    train: Sequence[str], validation: Sequence[str], test: Sequence[str], targets: Sequence[slice]
) -> CompressedBits:
    """Weigh test texts, none empty, and the target in each; `MissingExtraError` without pyppmd."""
    separator = _separator([*train, *validation, *test])
    past = _encoded(train, separator)
    judges = _encoded(validation, separator)
    order = min(ORDERS, key=lambda order: _grown(order, past, [judges])[0])
    pieces: list[bytes] = []
    for text, target in zip(test, targets, strict=True):
        for part in (text[: target.start], text[target], text[target.stop :] + separator):
            pieces.append(part.encode("utf-8", "surrogatepass"))
    grown = 8.0 * np.array(_grown(order, past, pieces)).reshape(len(test), 3)
    return CompressedBits(order, grown[:, 1], grown.sum(axis=1))


def _grown(order: int, past: bytes, pieces: Sequence[bytes]) -> list[int]:
    """By how many bytes PPMd's output grows over each piece, after it has read the past."""
    try:
        import pyppmd
    except ModuleNotFoundError as error:
        raise MissingExtraError("PPMd needs pyppmd; run: pip install 'kammil[train]'") from error
    encoder = pyppmd.Ppmd7Encoder(order, _MEMORY)
    encoder.encode(past)
    return [len(encoder.encode(piece)) for piece in tracked(pieces, "compressing")]


def lzma_bits(train: Sequence[str], test: Sequence[str]) -> float:
    """Bits that LZMA (preset 9, extreme) pays for the test texts and their separators after the training texts."""
    separator = _separator([*train, *test])
    past = _encoded(train, separator)
    return 8.0 * (_lzma_size(past + _encoded(test, separator)) - _lzma_size(past))


def _lzma_size(content: bytes) -> int:
    return len(lzma.compress(content, lzma.FORMAT_ALONE, preset=9 | lzma.PRESET_EXTREME))


def _separator(texts: Sequence[str]) -> str:
    """What stands between texts: a line break, unless some text holds one."""
    return "\0" if any("\n" in text for text in texts) else "\n"


def _encoded(texts: Sequence[str], separator: str) -> bytes:
    return "".join(text + separator for text in texts).encode("utf-8", "surrogatepass")
