"""Compressors as predictors: what is charged, and for what."""

from __future__ import annotations

import lzma
import math

import numpy as np
import pyppmd
import pytest

from kammil.evaluation import compressors
from kammil.evaluation.metrics import half
from kammil.evaluation.scorecard import targets


def test_texts_sum_to_the_growth_of_the_whole(texts: list[str]) -> None:
    train, validation, test = texts[:300], texts[300:340], texts[340:400]
    bits = compressors.ppmd(train, validation, test, targets(test))

    def size(content: list[str]) -> int:
        encoder = pyppmd.Ppmd7Encoder(bits.order, 1 << 28)
        return len(encoder.encode("".join(f"{text}\n" for text in content).encode()) + encoder.flush())

    grown = 8 * (size(train + test) - size(train))
    assert bits.bits_with_end.sum() == pytest.approx(grown, abs=16)  # the range coder holds back a byte or two
    assert ((bits.target_bits >= 0) & (bits.target_bits <= bits.bits_with_end)).all()
    share = sum(min(30, len(text) - half(text)) for text in test) / sum(len(text) + 1 for text in test)
    assert bits.target_bits.sum() / bits.bits_with_end.sum() == pytest.approx(share, abs=0.1)


def test_validation_chooses_the_order(texts: list[str]) -> None:
    train, validation, test = texts[:200], texts[300:340], texts[340:345]

    def paid(order: int) -> int:
        encoder = pyppmd.Ppmd7Encoder(order, 1 << 24)
        encoder.encode("".join(f"{text}\n" for text in train).encode())
        return len(encoder.encode("".join(f"{text}\n" for text in validation).encode()))

    order = compressors.ppmd(train, validation, test, targets(test)).order
    assert paid(order) == min(map(paid, compressors.ORDERS))


def test_what_was_read_before_is_cheap(texts: list[str]) -> None:
    familiar, new = texts[:20], ["Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich"] * 1
    bits = compressors.ppmd(texts[:200], texts[200:220], [*familiar, *new], targets([*familiar, *new]))
    per_character = bits.bits_with_end / np.array([len(text) + 1 for text in [*familiar, *new]])
    assert per_character[:-1].max() < per_character[-1]
    assert compressors.lzma_bits(texts[:200], familiar) < 0.5 * compressors.lzma_bits(texts[:200], texts[300:320])


def test_lzma_is_weighed_as_a_whole(texts: list[str]) -> None:
    train, test = texts[:100], texts[100:140]
    bits = compressors.lzma_bits(train, test)
    before, after = ("".join(f"{t}\n" for t in part).encode() for part in (train, train + test))
    preset = 9 | lzma.PRESET_EXTREME
    sizes = [len(lzma.compress(content, preset=preset)) for content in (before, after)]
    assert bits == pytest.approx(8 * (sizes[1] - sizes[0]), abs=64)  # that container pads to 4 bytes
    assert bits < math.log2(256) * len(after[len(before) :])


def test_line_breaks_and_lone_surrogates_are_texts_too() -> None:
    test = ["a\nb", "\ud800c"]
    bits = compressors.ppmd(["ab\n", "cd"], ["a"], test, targets(test))
    assert bits.bits_with_end.shape == (2,)
