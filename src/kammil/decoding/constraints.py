"""Constraints on the next character: all refusals and penalties of one call, bound to a model's characters.

Shapes: B batch, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kammil.data.bloom import BloomFilter
from kammil.decoding.filters import LogWeights, active, apply_penalties, filters
from kammil.decoding.hypothesis import SENTENCE_END, Hypothesis
from kammil.decoding.options import DecodingOptions
from kammil.decoding.refusals import ForbiddenStrings, NoCopy, Refusal, Refusals, WordBlock
from kammil.engine.reference import log_softmax
from kammil.errors import OptionError
from kammil.language_model import Ids
from kammil.text import open_word
from kammil.vocabulary import EOS, SPECIALS, CharacterVocabulary

Counts = NDArray[np.int64]
"""(B, V): how often each id was written; (B, 0) without penalties."""


def begins_with(text: str, word: str) -> bool:
    """Return whether a completion begins with what ends a word, and no letter follows that."""
    return text.startswith(word) and not (word and open_word(text[len(word) : len(word) + 1]))


class Constraints:
    """Rules for the texts of one call; `OptionError` for what this model cannot do.

    Args:
        never: ids that are never written.
        bias: added to log-probabilities of ids before anything else.
        unwanted: tells, given the prompt, completions that are chosen last.
        respelt: tells, given the prompt, ids that are written as others; none in a call with strings or copies.
        runs: of the training texts, for `no_copy`.
        n: number of texts that are kept.
    """

    def __init__(
        self,
        options: DecodingOptions,
        vocabulary: CharacterVocabulary,
        never: Sequence[int],
        runs: BloomFilter | None,
        bias: Mapping[int, float] | None = None,
        block: WordBlock | None = None,
        unwanted: Callable[[str], Callable[[str], bool]] | None = None,
        n: int = 1,
        respelt: Callable[[str], Mapping[int, int]] | None = None,
    ) -> None:
        self.options, self.vocabulary, self.prompt, self.n = options, vocabulary, "", n
        self._unwanted_after = unwanted
        self._unwanted: Callable[[str], bool] | None = None  # after this prompt
        self.first_word = ""
        """Beginning of all completions but those that are chosen last."""
        self.mask: NDArray[np.float64] = np.zeros(vocabulary.size)  # added to log-probabilities
        self.mask[list(never)] = -np.inf
        self.pieces = list(vocabulary.pieces)
        for id in (*range(SPECIALS), *never):
            self.pieces[id] = ""
        self.bias: LogWeights | None = None
        if bias:
            self.bias = np.zeros(vocabulary.size)  # (V,)
            self.bias[list(bias)] = list(bias.values())
        self.counting = options.repetition_penalty != 1 or options.presence_penalty or options.frequency_penalty
        parts = list[Refusal[Any]]()
        if options.forbid:
            parts.append(ForbiddenStrings(options.forbid, self.pieces))
        if options.no_copy is not None:
            if runs is None:
                raise OptionError(
                    f"no_copy is {options.no_copy}, but this model keeps no runs of its training texts; leave it out."
                )
            parts.append(NoCopy(options.no_copy, runs, self.pieces))
        self.static_mask = not (parts or self.bias is not None or self.counting or options.min_length)
        """Whether `apply` only adds `mask` and refuses blocked words."""
        self._respelt = None if parts else respelt
        self.refusals = Refusals(parts if block is None else [*parts, block], self.pieces)
        self._start, self._least = self.refusals.start(""), options.min_length
        self.filters = filters(options)
        self.only_temperature = self.static_mask and not active(options)
        """Whether, beside those, only the temperature decides: a model may sample many characters at once."""

    def at(self, prompt: str, typed: str = "", *, goes_on: bool = False) -> Constraints:
        """Return the constraints after a prompt, in which, as it is or was `typed`, refused strings may have begun.
        If it `goes_on`, the text may end at once only behind a mark that ends a sentence."""
        there = copy(self)
        there._least = max(self._least, goes_on and SENTENCE_END.match(prompt[-1:]) is None)
        there.prompt, there._unwanted, there._start = prompt, None, self.refusals.start(prompt)
        if typed and typed != prompt:
            begun = typed[: typed.rfind(" ") + 1] + prompt[prompt.rfind(" ") + 1 :]
            for text in (begun, typed):
                there._start = self.refusals.either(there._start, self.refusals.start(text))
        if self._respelt is not None and (exchanged := self._respelt(prompt)):
            there.pieces = [self.pieces[exchanged.get(id, id)] for id in range(len(self.pieces))]
        return there

    def unwanted(self, text: str) -> bool:
        """Return whether a completion is chosen only if all are such."""
        if not begins_with(text, self.first_word):
            return True
        if self._unwanted_after is None:
            return False
        if self._unwanted is None:
            self._unwanted = self._unwanted_after(self.prompt)
        return self._unwanted(text)

    def hypothesis(self) -> Hypothesis:
        """Return an empty text."""
        return Hypothesis(self.options, self.prompt, refusals=self.refusals, refusal_states=self._start)

    def refused(self, hypothesis: Hypothesis) -> Ids | None:
        """Return the ids that must not follow, if any."""
        refused = self.refusals.refused(hypothesis.refusal_states, self.options.length - len(hypothesis.bits))
        if len(hypothesis.text) >= self._least:
            return refused
        return np.append(np.zeros(0, np.int64) if refused is None else refused, EOS)

    def written(self, text: str, bits: Sequence[float], *, likeness: float, sureness: float) -> Hypothesis | None:
        """Return an ended text that was not drawn; None where it may not be written."""
        hypothesis, counts, row = self.hypothesis(), self.counts(1), np.zeros((1, self.vocabulary.size))
        hypothesis.likeness, hypothesis.sureness = likeness, sureness
        for id, each in zip(self.vocabulary.encode(text), bits, strict=True):
            if not np.isfinite(self.apply(row, [hypothesis], counts)[0][0, id]):
                return None
            counts = self.counted(counts, np.zeros(1, np.int64), np.array([id]))
            hypothesis.add(self.pieces[id], each)
            if hypothesis.reason is not None:
                return hypothesis if hypothesis.reason == "stop" else None
        hypothesis.reason = "stop"
        may_end = np.isfinite(self.apply(row, [hypothesis], counts)[0][0, EOS])
        return hypothesis if may_end and len(hypothesis.text) not in hypothesis.refused_lengths else None

    def counts(self, batch: int) -> Counts:
        """Return the counts of B empty texts."""
        return np.zeros((batch, self.vocabulary.size if self.counting else 0), np.int64)

    def counted(self, counts: Counts, parents: Ids, ids: Ids) -> Counts:
        """Return the counts after each parent, (B,), got one more id, (B,)."""
        counts = counts[parents]
        if self.counting:
            counts[np.arange(len(ids)), ids] += 1
        return counts

    def apply(
        self, rows: LogWeights, hypotheses: Sequence[Hypothesis], counts: Counts
    ) -> tuple[LogWeights, NDArray[np.bool_]]:
        """Return log-weights, (B, V), after penalties and refusals, and which texts, (B,), must end."""
        weights = (rows if self.bias is None else log_softmax(rows + self.bias)) + self.mask
        # A model without probabilities ends no text: the caller will see its NaN.
        possible = np.isfinite(weights).any(axis=-1)
        if self.counting:
            weights = apply_penalties(weights, counts, self.options)
        for row, hypothesis in zip(weights, hypotheses, strict=True):
            if (refused := self.refused(hypothesis)) is not None:
                row[refused] = -np.inf
        ends = np.logical_and(possible, ~np.isfinite(weights).any(axis=-1))
        weights[ends, EOS] = 0
        return weights, ends

    def piece(self, id: int) -> str | None:
        """Return the character of an id; None for the end."""
        return None if id == EOS else self.pieces[id]
