"""Words a minute, against times that are added up by hand."""

from __future__ import annotations

import numpy as np
import pytest

from kammil.evaluation.typing_speed import DEVICES, words_and_minutes


def minutes(device: str, *, ghost: bool, **counts: float) -> float:
    """Minutes of a run with these counts."""
    names = ["keys", "characters", "shown", "accepted", "words", "ranks", "read", "bits", "wrong", "wrong_letters"]
    row = np.array([[counts.get(name, 0.0) for name in names]])
    return words_and_minutes(row, DEVICES[device], ghost=ghost)[0, 1]


@pytest.mark.parametrize(("device", "rate"), [("phone", 36.2), ("desktop", 51.6)])
def test_without_help_the_rate_is_that_of_the_people_observed(device: str, rate: float) -> None:
    row = np.array([[500.0, 500.0, *[0.0] * 8]])
    written, taken = words_and_minutes(row, DEVICES[device], ghost=True)[0]
    assert written == 100
    assert written / taken == pytest.approx(rate)
    assert DEVICES[device].words_a_minute == pytest.approx(rate)


def test_what_is_read_costs_time() -> None:
    glance = 60 * minutes("phone", ghost=True, read=1, bits=1)
    assert glance == pytest.approx(0.230 + 0.150)
    assert 60 * minutes("desktop", ghost=True, read=1, bits=1) == pytest.approx(0.150)
    assert 60 * minutes("desktop", ghost=False, read=1, bits=2) == pytest.approx(0.230 + 0.300)


def test_a_word_of_a_list_is_a_tap_or_some_keys() -> None:
    for device, keys in (("phone", 1), ("desktop", 2 + 2)):  # the third word: down, on, on, Enter
        time = minutes(device, ghost=False, keys=1, accepted=1, ranks=2)
        assert time == pytest.approx(keys * minutes(device, ghost=False, keys=1))
    assert minutes("desktop", ghost=True, keys=1, accepted=1) == minutes("desktop", ghost=True, keys=1)


def test_a_wrong_word_is_now_and_then_taken_and_deleted() -> None:
    key = 60 * minutes("phone", ghost=True, keys=1)
    wrong = 60 * minutes("phone", ghost=True, wrong=1, wrong_letters=4)
    assert wrong == pytest.approx(0.023 * (key + 0.170 + 5 * key))  # taken, seen, deleted with its space
