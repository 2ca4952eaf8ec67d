"""What is suggested at every place of held-out texts, and whether it is what the writer goes on to write.

A *place* is before a character, or after the last one. What the writer writes next is, at every place, the text up to
the end of the next word: what is left of the word at hand, or what stands before the next one and that one. After the
last word there is nothing that a suggestion could be right about.

Shapes: T characters, k suggestions, B texts in a batch, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kammil.completion.suggestions import CharacterClasses, WordSearch
from kammil.language_model import LanguageModel, max_rows, select_rows
from kammil.progress import steps
from kammil.spacing import space_after, stays
from kammil.text import words
from kammil.vocabulary import BOS, CharacterVocabulary

_BATCH = 16
"""Texts searched together at most. From 32 to 64 rows on, a step of more costs as much more; and a row of a model of
units may take a hundred kilobytes and more."""


@dataclass(frozen=True)
class SuggestionHits:
    """The suggestions at each of the T + 1 places of a text."""

    probabilities: NDArray[np.float64]
    """(T + 1, k), in the order of `Search.run`; 0 where there is none."""
    right: NDArray[np.bool_]
    """(T + 1, k): it is what stands there, up to the end of the next word."""
    spaced: NDArray[np.bool_]
    """(T + 1,): at the end of a word, whether anything is suggested behind the space that the page typed after it and
    that the text does not go on with (`spacing`); False elsewhere."""


@dataclass(frozen=True)
class SuggestedTexts:
    """The offers of all texts, and what they cost."""

    texts: list[SuggestionHits]
    steps: float
    """Steps of the runner that a search takes, in the mean."""
    proven: float
    """Share of the places whose list is certainly that of the most probable words."""


def suggestion_hits(
    runner: LanguageModel, vocabulary: CharacterVocabulary, texts: Sequence[str], k: int, threshold: float
) -> SuggestedTexts:
    """The `k` best suggestions, none below `threshold`, at all places of texts as the model sees them."""
    letters = CharacterClasses.of(vocabulary)
    search, beyond = WordSearch(runner, letters, k, threshold), WordSearch(runner, letters, 1, threshold)
    made = [
        SuggestionHits(np.zeros((n, k)), np.zeros((n, k), np.bool_), np.zeros(n, np.bool_))
        for n in (len(t) + 1 for t in texts)
    ]
    (space,) = vocabulary.encode(" ")
    encoded = [vocabulary.encode(text) for text in texts]
    ends = [word_ends(text) for text in texts]
    order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
    longest = max(map(len, texts), default=0) + 1
    together = max_rows(runner, _BATCH, longest)
    step = steps("typing", sum(len(texts[i]) + 1 for i in order[::together]))
    for begin in range(0, len(order), together):
        live = order[begin : begin + together]  # the longest first, so that those that go on stand first
        log_probabilities, state = runner.step(np.full(len(live), BOS), runner.initial_state(len(live)))
        for t in range(len(texts[live[0]]) + 1):
            going = [i for i in live if len(texts[i]) >= t]
            step()
            if t > 0:
                ids = np.array([encoded[i][t - 1] for i in going])
                log_probabilities, state = runner.step(ids, select_rows(state, np.arange(len(going))))
            live = going
            lists = search.run([texts[i][:t] for i in live], log_probabilities, state)
            for i, found in zip(live, lists, strict=True):
                next_ = texts[i][t : ends[i][t]]
                for j, (ids, p) in enumerate(found):
                    made[i].probabilities[t, j] = p
                    made[i].right[t, j] = bool(next_) and vocabulary.decode(ids) == next_
            left = [row for row, i in enumerate(live) if _space_is_left(texts[i], t, ends[i])]
            if left:
                after, state_after = runner.step(np.full(len(left), space), select_rows(state, np.array(left)))
                lists = beyond.run([texts[live[row]][:t] + " " for row in left], after, state_after)
                for row, found in zip(left, lists, strict=True):
                    made[live[row]].spaced[t] = bool(found)
    places = sum(len(text) + 1 for text in texts)
    return SuggestedTexts(made, search.steps / max(1, places), search.optimal / max(1, places))


def _space_is_left(text: str, t: int, ends: NDArray[np.int64]) -> bool:
    """Whether a word ends at a place, and the page's space behind it is not the text's."""
    return t > 0 and int(ends[t - 1]) == t and bool(space_after(text[:t])) and not stays(text, t)


def word_ends(text: str) -> NDArray[np.int64]:
    """For each of the T + 1 places, where the next word ends, (T + 1,); the place itself where none comes."""
    ends = np.arange(len(text) + 1)
    done = 0
    for _, end in words(text):
        ends[done:end] = end
        done = end
    return ends
