"""Suggestions at every position of held-out texts, and whether each is what the writer writes next.

A *position* is before a character or after the last. The target there is the text up to the end of the next word, or of
any letter in a script without spaces. *Slips* in typed letters stay: the model reads them, and only a suggestion that
replaces such a word can be right.

Shapes: T characters, k suggestions, B texts in a batch, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kammil.completion.begun_word import MAX_TYPED, BegunWord
from kammil.completion.channel import Channel
from kammil.completion.character_classes import CharacterClasses, first_ids
from kammil.completion.word_list import Openings
from kammil.completion.word_search import WordSearch
from kammil.decoding.refusals import NO_REFUSALS, Refusals
from kammil.errors import OptionError
from kammil.language_model import LanguageModel, State, max_rows, select_rows
from kammil.languages import neighbours, union
from kammil.progress import steps
from kammil.text import keys_saved, open_word, space_after, stays, unspaced_runs, words
from kammil.vocabulary import BOS, SPECIALS, CharacterVocabulary

_MAX_BATCH = 16
"""Texts of a batch: a row of a model of units may take 100 kB."""


class SuggestionHits:
    """At most k suggestions at each of the T + 1 positions of a text; none at first."""

    def __init__(self, positions: int, k: int) -> None:
        self.probabilities = np.zeros((positions, k))  # in the order of `WordSearch.run`; 0 without one
        self.right = np.zeros((positions, k), np.bool_)  # whether it is a target
        self.lengths = np.zeros((positions, k), np.int64)  # characters added, without a space before them
        self.saved = np.zeros((positions, k), np.int64)  # see `text.keys_saved`
        self.ends = np.zeros((positions, k), np.int64)  # where the text goes on after it
        self.earlier = np.full((positions, k), k)  # rank one character earlier; k if new
        self.complete = np.zeros(positions)  # probability that the word at hand is complete; 0 outside words
        self.spaced, self.spaced_lengths = np.zeros(positions), np.zeros(positions, np.int64)
        """Where the interface puts a space after a word and the text has none (`text.stays`): probability and length of
        the best suggestion behind that space; else 0."""


@dataclass(frozen=True)
class SuggestedTexts:
    """Suggestions of all texts, and cost of the search."""

    texts: list[SuggestionHits]
    steps: float
    """Mean number of model steps."""
    proven: float
    """Share of lists proven to be the most probable words."""


def suggestion_hits(
    model: LanguageModel,
    vocabulary: CharacterVocabulary,
    texts: Sequence[str],
    k: int,
    threshold: float,
    *,
    typed: Sequence[str] | None = None,
    channel: Channel | None = None,
    refusals: Refusals = NO_REFUSALS,
    openings: Openings | None = None,
    keep: Callable[[str, str], bool] = lambda _prefix, _added: True,
) -> SuggestedTexts:
    """Search the `k` best suggestions, none below probability `threshold`, at all positions of normalised texts.

    Args:
        typed: the texts with slips, of the same lengths and with the same words.
        channel: corrects begun words, if any.
        refusals, openings: see `WordSearch`.
        keep: whether to show a suggestion, given what is typed and what it adds.
    """
    classes = CharacterClasses.of(vocabulary, first_ids(model))
    search, search_after_space = (
        WordSearch(model, classes, n, threshold, refusals=refusals, openings=openings) for n in (k, 1)
    )
    hits = [SuggestionHits(len(text) + 1, k) for text in texts]
    (space,) = vocabulary.encode(" ")
    typed = texts if typed is None else typed
    shown: list[dict[str, int]] = [{} for _ in texts]
    encoded = [vocabulary.encode(text) for text in typed]
    ends = [word_ends(text) for text in texts]
    all_ends = [{end for _, end in words(text)} for text in texts]
    spoilt = [_spoilt(text, on_screen) for text, on_screen in zip(texts, typed, strict=True)]
    order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
    longest = max(map(len, texts), default=0) + 1
    batch_size = max_rows(model, _MAX_BATCH, longest)
    step = steps("typing", sum(len(texts[i]) + 1 for i in order[::batch_size]))
    for begin in range(0, len(order), batch_size):
        live = order[begin : begin + batch_size]  # longest first, so that unfinished texts are the first rows
        log_probabilities, state = model.step(np.full(len(live), BOS), model.initial_state(len(live)))
        variants: list[BegunWord | None] = [None] * len(live)
        for t in range(len(texts[live[0]]) + 1):
            unfinished = [i for i in live if len(texts[i]) >= t]
            step()
            if t > 0:
                ids = np.array([encoded[i][t - 1] for i in unfinished])
                log_probabilities, state = model.step(ids, select_rows(state, np.arange(len(unfinished))))
            live = unfinished
            prefixes = [typed[i][:t] for i in live]
            if channel is not None:
                last = [int(encoded[i][t - 1]) if t else BOS for i in live]
                variants = _read_on(model, channel, variants, prefixes, last, np.exp(log_probabilities), state)
            lists = search.run(prefixes, log_probabilities, state, variants)
            complete = classes.complete(prefixes, np.exp(log_probabilities))
            for i, prefix, suggestions, done in zip(live, prefixes, lists, complete.tolist(), strict=True):
                hits[i].complete[t] = done
                decoded = [(t - n, vocabulary.decode(ids), p) for ids, p, n, _ in suggestions]
                kept = [(at, added, p) for at, added, p in decoded if keep(prefix, added)]
                for j, (at, added, p) in enumerate(kept):  # added stands from at on, after the letters that stay
                    end, replaced = at + len(added), t - at
                    as_wanted = end in all_ends[i] and texts[i].startswith(added, at) and t < end
                    hits[i].probabilities[t, j], hits[i].ends[t, j] = p, end
                    hits[i].right[t, j] = as_wanted and not (replaced == 0 and spoilt[i][t])
                    hits[i].lengths[t, j] = len(added.lstrip(" ")) - replaced
                    hits[i].saved[t, j] = keys_saved(added) - replaced
                    hits[i].earlier[t, j] = shown[i].get(prefix[:at] + added, k)
                shown[i] = {prefix[:at] + added: j for j, (at, added, _) in enumerate(kept)}
            after_word = [row for row, i in enumerate(live) if _space_is_left(texts[i], t, ends[i])]
            if after_word:
                after, state_after = model.step(
                    np.full(len(after_word), space), select_rows(state, np.array(after_word))
                )
                prefixes = [typed[live[row]][:t] + " " for row in after_word]
                lists = search_after_space.run(prefixes, after, state_after)
                for row, prefix, suggestions in zip(after_word, prefixes, lists, strict=True):
                    for ids, p, *_ in suggestions:
                        added = vocabulary.decode(ids)
                        if keep(prefix, added):
                            hits[live[row]].spaced[t], hits[live[row]].spaced_lengths[t] = p, len(added)
    places = sum(len(text) + 1 for text in texts)
    return SuggestedTexts(hits, search.steps / max(1, places), search.optimal / max(1, places))


def _read_on(
    model: LanguageModel,
    channel: Channel,
    variants: Sequence[BegunWord | None],
    prefixes: Sequence[str],
    last: Sequence[int],
    p: NDArray[np.float32],
    state: State,
) -> list[BegunWord | None]:
    """Return the begun words after their last ids; `p`, (B, V), and `state` follow the prefixes."""
    read: list[BegunWord | None] = []
    for row, (prefix, id) in enumerate(zip(prefixes, last, strict=True)):
        before = variants[row]
        if not open_word(prefix):
            read.append(BegunWord.start(p[row : row + 1], select_rows(state, np.array([row]))))
        elif before is None or len(before.typed) == MAX_TYPED or id < SPECIALS:
            read.append(None)
        else:
            read.append(before.after(model, channel, id))
    return read


def _spoilt(text: str, typed: str) -> NDArray[np.bool_]:
    """Return whether the current word has a slip before each position, (T + 1,)."""
    spoilt = np.zeros(len(text) + 1, np.bool_)
    wrong = np.array([a != b for a, b in zip(text, typed, strict=True)], np.bool_)
    for begin, end in words(text):
        spoilt[begin + 1 : end] = np.logical_or.accumulate(wrong[begin : end - 1])
    return spoilt


def _space_is_left(text: str, t: int, ends: NDArray[np.int64]) -> bool:
    return t > 0 and int(ends[t - 1]) == t and bool(space_after(text[:t])) and not stays(text, t)


def word_ends(text: str) -> NDArray[np.int64]:
    """Return the end of the next word from each position, (T + 1,); the position itself without any."""
    ends = np.arange(len(text) + 1)
    done = 0
    for _, end in words(text):
        ends[done:end] = end
        done = end
    return ends


def farthest_ends(text: str, max_piece: int) -> NDArray[np.int64]:
    """Return the farthest end of a right suggestion at each position, (T + 1,); `max_piece` limits scripts without
    spaces."""
    ends = word_ends(text)
    for begin, *letter_ends in unspaced_runs(text):
        before = int(np.searchsorted(ends, letter_ends[0]))  # where the text before the run ends
        for at in range(before, letter_ends[-1]):
            first = max(at, begin)
            ends[at] = max((end for end in letter_ends if end - first <= max_piece), default=ends[at])
    return ends


def check_slips(rate: float) -> float:
    """Return the rate; `OptionError` if it is not between 0 and 1."""
    if not 0 <= rate <= 1:
        raise OptionError(f"slips is {rate}, but it must be between 0 and 1, such as 0.03.")
    return rate


def with_slips(texts: Sequence[str], rate: float, *, seed: int = 0) -> list[str]:
    """Return texts of the same lengths, with about `rate` of the letters wrong: a neighbouring key or, half of the
    time, another spelling (ا for أ, ه for ة)."""
    if check_slips(rate) == 0:
        return list(texts)
    generator = np.random.default_rng(seed)
    return ["".join(_typed(text, rate, generator)) for text in texts]


def _typed(text: str, rate: float, generator: np.random.Generator) -> list[str]:
    characters, beside = list(text), neighbours()
    respelt, respelt_last = union("respelt"), union("respelt") | union("respelt_last")
    for i in np.flatnonzero(generator.random(len(text)) < rate).tolist():
        letter, last = characters[i], not text[i + 1 : i + 2].isalpha()
        spelling, keys = (respelt_last if last else respelt).get(letter), beside.get(letter, "")
        if spelling and (not keys or generator.random() < 0.5):
            characters[i] = spelling
        elif keys:
            characters[i] = keys[int(generator.integers(len(keys)))]
    return characters
