"""Ghost text: the most probable word, then the most probable one after that, and so on, while each is likely enough.

Going on with the most probable character (a greedy completion) is not that: it has no word in view, falls into circles,
and is as sure of them as of anything.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kammil.completion.suggestions import CharacterClasses, WordSearch, checked
from kammil.errors import OptionError
from kammil.language_model import LanguageModel, LogProbabilities, State
from kammil.text import open_word
from kammil.vocabulary import CharacterVocabulary

MIN_GHOST_PROBABILITY = 0.1
"""Least probability of each word of a phrase. On lev30/validation, taken word by word, it saves 18.5 % of the
keystrokes then (`evaluation.typing`), and 29 % of the phrases shown begin right: a greedy completion saves 18.0 %, and
13 % are right. Shown wherever a word is more probable than 0.02, 20.3 and 16 %; from 0.2 on 16.5 and 40 %.
All thresholds: docs/log.md#why-does-ghost-text-go-in-circles"""
MAX_WORDS = 8
"""Of a phrase at most."""


@dataclass(frozen=True)
class Phrase:
    """Words that may come next, one after the other."""

    added: str
    """What has to be appended to the prefix; empty if nothing is likely enough."""
    probability: float
    """That exactly these words come next."""


def phrase(
    runner: LanguageModel,
    vocabulary: CharacterVocabulary,
    letters: CharacterClasses,
    prefix: str,
    log_probabilities: LogProbabilities,
    state: State,
    *,
    words: int = MAX_WORDS,
    threshold: float = MIN_GHOST_PROBABILITY,
) -> Phrase:
    """The most probable word after a prefix, and those after it, as far as each is at least so probable given the rest.

    Args:
        runner, vocabulary, letters, prefix, log_probabilities, state: as for `suggestion.suggest`.
        words: how many at most.
        threshold: least probability of each, those before it given.

    A word that is there already ends it: what people write goes on with something else. Raises: `OptionError` for
    fewer words than one, or a threshold that is no probability.
    """
    if words < 1:
        raise OptionError(f"words is {words}, but a phrase has at least one.")
    least, space, begun = checked(threshold), letters.space, open_word(prefix)
    said = {begun, open_word(prefix.removesuffix(begun).rstrip())}
    added, probability, share = "", 1.0, 1.0
    for _ in range(words):
        (found,) = WordSearch(runner, letters, 1, least / share).run([prefix + added], log_probabilities, state)
        if not found:
            break
        ids, chance = found[0]
        piece = vocabulary.decode(ids)
        word = open_word(prefix + added + piece)
        if word in said:
            break
        said.add(word)
        added, probability = added + piece, probability * share * chance
        read, state = runner.forward(ids[None], state, last=1)  # (1, 1, V)
        after = np.exp(read[0, -1].astype(np.float64))
        closed = float(after @ letters.close)
        share = float(after[space]) / closed if space is not None and closed > 0 else 0.0  # of all that may close it
        if share < least or share == 0:
            break
        log_probabilities, state = runner.step(np.array([space]), state)
        added += " "
    return Phrase(added.rstrip(" "), probability)
