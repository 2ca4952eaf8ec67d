"""Ghost text: the most probable word, then the most probable one after that, and so on, while each is likely enough.

A greedy completion (the most probable character, again and again) is no substitute: it does not look for words, falls
into loops, and gives loops a high probability.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kammil.completion.suggestions import CharacterClasses, WordSearch, check_threshold
from kammil.decoding.word_block import Refusals
from kammil.errors import OptionError
from kammil.language_model import LanguageModel, LogProbabilities, State
from kammil.text import open_word
from kammil.vocabulary import CharacterVocabulary

MIN_GHOST_PROBABILITY = 0.1
"""Least probability of each word of ghost text. On lev30/validation, accepted word by word, it then saves 18.5 % of the
keystrokes (`evaluation.keystrokes`), and 29 % of the phrases shown begin right; with a greedy completion it is 18.0 and
13 %, with a threshold of 0.02 20.3 and 16 %, with 0.2 16.5 and 40 %.
All thresholds: docs/log.md#why-does-ghost-text-go-in-circles"""
MAX_WORDS = 8
"""Most words of ghost text."""


@dataclass(frozen=True)
class Phrase:
    """Ghost text: the words that are likely to come next."""

    added: str
    """Text to append to the prefix; empty if nothing is likely enough."""
    probability: float
    """Probability that exactly these words come next."""


def phrase(
    model: LanguageModel,
    vocabulary: CharacterVocabulary,
    classes: CharacterClasses,
    prefix: str,
    log_probabilities: LogProbabilities,
    state: State,
    *,
    words: int = MAX_WORDS,
    threshold: float = MIN_GHOST_PROBABILITY,
    refusals: Refusals[Any] | None = None,
) -> Phrase:
    """Predict the most probable word after a prefix, then the most probable one after it, and so on.

    Ghost text ends before a word that it already has: people rarely write a word twice.

    Args:
        model, vocabulary, classes, prefix, log_probabilities, state: as for `suggestions.suggest`.
        words: most words.
        threshold: least probability of each word, given the text before it.
        refusals: what is not written, however probable; None for nothing.

    Raises: `OptionError` for fewer words than one, or a threshold that is no probability.
    """
    if words < 1:
        raise OptionError(f"words is {words}, but a phrase has at least one.")
    minimum, space, open_part = check_threshold(threshold), classes.space, open_word(prefix)
    used = {open_part, open_word(prefix.removesuffix(open_part).rstrip())}
    added, probability, space_share = "", 1.0, 1.0
    for _ in range(words):
        search = WordSearch(model, classes, 1, minimum / space_share, refusals=refusals)
        (found,) = search.run([prefix + added], log_probabilities, state)
        if not found:
            break
        ids, word_probability = found[0]
        piece = vocabulary.decode(ids)
        word = open_word(prefix + added + piece)
        if word in used:
            break
        used.add(word)
        added, probability = added + piece, probability * space_share * word_probability
        scores, state = model.forward(ids[None], state, last=1)  # (1, 1, V)
        following = np.exp(scores[0, -1].astype(np.float64))
        closing = float(following @ classes.close)
        # The share of the space among all characters that may end the word.
        space_share = float(following[space]) / closing if space is not None and closing > 0 else 0.0
        if space_share < minimum or space_share == 0:
            break
        log_probabilities, state = model.step(np.array([space]), state)
        added += " "
    return Phrase(added.rstrip(" "), probability)
