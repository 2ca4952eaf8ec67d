"""Suggestions: the most probable next words, or endings of the current word, with their exact probabilities.

Within a word its endings are suggested; if fewer than k are probable enough, next words fill the rest of the list.
Where the word is more probably complete than not, next words come first (`word_search`). In a script without spaces a
suggestion is a piece of text (`pieces`). So the probabilities of all suggestions after a prefix sum to at most one; the
rest is the probability that the word is complete already, or that something else than a word comes next.

The begun word may have been typed with a slip, in another spelling than the one that the model would complete, or in
Latin letters. A suggestion may begin with what is meant (`begun_word`), and then says how many characters it replaces.
Behind a space a next word may follow words in Latin letters as they are meant, and replaces them, too.
Its probability is that the word is meant, given what was typed: model times channel, divided by the sum over all.

Shapes: R prefixes, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kammil.completion.begun_word import MAX_RUN, MAX_TYPED, BegunWord
from kammil.completion.character_classes import CharacterClasses
from kammil.completion.openings import Openings
from kammil.completion.word_search import MAX_CHARACTERS, MAX_STATES, MIN_PROBABILITY, FoundWord, WordSearch
from kammil.decoding.word_block import Refusals
from kammil.errors import OptionError
from kammil.language_model import LanguageModel, LogProbabilities, State
from kammil.text import ends_unspaced, graphemes, open_word, role
from kammil.vocabulary import CharacterVocabulary

MAX_REPLACED = (MAX_RUN + 1) * (MAX_TYPED + 1)
"""Most characters that a suggestion replaces."""


@dataclass(frozen=True)
class Suggestion:
    """A suggested word: a next word, or the current word completed; in a script without spaces, the next letters."""

    text: str
    """The whole word as it would stand, or the piece; of a word beyond `text.MAX_OPEN_WORD` characters only its end."""
    added: str
    """Text to append to the prefix: the word, its ending, or a space and the word. Where letters are replaced, the
    whole word, to append to what stands before them; if they are of words in Latin letters, all of these in Arabic."""
    probability: float
    """Probability that exactly `added` comes next, and then no further character of a word, or of the last letter in a
    script without spaces."""
    replaces: int = 0
    """Characters at the end of the prefix that `added` replaces: the begun word, if it is corrected, and words in Latin
    letters before it, or before a next word, that are Arabic; else 0."""

    def appended_to(self, prefix: str) -> str:
        """Return the text after the suggestion is taken."""
        return prefix[: len(prefix) - self.replaces] + self.added


def suggest(
    model: LanguageModel,
    vocabulary: CharacterVocabulary,
    classes: CharacterClasses,
    prefix: str,
    log_probabilities: LogProbabilities,
    state: State,
    *,
    k: int = 3,
    threshold: float = MIN_PROBABILITY,
    refusals: Refusals[Any] | None = None,
    variants: BegunWord | None = None,
    openings: Openings | None = None,
) -> list[Suggestion]:
    """Suggest at most `k` words after one prefix, none below `threshold`, in the order of `WordSearch.run`.

    Args:
        model: the language model.
        vocabulary: its characters.
        classes: `CharacterClasses.of(vocabulary)`.
        prefix: as the model sees it.
        log_probabilities: (1, V), of what follows the prefix.
        state: after the prefix.
        k: most suggestions.
        threshold: least probability of each.
        refusals: see `WordSearch`.
        variants: what the word at the end of the prefix may be meant for; None corrects nothing.
        openings: see `WordSearch`.

    Raises: `OptionError` for k below 1, or a threshold that is no probability.
    """
    if k < 1:
        raise OptionError(f"k is {k}, but at least one suggestion must be asked for.")
    width = max(MAX_STATES, k)
    search = WordSearch(model, classes, k, check_threshold(threshold), width, refusals=refusals, openings=openings)
    (found,) = search.run([prefix], log_probabilities, state, [variants])
    return to_suggestions(vocabulary, prefix, found)


def to_suggestions(vocabulary: CharacterVocabulary, prefix: str, found: Sequence[FoundWord]) -> list[Suggestion]:
    """Convert the results of a search after a prefix to suggestions."""
    suggestions: list[Suggestion] = []
    open_part = open_word(prefix)
    last_letter = graphemes(prefix[-MAX_CHARACTERS:])[-1] if ends_unspaced(prefix) else ""
    for ids, p, replaced, _ in found:
        added = vocabulary.decode(ids)
        if replaced:
            suggestions.append(Suggestion(open_word(added), added, p, replaced))
            continue
        first = role(added[0])
        before = "" if first == "unspaced" else last_letter if first == "mark" and last_letter else open_part
        suggestions.append(Suggestion(added[1:] if added.startswith(" ") else before + added, added, p))
    return suggestions


def letters_to_correct(prefix: str, seen: str) -> int:
    """Return how many characters at the end of a prefix a suggestion may replace: those of its open word; 0 for none.

    It is 0 where the model has not seen the word as it was typed, since the characters that are replaced are counted in
    what was typed.
    """
    word = open_word(seen)
    return len(word) if prefix.endswith(word) else 0


def seen_as_typed(prefix: str, seen: str) -> int:
    """Return how many characters at the end of a prefix, of the last `MAX_REPLACED`, the model has seen as they were
    typed."""
    alike = [a == b for a, b in zip(prefix[: -MAX_REPLACED - 1 : -1], seen[: -MAX_REPLACED - 1 : -1], strict=False)]
    return [*alike, False].index(False)


def check_threshold(threshold: float) -> float:
    """Return the threshold; `OptionError` if it is no probability."""
    if not 0 <= threshold <= 1:
        raise OptionError(f"threshold is {threshold}, but it must be between 0 and 1, such as {MIN_PROBABILITY}.")
    return threshold
