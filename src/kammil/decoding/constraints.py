"""What may be written next, given what was: all refusals and penalties of one call, bound to a model's characters.

Shapes: B batch, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kammil.data.bloom import BloomFilter
from kammil.decoding.automaton import StringAutomaton
from kammil.decoding.filters import LogWeights, active, apply_penalties, filters, log_softmax
from kammil.decoding.hypothesis import Hypothesis
from kammil.decoding.no_copy import NoCopy
from kammil.decoding.options import DecodingOptions
from kammil.decoding.word_block import WordBlock
from kammil.errors import OptionError
from kammil.language_model import Ids
from kammil.vocabulary import EOS, SPECIALS, CharacterVocabulary


@dataclass(frozen=True)
class ConstraintState:
    """State that the constraints keep for each of B texts, beside the text."""

    counts: NDArray[np.int64]
    """(B, V): how often each id was written; (B, 0) where no penalty asks."""
    states: Ids
    """(B,): states of the automaton of forbidden and forced strings."""

    def select(self, which: Ids) -> ConstraintState:
        """Return the state of the chosen texts, in the given order."""
        return ConstraintState(self.counts[which], self.states[which])


class Constraints:
    """Rules for the texts of one call: what may follow each of them.

    Args:
        options: checked ones.
        vocabulary: the model's.
        never: ids that are never written, whatever is asked for.
        runs: those of the training texts, for `no_copy`; None for a model that has none.
        bias: what is added to the log-probabilities of some ids, before anything else.
        block: words that are not written; None for none.
        unwanted: from a prompt to a function of its completions: one for which it is true is chosen only if all are
            such.
        n: number of texts that are kept of those that are drawn.

    `OptionError` for what this model cannot do.
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
    ) -> None:
        """Build only what the options ask for."""
        self.block, self._block_start, self._strings_start = block, 0 if block is None else block.start(""), 0
        for string in options.force:
            if block is not None and block.blocklist.find(string):
                raise OptionError(f"force is {string!r}, which holds a blocked word; leave it out or allow such words.")
        self.options, self.vocabulary, self.prompt, self.n = options, vocabulary, "", n
        self._unwanted_after = unwanted
        self._unwanted: Callable[[str], bool] | None = None  # after this prompt, once it was asked for
        self.refused: NDArray[np.float64] = np.zeros(vocabulary.size)  # added to log-probabilities
        self.refused[list(never)] = -np.inf
        self.pieces = list(vocabulary.pieces)
        for id in (*range(SPECIALS), *never):
            self.pieces[id] = ""
        self.bias: LogWeights | None = None
        if bias:
            self.bias = np.zeros(vocabulary.size)  # (V,)
            self.bias[list(bias)] = list(bias.values())
        self.counting = options.repetition_penalty != 1 or options.presence_penalty or options.frequency_penalty
        self.strings: StringAutomaton | None = None
        if options.forbid or options.force:
            self.strings = StringAutomaton(options.forbid, options.force, self.pieces)
            self._check_possible()
        self.copying: NoCopy | None = None
        if options.no_copy is not None:
            if runs is None:
                raise OptionError(
                    f"no_copy is {options.no_copy}, but this model keeps no runs of its training texts; leave it out."
                )
            self.copying = NoCopy(options.no_copy, runs, self.pieces)

        self.filters = filters(options)
        self.static_mask = not (
            self.bias is not None or self.counting or self.strings or self.copying or options.min_length
        )
        """Whether `apply` only adds `refused`, the same for all calls of a model, and refuses blocked words."""
        on = active(options)
        self.only_temperature = self.static_mask and not on
        """Whether nothing but `refused`, blocked words and the temperature decides: a model may sample many characters
        at once, for it seldom samples a blocked word."""
        self._filters = on

    @property
    def batch_key(self) -> object:
        """A key that is equal for calls of one model whose texts may go through `filters` together."""
        return (self.options.temperature, self._filters) if self.static_mask else self

    def at(self, prompt: str, typed: str = "") -> Constraints:
        """Return the same constraints for texts after a prompt; `OptionError` if a forced string has no room there.

        A forbidden string or a blocked word may have begun in the prompt, or in its words before the last one as they
        were typed, if the prompt is what they were read as.
        """
        there = copy(self)
        there.prompt, there._unwanted = prompt, None
        if self.block is not None:
            there._block_start = self.block.start(prompt)
            if typed and typed != prompt:
                begun = typed[: typed.rfind(" ") + 1] + prompt[prompt.rfind(" ") + 1 :]
                there._block_start = self.block.either(there._block_start, self.block.start(begun))
        if self.strings is not None:
            there._strings_start = self.strings.start(prompt)
            there._check_possible()
        return there

    def unwanted(self, text: str) -> bool:
        """Return whether a completion is one that is chosen only if all are such."""
        if self._unwanted_after is None:
            return False
        if self._unwanted is None:
            self._unwanted = self._unwanted_after(self.prompt)
        return self._unwanted(text)

    def hypothesis(self) -> Hypothesis:
        """Return a text with nothing written yet."""
        return Hypothesis(self.options, self.prompt, block=self.block, block_state=self._block_start)

    def refused_words(self, hypothesis: Hypothesis) -> Ids | None:
        """Return the ids by which a text would write a blocked word; None for none."""
        if self.block is None:
            return None
        if len(hypothesis.bits) + 1 == self.options.length:
            return self.block.refused_last(hypothesis.block_state)
        return self.block.refused(hypothesis.block_state)

    def written(self, text: str, bits: Sequence[float], *, likeness: float, sureness: float) -> Hypothesis | None:
        """Return a text that was not drawn, ended; None where it may not be written, or not to its end."""
        hypothesis, state, row = self.hypothesis(), self.initial_state(1), np.zeros((1, self.vocabulary.size))
        hypothesis.likeness, hypothesis.sureness = likeness, sureness
        for id, each in zip(self.vocabulary.encode(text), bits, strict=True):
            if not np.isfinite(self.apply(row, [hypothesis], state)[0][0, id]):
                return None
            state = self.after(state, np.zeros(1, np.int64), np.array([id]))
            hypothesis.add(self.pieces[id], each, due=bool(self.missing(state.states)[0]))
            if hypothesis.reason is not None:
                break
        if hypothesis.reason is None:
            ended = np.isfinite(self.apply(row, [hypothesis], state)[0][0, EOS])
            hypothesis.reason = "stop"
            return hypothesis if ended and len(hypothesis.text) not in hypothesis.refused_lengths else None
        return hypothesis if hypothesis.reason == "stop" else None

    def _check_possible(self) -> None:
        assert self.strings is not None
        if int(self.strings.missing(np.array([self._strings_start]))[0]) > self.options.length:
            raise OptionError(_impossible(self.options, StringAutomaton((), self.options.force, self.pieces)))

    def initial_state(self, batch: int) -> ConstraintState:
        """Return the state of B texts before their first character."""
        counts = np.zeros((batch, self.vocabulary.size if self.counting else 0), np.int64)
        return ConstraintState(counts, np.full(batch, self._strings_start))

    def states(self, state: ConstraintState, parents: Ids, ids: Ids) -> Ids:
        """Return the states of the automaton, (B,), after each parent text, (B,), got one more id, (B,)."""
        states = state.states[parents]
        return states if self.strings is None else self.strings.after(states, ids)

    def missing(self, states: Ids) -> Ids:
        """Return how many characters are needed at least until all forced strings stand, (B,)."""
        return np.zeros_like(states) if self.strings is None else self.strings.missing(states)

    def after(self, state: ConstraintState, parents: Ids, ids: Ids) -> ConstraintState:
        """Return the state after each parent text, (B,), got one more id, (B,)."""
        counts = state.counts[parents]
        if self.counting:
            counts[np.arange(len(ids)), ids] += 1
        return ConstraintState(counts, self.states(state, parents, ids))

    def apply(
        self, rows: LogWeights, hypotheses: Sequence[Hypothesis], state: ConstraintState
    ) -> tuple[LogWeights, NDArray[np.bool_]]:
        """Return log-weights (B, V) after penalties and refusals, and which texts (B,) must end: none may follow."""
        weights = (rows if self.bias is None else log_softmax(rows + self.bias)) + self.refused
        # A model that gives no probabilities at all is no text's end: the caller will see its NaN.
        possible = np.isfinite(weights).any(axis=-1)
        if self.counting:
            weights = apply_penalties(weights, state.counts, self.options)
        if self.strings is not None:
            room = np.array([self.options.length - len(hypothesis.bits) for hypothesis in hypotheses])
            allowed = self.strings.allowed(state.states, room)
            allowed[:, EOS] = self.strings.missing(state.states) == 0
            weights = np.where(allowed, weights, -np.inf)
        early = [len(hypothesis.text) < self.options.min_length for hypothesis in hypotheses]
        weights[early, EOS] = -np.inf
        if self.copying is not None:
            for row, hypothesis in zip(weights, hypotheses, strict=True):
                refused = self.copying.refused_ids(hypothesis.text)
                if refused is not None:
                    row[refused] = -np.inf
        for row, hypothesis in zip(weights, hypotheses, strict=True):
            if (refused := self.refused_words(hypothesis)) is not None:
                row[refused] = -np.inf
        ends = np.logical_and(possible, ~np.isfinite(weights).any(axis=-1))
        weights[ends, EOS] = 0
        return weights, ends

    def piece(self, id: int) -> str | None:
        """Return the character of an id that may be chosen; None for the end."""
        return None if id == EOS else self.pieces[id]


def _impossible(options: DecodingOptions, free: StringAutomaton) -> str:
    """Say why the forced strings cannot be written."""
    alone = int(free.missing(np.zeros(1, np.int64))[0])
    named = ", ".join(map(repr, options.force))
    if alone > options.length:
        return f"force is {named}, which needs {alone} characters, but length is {options.length}; raise one of them."
    return f"force is {named}, but what forbid names leaves no way to write it in {options.length} characters."
