"""Every measure of a model: its name, its meaning, and how its value is shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from kammil.evaluation import text_overlap
from kammil.evaluation.bootstrap import Array, Interval, quotient

Columns = Mapping[str, Array]
"""Measure -> summands of each text, (N, K); (1, K) where only the sums over all are known."""


@dataclass(frozen=True)
class Measure:
    """One measure."""

    title: str
    meaning: str
    better: Literal["lower", "higher", ""] = "higher"
    """Empty where no value is better."""
    percent: bool = False
    digits: int = 3
    """Ignored for per cent."""
    zero: str = ""
    """Shown in place of a 0."""
    missing: str = ""
    """Shown in a table for None."""
    of: Callable[[Array], Array] = quotient
    """Sums over texts, (R, K) -> (R,)."""

    @property
    def scale(self) -> float:
        """Return the factor of shown values."""
        return 100.0 if self.percent else 1.0

    @property
    def explained(self) -> str:
        """Return its meaning, and which way is better."""
        return f"{self.meaning}; {self.better} is better" if self.better else self.meaning

    def show(self, interval: Interval | None, *, bounds: bool = True, signed: bool = False) -> str:
        """Format a value or, `signed`, a difference of two."""
        if self.zero and interval is not None and not interval.value and not signed:
            return self.zero
        return show(interval, percent=self.percent, digits=self.digits, bounds=bounds, signed=signed)


def _share(title: str, meaning: str) -> Measure:
    return Measure(title, meaning, percent=True)


KEYS, TAKEN = "keystrokes_saved_", "suggestions_taken_"
HELP = {"1": "1 suggestion", "3": "3 suggestions", "5": "5 suggestions", "ghost": "ghost text"}
_BITS = "yes/no questions that a character costs on average (cross-entropy, base 2)"
_GREEDY = "a greedy completion of the first half, the most probable character each time"
_PLACE = "beside the target place by place, so that one letter too many makes all after it wrong"
MEASURES = {
    "target_bits_per_character": Measure(
        "bits per character, target", f"{_BITS}, of the characters after the middle of each text", "lower"
    ),
    "target_top1": _share("characters right, target", "the target's characters that were the most probable"),
    "target_top3": _share("... among the 3 most probable", "the target's characters among the 3 most probable"),
    "target_top5": _share("... among the 5 most probable", "the target's characters among the 5 most probable"),
    "free_running": _share("right in a greedy completion", f"{_GREEDY}, {_PLACE}"),
    "first_word": _share("... first word right", "its first word is that of the target"),
    "whole_target": _share("... right to the last character", "it is the whole target"),
    "right_prefix": Measure("... characters before the first wrong one", "how far it is the target", digits=2),
    "next_word": _share("... words right", "words beginning in the target that the completion writes exactly"),
    "chrf": Measure(
        "... chrF, 0 to 100", "how much of it is in the target, by runs of letters", digits=1, of=text_overlap.chrf
    ),
    "bleu": Measure(
        "... BLEU, 0 to 100",
        "how much of it is in the target, by runs of words",
        digits=1,
        zero=text_overlap.NO_RUN,
        missing="needs sacrebleu",
        of=text_overlap.bleu,
    ),
    "new": Measure("... new", "greedy completions that stand nowhere in the training texts", "", percent=True),
    "bits_per_character": Measure("bits per character, whole texts", f"{_BITS}, of whole texts", "lower"),
    "bits_per_character_with_end": Measure("... with ends of text", "the same per character and end of text", "lower"),
    "perplexity": Measure(
        "perplexity", "2 to the power of the bits: among how many equally likely characters the model chooses", "lower"
    ),
    "top1": _share("characters right, whole texts", "characters of whole texts that were the most probable"),
    **{
        f"{KEYS}{name}": _share(
            f"keystrokes saved, {shown}", f"keystrokes saved with {shown} to take, as soon as the right word is there"
        )
        for name, shown in HELP.items()
    },
    **{
        f"{TAKEN}{name}": _share(
            f"taken of those shown, {shown}", f"of the places with {shown}, those where it was the right word"
        )
        for name, shown in HELP.items()
    },
}
"""Name -> measure, in the order shown."""


def show(
    interval: Interval | None, *, percent: bool = False, digits: int = 3, bounds: bool = True, signed: bool = False
) -> str:
    """Format a value with its interval, if any; empty for None."""
    if interval is None:
        return ""
    scale, digits, unit = (100.0, 1, " %") if percent else (1.0, digits, "")
    sign = "+" if signed else ""
    value = f"{scale * interval.value:{sign}.{digits}f}{unit}"
    if not bounds or interval.low is None or interval.high is None:
        return value
    low, high = (f"{scale * bound:{sign}.{digits}f}" for bound in (interval.low, interval.high))
    return f"{value} ({low}{'..' if signed else '-'}{high})"
