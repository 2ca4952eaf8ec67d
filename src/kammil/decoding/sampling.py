"""Autoregressive generation: predict, choose, append, read what was appended, and so on.

An *autoregressive* model gives probabilities of the next character from all characters before it. To write a text, one
character is drawn from these probabilities (or the most probable one is taken), appended, and read in its turn: the
next prediction depends on it. While it learned, the model read the true characters instead (*teacher forcing*, see
`training/loss.py`). Its own mistakes are a kind of past that it never met. This difference is *exposure bias*, one
reason why long generations drift or repeat themselves; temperature, filters and penalties work against it.

Each text of a batch has a random generator of its own, so that it does not depend on the others. Shapes: B batch, V
vocabulary.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from kammil.decoding.constraints import Constraints
from kammil.decoding.filters import LogWeights, greedy, sample
from kammil.decoding.hypothesis import Hypothesis, worth
from kammil.errors import FolderError
from kammil.language_model import BulkSampler, Ids, LanguageModel, LogProbabilities, State, max_rows, select_rows
from kammil.text import fold, role, words
from kammil.vocabulary import EOS

Step = Callable[[Ids, State], tuple[LogProbabilities, State]]

_BULK = 32
"""Maximum number of characters that a reader of the stream waits for."""
_REPETITION = re.compile(r"(.)\1{3}|([^\w\s]+)(?:\s+\2){2}", re.DOTALL)
"""A character four times in a row, or a mark three times between spaces."""
_RECENT = 200
"""Number of last characters of the prompt whose words a `clause` does not repeat."""
_SHORT = 1 / 3
"""Share of the length below which a text is short: many single words are probable."""
NO_PROBABILITIES = "the model gives no probabilities; copy the model folder again."


class SequenceGroup:
    """Texts of one call that are sampled together.

    Args:
        constraints: what all of them may become.
        hypotheses: the texts.
        first: index of the first one: a text depends on the seed and its index, not on how many there are.
    """

    def __init__(self, constraints: Constraints, hypotheses: Sequence[Hypothesis], first: int = 0) -> None:
        seed = constraints.options.seed
        self.constraints, self.live = constraints, list(hypotheses)
        self.generators = [np.random.default_rng([seed, first + i]) for i in range(len(hypotheses))]
        self.indices = list(range(first, first + len(hypotheses)))
        self.counts = constraints.counts(len(hypotheses))
        self._prunes = constraints.options.clause and constraints.n == 1 < len(hypotheses)
        self._best_bits = math.inf  # mean bits of the best text so far

    def __len__(self) -> int:
        """Number of texts that have not ended."""
        return len(self.live)

    def chances(self) -> list[float]:
        """Draw the number that samples each text; none at temperature 0."""
        return [generator.random() for generator in self.generators] if self.constraints.options.temperature else []

    def select(self, rows: Sequence[int]) -> None:
        """Keep only these of the texts."""
        self.live, self.generators = [self.live[row] for row in rows], [self.generators[row] for row in rows]
        self.indices = [self.indices[row] for row in rows]
        self.counts = self.counts[np.array(rows, np.int64)]

    def append(self, ids: Ids, log_probabilities: LogProbabilities, ends: NDArray[np.bool_]) -> None:
        """Append ids, (B,), with log-probabilities, (B,), for nothing where a text had to end (`ends`); `FolderError`
        for one that is not finite."""
        if self.constraints.counting:
            self.counts = self.constraints.counted(self.counts, np.arange(len(ids)), ids)
        for text, id, log_probability, ended in zip(
            self.live, ids.tolist(), log_probabilities.tolist(), ends.tolist(), strict=True
        ):
            bits = 0.0 if ended else log_probability / -math.log(2)
            if not math.isfinite(bits):  # there was no id to choose, or NaN
                raise FolderError(NO_PROBABILITIES)
            text.add(self.constraints.piece(id), bits)
        if not self._prunes:
            return
        # End the texts that even at full length cannot be the best.
        ended = (one for one in self.live if one.reason is not None and one.mean_bits < self._best_bits)
        for one in ended:
            if is_sound(one) and one.text.strip() and not self.constraints.unwanted(one.text):
                self._best_bits = one.mean_bits
        for one in self.live:
            if one.reason is None and sum(one.bits) >= self._best_bits * one.decoding.length:
                one.reason = "length"


def _choose(
    group: SequenceGroup, log_probabilities: LogProbabilities, chances: list[float]
) -> tuple[Ids, NDArray[np.bool_]]:
    """Return the ids of a group's texts, (B,), and which texts must end, (B,)."""

    def draw(weights: LogWeights, chances: list[float]) -> Ids:
        return sample(weights, np.array(chances)) if chances else greedy(weights)

    constraints = group.constraints
    if not constraints.static_mask:
        weights, ends = constraints.apply(log_probabilities.astype(np.float64), group.live, group.counts)
        for keep in constraints.filters:
            weights = keep(weights)
        return draw(weights, chances), ends
    weights = log_probabilities + constraints.mask  # in double precision
    ends = np.zeros(len(weights), np.bool_)
    masked = [(row, ids) for row, text in enumerate(group.live) if (ids := constraints.refused(text)) is not None]
    # A filter must see refusals, else nothing may be left. Without one a refused character is drawn again: that is the
    # same distribution, and what `_sample_in_bulk` can do.
    if not constraints.only_temperature:
        for row, refused in masked:
            ends[row] = _refuse(weights[row], refused)
    for keep in constraints.filters:
        weights = keep(weights)
    ids = draw(weights, chances)
    if constraints.only_temperature:
        for row, refused in masked:
            if ids[row] in refused:
                ends[row] = _refuse(weights[row], refused)
                second = [_second_chance(constraints, group.indices[row], group.live[row])]
                ids[row] = draw(weights[row : row + 1], second if chances else [])[0]
    return ids, ends


def _refuse(weights: LogWeights, refused: Ids) -> bool:
    """Refuse ids in weights, (V,); return whether nothing is left, so that the text ends."""
    possible = np.isfinite(weights).any()  # else the caller sees the NaN
    weights[refused] = -np.inf
    if not possible or np.isfinite(weights).any():
        return False
    weights[EOS] = 0
    return True


def generate(
    model: LanguageModel,
    constraints: Constraints,
    log_probabilities: LogProbabilities,
    state: State,
    n: int,
    *,
    step: Step | None = None,
) -> Iterator[list[Hypothesis]]:
    """Yield n texts after every step, or every `_BULK` characters of a `BulkSampler`; the last ones are complete.

    Args:
        model: the model.
        constraints: what may be written.
        log_probabilities: (1, V), of the first character.
        state: the model's state there, one row.
        n: number of texts, some of which are written after the others if all would take much memory.
        step: in place of `model.step`; not by a `BulkSampler`.
    """
    options = constraints.options
    hypotheses = [constraints.hypothesis() for _ in range(n)]
    if options.length == 0:
        yield hypotheses
        return
    only_one = n == 1 and constraints.only_temperature
    if only_one and isinstance(model, BulkSampler) and model.can_sample(options.temperature):
        yield from _sample_in_bulk(model, model, constraints, state, hypotheses[0])
        return
    together = max_rows(model, n, options.length)
    for begin in range(0, n, together):
        group = SequenceGroup(constraints, hypotheses[begin : begin + together], begin)
        rows, after = log_probabilities, state
        if len(group) > 1:
            rows = log_probabilities.repeat(len(group), axis=0)
            after = select_rows(state, np.zeros(len(group), np.int64))
        while group.live:
            ids, ends = _choose(group, rows, group.chances())
            group.append(ids, rows[:, ids[0]] if len(ids) == 1 else rows[np.arange(len(ids)), ids], ends)
            yield hypotheses
            kept = [row for row, hypothesis in enumerate(group.live) if hypothesis.reason is None]
            if len(kept) < len(ids):
                ids, after = ids[kept], select_rows(after, np.array(kept, np.int64))
                group.select(kept)
            if kept:
                rows, after = (step or model.step)(ids, after)  # (live, V)


def _sample_in_bulk(
    model: LanguageModel, sampler: BulkSampler, constraints: Constraints, state: State, hypothesis: Hypothesis
) -> Iterator[list[Hypothesis]]:
    """Yield the text of `generate` every `_BULK` characters, and after refused ones."""
    options, refused = constraints.options, constraints.mask
    generator, chances = np.random.default_rng([options.seed, 0]), np.zeros(0)
    while hypothesis.reason is None:
        if not len(chances):
            chances = generator.random(min(_BULK, options.length - len(hypothesis.text)))
        before = state
        ids, log_probabilities, state = sampler.sample(
            before, chances, temperature=options.temperature, refused=refused
        )
        for i, (id, log_probability) in enumerate(zip(ids.tolist(), log_probabilities.tolist(), strict=True)):
            words = constraints.refused(hypothesis)
            if words is None or id not in words:
                _append(constraints, hypothesis, id, log_probability)
                if hypothesis.reason is None:
                    continue
                break
            # The word would be blocked; the state before this character is computed again.
            state = model.forward(ids[None, :i], before, last=1)[1] if i else before
            without = refused.copy()
            without[words] = -np.inf
            chance = np.array([_second_chance(constraints, 0, hypothesis)])
            instead, cost, state = sampler.sample(state, chance, temperature=options.temperature, refused=without)
            if np.isfinite(without[instead[0]]):
                _append(constraints, hypothesis, int(instead[0]), float(cost[0]))
            elif np.isnan(cost[0]):
                raise FolderError(NO_PROBABILITIES)
            else:  # nothing else may follow
                hypothesis.add(None, 0.0)
            ids = ids[: i + 1]
            break
        chances = chances[len(ids) :]
        yield [hypothesis]


def _second_chance(constraints: Constraints, index: int, hypothesis: Hypothesis) -> float:
    # The last number is not 0: NumPy ignores zeros at the end of seeds.
    return np.random.default_rng([constraints.options.seed, index, len(hypothesis.bits), 1]).random()


def _append(constraints: Constraints, hypothesis: Hypothesis, id: int, log_probability: float) -> None:
    bits = log_probability / -math.log(2) - float(constraints.mask[id])
    if not math.isfinite(bits):
        raise FolderError(NO_PROBABILITIES)
    hypothesis.add(constraints.piece(id), bits)


def keep_best(
    hypotheses: Sequence[Hypothesis], n: int, unwanted: Callable[[str], bool] | None = None
) -> list[Hypothesis]:
    """Return n of the texts, best first; an `unwanted` one only where there are not n others.

    Worse are empty texts, then circular ones (a word twice, or `_REPETITION`), then those of less than a third of the
    length; then fewer bits per character decide, and of equals the first sampled. With `clause` a text is better that
    holds a whole new word, then one that repeats no longer word, then one of a single clause, then one that ends with
    it, then one of more `worth`, if known. Kept texts begin with different words as far as there are such, or else
    differ.
    """
    last = {id(one) for one in hypotheses if unwanted is not None and unwanted(one.text)}
    ranked = sorted(
        ((_folded_words(one.text), one) for one in hypotheses),
        key=lambda each: (not each[1].text.strip(), id(each[1]) in last, *_rank(each)),
    )
    if n == 1:
        return [one for _, one in ranked[:1]]
    first_words, texts = set[str](), set[str]()
    kinds = tuple(list[Hypothesis]() for _ in range(4))  # new first word, new text, same text, unwanted
    for found, one in ranked:
        if id(one) in last:
            kinds[3].append(one)
            continue
        first = found[0] if found else ""
        begins_anew = first not in first_words and bool(one.text.strip())
        kinds[0 if begins_anew else 1 if one.text not in texts else 2].append(one)
        first_words.add(first)
        texts.add(one.text)
    chosen = {id(one) for one in list(chain(*kinds))[:n]}
    return [one for _, one in ranked if id(one) in chosen]


def _rank(candidate: tuple[list[str], Hypothesis]) -> tuple[bool, bool, bool, bool, float]:
    """Return the sort key of a text and its folded words."""
    found, one = candidate
    if one.decoding.clause:
        circles = _REPETITION.search(one.text) is not None or _repeats(one.prompt[-_RECENT:], one.text)
        cost = one.mean_bits if one.sureness is None else -worth(one.sureness, len(one.text))
        return not one.has_new_word(), circles, one.has_clause_within(), one.reason == "length", cost
    circles = len(set(found)) < len(found) or _REPETITION.search(one.text) is not None
    return circles, len(one.text) < one.decoding.length * _SHORT, False, False, one.mean_bits


def is_sound(hypothesis: Hypothesis) -> bool:
    """Return whether a text of `clause` holds a whole new word, repeats none, and ends with its first clause."""
    return not any(_rank(([], hypothesis))[:-1])


def _repeats(prompt: str, text: str) -> bool:
    whole = prompt + text
    found = [(end > len(prompt), fold(whole[begin:end], underscores=True)) for begin, end in words(whole)]
    times = Counter(word for _, word in found if len(word) > 2)
    return any(is_new and times[word] > 1 for is_new, word in found)


def _folded_words(text: str) -> list[str]:
    found = (text[begin:end] for begin, end in words(text) if role(text[begin]) != "unspaced")
    return [fold(word, underscores=True) for word in found]
