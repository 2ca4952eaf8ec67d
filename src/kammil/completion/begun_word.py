"""Interpretations of a begun word: its slips and spellings, and Arabic words if it is typed in Latin letters.

A hidden Markov model with two states tells English from Arabic in a run of words in Latin letters; Arabic is read after
the Arabic before it: "shu a5b" becomes شو أخبار. States of a transformer fit into no batch with those of longer texts,
so it reads no Latin letters. Shapes: N meanings, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Self
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from kammil.completion.channel import MAX_DROPPED, Channel, Edits
from kammil.completion.character_classes import CharacterClasses
from kammil.completion.lattice import WIDTH, Beam, fitting_states, is_padded
from kammil.completion.state_cache import StateCache
from kammil.completion.transliteration import Begun, is_listed, word_probability
from kammil.language_model import Ids, LanguageModel, State, concat_states, max_rows

MAX_TYPED = 16
"""Maximum number of letters of a word that is corrected."""
TYPED_IN_LATIN = 0.01
"""Share of Arabic words in Latin letters (docs/log.md#can-arabic-be-typed-in-latin-letters)."""
MAX_RUN = 8
"""Maximum number of Latin words that are read before the begun one."""
SPLIT_ARTICLE_SHARE, MIN_ARABIC = 0.3, 0.9
"""Share of Latin articles apart from their words, and minimum probability of Arabic for a word before a space to be
replaced (docs/log.md#and-where-the-article-stands-apart-or-a-space-was-typed)."""
SWITCH = 0.1
"""Probability that the language changes between two words."""
SURE = 0.8
"""Minimum probability of English for a word not to be read: with 1/2, one in a hundred Arabic words would begin as
English."""
_ROWS = WIDTH + MAX_DROPPED
MAX_BYTES = 1 << 20
"""Maximum number of bytes kept for the next key."""


class EndedWord(NamedTuple):
    """The most probable meaning of a whole Latin word."""

    ids: tuple[int, ...]
    is_read: bool
    is_article: bool
    """Whether the next word joins it."""
    share: float
    as_typed: float
    arabic: float
    """Probabilities of this meaning, the word as typed, and all readings."""
    likelihood: float
    """Probability of a word typed so after Arabic."""


@dataclass(frozen=True)
class BegunWord:
    """A word while it is typed, and its meanings, first as it was typed."""

    intended: list[tuple[int, ...]]
    num_replaced: list[int]
    posterior: NDArray[np.float64]
    p: NDArray[np.float32]
    """(N, V): of what follows each."""
    state: State
    variants: Beam[Edits]
    """First the word as it was typed."""
    before: Beam[Begun]
    readings: Beam[Begun] | None
    """Arabic readings of the word; None where it cannot be Arabic."""
    english: float = 0.0
    """Probability that Latin letters are English here."""
    is_english: bool = False
    """Whether no word in other letters follows."""

    @classmethod
    def start(
        cls, p: NDArray[np.float32], state: State, english: float = 0.0, before: Beam[Begun] | None = None
    ) -> Self:
        """Return a word before its first letter; `p`, (1, V), follows the text, `before` are the readings after another
        one."""
        before = Beam.start(p, state, Begun({"": 1.0})) if before is None else before
        return cls([()], [0], np.ones(1), p, state, Beam.start(p, state, Edits()), before, None, english)

    @property
    def typed(self) -> tuple[int, ...]:
        """Return the typed ids."""
        return self.variants.memory[0].typed

    def after(self, model: LanguageModel, channel: Channel, id: int) -> BegunWord:
        """Return the word after one more typed letter."""
        latin, typed, readings = channel.latin, (*self.typed, id), None
        if latin and (signs := latin.signs(typed)) and is_padded(model):
            readings, unread = (self.before, signs) if self.readings is None else (self.readings, signs[-1])
            for sign in unread:
                readings = readings.after(model, latin.arcs, sign)
        variants = self.variants.after(model, channel.arcs, id, kept=typed)
        readings = readings if readings and readings.intended else None
        return replace(self, variants=variants, readings=readings).mixed(model, channel)

    def mixed(self, model: LanguageModel, channel: Channel) -> BegunWord:
        """Return the word with its meanings' posterior."""
        variants, readings = self.variants, self.readings
        intended, p, state, weights = variants.intended, variants.p, variants.state, variants.weights.copy()
        weights[1:] *= variants.memory[0].prior
        letters = channel.latin.latin(self.typed) if channel.latin and self.english else None
        english = 0.0 if letters is None else self.english * word_probability(letters, whole=False)
        arabic = 0.0 if readings is None else (1 - self.english) * float(readings.weights.sum())
        is_english = english > (0.5 if self.english > 0.5 else SURE) * (english + arabic)
        if readings is not None and not is_english:
            intended, p = intended + readings.intended, np.concatenate([p, readings.p])
            state = concat_states(model.pad_states([state, readings.state]))
            share = TYPED_IN_LATIN
            if self.english > 0.5 and english > 0:  # after Latin letters the model expects any others
                share = arabic / english * weights.sum() / readings.weights.sum()
            weights = np.concatenate([weights, share * readings.weights])
        return replace(
            self,
            intended=intended,
            num_replaced=[len(self.typed)] * len(intended),
            posterior=weights / weights.sum(),
            p=p,
            state=state,
            is_english=is_english and self.english >= 0.5,
        )

    def ended(self, classes: CharacterClasses, articles: Container[tuple[int, ...]]) -> EndedWord:
        """Return the most probable meaning of the whole word."""
        first = len(self.variants.intended)
        is_article = np.array([row >= first and ids in articles for row, ids in enumerate(self.intended)])
        closed = np.where(is_article, SPLIT_ARTICLE_SHARE * (self.p @ classes.continues), self.p @ classes.close)
        weights = self.posterior * closed
        row, shares = int(np.argmax(weights)), weights / weights.sum()
        best = self.intended[row], row >= first, bool(is_article[row])
        likelihood = 0.0 if self.readings is None else self.readings.weights @ closed[first:]
        return EndedWord(*best, float(shares[row]), float(shares[0]), float(shares[first:].sum()), float(likelihood))


class WordReader:
    """Reads begun words, each from the last one's beginning."""

    def __init__(self, channel: Channel, classes: CharacterClasses) -> None:
        self.channel, self._classes = channel, classes
        self._space = -1 if classes.space is None else classes.space
        # The key and the word read last; the last ended words, by their text.
        self._latest: WeakKeyDictionary[StateCache, tuple[bytes, int, BegunWord]] = WeakKeyDictionary()
        self._ended: WeakKeyDictionary[StateCache, dict[bytes, EndedWord]] = WeakKeyDictionary()

    def after(
        self, model: LanguageModel, state_cache: StateCache, ids: Ids, letters: int, as_typed: int = 0
    ) -> BegunWord | None:
        """Return the word begun by the last `letters` ids of a text, (T,), BOS first, or with 0 the meanings before a
        next word; None where nothing else can be meant. Of the last `as_typed` ids, words in Latin letters may be
        replaced."""
        if letters > MAX_TYPED or max_rows(model, _ROWS, len(ids)) < _ROWS:
            return None
        if letters == 0:
            return self._next_word(model, state_cache, ids, as_typed)
        if not self.channel.corrects(ids[-letters:]):
            return None
        typed = tuple(ids[-letters:].tolist())
        before = ids[:-letters]
        meant = _Meant(before)
        if self.channel.latin and self.channel.latin.latin(typed):
            meant = self._meant(model, state_cache, before, as_typed - letters)
        if meant.english <= 0.5:
            before = meant.ids
        word = self._word(model, state_cache, before, typed, meant.english, meant.ids)
        if not meant.replaced or word.readings is None:
            return word
        first = len(word.variants.intended)  # Arabic words stand before each reading
        intended = word.intended[:first] + [(*meant.arabic, *read) for read in word.intended[first:]]
        num_replaced = [n + meant.replaced * (row >= first) for row, n in enumerate(word.num_replaced)]
        return replace(word, intended=intended, num_replaced=num_replaced)

    def reading(
        self, model: LanguageModel, state_cache: StateCache, ids: Ids, letters: int, as_typed: int
    ) -> tuple[tuple[int, ...], int]:
        """Return the Arabic words that the last Latin letters probably mean, and the number of ids they replace, or
        0."""
        word = self.after(model, state_cache, ids, letters, as_typed)
        first = 1 if letters == 0 or word is None else len(word.variants.intended)
        if word is None or word.posterior[first:].sum() <= 0.5:
            return (), 0
        best = first + int(np.argmax(word.posterior[first:]))
        return word.intended[best], word.num_replaced[best]

    def _word(
        self,
        model: LanguageModel,
        state_cache: StateCache,
        before: Ids,
        typed: tuple[int, ...],
        english: float = 0.0,
        arabic: Ids | None = None,
    ) -> BegunWord:
        arabic = before if arabic is None else arabic
        key = before.tobytes() + arabic.tobytes(), model.version
        *known, word = self._latest.get(state_cache, (b"", -1, None))
        if word is None or (*known,) != key or typed[: len(word.typed)] != word.typed:
            (p, state), (read, after) = (state_cache.decoder(text).result for text in (before, arabic))
            word = BegunWord.start(np.exp(p), state, english, Beam.start(np.exp(read), after, Begun({"": 1.0})))
        elif word.english != english:
            word = replace(word, english=english)
            word = word.mixed(model, self.channel) if word.typed else word
        for id in typed[len(word.typed) :]:
            word = word.after(model, self.channel, id)
        if sum(array.nbytes for array in (word.p, *word.state)) <= MAX_BYTES:
            self._latest[state_cache] = *key, word
        return word

    def _next_word(self, model: LanguageModel, state_cache: StateCache, ids: Ids, as_typed: int) -> BegunWord | None:
        meant = self._meant(model, state_cache, ids, as_typed)
        typed, state = state_cache.decoder(ids).result
        word = BegunWord.start(np.exp(typed), state)
        if meant.is_english:
            return replace(word, is_english=True)
        if not meant.replaced or meant.words[-1].arabic < MIN_ARABIC:
            return None
        p, read = state_cache.decoder(meant.ids).result
        states = fitting_states(model, [state, read])
        if len(states) < 2:
            return None
        return replace(
            word,
            intended=[(), meant.arabic],
            num_replaced=[0, meant.replaced],
            posterior=np.array([meant.words[-1].as_typed, meant.words[-1].share]),
            p=np.concatenate([word.p, np.exp(p)]),
            state=concat_states([*states.values()]),
        )

    def _meant(self, model: LanguageModel, state_cache: StateCache, before: Ids, as_typed: int) -> _Meant:
        run, english = self._latin_run(before.tolist(), as_typed)
        meant, latin = self._read_run(model, state_cache, before, run), self.channel.latin
        if not run or latin is None:
            is_latin = latin is not None and all(id in latin.characters for id in before if self._classes.words[id])
            return meant._replace(english=english, is_english=english > 0.5 and is_latin)
        likelihoods = [
            (word_probability(latin.latin(word) or "", whole=True), ended.likelihood)
            for word, ended in zip(run, meant.words, strict=True)
        ]
        shares = _english_shares(english, likelihoods)
        following = shares[-1] * (1 - 2 * SWITCH) + SWITCH
        begin = max((i + 1 for i, share in enumerate(shares) if share > 0.5), default=0)
        if begin:
            meant = self._read_run(model, state_cache, before, run, begin)
        # One English word in an Arabic text is a loan.
        is_english = following > 0.5 and (english >= 0.5 or len(run) > 1)
        return meant._replace(english=following, is_english=is_english)

    def _read_run(
        self, model: LanguageModel, state_cache: StateCache, before: Ids, run: Sequence[tuple[int, ...]], begin: int = 0
    ) -> _Meant:
        """Read words in Latin letters, each after the meanings of those before; only those from `begin` on may be
        replaced."""
        latin, last, words = self.channel.latin, None, list[EndedWord]()
        if not run or latin is None:
            return _Meant(before)
        ended = self._ended.setdefault(state_cache, {})
        arabic, replaced = (), 0
        meant = tuple(before[: -sum(len(word) + 1 for word in run)].tolist())
        for i, word in enumerate(run):
            if i == begin:
                arabic, replaced, last = (), 0, None
            key = np.array([model.version, *meant, *word], np.int64).tobytes()
            if (whole := ended.get(key)) is None:
                text = np.array(meant, np.int64)
                whole = self._word(model, state_cache, text, word).ended(self._classes, latin.articles)
                ended[key] = whole
                for old in [*ended][: -4 * MAX_RUN]:
                    ended.pop(old, None)  # another thread may have
            clitic, last = () if last is None or not last.is_read else (*last.ids, self._space), whole
            words.append(last)
            ids = last.ids if last.is_article else (*last.ids, self._space)
            if clitic and (joined := latin.articles.get(clitic + last.ids)):
                meant, arabic, ids = meant[: -len(clitic)], arabic[: -len(clitic)], joined
            meant += ids
            # A Latin word with a slip is read as meant, but stays as typed.
            arabic = arabic + ids if last.is_read else ()
            replaced = replaced + len(word) + 1 if last.is_read else 0
        if begin == len(run):
            arabic, replaced = (), 0
        return _Meant(np.array(meant, np.int64), arabic, replaced, words)

    def _latin_run(self, before: list[int], as_typed: int) -> tuple[list[tuple[int, ...]], float]:
        run: list[tuple[int, ...]] = []
        end = len(before) - 1
        while end >= 0 and before[end] == self._space:
            begin = end
            while begin > 1 and before[begin - 1] != self._space and end - begin < MAX_TYPED:
                begin -= 1
            word = tuple(before[begin:end])
            if self.channel.latin is None or not self.channel.latin.latin(word) or len(before) - begin > as_typed:
                break
            if begin > 1 and before[begin - 1] != self._space:
                break
            run.append(word)
            end = begin - 1
        if len(run) > MAX_RUN:
            run, end = [], len(before) - 1
        return run[::-1], self._english_after(before[: end + 1])

    def _english_after(self, before: Sequence[int]) -> float:
        latin, classes = self.channel.latin, self._classes
        end = len(before)
        while end and not classes.words[before[end - 1]]:
            end -= 1
        begin = end
        while begin and latin and latin.latin([*before[begin - 1 : begin]], letters=False):
            begin -= 1
        if end == 0 or latin is None:
            return 0.5
        if begin == end:
            return SWITCH
        word = latin.latin(before[begin:end])
        known = word is not None and (latin.signs(before[begin:end]) is None or is_listed(word))
        return 1 - SWITCH if known else 0.5


class _Meant(NamedTuple):
    ids: Ids
    arabic: tuple[int, ...] = ()
    replaced: int = 0
    words: Sequence[EndedWord] = ()
    english: float = 0.0
    """Probability that a next Latin word is English."""
    is_english: bool = False


def _english_shares(first: float, likelihoods: Sequence[tuple[float, float]]) -> list[float]:
    """Return each word's posterior of English (forward-backward), from the first one's prior, and likelihoods as
    English and as Arabic."""
    forward, share = list[float](), first
    for english, arabic in likelihoods:
        total = share * english + (1 - share) * arabic
        share = share * english / total if total > 0 else share
        forward.append(share)
        share += SWITCH * (1 - 2 * share)
    shares, later = forward[-1:], np.ones(2)
    for (english, arabic), before in zip(likelihoods[:0:-1], forward[-2::-1], strict=True):
        later = np.array([english, arabic]) * later if english + arabic > 0 else later
        later = (1 - SWITCH) * later + SWITCH * later[::-1]
        later /= later.sum()
        shares.append(float(before * later[0] / (before * later[0] + (1 - before) * later[1])))
    return shares[::-1]
