"""What a report measures: a bounded number of texts, spread over all, and typing only where there is time."""

from __future__ import annotations

import builtins
import getpass
import os
import platform
import re
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kammil
from kammil.evaluation.bootstrap import MIN_TEXTS
from kammil.evaluation.measurements import MAX_LENGTH, QUOTED, cut, machine, measure, versions, within

TEXTS = st.lists(st.text("شو ab", max_size=30), min_size=1, max_size=50)


@given(texts=TEXTS, number=st.integers(1, 60), characters=st.integers(1, 400))
def test_texts_stay_within_their_bounds(texts: list[str], number: int, characters: int) -> None:
    found = within(texts, number, characters)
    assert 1 <= len(found) <= number
    assert len(found) == 1 or sum(map(len, found)) <= characters
    if sum(map(len, texts)) <= characters:
        assert len(found) == min(number, len(texts))


@given(text=st.text("شو ab", max_size=60), length=st.integers(1, 40))
def test_a_text_is_cut_behind_a_word(text: str, length: int) -> None:
    found = cut(text, length)
    assert text.startswith(found) and len(found) <= length
    if len(text) <= length:
        assert found == text
    elif len(found) < length and found:
        assert text[len(found)] == " ", "what fits is left out only with its word"
    if text.strip(" ") and not text.startswith(" "):
        assert found


def test_cuts_by_hand() -> None:
    assert cut("يا زلمة شو", 8) == "يا زلمة"
    assert cut("يا زلمة شو", 7) == "يا زلمة"
    assert cut("يا زلمة شو", 6) == "يا"
    assert cut("زلمةةةةة", 4) == "زلمة"


def test_what_is_measured(folder_of: Callable[[str], Path], texts: list[str]) -> None:
    model, some = kammil.load(folder_of("ngram")), texts[240:262]
    found = measure(model, ["شو " * 400, *some], seconds=1e6)  # time decides no test
    assert len(found.samples) == len(found.explanations) == QUOTED
    assert all(
        explanation.text.startswith(sample.input)
        for sample, explanation in zip(found.samples, found.explanations, strict=True)
    )
    assert max(len(explanation.text) for explanation in found.explanations) <= MAX_LENGTH
    assert found.sliced == 23 and sum(each.texts for each in found.slices if each.criterion == "emoji") == 23
    assert found.typing is not None and found.typing.texts == 23


def test_nobody_types_without_time_or_texts(folder_of: Callable[[str], Path], texts: list[str]) -> None:
    model = kammil.load(folder_of("ngram"))
    assert measure(model, texts[240:262], seconds=1e-9).typing is None
    assert measure(model, texts[240 : 240 + MIN_TEXTS - 1], seconds=1e6).typing is None
    assert measure(model, [" "], seconds=1e6).samples == ()


def test_a_machine_has_a_processor_cores_and_memory() -> None:
    found = machine()
    assert list(found) == ["processor", "cores", "memory", "operating system"]
    assert int(re.match(r"\d+", found["cores"])[0]) == os.cpu_count()  # pyright: ignore[reportOptionalSubscript]
    gibibytes = float(found["memory"].removesuffix(" GiB"))
    assert gibibytes == pytest.approx(psutil.virtual_memory().total / 2**30, abs=0.06)


def test_nothing_names_a_person_or_a_place() -> None:
    said = " ".join([*machine().values(), *versions().values()])
    for name in (platform.node(), getpass.getuser(), str(Path.home()), str(Path.cwd())):
        assert len(name) < 3 or name not in said, name


def test_versions_are_those_of_the_packages() -> None:
    found = versions()
    assert found["Python"] == platform.python_version()
    assert all(found[name] == version(name) for name in ("kammil", "numpy", "torch"))


def test_what_is_unknown_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_psutil(name: str, *rest: object) -> ModuleType:
        if name == "psutil":
            raise ModuleNotFoundError(name)
        return real(name, *rest)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(builtins, "__import__", without_psutil)
    assert "memory" not in machine()
