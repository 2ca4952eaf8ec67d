"""Settings of a blend that do not go together are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

import kammil
from kammil.errors import OptionError


def test_history_that_is_not_counted_is_refused_with_a_sentence(tmp_path: Path, few: list[str]) -> None:
    with pytest.raises(OptionError, match=r'o3 is not among kinds; give history=\["o1", "o2", "w"\] too'):
        kammil.train(few, out=tmp_path / "model", model="blend", kinds=("o1", "o2", "w"), report=False)
