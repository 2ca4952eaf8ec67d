"""The report of a simulated writer: its figures are those of the runs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kammil
from kammil.completion.channel import Channel
from kammil.completion.completer import Completer
from kammil.completion.ghost_text import GHOST
from kammil.errors import DataError, OptionError
from kammil.evaluation.keystrokes import (
    WIDTHS,
    TypingRuns,
    keystrokes_saved,
    precision,
    type_with_help,
    type_with_oracle,
    type_with_random_words,
)
from kammil.evaluation.typing_report import BINS, DEVICES, calibration, simulate, words_and_minutes

LEAST = 0.001
"""A threshold that lets the smallest models say something."""


def begun(texts: list[str]) -> list[str]:
    """The beginnings of four texts that no model has learnt."""
    return [text[:40].rstrip() for text in texts[300:304]]


def test_figures_of_a_model_and_its_baseline(model: Completer, texts: list[str]) -> None:
    report = simulate(model, [*begun(texts), " "], threshold=LEAST)
    assert (report.texts, report.threshold) == (4, LEAST)
    assert report.ceiling is not None
    assert list(report.baselines) == ["3-gram"]
    for helped in (report.model, *report.baselines.values()):
        assert list(helped.lists) == list(WIDTHS)
        saved = [savings.keystrokes.value for savings in helped.lists.values() if savings.keystrokes is not None]
        assert saved == sorted(saved) and saved[-1] <= report.ceiling.value  # a longer list saves no less here
        assert helped.calibration.bins
        assert 0 <= helped.proven <= 1
    assert report.model.lists.keys() == set(WIDTHS)


def test_typing_texts_one_by_one_changes_nothing(model: Completer, texts: list[str]) -> None:
    sample = [model.normalise(text) for text in begun(texts)]
    whole = type_with_help(model.language_model, model.vocabulary, sample, LEAST)
    runs = [type_with_help(model.language_model, model.vocabulary, some, LEAST) for some in ([text] for text in sample)]
    joined = TypingRuns.joined(runs)
    found, expected = ([*each.lists.values(), *each.ghosts.values()] for each in (joined, whole))
    for one_by_one, together in zip(found, expected, strict=True):
        for name in ("writing", "timed", "places"):
            assert (getattr(one_by_one, name) == getattr(together, name)).all()
    assert (joined.suggested.steps, joined.suggested.proven) == pytest.approx(
        (whole.suggested.steps, whole.suggested.proven), rel=0.01
    )


def test_a_name_that_was_said_saves_keys() -> None:
    talk = ["رودي رجع من السفر مبارح", "بدنا نعزم رودي عالعشا", "وين رودي؟", "حكيت مع رودي"]
    levantine, saved = kammil.load(), list[float]()
    for context in (0, 3):
        report = simulate(levantine, talk, context=context)
        keystrokes = report.model.lists[3].keystrokes
        assert report.context == context and keystrokes is not None
        saved.append(keystrokes.value)
    assert saved[1] > saved[0]


def test_columns_add_up_to_the_figures(model: Completer, texts: list[str]) -> None:
    sample = [model.normalise(text) for text in begun(texts)]
    runs = type_with_help(model.language_model, model.vocabulary, sample, LEAST, channel=Channel.of(model.vocabulary))
    report = simulate(model, sample, threshold=LEAST)
    for run, savings in ((runs.ghosts[GHOST], report.model.ghost), (runs.lists[3], report.model.lists[3])):
        for columns, interval in (
            (keystrokes_saved(run.writing), savings.keystrokes),
            (precision(run.writing), savings.precision),
        ):
            above, below = columns.sum(axis=0)
            assert (interval is None) == (below == 0)  # a model may be sure of nothing
            assert interval is None or interval.value == pytest.approx(above / below)
    oracle = keystrokes_saved(type_with_oracle(sample)).sum(axis=0)
    assert report.ceiling is not None and report.ceiling.value == pytest.approx(oracle[0] / oracle[1])


@pytest.mark.parametrize("slips", [-0.1, 1.5, float("nan")])
def test_slips_are_a_share(model: Completer, slips: float) -> None:
    with pytest.raises(OptionError, match=f"slips is {slips}, .*0 and 1"):
        simulate(model, ["شو حلو"], slips=slips)


def test_slips_cost_keys(model: Completer, texts: list[str]) -> None:
    sample = [text[:40] for text in texts[:6]]  # training texts: those that a small model completes
    saved = [
        report.model.lists[5].keystrokes
        for report in (simulate(model, sample, threshold=LEAST, slips=share) for share in (0.0, 0.3))
    ]
    assert saved[0] is not None and saved[1] is not None and saved[1].value <= saved[0].value


def test_a_model_that_stays_silent(model: Completer, texts: list[str]) -> None:
    savings = simulate(model, texts[300:302], threshold=1).model
    assert savings.lists[3].precision is None and savings.calibration.error is None and savings.calibration.bins == ()
    assert savings.lists[3].keystrokes is not None and savings.lists[3].keystrokes.value == 0


def test_of_many_texts_some_are_typed(model: Completer, texts: list[str]) -> None:
    sample = [text[:10] for text in texts[:9]]
    assert simulate(model, sample, max_texts=3) == simulate(model, sample[::3])
    assert simulate(model, sample[:2], max_texts=None) == simulate(model, sample[:2])
    assert simulate(model, [text + "  " for text in sample[:2]]) == simulate(model, sample[:2])  # as files are read


def test_nothing_to_type(model: Completer) -> None:
    with pytest.raises(DataError, match="no text to type"):
        simulate(model, ["", " "])


def test_random_words_stand_beside_the_model(model: Completer, texts: list[str]) -> None:
    sample = [model.normalise(text) for text in begun(texts)]
    report, runs = simulate(model, sample), type_with_random_words(sample)
    for width, savings in report.random.items():
        above, below = keystrokes_saved(runs[width].writing).sum(axis=0)
        assert savings.keystrokes is not None and savings.keystrokes.value == pytest.approx(above / below)
        assert savings.shown is not None and savings.shown.value == 1
        assert report.ceiling is not None and savings.keystrokes.value < report.ceiling.value
        for device, rate in savings.speed.items():
            assert rate is not None and rate.value < report.unaided[device]  # reading costs more than chance saves


PREDICTIONS = st.lists(
    st.lists(st.tuples(st.floats(0.001, 1), st.booleans()), max_size=8).map(lambda pairs: pairs), min_size=1, max_size=6
)


@given(PREDICTIONS)
def test_the_error_is_the_mean_distance_in_bins(texts: list[list[tuple[float, bool]]]) -> None:
    calibrated = calibration(
        [np.array([p for p, _ in t]) for t in texts], [np.array([r for _, r in t], bool) for t in texts]
    )
    pairs = [pair for text in texts for pair in text]
    if not pairs:
        assert calibrated.error is None and calibrated.bins == ()
        return
    total, bins = 0.0, []
    for b in range(BINS):
        inside = [(p, r) for p, r in pairs if min(int(p * BINS), BINS - 1) == b]
        if inside:
            predicted, right = (sum(column) / len(inside) for column in zip(*inside, strict=True))
            bins.append((len(inside), predicted, right))
            total += len(inside) * abs(predicted - right)
    assert calibrated.error is not None
    assert calibrated.error.value == pytest.approx(total / len(pairs))
    assert [(b.suggestions, b.probability, b.right) for b in calibrated.bins] == [pytest.approx(b) for b in bins]


def test_who_knows_and_who_boasts() -> None:
    generator = np.random.default_rng(0)
    predicted = [generator.random(500) for _ in range(20)]
    knows = calibration(predicted, [generator.random(500) < p for p in predicted])
    boasts = calibration(predicted, [generator.random(500) < p / 2 for p in predicted])
    assert knows.error is not None and knows.error.value < 0.02
    error = boasts.error
    assert error is not None and error.low is not None and error.high is not None
    assert error.low < 0.25 < error.high


def minutes(device: str, *, ghost: bool, **counts: float) -> float:
    """Minutes of a run with these counts."""
    names = ["keys", "characters", "shown", "accepted", "words", "ranks", "read", "bits", "wrong", "wrong_letters"]
    names.append("words_taken")
    row = np.array([[counts.get(name, 0.0) for name in names]])
    return words_and_minutes(row, DEVICES[device], ghost=ghost)[0, 1]


@pytest.mark.parametrize(("device", "rate"), [("phone", 36.2), ("desktop", 51.6)])
def test_without_help_the_rate_is_that_of_the_people_observed(device: str, rate: float) -> None:
    row = np.array([[500.0, 500.0, *[0.0] * 9]])
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
