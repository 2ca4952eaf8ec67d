"""Stock phrases: ends of messages that were written beforehand, one of which may go on from what is typed.

A model loses the thread; a message keeps it. Where a message has the last word of the text, whole or begun, the rest of
its clause is a candidate. Its `sureness` depends on the model's bits, and on the *likeness* of the text and the message
up to there: the Jaccard similarity of their folded words, weighted by information. `recipes/phrases.py` makes
`phrases.npz`.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import resources
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kammil.completion.scoring import score_continuations
from kammil.decoding import Constraints, Hypothesis, is_sound, keep_best
from kammil.decoding.hypothesis import CLAUSE_END, SENTENCE_END, worth
from kammil.language_model import LanguageModel, LogProbabilities, State
from kammil.text import fold_spelling, open_word, words

Places = NDArray[np.int64]

FILE = "phrases.npz"
MAX_CHARACTERS = 40
MAX_WORDS = 32
"""Number of last words that phrases are found by."""
MAX_PHRASES = 12
SURE = 0.05
"""Minimum log-odds of a stock phrase offered unasked, or in place of draws."""
_MAX_PLACES = 320  # whose message is looked at word by word


class StockPhrase(NamedTuple):
    """A continuation of a text: the end of a message."""

    text: str
    """The rest of the clause, its mark included."""
    likeness: float
    """From 0 to 1."""


def sureness(bits: Sequence[float], likeness: float) -> float:
    """Return the log-odds that a continuation makes sense, fitted to grades of 2,655 texts (`benchmarks/sureness.py`;
    docs/log.md, "Who ends a thought: a model, or a message?")."""
    return 0.3 - 0.235 * sum(bits) / math.sqrt(max(1, len(bits))) + 6.1 * likeness


class Lines:
    """Lines of a UTF-8 text, decoded when read: a hundred thousand strings would take tens of megabytes."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        breaks = np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n"))
        self._ends = np.append(breaks, len(text)).astype(np.int32)

    def __len__(self) -> int:
        """Number of lines."""
        return len(self._ends)

    def __getitem__(self, index: int) -> str:
        """Decode a line."""
        begin = int(self._ends[index - 1]) + 1 if index else 0
        return self._text[begin : int(self._ends[index])].decode("utf-8")


class StockPhrases:
    """Messages whose ends can be looked up.

    Args:
        folds: distinct folded words, sorted.
        tokens: words as spelled, in the order of their folds; then a null character and what follows, unless that is
            one space.
        begins_fold: (tokens,), whether a token's fold is new.
        ids: (words,), the tokens of all messages.
        lengths: (messages,), their numbers of words.
    """

    def __init__(
        self,
        folds: Lines,
        tokens: Lines,
        begins_fold: NDArray[np.bool_],
        ids: NDArray[np.integer],
        lengths: NDArray[np.integer],
    ) -> None:
        self._folds, self._tokens, self._ids = folds, tokens, ids
        self.begins = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        self._message_of = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
        self._fold_of = np.cumsum(begins_fold, dtype=np.int32) - 1
        words_of_messages = self._fold_of[ids]
        self._places = np.argsort(words_of_messages, kind="stable").astype(np.int32)
        self._first = np.searchsorted(words_of_messages, np.arange(len(folds) + 1), sorter=self._places)
        self._weights = math.log(len(lengths)) - np.log(np.diff(self._first))

    @classmethod
    def open(cls, file: Path) -> StockPhrases:
        """Open a file that `pack` wrote."""
        with np.load(file, allow_pickle=False) as arrays:
            folds, tokens = (Lines(arrays[name].tobytes()) for name in ("folds", "tokens"))
            ids = np.ascontiguousarray(arrays["ids"].T).view("<u4")[:, 0]
            return cls(folds, tokens, arrays["begins_fold"], ids, arrays["lengths"])

    def messages(self) -> Iterator[str]:
        """Yield the messages."""
        for begin, end in pairwise(self.begins.tolist()):
            tokens = (self._tokens[id].partition("\0") for id in self._ids[begin:end].tolist())
            yield "".join(word + (gap if mark else " ") for word, mark, gap in tokens).rstrip()

    def after(self, text: str) -> list[StockPhrase]:
        """Return up to `MAX_PHRASES` phrases that may follow a text, of greatest likeness."""
        begun, spans = open_word(text), words(text)[-MAX_WORDS:]
        if not spans:
            return []
        *before, last = [text[begin:end] for begin, end in spans]
        between = text[spans[-1][1] :].strip()
        if not (folded := fold_spelling(last)):
            return []
        first = bisect_left(self._folds, folded)
        behind = bisect_left(self._folds, folded + ("\U0010ffff" if begun else "\0"), first)
        places = self._places[self._first[first] : self._first[behind]].astype(np.int64)
        if not len(places):
            return []
        # Messages that share no rare word are left out before the order of words is looked at.
        known = [fold for fold in map(self._number, before) if fold is not None]
        shared = np.zeros(len(self.begins) - 1, np.float32)
        for fold in set(known):
            messages = self._message_of[self._places[self._first[fold] : self._first[fold + 1]]]
            shared[messages] += self._weights[fold]
        if len(places) > _MAX_PLACES:
            places = places[np.argsort(-shared[self._message_of[places]], kind="stable")[:_MAX_PLACES]]
        likenesses = self._likenesses(places, known, (len(before) - len(known)) * math.log(len(shared)))
        found: dict[str, StockPhrase] = {}
        for i in np.argsort(-likenesses, kind="stable"):
            phrase = self._phrase(int(places[i]), begun, between)
            if phrase and phrase not in found:
                found[phrase] = StockPhrase(phrase, float(likenesses[i]))
                if len(found) == MAX_PHRASES:
                    break
        return list(found.values())

    def _likenesses(self, places: Places, known: Sequence[int], unknown: float) -> NDArray[np.float64]:
        """Return how alike the text and the message before each place are; `unknown` words weigh, too."""
        begins = self.begins[self._message_of[places]]
        shared = np.zeros(len(places))
        for fold in set(known):
            held = self._places[self._first[fold] : self._first[fold + 1]]
            at = np.minimum(np.searchsorted(held, begins), len(held) - 1)
            shared += np.where((held[at] >= begins) & (held[at] < places), self._weights[fold], 0.0)
        lengths = places - begins
        ends = np.cumsum(lengths)
        heard = np.repeat(begins - ends + lengths, lengths) + np.arange(lengths.sum())  # all places before these
        sums = np.concatenate([[0.0], np.cumsum(self._weights[self._fold_of[self._ids[heard]]])])
        before = sums[ends] - sums[ends - lengths]
        return shared / np.maximum(self._weights[list(set(known))].sum() + unknown + before - shared, 1e-9)

    def _phrase(self, place: int, begun: str, between: str) -> str:
        """Return what follows a place in its clause; empty if nothing fits."""
        end = self.begins[self._message_of[place] + 1]
        word, _, gap = self._tokens[self._ids[place]].partition("\0")
        text = ""
        if begun and fold_spelling(word[: len(begun)]) == fold_spelling(begun):
            text = word[len(begun) :]
        elif begun or gap.strip() != between:
            return ""
        has_new_word = False
        while len(text) <= MAX_CHARACTERS:
            mark = CLAUSE_END.search(gap) if text or begun else None
            if mark and not (mark.start() == 0 and word[-1].isdigit()):
                kept = mark.end() if SENTENCE_END.match(mark[0]) else mark.start()
                return (text + gap[:kept]).rstrip() if has_new_word else ""
            place += 1
            if place == end:
                return text if has_new_word else ""
            text += (gap or " ") if text or begun else ""
            word, _, gap = self._tokens[self._ids[place]].partition("\0")
            text += word
            has_new_word = has_new_word or len(word) > 1
        return ""

    def _number(self, word: str) -> int | None:
        fold = fold_spelling(word)
        at = bisect_left(self._folds, fold)
        return at if at < len(self._folds) and self._folds[at] == fold else None


def stock_hypotheses(
    phrases: StockPhrases,
    model: LanguageModel,
    constraints: Constraints,
    log_probabilities: LogProbabilities,
    state: State,
) -> list[Hypothesis]:
    """Return ended texts that may follow the prompt, greatest worth first; `log_probabilities`, (1, V), follow it."""
    prompt, vocabulary = constraints.prompt, constraints.vocabulary
    found = phrases.after(prompt)
    bits = score_continuations(model, vocabulary, log_probabilities, state, [phrase.text for phrase in found])
    rated = [(sureness(each, phrase.likeness), phrase, each) for phrase, each in zip(found, bits, strict=True)]
    written = (
        constraints.written(phrase.text, each, likeness=phrase.likeness, sureness=sure)
        for sure, phrase, each in sorted(rated, key=lambda one: -worth(one[0], len(one[1].text)))
    )
    return list(islice((one for one in written if one is not None and is_sound(one)), 2 * constraints.n + 2))


def are_enough(stock: Sequence[Hypothesis], constraints: Constraints) -> bool:
    """Return whether enough stock phrases are sure to draw no text."""
    sure = [(one.sureness or 0.0) >= SURE and not constraints.unwanted(one.text) for one in stock]
    return sum(sure) >= constraints.n


def choose(drawn: Sequence[Hypothesis], stock: Sequence[Hypothesis], constraints: Constraints) -> list[Hypothesis]:
    """Return the best of drawn texts and stock phrases."""
    if stock:
        for one in drawn:
            one.sureness = sureness(one.bits[: len(one.text)], 0.0)
    return keep_best([*drawn, *stock], constraints.n, constraints.unwanted)


def pack(messages: Sequence[str], file: Path) -> None:
    """Write the file of messages that `StockPhrases.open` reads."""
    rows: list[list[str]] = []
    for message in messages:
        spans = [*words(message), (len(message), len(message))]
        gaps = [message[end:begin] for (_, end), (begin, _) in pairwise(spans)]
        pairs = zip(spans, gaps, strict=False)
        rows.append([message[a:b] + ("" if gap in ("", " ") else "\0" + gap) for (a, b), gap in pairs])
    by_fold = sorted((fold_spelling(token.partition("\0")[0]), token) for token in set(chain(*rows)))
    folds, tokens = zip(*by_fold, strict=True)
    number = {token: i for i, token in enumerate(tokens)}
    np.savez_compressed(
        file,
        folds=np.frombuffer("\n".join(sorted(set(folds))).encode(), np.uint8),
        tokens=np.frombuffer("\n".join(tokens).encode(), np.uint8),
        begins_fold=np.array([a != b for a, b in pairwise([None, *folds])]),
        ids=np.array([[number[token]] for row in rows for token in row], "<u4").view(np.uint8).T.copy(),  # smaller
        lengths=np.array([len(row) for row in rows], np.uint16),
    )


@cache
def bundled() -> StockPhrases:
    """Return the phrases of the project's messages."""
    with resources.as_file(resources.files("kammil.completion") / FILE) as file:
        return StockPhrases.open(file)
