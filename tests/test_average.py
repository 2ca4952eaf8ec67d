"""`recipes/average.py`: weights between those of two models, everything else of the second."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import average
import kammil
from kammil.engine.quantization import pack, unpack

Arrays = dict[str, NDArray[np.generic]]


def arrays(seed: int, rows: int = 3) -> Arrays:
    """Weights of a small blend as a folder holds them, and tables of its own."""
    rng = np.random.default_rng(seed)
    weights: Arrays = {
        "output.weight": rng.normal(size=(rows, 4)).astype(np.float32),
        "output.bias": rng.normal(size=rows).astype(np.float16),
        "counts.ids": np.full(5, seed, np.uint16),
        "background.ids": np.full(5, seed, np.uint16),
        "in_word": np.arange(rows) % 2 == seed % 2,
    }
    return pack(weights, ["output.weight"])


@given(st.integers(0, 99), st.integers(100, 199), st.floats(0, 1))
def test_each_weight_lies_between_those_of_the_models(one: int, other: int, share: float) -> None:
    first, second = unpack(arrays(one)), unpack(arrays(other))
    mean = unpack(average.averaged(arrays(one), arrays(other), share))
    assert {name: array.dtype for name, array in mean.items()} == {name: array.dtype for name, array in second.items()}
    for name, step in (("output.bias", 0.004), ("output.weight", 0.0)):
        exact = (1 - share) * first[name].astype(float) + share * second[name].astype(float)
        steps = step or np.abs(exact).max(axis=-1, keepdims=True) / 63  # of what a matrix is stored in
        assert (np.abs(mean[name].astype(float) - exact) <= steps / 2 + 1e-6).all()


def test_tables_are_those_of_the_second() -> None:
    first, second = arrays(1), arrays(2)
    for share, kept in ((0.0, first), (1.0, second)):
        mean, whole = unpack(average.averaged(first, second, share)), unpack(kept)
        np.testing.assert_allclose(mean["output.weight"].astype(float), whole["output.weight"].astype(float), atol=1e-6)
        np.testing.assert_array_equal(mean["output.bias"], whole["output.bias"])
        for name in ("counts.ids", "background.ids", "in_word"):
            np.testing.assert_array_equal(mean[name], second[name])


def test_models_of_other_weights_are_refused() -> None:
    other = arrays(2) | {"gate.bias": np.zeros(2, np.float16)}
    for first, second in ((arrays(1), arrays(2, rows=4)), (arrays(1), other), (other, arrays(1))):
        with pytest.raises(SystemExit, match="other names or shapes"):
            average.averaged(first, second, 0.5)


def test_a_folder_is_described_anew(
    folder_of: Callable[[str], Path], texts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, out, validation = folder_of("blend"), tmp_path / "mean", tmp_path / "validation.txt"
    validation.write_text("\n".join(texts[:12]), "utf-8")
    arguments = ["average.py", str(first), str(first), str(out), "--validation", str(validation), "--share", "0.25"]
    monkeypatch.setattr(sys, "argv", arguments)
    average.main()
    metrics, card = json.loads((out / "metrics.json").read_text("utf-8")), (out / "README.md").read_text("utf-8")
    assert metrics["averaged"] == {"with": first.name, "share": 0.25} and metrics["validation"]["texts"] == 12
    last = (
        f"python recipes/average.py {first.name} {first.name}-again averaged --validation validation.txt --share 0.25"
    )
    assert last in card and not list(out.glob("*.html"))
    assert kammil.load(out).score(texts[0]).bits == pytest.approx(kammil.load(first).score(texts[0]).bits, abs=0.02)
    monkeypatch.setattr(sys, "argv", [*arguments[:-1], "1.5"])
    with pytest.raises(SystemExit, match=r"1\.5; give one from 0 to 1"):
        average.main()
