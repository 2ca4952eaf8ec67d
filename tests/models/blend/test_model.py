"""Settings of a blend: which go together, and its size by text, minutes and threads."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kammil
from kammil.errors import OptionError
from kammil.models.blend.model import BlendSettings
from kammil.models.blend.network import LEARNER, MEMBERS

sizes = LEARNER.sizes
characters, minutes, threads = st.integers(1, 10**9), st.floats(0.01, 10_000), st.integers(1, 64)


@pytest.mark.parametrize(
    ("text", "time", "cores", "members"),
    [
        (323_662, 10, 2, 4),  # lev30: 2,487 tweets
        (323_662, 10, 1, 2),
        (323_662, 5, 2, 2),
        (323_662, 3, 1, 1),
        (400_000, 10, 2, 4),  # some 5,000 texts
        (7_500_000, 5, 2, 1),  # 100,000 texts
        (7_500_000, 30, 2, 1),
        (60_000, 2, 1, 2),
    ],
)
def test_sizes_of_runs_as_people_start_them(text: int, time: float, cores: int, members: int) -> None:
    assert sizes(text, time, cores)["networks"] == members


@pytest.mark.parametrize(
    ("text", "time", "units"),
    [(323_662, 10, 384), (7_500_000, 5, 384), (7_500_000, 30, 512), (25_000_000, 30, 512), (3_000_000, 600, 384)],
)
def test_much_text_and_time_make_it_wider(text: int, time: float, units: int) -> None:
    assert {sizes(text, time, threads)["hidden"] for threads in (1, 4)} == {units}


@given(characters, minutes, threads)
def test_more_time_or_threads_never_make_it_smaller(text: int, time: float, cores: int) -> None:
    chosen = sizes(text, time, cores)
    for more in (
        sizes(text, 2 * time, cores),
        sizes(text, time, cores + 1),
        sizes(max(1, text // 2), time, cores),
    ):
        assert more["networks"] >= chosen["networks"]
    assert 1 <= chosen["networks"] <= MEMBERS
    BlendSettings.model_validate({name: value for name, value in chosen.items() if name != "epochs"})


def test_a_member_more_has_time_for_six_passes() -> None:
    """At 8,000 characters a second, one thread."""
    six = 6 * 60_000 / 8_000 / 60
    assert [sizes(60_000, share * six, 1)["networks"] for share in (0.9, 1.9, 2.01, 3.01, 9)] == [1, 1, 2, 3, 4]
    assert sizes(60_000, 1.01 * six, 3)["networks"] == 3  # each on a thread of its own


def test_history_that_is_not_counted_is_refused_with_a_sentence(tmp_path: Path, few: list[str]) -> None:
    with pytest.raises(OptionError, match=r'o3 is not among kinds; give history=\["o1", "o2", "w"\] too'):
        kammil.train(few, out=tmp_path / "model", model="blend", kinds=("o1", "o2", "w"), report=False)
