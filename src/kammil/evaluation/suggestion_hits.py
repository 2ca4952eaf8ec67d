"""Suggestions at every position of held-out texts, and whether each is what the writer writes next.

A *position* is before a character, or after the last one. The target at a position is the text up to the end of the
next word: the rest of the current word, or what stands before the next word and that word. After the last word no
suggestion can be right.

The text that is typed may have slips (`slips`), which stay: the model reads them, and the target is what was wanted.

Shapes: T characters, k suggestions, B texts in a batch, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kammil.completion.suggestions import CharacterClasses, WordSearch
from kammil.language_model import LanguageModel, max_rows, select_rows
from kammil.progress import steps
from kammil.spacing import space_after, stays
from kammil.text import words
from kammil.vocabulary import BOS, CharacterVocabulary

_MAX_BATCH = 16
"""Most texts searched in one batch. From 32 to 64 rows on, the time of a step is proportional to the rows; and a row of
a model of units may take a hundred kilobytes and more."""


@dataclass(frozen=True)
class SuggestionHits:
    """The suggestions at each of the T + 1 positions of a text."""

    probabilities: NDArray[np.float64]
    """(T + 1, k): probabilities of the suggestions, in the order of `WordSearch.run`; 0 where there is none."""
    right: NDArray[np.bool_]
    """(T + 1, k): whether the suggestion is the text up to the end of the next word."""
    complete: NDArray[np.float64]
    """(T + 1,): probability that the word at hand is complete; 0 outside words."""
    lengths: NDArray[np.int64]
    """(T + 1, k): characters that each suggestion adds, without a space before them."""
    earlier: NDArray[np.int64]
    """(T + 1, k): rank that each suggestion had one character earlier; k if it is new."""
    spaced: NDArray[np.float64]
    """(T + 1,): at the end of a word, the probability of the best suggestion behind the space that the interface types
    after it, where the text has no such space (`spacing`); 0 elsewhere, and where there is none."""
    spaced_lengths: NDArray[np.int64]
    """(T + 1,): characters that it adds."""


@dataclass(frozen=True)
class SuggestedTexts:
    """The suggestions of all texts, and the cost of the search."""

    texts: list[SuggestionHits]
    steps: float
    """Mean number of model steps of a search."""
    proven: float
    """Share of the positions whose list is proven to be the most probable words."""


def suggestion_hits(
    model: LanguageModel,
    vocabulary: CharacterVocabulary,
    texts: Sequence[str],
    k: int,
    threshold: float,
    *,
    typed: Sequence[str] | None = None,
    keep: Callable[[str, str], bool] = lambda _prefix, _added: True,
) -> SuggestedTexts:
    """Search the `k` best suggestions, none below `threshold`, at all positions of texts as the model sees them.

    Args:
        model, vocabulary: the model.
        texts: what the writer wants to write.
        k: most suggestions.
        threshold: least probability of each.
        typed: what stands on the screen, if there are slips: texts of the same lengths with the same words.
        keep: whether a suggestion, given what is typed and what it adds, is shown.
    """
    classes = CharacterClasses.of(vocabulary)
    search, search_after_space = WordSearch(model, classes, k, threshold), WordSearch(model, classes, 1, threshold)
    hits = [
        SuggestionHits(
            np.zeros((n, k)),
            np.zeros((n, k), np.bool_),
            np.zeros(n),
            np.zeros((n, k), np.int64),
            np.full((n, k), k),
            np.zeros(n),
            np.zeros(n, np.int64),
        )
        for n in (len(t) + 1 for t in texts)
    ]
    (space,) = vocabulary.encode(" ")
    typed = texts if typed is None else typed
    shown: list[dict[str, int]] = [{} for _ in texts]
    encoded = [vocabulary.encode(text) for text in typed]
    ends = [word_ends(text) for text in texts]
    order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
    longest = max(map(len, texts), default=0) + 1
    batch_size = max_rows(model, _MAX_BATCH, longest)
    step = steps("typing", sum(len(texts[i]) + 1 for i in order[::batch_size]))
    for begin in range(0, len(order), batch_size):
        live = order[begin : begin + batch_size]  # the longest first, so that the unfinished texts are the first rows
        log_probabilities, state = model.step(np.full(len(live), BOS), model.initial_state(len(live)))
        for t in range(len(texts[live[0]]) + 1):
            unfinished = [i for i in live if len(texts[i]) >= t]
            step()
            if t > 0:
                ids = np.array([encoded[i][t - 1] for i in unfinished])
                log_probabilities, state = model.step(ids, select_rows(state, np.arange(len(unfinished))))
            live = unfinished
            prefixes = [typed[i][:t] for i in live]
            lists = search.run(prefixes, log_probabilities, state)
            complete = classes.complete(prefixes, np.exp(log_probabilities))
            for i, prefix, suggestions, done in zip(live, prefixes, lists, complete.tolist(), strict=True):
                target = texts[i][t : ends[i][t]]
                hits[i].complete[t] = done
                decoded = [(vocabulary.decode(ids), p) for ids, p in suggestions]
                kept = [(added, p) for added, p in decoded if keep(prefix, added)]
                for j, (added, p) in enumerate(kept):
                    hits[i].probabilities[t, j] = p
                    hits[i].right[t, j] = bool(target) and added == target
                    hits[i].lengths[t, j] = len(added.lstrip(" "))
                    hits[i].earlier[t, j] = shown[i].get(prefix + added, k)
                shown[i] = {prefix + added: j for j, (added, _) in enumerate(kept)}
            after_word = [row for row, i in enumerate(live) if _space_is_left(texts[i], t, ends[i])]
            if after_word:
                after, state_after = model.step(
                    np.full(len(after_word), space), select_rows(state, np.array(after_word))
                )
                prefixes = [typed[live[row]][:t] + " " for row in after_word]
                lists = search_after_space.run(prefixes, after, state_after)
                for row, prefix, suggestions in zip(after_word, prefixes, lists, strict=True):
                    for ids, p in suggestions:
                        added = vocabulary.decode(ids)
                        if keep(prefix, added):
                            hits[live[row]].spaced[t], hits[live[row]].spaced_lengths[t] = p, len(added)
    places = sum(len(text) + 1 for text in texts)
    return SuggestedTexts(hits, search.steps / max(1, places), search.optimal / max(1, places))


def _space_is_left(text: str, t: int, ends: NDArray[np.int64]) -> bool:
    """Return whether a word ends at position t, and the space that the interface types there is not in the text."""
    return t > 0 and int(ends[t - 1]) == t and bool(space_after(text[:t])) and not stays(text, t)


def word_ends(text: str) -> NDArray[np.int64]:
    """Return for each of the T + 1 positions the end of the next word, (T + 1,); the position itself without any."""
    ends = np.arange(len(text) + 1)
    done = 0
    for _, end in words(text):
        ends[done:end] = end
        done = end
    return ends
