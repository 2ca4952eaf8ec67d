"""Words that a writer uses and that a model hardly expects before it has learnt them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from kammil.completion.completer import Completer
from kammil.completion.scoring import TokenScores, score_in_batches
from kammil.text import counted, visible, words

BEGUN = 2
"""Letters after which a word is to be expected."""
UNEXPECTED = 0.03
"""Of four writers' words below it, 217 of 220 stood in no list of three after at most two letters."""
NAMED = 8

Uses = dict[str, list[tuple[int, int]]]
"""Word -> its uses: number of the text, and where the word begins there."""


def own_words(texts: Sequence[str], scores: Sequence[TokenScores]) -> Uses:
    """Return the words, used twice or more, that a model with these scores expects at no use once two letters are
    typed; the most used ones first."""
    uses: Uses = defaultdict(list)
    expected = set[str]()
    for number, (text, score) in enumerate(zip(texts, scores, strict=True)):
        for begin, end in words(text):
            word, rest = text[begin:end], score.bits[begin + BEGUN : end]
            uses[word].append((number, begin))
            if 2 ** -float(rest.sum()) >= UNEXPECTED or word.isnumeric():  # so always for a word of two letters
                expected.add(word)
    own = {word: places for word, places in uses.items() if word not in expected and len(places) > 1}
    return dict(sorted(own.items(), key=lambda item: -len(item[1])))


def learnt_words(model: Completer) -> dict[str, int]:
    """Return the `own_words` of the texts that a model has learnt, and how often each was used; `OptionError` for a
    model that cannot learn."""
    texts = [text for text in (model.normalise(text).strip() for text in model.learnt_texts) if text]
    scores = score_in_batches(model.fork().language_model, model.vocabulary, texts)
    return {word: len(uses) for word, uses in own_words(texts, scores).items()}


def told(used: dict[str, int]) -> str:
    """Return a line that says how many words were learnt, and names the most used ones."""
    named = [f"{visible(word)} {times}" for word, times in [*used.items()][:NAMED]]
    more = [f"{len(used) - NAMED:,} more"] * (len(used) > NAMED)
    return f"learnt {counted(len(used), 'word')} of yours: {', '.join(named + more)}"
