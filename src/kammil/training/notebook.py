"""Show training in a notebook: a progress bar, and below it a table of epochs. Needs nothing beyond IPython."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from html import escape
from typing import Any

from kammil.progress import Notice, PhaseProgress
from kammil.training.events import CounterAhead, EpochEnded, Event, MemberEvent, TrainingEnded, TrainingProgress, ignore

_EVERY = 0.2
"""Seconds between two updates of the bar."""


def listener() -> Callable[[Event], None]:
    """Return a display of training if this process runs in a notebook, else a function that ignores events."""
    shell: Any = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return TrainingDisplay() if hasattr(shell, "kernel") else ignore


class TrainingDisplay:
    """An output cell that is updated with the events of training."""

    def __init__(self) -> None:
        """Show an empty bar."""
        from IPython.display import HTML, display  # pyright: ignore[reportMissingImports]

        self._html: Callable[[str], object] = HTML
        self._epochs: list[tuple[str, EpochEnded]] = []
        self._notes: list[str] = []
        self._updated = 0.0
        self._phase, self._share, self._elapsed = "reading", 0.0, 0.0
        self._handle: Any = display(HTML(self.html()), display_id=True)

    def __call__(self, event: Event) -> None:
        """Take in an event and update the cell: at once, but for progress, which is shown every 0.2 seconds."""
        at_once, member = True, ""
        if isinstance(event, MemberEvent):
            member, event = f"member {event.member}, ", event.event
        if isinstance(event, TrainingProgress):
            self._phase = f"{member}epoch {event.epoch} of {event.epochs}, {event.train_bits:.3f} bits"
            self._share, self._elapsed, at_once = event.progress, event.elapsed, False
        elif isinstance(event, EpochEnded):
            self._epochs.append((member, event))
        elif isinstance(event, PhaseProgress):
            self._phase, self._share, self._elapsed = member + event.phase, event.done, event.elapsed
            at_once = False
        elif isinstance(event, Notice | TrainingEnded | CounterAhead):
            self._notes.append(member + event.sentence)
        if at_once or time.monotonic() - self._updated >= _EVERY:
            self._updated = time.monotonic()
            self._handle.update(self._html(self.html()))

    def html(self) -> str:
        """Return the content of the cell."""
        left = ""
        if self._share > 0.005:
            seconds = self._elapsed * (1 - self._share) / self._share
            left = f", {int(seconds // 60)}:{int(seconds % 60):02} left"
        value = f' value="{self._share:.3f}"' if self._share else ""
        bar = f'<progress max="1"{value} aria-label="training"></progress> {escape(self._phase)}{left}'
        rows = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in _cells(*epoch))}</tr>" for epoch in self._epochs)
        heads = ("epoch", "training bits", "validation bits", "right", "seconds", "")
        head = "".join(f"<th>{head}</th>" for head in heads)
        notes = "".join(f"<div>{escape(sentence)}</div>" for sentence in self._notes)
        return f"<div>{bar}</div>{notes}" + (f"<table><tr>{head}</tr>{rows}</table>" if rows else "")


def _cells(member: str, epoch: EpochEnded) -> list[str]:
    """Format an epoch as the cells of a row."""
    bits = [f"{epoch.train_bits:.3f}", f"{epoch.validation_bits:.3f}"]
    right = f"{100 * epoch.validation_accuracy:.1f} %"
    return [f"{member}{epoch.epoch}", *bits, right, f"{epoch.elapsed:.0f}", "best" if epoch.best else ""]
