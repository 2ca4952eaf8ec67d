"""Display of explanations: levels of surprise, their colours, labels of characters and experts."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kammil.text import role, visible

if TYPE_CHECKING:
    from kammil.completion.explain.attribution import Attribution

LEVELS = 8
"""Number of colours: one for each whole bit, the last one for 7 bits and more."""
LIGHT = ("#ffffff", "#fff5d6", "#ffe9ad", "#ffd98a", "#ffc27a", "#ffa873", "#fb8d72", "#f27274")
DARK = ("#1b1b1d", "#2e2a1c", "#42361a", "#57401b", "#6d461f", "#844727", "#994432", "#ad3f41")
"""Background colours by level: black text is readable on `LIGHT`, white on `DARK`."""


def level(bits: float) -> int:
    """Return the level of so many bits, from 0 to `LEVELS` - 1."""
    return min(max(int(bits), 0), LEVELS - 1)


def expert_label(expert: str) -> str:
    """Describe an expert in plain words: its context, and its source unless that is the model's own texts."""
    source, _, kind = expert.rpartition(" ")
    if not source:
        return expert
    words = {
        "w": "word so far",
        "w1": "word so far and the word before",
        "w2": "word so far and two words before",
        "w1s": "word so far and the word before the last",
    }
    where = {"counts": "", "background": ", background texts", "this text": ", earlier in this text"}
    what = words.get(kind) or ("last character" if kind == "o1" else f"last {kind[1:]} characters")
    return what + where[source]


def believed(credits: Sequence[Attribution], most: int) -> str:
    """Say in words which experts raised a character, the strongest first, at most so many; else which one spoke against
    it."""
    raised = [credit.expert for credit in credits if credit.bits > 0]
    if raised:
        return ", then ".join(raised[:most])
    return f"none; {credits[0].expert} spoke against it" if credits else ""


def visible_label(text: str) -> str:
    """Make a single character, or the end of text, visible: never empty, and without effect on the text direction."""
    if not text:
        return "end"
    if text == " ":
        return "\N{OPEN BOX}"
    if text == "\N{REPLACEMENT CHARACTER}":
        return text
    if unicodedata.category(text)[0] in "CZ":
        return f"U+{ord(text):04X}"
    return f"\N{DOTTED CIRCLE}{text}" if role(text) in ("mark", "neither") else visible(text)
