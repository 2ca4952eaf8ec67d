"""Every measure has one name, one meaning and one way to be shown."""

from __future__ import annotations

from kammil.evaluation.bootstrap import Interval
from kammil.evaluation.measures import MEASURES, show


def test_figures_are_shown_with_their_intervals() -> None:
    assert show(Interval(0.12345, 0.1, 0.2)) == "0.123 (0.100-0.200)"
    assert show(Interval(0.12345, 0.1, 0.2), percent=True) == "12.3 % (10.0-20.0)"
    assert show(Interval(0.12345, None, None), percent=True) == "12.3 %"
    assert show(Interval(0.12345, None, None)) == "0.123"
    assert show(Interval(0.12345, -0.1, 0.2), signed=True) == "+0.123 (-0.100..+0.200)"
    assert show(Interval(0.12345, -0.1, 0.2), percent=True, bounds=False) == "12.3 %"
    assert show(None) == ""


def test_every_measure_is_told_apart_and_explained() -> None:
    titles = [measure.title for measure in MEASURES.values()]
    assert len(set(titles)) == len(titles) and not any(": " in title for title in titles)
    for measure in MEASURES.values():
        assert measure.explained.endswith(f"; {measure.better} is better") or not measure.better
