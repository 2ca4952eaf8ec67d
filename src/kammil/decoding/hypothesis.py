"""A text that is being generated: characters come in, whole graphemes are sent, stop strings end it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

import numpy as np
import regex

from kammil.decoding.options import DecodingOptions
from kammil.decoding.refusals import NO_REFUSALS, Refusals, States
from kammil.text import graphemes, open_word, role, words

FinishReason = Literal["length", "end", "stop"]
SENTENCE_END = regex.compile(r"\p{Sentence_Terminal}")
"""A mark that stays at the end of a text."""
CLAUSE_END = regex.compile(r"[[\p{Terminal_Punctuation}\n]--[:]]", regex.VERSION1)
_OPENS, _BRACKET = regex.compile(r"[#＃@\"'¿¡\p{Ps}\p{Pi}]"), regex.compile(r"\p{Ps}")
"""Signs that open something behind a space or nothing; brackets open everywhere."""
_EYES = ":;=-'"
"""Characters behind which a bracket is a mouth."""


@dataclass
class Hypothesis:
    """A text that is being generated."""

    decoding: DecodingOptions
    prompt: str = ""
    text: str = ""
    cut: str = ""
    """Characters that were decided and then cut off: a stop string, an open word."""
    bits: list[float] = field(default_factory=list[float])
    """Bits of each decided character under the unfiltered model."""
    end_bits: float | None = None
    """Bits of the end that the model wrote."""
    reason: FinishReason | None = None
    final: int = 0
    refusals: Refusals = field(default=NO_REFUSALS, compare=False)
    refusal_states: States = ()
    refused_lengths: tuple[int, ...] = ()
    """Lengths at which it would end with a blocked word."""
    likeness: float | None = None
    """Likeness of a stock phrase (`completion.stock_phrases`); None for a draw."""
    sureness: float | None = None
    """Log-odds that the text makes sense, if known."""

    def __post_init__(self) -> None:
        """Begin; a length of 0 ends at once."""
        if self.decoding.length == 0:
            self.reason = "length"

    @property
    def mean_bits(self) -> float:
        """Mean bits of a decision, the end among them, without what `whole_words` cuts."""
        if self.decoding.whole_words and self.reason == "length":
            decisions = self.bits[: len(self.text) or None]
        else:
            decisions = self.bits if self.end_bits is None else [*self.bits, self.end_bits]
        return sum(decisions) / len(decisions) if decisions else 0.0

    @property
    def num_decisions(self) -> int:
        """Number of decided characters, and the end if it was decided."""
        return len(self.bits) + (self.reason == "end")

    def add(self, character: str | None, bits: float) -> None:
        """Append a character; None ends the text."""
        decided = self.text + (character or "")
        self._add(character, bits)
        self.cut = decided[len(self.text) :]

    def _add(self, character: str | None, bits: float) -> None:
        if character is None:
            self.end_bits, self.reason = bits, "end"
            self.text = self.text[: self._fitting(len(self.text))]
            return
        self.text += character
        self.bits.append(bits)
        if self.refusal_states:
            self.refusal_states = self.refusals.after(self.refusal_states, character)
            if self.refusals.blocked(self.refusal_states):
                self.refused_lengths = (*self.refused_lengths, len(self.text))
        stops, first = self.decoding.stop, self.decoding.min_length  # the first `first` characters are never cut off
        found = [at for stop in stops if (at := self.text.find(stop, first)) >= 0]
        if found:
            self.text, self.reason = self.text[: self._fitting(min(found))], "stop"
        elif self.decoding.clause and len(self.text) > first and self._ends_clause(character):
            kept = self.text if SENTENCE_END.match(character) else self.text[:-1]
            end = max(first, len(kept.rstrip()))
            self.text, self.reason = kept[: self._fitting(end)], "stop"
        elif len(self.text) >= self.decoding.length:
            cut = max(first, _last_whole_grapheme(self.text))
            end = self._fitting(cut)
            if self.decoding.whole_words:
                # A word before a cut grapheme is whole, and may have been sent.
                whole = min(cut, self._whole_words(len(self.text)))
                whole = self._whole_words(self._fitting(whole)) if whole in self.refused_lengths else whole
                whole = self._closed(whole)
                end = whole if whole >= max(1, first) else end
            self.text, self.reason = self.text[:end], "length"

    def has_new_word(self) -> bool:
        """Return whether it holds a word of two letters or more, beside the rest of a begun one."""
        begun = bool(open_word(self.prompt))
        new = [self.text[begin:end] for begin, end in words(self.text) if begin or not begun]
        return any(len(word) > 1 for word in new) or sum(role(word) == "unspaced" for word in new) > 1

    def has_clause_within(self) -> bool:
        """Return whether it goes on behind the end of a clause."""
        return any(CLAUSE_END.match(c) and not before.isdigit() for before, c in pairwise(" " + self.text[:-1]))

    def _ends_clause(self, mark: str) -> bool:
        return CLAUSE_END.match(mark) is not None and not self.text[-2:-1].isdigit() and self.has_new_word()

    def safe(self) -> int:
        """Return how many first characters are final: those before a begun stop string, before a grapheme that may grow
        and, with `whole_words`, before a word that may grow or the sign that opens it."""
        if self.reason is not None:
            return len(self.text)
        open_ = max((_overlap(self.text[self.decoding.min_length :], s) for s in self.decoding.stop), default=0)
        limit = self._fitting((len(self.text.rstrip()) if self.decoding.clause else len(self.text)) - open_)
        asked = limit
        if self.decoding.whole_words:
            asked = self._fitting(self.decoding.min_length)
            limit = min(limit, max(self._whole_words(len(self.text)), asked))
            if limit <= self.final:
                return self.final
        end = _grapheme_boundary(self.text, min(limit, len(self.text) - 1), self.final)
        asked = _grapheme_boundary(self.text, min(asked, end), self.final)
        self.final = max(asked, self._closed(end, self.final))
        return self.final

    def _whole_words(self, end: int) -> int:
        """Return the greatest length up to `end` without an unfinished word, its opening signs, and spaces; 0 for a
        single word."""
        while True:
            text = self.text[:end]
            text = text.removesuffix(open_word(text)).rstrip()
            whole = _before_opening(text, len(text))
            if (end := self._fitting(whole)) == whole:
                return end

    def _closed(self, end: int, start: int = 0) -> int:
        while (shorter := self._fitting(_grapheme_boundary(self.text, _before_opening(self.text, end), start))) < end:
            end = shorter
        return end

    def _fitting(self, end: int) -> int:
        while end in self.refused_lengths:
            end -= 1
        return end


def worth(sureness: float, characters: int) -> float:
    """Return log P(makes sense) + log(length) / 4: of equally sure texts the longer saves more."""
    return -float(np.logaddexp(0.0, -sureness)) + math.log(max(1, characters)) / 4


def _before_opening(text: str, end: int) -> int:
    """Return `end` without the opening signs (hashtag, bracket, quotation) that stand last before it, and the spaces
    around them."""
    at = end
    while True:
        last = first = len(text[:at].rstrip())
        while first and _OPENS.match(text[first - 1]):
            first -= 1
        if first and not text[first - 1].isspace():  # behind a letter a quote closes, and C# is a name
            opening = (i for i in range(first, last) if _BRACKET.match(text[i]) and text[i - 1] not in _EYES)
            first = next(opening, last)
        if first == last:
            return at if at == end else last
        at = first


def _grapheme_boundary(text: str, end: int, start: int = 0) -> int:
    at = start
    for grapheme in graphemes(text[start:]):
        if at + len(grapheme) > end:
            break
        at += len(grapheme)
    return at


def _overlap(text: str, stop: str) -> int:
    return next((n for n in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:n])), 0)


def _last_whole_grapheme(text: str) -> int:
    last = "".join(graphemes(text)[-1:])
    cut = last.endswith("\N{ZERO WIDTH JOINER}") or (len(last) == 1 and "\U0001f1e6" <= last <= "\U0001f1ff")
    return len(text) - len(last) if cut else len(text)
