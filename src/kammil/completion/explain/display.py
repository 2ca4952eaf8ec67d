"""How an explanation is shown: levels of surprise, their colours, labels of characters and of experts."""

from __future__ import annotations

import unicodedata

from kammil.text import role, visible

LEVELS = 8
"""How many colours there are: one for each whole bit, the last one for 7 bits and more."""
LIGHT = ("#ffffff", "#fff5d6", "#ffe9ad", "#ffd98a", "#ffc27a", "#ffa873", "#fb8d72", "#f27274")
DARK = ("#1b1b1d", "#2e2a1c", "#42361a", "#57401b", "#6d461f", "#844727", "#994432", "#ad3f41")
"""Backgrounds by level, on which black, or white, can be read."""


def level(bits: float) -> int:
    """Which of the `LEVELS` colours shows so many bits."""
    return min(max(int(bits), 0), LEVELS - 1)


def expert_label(expert: str) -> str:
    """The name of an expert for people: what it looks at, and where if that is not the model's own texts."""
    source, _, kind = expert.rpartition(" ")
    if not source:
        return kind
    words = {
        "w": "word so far",
        "w1": "word so far and the word before",
        "w2": "word so far and two words before",
        "w1s": "word so far and the word before the last",
    }
    where = {"counts": "", "background": ", background texts", "this text": ", earlier in this text"}
    what = words.get(kind) or ("last character" if kind == "o1" else f"last {kind[1:]} characters")
    return what + where[source]


def visible_label(text: str) -> str:
    """A character by itself, or the end of text, so that it can be seen: never empty, and it moves nothing."""
    if not text:
        return "end"
    if text == " ":
        return "\N{OPEN BOX}"
    if text == "\N{REPLACEMENT CHARACTER}":
        return text
    if unicodedata.category(text)[0] in "CZ":
        return f"U+{ord(text):04X}"
    return f"\N{DOTTED CIRCLE}{text}" if role(text) in ("mark", "neither") else visible(text)
