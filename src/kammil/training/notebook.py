"""Training as a notebook shows it: a bar, and below it a table of the epochs. Nothing is needed but the notebook."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from html import escape
from typing import Any

from kammil.progress import Notice, PhaseProgress
from kammil.training.events import CounterAhead, EpochEnded, Event, Interrupted, MemberEvent, TrainingProgress, ignore

_EVERY = 0.2
"""Seconds between two pictures: more than a browser draws, less than a person notices."""


def listener() -> Callable[[Event], None]:
    """What shows training where this runs in a notebook; else nobody listens."""
    shell: Any = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return Shown() if hasattr(shell, "kernel") else ignore


class Shown:
    """A piece of a notebook that follows training."""

    def __init__(self) -> None:
        """Show an empty bar."""
        from IPython.display import HTML, display  # pyright: ignore[reportMissingImports]

        self._html: Callable[[str], object] = HTML
        self._epochs: list[tuple[str, EpochEnded]] = []
        self._said: list[str] = []
        self._drawn = 0.0
        self._doing, self._share, self._elapsed = "reading", 0.0, 0.0
        self._handle: Any = display(HTML(self.html()), display_id=True)

    def __call__(self, event: Event) -> None:
        """Draw what is new; the end of an epoch at once."""
        at_once, member = True, ""
        if isinstance(event, MemberEvent):
            member, event = f"member {event.member}, ", event.event
        if isinstance(event, TrainingProgress):
            self._doing = f"{member}epoch {event.epoch} of {event.epochs}, {event.train_bits:.3f} bits"
            self._share, self._elapsed, at_once = event.progress, event.elapsed, False
        elif isinstance(event, EpochEnded):
            self._epochs.append((member, event))
        elif isinstance(event, Interrupted):
            self._said.append(f"{member}ended early: the best of {event.epoch} epochs is kept")
        elif isinstance(event, CounterAhead):
            kept = "it is kept in its place" if event.published else "train it with model='ngram'"
            self._said.append(
                f"a counter of the same texts is ahead: {event.counter_bits:.3f} bits to {event.model_bits:.3f}; {kept}"
            )
        elif isinstance(event, PhaseProgress):
            self._doing, self._share, self._elapsed = member + event.phase, event.done, event.elapsed
            at_once = False
        elif isinstance(event, Notice):
            self._said.append(event.sentence)
        if at_once or time.monotonic() - self._drawn >= _EVERY:
            self._drawn = time.monotonic()
            self._handle.update(self._html(self.html()))

    def html(self) -> str:
        """What is shown now."""
        left = ""
        if self._share > 0.005:
            seconds = self._elapsed * (1 - self._share) / self._share
            left = f", {int(seconds // 60)}:{int(seconds % 60):02} left"
        value = f' value="{self._share:.3f}"' if self._share else ""
        bar = f'<progress max="1"{value} aria-label="training"></progress> {escape(self._doing)}{left}'
        rows = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in _cells(*epoch))}</tr>" for epoch in self._epochs)
        heads = ("epoch", "training bits", "validation bits", "right", "seconds", "")
        head = "".join(f"<th>{head}</th>" for head in heads)
        said = "".join(f"<div>{escape(sentence)}</div>" for sentence in self._said)
        return f"<div>{bar}</div>{said}" + (f"<table><tr>{head}</tr>{rows}</table>" if rows else "")


def _cells(member: str, epoch: EpochEnded) -> list[str]:
    """An epoch, as a row."""
    bits = [f"{epoch.train_bits:.3f}", f"{epoch.validation_bits:.3f}"]
    right = f"{100 * epoch.validation_accuracy:.1f} %"
    return [f"{member}{epoch.epoch}", *bits, right, f"{epoch.elapsed:.0f}", "best" if epoch.best else ""]
