"""Stock phrases: ends of messages that were written beforehand, one of which may go on from what is typed.

A model loses the thread; a message keeps it. Where a message has the last word of the text, whole or begun, the rest of
its clause is a candidate. Its `sureness` depends on the model's bits, on the *likeness* of the text and the message up
to there: the Jaccard similarity of their folded words, weighted by information; and on the *theme*: the cosine of the
vectors of the text and of the whole message. `recipes/phrases.py` makes `phrases.npz`.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kammil.completion.scoring import score_continuations
from kammil.decoding.constraints import Constraints
from kammil.decoding.hypothesis import CLAUSE_END, SENTENCE_END, Hypothesis, worth
from kammil.decoding.sampling import is_sound, keep_best
from kammil.language_model import LanguageModel, LogProbabilities, State
from kammil.text import fold_spelling, open_word, words

Places = NDArray[np.int64]
Themes = tuple[Mapping[str, int], NDArray[np.int8]]
"""Folded word -> its row, from 1; 0 for a word without theme. And the vectors of the rows, (rows, D)."""
NO_THEMES: Themes = {}, np.zeros((0, 1), np.int8)

FILE = "phrases.npz"
MAX_CHARACTERS = 40
MAX_WORDS = 32
"""Number of last words that phrases are found by."""
MAX_PHRASES = 12
LIKENESS, THEME = 3.4, 3.0
"""Log-odds that a likeness and a theme of 1 add."""
DRAWN = 0.57
"""The theme that draws are taken to have."""
SURE = 0.05
"""Minimum log-odds of a stock phrase in place of draws."""
MAX_OWN = 500
"""Number of a writer's last texts whose ends are phrases, too."""
_MAX_PLACES = 320  # whose message is looked at word by word
_FADES = 0.9  # a word's weight in the theme of a text, in parts of the next one's


class StockPhrase(NamedTuple):
    """A continuation of a text: the end of a message."""

    text: str
    """The rest of the clause, its mark included."""
    likeness: float
    """From 0 to 1."""
    theme: float
    """From -1 to 1."""


def sureness(bits: Sequence[float], likeness: float, theme: float = DRAWN) -> float:
    """Return the log-odds that a continuation makes sense, fitted to grades of 3,630 texts (docs/log.md, "Does a phrase
    that fits the theme make more sense?")."""
    return -1.4 - 0.2 * sum(bits) / math.sqrt(max(1, len(bits))) + LIKENESS * likeness + THEME * theme


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
    """Messages whose ends can be looked up, in the arrays of `packed`.

    Args:
        theme: of every phrase, where the messages have no vectors.
    """

    def __init__(self, arrays: Mapping[str, NDArray[Any]], theme: float | None = None) -> None:
        self._theme = theme
        self._folds, self._tokens = (Lines(arrays[name].tobytes()) for name in ("folds", "tokens"))
        self._ids = np.ascontiguousarray(arrays["ids"].T).view("<u4")[:, 0]
        self._rows, lengths = arrays["rows"], arrays["lengths"]
        self.begins = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        self._message_of = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
        self._fold_of = np.cumsum(arrays["begins_fold"], dtype=np.int32) - 1
        words_of_messages = self._fold_of[self._ids]
        self._places = np.argsort(words_of_messages, kind="stable").astype(np.int32)
        self._first = np.searchsorted(words_of_messages, np.arange(len(self._folds) + 1), sorter=self._places)
        self._weights = np.maximum(math.log1p(len(lengths)) - np.log(np.diff(self._first)), 0)
        self._vectors = np.pad(arrays["vectors"].astype(np.float32), ((1, 0), (0, 0)))
        self._vectors /= np.maximum(np.linalg.norm(self._vectors, axis=1, keepdims=True), 1e-9)

    def messages(self) -> Iterator[str]:
        """Yield the messages."""
        for begin, end in pairwise(self.begins.tolist()):
            tokens = (self._tokens[id].partition("\0") for id in self._ids[begin:end].tolist())
            yield "".join(word + (gap if mark else " ") for word, mark, gap in tokens).rstrip()

    def after(self, text: str, earlier: str = "") -> list[StockPhrase]:
        """Return up to `MAX_PHRASES` phrases that may follow a text, of greatest likeness and theme, which earlier
        messages have a part in."""
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
        numbers = [self._number(word) for word in before]
        known = [fold for fold in numbers if fold is not None]
        shared = np.zeros(len(self.begins) - 1, np.float32)
        for fold in set(known):
            messages = self._message_of[self._places[self._first[fold] : self._first[fold + 1]]]
            shared[messages] += self._weights[fold]
        if len(places) > _MAX_PLACES:
            places = places[np.argsort(-shared[self._message_of[places]], kind="stable")[:_MAX_PLACES]]
        likenesses = self._likenesses(places, known, (len(before) - len(known)) * math.log1p(len(shared)))
        heard = [self._number(earlier[begin:end]) for begin, end in words(earlier)]
        themes = self._themes(places, [*heard, *numbers] if begun else [*heard, *numbers, first])
        if self._theme is not None:
            themes = np.full(len(places), self._theme)
        found: dict[str, StockPhrase] = {}
        for i in np.argsort(-LIKENESS * likenesses - THEME * themes, kind="stable"):
            phrase = self._phrase(int(places[i]), begun, between)
            if phrase and phrase not in found:
                found[phrase] = StockPhrase(phrase, float(likenesses[i]), float(themes[i]))
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

    def _themes(self, places: Places, text: Sequence[int | None]) -> NDArray[np.floating]:
        """Return the cosine of the vectors of the text and of the message of each place."""
        begins = self.begins[self._message_of[places]]
        lengths = self.begins[self._message_of[places] + 1] - begins
        starts = np.cumsum(lengths) - lengths
        every = np.arange(lengths.sum()) + np.repeat(begins - starts, lengths)
        messages = np.add.reduceat(self._theme_of(self._fold_of[self._ids[every]]), starts)
        at = np.array([i for i, fold in enumerate(text) if fold is not None], np.int64)
        about = _FADES ** (len(text) - at) @ self._theme_of(np.array([text[i] for i in at], np.int64))
        norms = np.linalg.norm(messages, axis=1) * np.linalg.norm(about)
        return messages @ about / np.maximum(norms, 1e-9)

    def _theme_of(self, folds: NDArray[np.integer]) -> NDArray[np.floating]:
        """Return the vector of each word, (words, D), the longer the rarer it is; 0 if it is in every fifth message."""
        return self._vectors[self._rows[folds]] * np.maximum(self._weights[folds] - 1.5, 0)[:, None]

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
    found: Sequence[StockPhrase],
    model: LanguageModel,
    constraints: Constraints,
    log_probabilities: LogProbabilities,
    state: State,
) -> list[Hypothesis]:
    """Return the phrases that may follow the prompt, greatest worth first; `log_probabilities`, (1, V), follow it."""
    vocabulary = constraints.vocabulary
    bits = score_continuations(model, vocabulary, log_probabilities, state, [phrase.text for phrase in found])
    rated = [
        (sureness(each, phrase.likeness, phrase.theme), phrase, each) for phrase, each in zip(found, bits, strict=True)
    ]
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


def pack(messages: Sequence[str], file: Path, themes: Themes = NO_THEMES) -> None:
    """Write a file of `packed` messages."""
    arrays: dict[str, Any] = packed(messages, themes)
    np.savez_compressed(file, **arrays)


def packed(messages: Sequence[str], themes: Themes = NO_THEMES) -> dict[str, NDArray[Any]]:
    """Return messages, in each of which there is a word, as `StockPhrases` reads them.

    The arrays hold the distinct folded words, sorted, and for each the row of its vector, from 1; the tokens, words as
    spelled in the order of their folds, then a null character and what follows, unless that is one space; whether a
    token's fold is new; and the tokens of each message.
    """
    rows: list[list[str]] = []
    for message in messages:
        spans = [*words(message), (len(message), len(message))]
        gaps = [message[end:begin] for (_, end), (begin, _) in pairwise(spans)]
        pairs = zip(spans, gaps, strict=False)
        rows.append([message[a:b] + ("" if gap in ("", " ") else "\0" + gap) for (a, b), gap in pairs])
    by_fold = sorted((fold_spelling(token.partition("\0")[0]), token) for token in set(chain(*rows)))
    folds, tokens = zip(*by_fold, strict=True)
    number = {token: i for i, token in enumerate(tokens)}
    return {
        "folds": np.frombuffer("\n".join(sorted(set(folds))).encode(), np.uint8),
        "tokens": np.frombuffer("\n".join(tokens).encode(), np.uint8),
        "begins_fold": np.array([a != b for a, b in pairwise([None, *folds])]),
        "ids": np.array([[number[token]] for row in rows for token in row], "<u4").view(np.uint8).T.copy(),  # smaller
        "lengths": np.array([len(row) for row in rows], np.uint16),
        "rows": np.array([themes[0].get(fold, 0) for fold in sorted(set(folds))], np.uint16),
        "vectors": themes[1],
    }


def read(file: Path) -> StockPhrases:
    """Return the phrases of a file that `pack` wrote."""
    with np.load(file, allow_pickle=False) as archive:
        return StockPhrases(dict(archive))


@cache
def bundled() -> StockPhrases:
    """Return the phrases of the project's messages."""
    with resources.as_file(resources.files("kammil.completion") / FILE) as file:
        return read(file)


def own_phrases(texts: Sequence[str]) -> StockPhrases | None:
    """Return the phrases of a writer's last texts, if any holds a word."""
    messages = [text for text in texts[-MAX_OWN:] if words(text)]
    return StockPhrases(packed(messages), DRAWN) if messages else None
