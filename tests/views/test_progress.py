"""What is shown while something is done: nobody waits in silence."""

from __future__ import annotations

import dataclasses
import io
import re
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

import kammil
from kammil.progress import (
    EpochEnded,
    MemberEvent,
    Notice,
    PhaseProgress,
    TrainingEnded,
    TrainingProgress,
    TrainingStarted,
    described,
    ignore,
    listening,
    time_left,
    tracked,
)
from kammil.views import progress as module
from kammil.views.progress import Bar, Lines, notebook_display, progress

UNDER_WAY = TrainingProgress(2, 5, 10, 8, 3.25, 60.0, 0.25, 4e-3)


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module.time, "monotonic", made.monotonic)
    return made


@pytest.mark.parametrize(
    ("elapsed", "share", "since", "text"),
    [
        (60, 0.25, 0, "03:00 left"),
        (60, 0.25, 30, "02:30 left"),
        (60, 0.25, 500, ""),  # it takes longer than expected
        (3600, 0.5, 0, "01:00:00 left"),
        (1, 0.001, 0, ""),
        (1, 0.0, 0, ""),
        (60, 1.0, 5, ""),  # something comes after all that was counted
    ],
)
def test_the_time_left(elapsed: float, share: float, since: float, text: str) -> None:
    assert time_left(PhaseProgress("counting", share, elapsed), since) == text


def test_what_is_being_done_in_one_line() -> None:
    assert described(PhaseProgress("counting", 0.5, 20.0)) == "counting: 50 %, 00:20 left"
    assert described(PhaseProgress("counting", 0.5, 20.0), since=21) == "counting: 41 s so far"  # later than expected
    assert described(PhaseProgress("reading a.txt", 0.0, 2.0), since=11) == "reading a.txt: 13 s so far"
    assert described(UNDER_WAY) == "epoch 2/8, 3.250 bits: 25 %, 03:00 left"


def test_what_is_worth_a_line() -> None:
    assert TrainingStarted("cpu", "float32", 2, 1, 9999).sentence.endswith(
        " 9,999 parameters on cpu in float32 with 2 threads"
    )
    assert TrainingStarted("cpu", "bfloat16", 1).sentence.endswith(" on cpu in bfloat16 with 1 thread")
    assert TrainingStarted("cuda", "float32", None).sentence.endswith(" on cuda in float32")
    assert Notice("There is not enough time.").sentence == "There is not enough time."
    cut = EpochEnded(3, 3.0, 0.25, 2.5, 0.5, 0.001, 60.0, True, share=0.31)
    assert cut.sentence.startswith("epoch 3 (31 % of it): ")
    assert dataclasses.replace(cut, share=1.0).sentence.startswith("epoch 3: ")


def test_without_a_terminal_one_line_in_half_a_minute(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines()
    for second in range(1, 106):
        clock.now = float(second)
        lines(PhaseProgress("counting", second / 120, clock.now))
    assert capsys.readouterr().err.splitlines() == [
        "counting: 25 %, 01:30 left",
        "counting: 50 %, 01:00 left",
        "counting: 75 %, 00:30 left",
    ]
    clock.now = 106.0
    lines(EpochEnded(1, 3.0, 0.4, 3.5, 0.3, 0.01, 106.0, True))
    assert capsys.readouterr().err.startswith("epoch 1: ")
    clock.now = 135.0
    lines(UNDER_WAY)  # 29 seconds after a line
    assert capsys.readouterr().err == ""
    clock.now = 137.0
    lines.show_progress()  # one call takes long; it goes on from what was last heard
    assert capsys.readouterr().err == "epoch 2/8, 3.250 bits: 25 %, 02:58 left\n"


def test_a_long_call_is_not_silent(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is heard while it runs: a thread speaks up."""
    monkeypatch.setattr(module, "QUIET", 0.0)
    with progress() as listen:
        listen(PhaseProgress("sorting", 0.0, 0.0))
        until = time.monotonic() + 20
        said = ""
        while said.count("sorting") < 3 and time.monotonic() < until:
            time.sleep(0.05)
            said += capsys.readouterr().err
    assert said.count("sorting: ") >= 3 and "s so far" in said
    assert listen.activity == "sorting"


def test_a_terminal_shows_the_phase_and_the_time_left() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100, highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[left]}"))
    with Progress(*columns, console=console) as bar:
        listen = Bar(bar)
        listen(PhaseProgress("reading", 0.0, 0.0))
        assert (bar.tasks[0].description, bar.tasks[0].total) == ("reading", None)
        listen(PhaseProgress("counting", 0.5, 20.0))
        task = bar.tasks[0]
        assert (task.description, task.completed, task.total, task.fields["left"]) == ("counting", 0.5, 1, "00:20 left")
        listen(UNDER_WAY)
        assert bar.tasks[0].fields["left"] == "03:00 left"
        listen(Notice("Hear [this]."))
    assert "Hear [this]." in console.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]


def test_what_is_being_done_is_known_when_it_is_stopped() -> None:
    with progress() as listen, listening(listen):
        assert listen.activity == "at its beginning"
        list(tracked([1, 2], "counting"))
        assert listen.activity == "counting"
        listen(UNDER_WAY)
        assert listen.activity == "learning, in epoch 2"


def test_members_that_learn_side_by_side_are_told_apart(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    ended = EpochEnded(1, 3.0, 0.4, 3.25, 0.5, 0.001, 20.0, True)
    lines = Lines()
    lines(MemberEvent(2, 2, ended))
    clock.now = 31.0
    lines(MemberEvent(1, 2, UNDER_WAY))
    shown = capsys.readouterr().err.splitlines()
    assert shown == [f"member 2: {ended.sentence}", f"member 1: {described(UNDER_WAY)}"]
    with Progress(TextColumn("{task.description}"), console=Console(file=io.StringIO())) as made:
        bar = Bar(made)
        for member in (1, 2):
            bar(MemberEvent(member, 2, UNDER_WAY))
        assert [task.description for task in made.tasks if task.visible] == [
            f"member {member}: epoch 2/8, 3.250 bits" for member in (1, 2)
        ]
        bar(PhaseProgress("evaluating", 0.5, 1.0))
        assert [task.description for task in made.tasks if task.visible] == ["evaluating"]


def test_a_bar_is_drawn_at_once_for_each_new_phase_or_epoch_of_each_member(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    shown = Progress(TextColumn("{task.description}"), console=Console(file=io.StringIO()))
    monkeypatch.setattr(shown, "refresh", lambda: drawn.append(1))
    bar = Bar(shown)

    def draws(event: PhaseProgress | TrainingProgress | MemberEvent) -> int:
        before = len(drawn)
        bar(event)
        return len(drawn) - before

    first, second = (TrainingProgress(epoch, 5, 10, 8, 3.25, 60.0, 0.25, 4e-3) for epoch in (1, 2))
    assert [draws(PhaseProgress("counting", share, 1.0)) for share in (0.1, 0.2)] == [1, 0]
    assert [draws(event) for event in (first, first, second)] == [1, 0, 1]
    members = [MemberEvent(1, 2, first), MemberEvent(2, 2, second)] * 2
    assert [draws(event) > 0 for event in members] == [True, True, False, False]


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a notebook would show, one piece after the other."""
    pieces: list[str] = []

    def display(html: str, *, display_id: bool) -> Any:
        pieces.append(html)
        return SimpleNamespace(update=pieces.append)

    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=1)))
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(HTML=str, display=display))
    return pieces


def test_training_is_followed(
    shown: list[str], tmp_path: Path, few: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_EVERY", 0.0)
    kammil.train(few, out=tmp_path / "m", model="gru", hidden=8, embedding=8, epochs=2, device="cpu", threads=1)
    assert "<progress" in shown[0]
    assert any("epoch 2/2" in one for one in shown) and shown[-1].count("<tr>") == 3
    assert any("epoch 1/2" in piece for piece in shown)


def test_events_of_any_kind_are_shown(shown: list[str]) -> None:
    listen = notebook_display()
    listen(TrainingProgress(1, 2, 9, 4, 3.25, 30.0, 0.25, 4e-3))
    listen(EpochEnded(1, 3.0, 0.25, 2.5, 0.5, 0.001, 60.0, True))
    assert "epoch 1/4, 3.250 bits, 01:30 left" in shown[-1]
    assert re.search(r">50\.0 %</td><td[^>]*>60</td><td[^>]*>best</td>", shown[-1])
    listen(Notice("a <b> of a run"))
    listen(TrainingEnded(1.25, 4, "interrupt", 1))
    assert "a &lt;b&gt; of a run" in shown[-1] and "interrupted" in shown[-1]


def test_elsewhere_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert notebook_display() is ignore
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    assert notebook_display() is ignore
