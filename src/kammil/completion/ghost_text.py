"""Ghost text: the most probable word, then the most probable one after that, while each is worth reading (`GhostRule`).

A wrong word costs more than a key, so none is shown where the word at hand is more probably complete; a *stock phrase*
that begins with the sure words, if any, may stand in their place (`stock_phrases`). Greedy decoding is no substitute:
it falls into loops, and gives loops a high probability.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from kammil.completion.character_classes import CharacterClasses
from kammil.completion.unsolicited import strip_unsolicited
from kammil.completion.word_list import MIN_OF_BEST
from kammil.completion.word_search import WordSearch
from kammil.decoding.hypothesis import Hypothesis
from kammil.decoding.refusals import NO_REFUSALS, Refusals
from kammil.language_model import LanguageModel, LogProbabilities, State
from kammil.text import ends_unspaced, keys_saved, open_word
from kammil.vocabulary import CharacterVocabulary

GhostLevel = Literal["quiet", "balanced", "eager"]
"""How readily ghost text is shown."""


@dataclass(frozen=True)
class GhostRule:
    """When a word of ghost text is shown."""

    threshold: float
    """Minimum probability of a word, given the text before it."""
    charge: float
    """Minimum mean number of keys saved by a word: what it costs to read it."""
    sureness: float = math.inf
    """Minimum log-odds that a stock phrase makes sense."""

    def shows(self, probability: float, saved: int, complete: float) -> bool:
        """Return whether to show a word that saves so many keys; `complete` is the probability that the word at hand is
        whole."""
        return probability >= max(self.threshold, complete) and probability * saved >= self.charge


GHOST_RULES: Mapping[str, GhostRule] = {
    "quiet": GhostRule(0.5, 1.15, 0.7),
    "balanced": GhostRule(0.5, 0.8, 0.3),
    "eager": GhostRule(0.3, 0.8, 0.05),
}
"""The levels, chosen by `benchmarks/ghost.py`: to read a word costs 1.15 keys on a phone and 0.65 on a desktop; *quiet*
makes a phone fastest, *eager* a desktop (docs/log.md#when-does-ghost-text-help)."""
GHOST: GhostLevel = "balanced"
MAX_WORDS = 8
"""Maximum number of words of ghost text."""


@dataclass(frozen=True)
class Phrase:
    """Ghost text: the words that probably come next."""

    added: str
    """Text to append to the prefix; empty if nothing is worth reading."""
    probability: float
    """Probability of exactly these words."""
    stock: bool = False
    """Whether they are a stock phrase."""
    sure: str = ""
    """The words at its beginning that the model is sure of."""


def or_stock_phrase(ghost: Phrase, prompt: str, stock: Sequence[Hypothesis], rule: GhostRule) -> Phrase:
    """Return the best stock phrase that is sure enough and begins with the ghost text, else that."""
    for one in stock:
        is_sure = one.sureness is not None and one.sureness >= rule.sureness
        if is_sure and one.text.startswith(ghost.added) and strip_unsolicited(prompt, one.text) == one.text:
            return Phrase(one.text, 2 ** -sum(one.bits), stock=True, sure=ghost.added)
    return ghost


def phrase(
    model: LanguageModel,
    vocabulary: CharacterVocabulary,
    classes: CharacterClasses,
    prefix: str,
    log_probabilities: LogProbabilities,
    state: State,
    *,
    words: int = MAX_WORDS,
    rule: GhostRule = GHOST_RULES[GHOST],
    refusals: Refusals = NO_REFUSALS,
) -> Phrase:
    """Predict words one after the other, up to one that the text already has or has not called for (`unsolicited`);
    `log_probabilities`, (1, V), follow the prefix."""
    space, open_part = classes.space, open_word(prefix)
    complete = float(classes.complete([prefix], np.exp(log_probabilities))[0])
    used = {open_part, open_word(prefix.removesuffix(open_part).rstrip())}
    phrases, space_share = [Phrase("", 1.0)], 1.0
    added, probability = "", 1.0
    for _ in range(words):
        threshold = rule.threshold / space_share
        search = WordSearch(model, classes, 1, threshold, refusals=refusals)
        (found,) = search.run([prefix + added], log_probabilities, state)
        if found and classes.may_be_careful(found[0].ids, prefix):  # the same word as the writer spells it
            search.threshold = threshold * MIN_OF_BEST
            (found,) = search.run([prefix + added], log_probabilities, state)
        if not found:
            break
        ids, word_probability, _, best = found[0]
        piece = vocabulary.decode(ids)
        unspaced = ends_unspaced(prefix + added + piece)
        word = piece.lstrip(" ") if unspaced else open_word(prefix + added + piece)
        if word in used or not rule.shows(space_share * max(word_probability, best), keys_saved(piece), complete):
            break
        used.add(word)
        added, probability = added + piece, probability * space_share * word_probability
        shown = strip_unsolicited(prefix, added)
        if shown != added:  # whole words of it, or nothing
            return next(each for each in reversed(phrases) if len(each.added) <= len(shown))
        phrases.append(Phrase(added, probability))
        scores, state = model.forward(ids[None], state, last=1)  # (1, 1, V)
        following = np.exp(scores[0, -1].astype(np.float64))
        if unspaced:  # no mark may follow: the piece's probability is of whole letters
            following[classes.extends] = 0
            log_probabilities = np.full(scores[:, -1].shape, -np.inf, np.float32)
            total = following.sum()
            if total > 0:
                np.log(following / total, out=log_probabilities[0], where=following > 0, casting="same_kind")
            complete, space_share = 0.0, 1.0
            continue
        closing = float(following @ classes.close)
        space_share = float(following[space]) / closing if space is not None and closing > 0 else 0.0
        if space_share < rule.threshold or space_share == 0:
            break
        log_probabilities, state = model.step(np.array([space]), state)
        added, complete = added + " ", 0.0
    return phrases[-1]
