"""Measurements of a report beyond the evaluation, in a few seconds, and a description of the machine."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from kammil.completion.completer import Completer
from kammil.completion.explain import Explanation, explain
from kammil.evaluation.bootstrap import MIN_TEXTS
from kammil.evaluation.examples import Sample, samples
from kammil.evaluation.metrics import normalised_texts, spread
from kammil.evaluation.slices import Slice, slices
from kammil.evaluation.typing_report import TypingReport, simulate

SECONDS = 6.0
"""Time for one report: little beside the shortest useful training."""
TYPING_SHARE = 0.6
QUOTED = 4
SLICED, SLICED_CHARACTERS = 2000, 200_000
"""Maximum number of texts, and of characters, of the slices."""
MAX_LENGTH = 280
"""Characters of a text that are typed or quoted."""
_PILOT = 2
"""Texts typed to learn how long one takes."""
_BATCHED = 0.5
"""Time of a text in a large batch over that in a small one."""
_TYPED_A_SECOND = 10
"""Maximum number of texts typed per second of a report."""
_PACKAGES = ("kammil", "numpy", "torch", "tokenizers")
"""Packages that may change the result of a training."""


@dataclass(frozen=True)
class Measurements:
    """Figures and quotations of a report."""

    samples: tuple[Sample, ...]
    explanations: tuple[Explanation, ...]
    """Of the same texts."""
    slices: tuple[Slice, ...]
    sliced: int
    typing: TypingReport | None
    """None where time allowed too few texts."""


def measure(model: Completer, texts: Sequence[str], *, seconds: float = SECONDS) -> Measurements:
    """Measure a model on unseen texts, as many as there is time for."""
    normalised = normalised_texts(model, texts)
    scored = within(normalised, SLICED, SLICED_CHARACTERS)
    short = [cut(text, MAX_LENGTH) for text in normalised]
    quoted = spread(short, QUOTED)
    return Measurements(
        tuple(samples(model, quoted, len(quoted))),
        tuple(explain(model, text) for text in quoted),
        tuple(slices(model, scored)),
        len(scored),
        _type(model, short, TYPING_SHARE * seconds),
    )


def _type(model: Completer, texts: Sequence[str], seconds: float) -> TypingReport | None:
    if len(texts) < MIN_TEXTS:
        return None
    began = time.monotonic()
    simulate(model, spread(texts, _PILOT), max_texts=None)
    pilot = time.monotonic() - began
    in_time = int((seconds - pilot) / (_BATCHED * max(pilot, 1e-6) / _PILOT))
    number = min(in_time, len(texts), int(_TYPED_A_SECOND * seconds / TYPING_SHARE))
    return simulate(model, spread(texts, number), max_texts=None) if number >= MIN_TEXTS else None


def within(texts: Sequence[str], number: int, characters: int) -> list[str]:
    """Return evenly spread texts within both limits, but always one."""
    chosen = spread(texts, number)
    while len(chosen) > 1 and (total := sum(map(len, chosen))) > characters:
        chosen = spread(chosen, max(1, min(len(chosen) - 1, len(chosen) * characters // total)))
    return chosen


def cut(text: str, length: int) -> str:
    """Cut a text to at most this length, after its last whole word, if any."""
    if len(text) <= length:
        return text
    words, space, _ = text[: length + 1].rpartition(" ")
    return words.rstrip() or text[:length] if space else text[:length]


def machine() -> dict[str, str]:
    """Describe processor, cores, memory and operating system, as far as known."""
    total = os.cpu_count() or 0
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else total
    found = {
        "processor": _processor(),
        "cores": f"{total}, {usable} of them usable" if 0 < usable < total else str(total or ""),
        "memory": _memory(),
        "operating system": f"{platform.system()} ({platform.machine()})",
    }
    return {name: value for name, value in found.items() if value}


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that train."""
    found = {"Python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model", "cpu model")))
    return next(filter(None, names), platform.processor() or platform.machine())


def _memory() -> str:
    try:
        import psutil
    except ModuleNotFoundError:  # the extra `train` brings it
        return ""
    return f"{psutil.virtual_memory().total / 2**30:.1f} GiB"
