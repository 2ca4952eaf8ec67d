"""`Completer`: a model ready to complete, suggest and score text, without PyTorch. Shapes: B batch, T time, V
vocabulary."""

from __future__ import annotations

import inspect
import math
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property, wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, Self, TypeVar, Unpack

import numpy as np

from kammil import model_folder as folders
from kammil.completion import ghost_text
from kammil.completion.begun_word import BegunWord, WordReader
from kammil.completion.channel import Channel
from kammil.completion.character_classes import CharacterClasses, first_ids
from kammil.completion.context import KEPT, Contexts, heard, recent
from kammil.completion.learning import CANNOT_LEARN, Adaptation, Profile
from kammil.completion.scoring import score_texts
from kammil.completion.state_cache import MAX_MEGABYTES, Prefill, StateCache
from kammil.completion.stock_phrases import (
    MAX_CHARACTERS,
    MAX_OWN,
    StockPhrase,
    StockPhrases,
    bundled,
    own_phrases,
    stock_hypotheses,
)
from kammil.completion.suggestions import (
    GhostKeywords,
    ListKeywords,
    Query,
    Suggestion,
    SuggestOptions,
    TypedText,
    to_suggestions,
)
from kammil.completion.unsolicited import unsolicited_politics
from kammil.completion.word_list import Openings
from kammil.completion.word_search import MAX_STATES, WordSearch
from kammil.completion.writing import Writing
from kammil.data.blocklist import BlockedWord, read_list_file
from kammil.data.bloom import BloomFilter
from kammil.decoding.constraints import Constraints, begins_with
from kammil.decoding.hypothesis import FinishReason, Hypothesis
from kammil.decoding.options import MAX_COMPLETIONS, DecodingOptions, Options
from kammil.decoding.refusals import NO_REFUSALS, Refusals, WordBlock, WordBlocks
from kammil.decoding.sampling import Step
from kammil.errors import FolderError, OptionError
from kammil.language_model import AdaptiveModel, Artifacts, LanguageModel, LogProbabilities, State
from kammil.models.family import load_model
from kammil.text import TextRules
from kammil.vocabulary import BOS, CharacterVocabulary


@dataclass(frozen=True)
class Completion:
    """A text that a model wrote after a prompt."""

    prompt: str
    text: str
    """The continuation, in whole graphemes, of the prompt as read."""
    finish_reason: FinishReason
    """`length`: as long as asked for; `end`: by the model; `stop`: at a stop string, or the end of a clause."""
    bits: tuple[float, ...]
    """Bits of each character of `text` under the unfiltered model."""
    mean_bits: float = 0.0
    """Mean bits of a character, the end included."""
    reading: str = ""
    """Arabic words read for Latin letters at its end (`read_latin`)."""
    replaces: int = 0
    """Number of characters of the prompt that `reading` replaces."""
    stock: bool = False
    """Whether it is a stock phrase (`stock_phrases`)."""

    @property
    def whole(self) -> str:
        """Return the prompt, as read, and the continuation."""
        return self.prompt[: len(self.prompt) - self.replaces] + self.reading + self.text


@dataclass(frozen=True)
class Score:
    """How surprised a model is by each character."""

    text: str
    """The normalised text."""
    bits: tuple[float, ...]
    """Bits of each character, then of the end; unknown characters pay for their names."""

    @property
    def bits_per_character(self) -> float:
        """Mean bits without the end of text; NaN for an empty text."""
        return sum(self.bits[:-1]) / len(self.text) if self.text else math.nan


@dataclass(frozen=True)
class Prompt:
    """A prompt as a model reads it."""

    text: str
    """Normalised, with Arabic in place of its last Latin letters if they were read."""
    typed: str
    """As it was typed, or, where nothing may follow what it was read as, that."""
    reading: str = ""
    """Arabic words read for Latin letters."""
    replaces: int = 0
    """Number of characters that they replace."""


MAX_READ = 1_000
"""Maximum number of last characters in which Latin letters are read."""
_FIXED = -2  # in place of a version of the model: its phrases stay


class Completer:
    """A model ready to complete text, opened by `kammil.load(folder)`; states along the last prompts are cached.

    Args:
        rules: normalise every text before the model reads it.
        profile: learnt texts; `OptionError` with a model that cannot learn.
        block: words that are never written, beside the list of offensive words.
        messages: whether the project's messages belong to the model, for `openings` and `stock_phrases`.
    """

    def __init__(
        self,
        runner: LanguageModel,
        vocabulary: CharacterVocabulary,
        rules: TextRules,
        model: folders.ModelFiles | None = None,
        profile: Profile | None = None,
        block: Sequence[BlockedWord] = (),
        *,
        messages: bool = False,
    ) -> None:
        self._language_model, self.vocabulary, self.rules, self.model = runner, vocabulary, rules, model
        self._has_messages = messages
        self._own_phrases: tuple[int, StockPhrases | None] = (-1, None)  # of a version of the model
        self._writer_classes: CharacterClasses | None = None
        self._unused: frozenset[str] | None = None  # in place of the adaptation's
        self._openings: tuple[Mapping[str, int], Openings] | None = None
        self._word_blocks = WordBlocks(vocabulary, block)
        self._adaptation = Adaptation(runner, lambda text: vocabulary.encode(rules.normalise(text).rstrip()), profile)
        self.state_cache = StateCache(runner)
        self._heard = ""  # the end of earlier messages
        self._contexts = Contexts[StateCache, Completer](lambda one: one.state_cache.bytes)

    def fork(self, *, learnt: bool = False) -> Completer:
        """Return a completer of the same model for another thread, with nothing learnt, or, if `learnt`, with what this
        one has learnt, copy-on-write; `OptionError` for a model that cannot learn."""
        if not isinstance(self._language_model, AdaptiveModel):
            raise OptionError(CANNOT_LEARN)
        runner = self._language_model.fork(learnt=learnt)
        forked = Completer(runner, self.vocabulary, self.rules, self.model, messages=self._has_messages)
        forked._word_blocks, forked._adaptation = self._word_blocks, self._adaptation.fork(runner, learnt=learnt)
        for name in {"character_classes", "word_reader"} & vars(self).keys():  # found once
            setattr(forked, name, getattr(self, name))
        return forked

    @property
    def name(self) -> str:
        """The model card's name; empty for a model from no folder."""
        card = self.model.card if self.model is not None else ""
        return card.partition("\n")[0].removeprefix("# ")

    def __repr__(self) -> str:
        """Return name, family and training texts."""
        return "<" + ", ".join(["Completer" + f" {self.name}".rstrip(), *self.facts().values()]) + ">"

    def facts(self) -> dict[str, str]:
        """Return facts by heading."""
        facts = {"characters": f"{len(self.vocabulary.characters):,} characters known"}
        if self.model is None:
            return facts
        facts = {"family": self.model.description.family} | facts
        data, figures = self.model.description.training.get("data"), self.model.metrics.get("validation")
        if data is not None:
            base = data.get("base")
            more = "" if base is None else f" after {int(base['texts']):,} of its base"
            facts["learnt from"] = f"{int(data['texts']):,} texts{more}"
        bits = figures and figures["model"].get("bits_per_character_with_end")
        if bits:
            facts["validation"] = f"{bits['value']:.3f} bits a character"
        return facts

    @property
    def language_model(self) -> LanguageModel:
        """The language model, up to date with the profile."""
        self._adaptation.sync_profile()
        return self._language_model

    @cached_property
    def character_classes(self) -> CharacterClasses:
        """Roles of characters in words."""
        return CharacterClasses.of(self.vocabulary, first_ids(self.language_model))

    @property
    def writer_classes(self) -> CharacterClasses:
        """`character_classes`, as the writer of the learnt texts spells."""
        unused = self._adaptation.unused if self._unused is None else self._unused
        if self._writer_classes is None or self._writer_classes.unused != unused:
            self._writer_classes = replace(self.character_classes, unused=unused) if unused else self.character_classes
        return self._writer_classes

    @cached_property
    def word_reader(self) -> WordReader:
        """Finds what begun words may mean."""
        return WordReader(Channel.of(self.vocabulary, foreign=self.character_classes.foreign), self.character_classes)

    @cached_property
    def runs(self) -> BloomFilter | None:
        """Letter runs of the training texts; None for a model from no folder."""
        return BloomFilter(self.model.seen) if self.model is not None else None

    @property
    def openings(self) -> Openings:
        """Words that a text may begin with."""
        self._adaptation.sync_profile()
        learnt = dict(self._adaptation.first_words)  # another thread may learn
        if self._openings is None or self._openings[0] != learnt:
            words = Counter[str]()
            for word, number in learnt.items():
                words[self.normalise(word)] += number
            self._openings = learnt, Openings.of(self.vocabulary, words, counted=self._has_messages)
        return self._openings[1]

    def session(self, *, megabytes: float = MAX_MEGABYTES, context: Sequence[str] = ()) -> Session:
        """Open a session for a text that is being typed, after earlier messages (`in_context`)."""
        return Session(self, megabytes=megabytes, context=context)

    def with_own_cache(self, megabytes: float = MAX_MEGABYTES) -> Self:
        """Return the same model with an empty cache."""
        completer = copy(self)
        completer.character_classes, completer.word_reader = self.character_classes, self.word_reader  # found once
        completer.state_cache = StateCache(self._language_model, megabytes)
        return completer

    def in_context(self, messages: Sequence[str]) -> Completer:
        """Return the same model for a text that follows earlier messages, or lines, oldest first.

        They are learnt for this text alone, and kept nowhere but in memory while they are among the last that were
        asked for. The last 40 count, of at most 2,000 characters. `OptionError` for a model that cannot learn.
        """
        return self.after_messages(recent(messages, self.normalise))

    def after_messages(self, texts: tuple[str, ...]) -> Completer:
        """Return what `in_context` does, for messages as `recent` returns them."""
        if not texts:
            return self
        runner = self.language_model
        if not isinstance(runner, AdaptiveModel):
            raise OptionError(f"the context cannot be read: {CANNOT_LEARN}")
        version = runner.version  # first: what is learnt or forgotten from here on makes what is built out of date
        completer = self._contexts.get(self.state_cache, texts, version)
        if completer is None:
            completer = self._with_messages(texts, runner, version)
            self._contexts.put(self.state_cache, texts, version, completer)
        return completer

    def drop_contexts(self) -> None:
        """Forget the earlier messages that are kept ready, of all sessions."""
        self._contexts.clear()

    def _with_messages(self, texts: tuple[str, ...], model: AdaptiveModel, version: int) -> Completer:
        """Return this model after it has learnt earlier messages too, from one that knows most of them, if any."""
        known, wanted = Counter[str](), Counter(texts)
        for others, (of, completer) in self._contexts.of(self.state_cache).items():
            after, shared = completer._language_model, wanted & Counter(others)
            if of == version and shared.total() > max(known.total(), len(others) // 2):
                assert isinstance(after, AdaptiveModel)
                known, model = Counter(others), after
        encode, end = self.vocabulary.encode, heard(texts)
        model = model.after(np.concatenate([[BOS], encode(end)]))
        model.learn_all([*map(encode, (wanted - known).elements())])
        model.forget(*map(encode, (known - wanted).elements()))
        completer = self.with_own_cache()
        completer._language_model, completer._own_phrases = model, (model.version, self.own_phrases)
        completer.state_cache, completer._heard = StateCache(model, self.state_cache.megabytes / KEPT), end
        return completer

    def after(self, text: str) -> tuple[LogProbabilities, State]:
        """Return the log-probabilities of what follows a text, (1, V), and the state there, one row; read-only."""
        return self._read(self.normalise(text)).result

    def normalise(self, text: str) -> str:
        """Normalise a text by the model's rules."""
        return self.rules.normalise(text)

    def complete(self, prompt: str, *, context: Sequence[str] = (), **options: Unpack[Options]) -> Completion:
        """Complete a prompt by one draw, or, with `preset="sensible"`, by the best of many; unknown characters are read
        as UNK. `context`: see `in_context`. Options: see `DecodingOptions`; `OptionError` for one out of range."""
        return self.samples(prompt, 1, context=context, **options)[0]

    def samples(
        self, prompt: str, n: int, *, context: Sequence[str] = (), **options: Unpack[Options]
    ) -> list[Completion]:
        """Write `n` completions of one prompt; where each is one draw, the first is that of `complete`.

        With `best_of` they are the best of all draws, which begin with different words where possible.
        """
        if context:
            return self.in_context(context).samples(prompt, n, **options)
        constraints = self.constraints(options, n)
        read = self.read_prompt(prompt, constraints)
        writing = self.write(read, constraints)
        for _ in writing:
            pass
        return [
            Completion(
                prompt,
                h.text,
                h.reason or "length",
                tuple(h.bits[: len(h.text)]),
                h.mean_bits,
                read.reading,
                read.replaces,
                h.likeness is not None,
            )
            for h in writing.texts()
        ]

    def stream(self, prompt: str, *, context: Sequence[str] = (), **options: Unpack[Options]) -> Iterator[str]:
        """Stream the text of `complete` in whole graphemes that no later character can change, without its `reading`;
        in one piece with `best_of`."""
        if context:
            return self.in_context(context).stream(prompt, **options)
        constraints = self.constraints(options, 1)  # not in the generator: wrong options fail now

        def pieces() -> Iterator[str]:
            sent, writing = 0, self.write(self.read_prompt(prompt, constraints), constraints)
            for _ in writing:
                if not writing.chooses and (safe := writing.drawn[0].safe()) > sent:
                    yield writing.drawn[0].text[sent:safe]
                    sent = safe
            if len(text := writing.texts()[0].text) > sent:
                yield text[sent:]

        return pieces()

    def suggest(
        self, prefix: str, k: int = 3, *, context: Sequence[str] = (), **options: Unpack[ListKeywords]
    ) -> list[Suggestion]:
        """Suggest up to `k` words: endings of the current word, then next words, each group most probable first; next
        words come first where the current word is more probably complete.

        None is less probable than `threshold`, but for a word of content in third place, which may be a third as
        probable. Unless `correct` is false, words may replace the current word, if it may have a slip or another
        spelling, or words in Latin letters that are Arabic (`Suggestion.replaces`). Blocked words and strings of
        `forbid` are refused; `allow_offensive` allows offensive words. `OptionError` for an option out of range
        (`SuggestOptions`).
        """
        if context:
            return self.in_context(context).suggest(prefix, k, **options)
        return self.suggest_for(self.query(prefix, SuggestOptions.of(k=k, **options)))

    def query(
        self,
        prefix: str,
        options: SuggestOptions,
        *,
        ghost: bool = False,
        taught: frozenset[BlockedWord] | None = None,
    ) -> Query:
        """Return what `suggest_for` and `phrase_for` are asked; `taught` is as in `word_block`."""
        text = TypedText.of(self.vocabulary, prefix, self.normalise(prefix))
        refusals = self.refusals(options.forbid, allow_offensive=options.allow_offensive, taught=taught)
        stock = None
        if ghost and options.words >= ghost_text.MAX_WORDS and self._has_messages:
            asked: Options = {"forbid": options.forbid, "allow_offensive": options.allow_offensive}
            asked |= {"clause": True, "stock_phrases": True, "length": MAX_CHARACTERS}
            stock = self.constraints(asked, 1, taught=taught)
        return Query(text, options, refusals, stock)

    def begun_word(self, query: Query) -> BegunWord | None:
        """Return the interpretations of the last word, if there are several."""
        text = query.text
        if not query.options.correct or query.refusals.silent(text.seen):
            return None
        return self.word_reader.after(self.language_model, self.state_cache, text.ids, text.letters, text.as_typed)

    def suggest_for(self, query: Query) -> list[Suggestion]:
        """Suggest as `suggest`."""
        begun, seen, options = self.begun_word(query), query.text.seen, query.options
        read = self._read(seen)  # then: `begun_word` has read up to the begun word
        search = WordSearch(
            self.language_model,
            self.character_classes if options.forbid else self.writer_classes,
            options.k,
            options.threshold,
            max(MAX_STATES, options.k),
            refusals=query.refusals,
            openings=self.openings,
        )
        (found,) = search.run([seen], *read.result, [begun])
        return to_suggestions(self.vocabulary, seen, found)

    def messages(self) -> Iterable[str]:
        """Return the project's messages, where they belong to the model."""
        return bundled().messages() if self._has_messages else ()

    def stock_hypotheses(
        self, constraints: Constraints, log_probabilities: LogProbabilities, state: State
    ) -> list[Hypothesis]:
        """Return the stock phrases that may follow, if the call asks for them, the writer's own among them.

        Where the first of a list of suggestions is a word of theirs, other ones are `unwanted` from here on.
        """
        if not constraints.options.stock_phrases or not self._has_messages:
            return []
        model, prompt, found = self.language_model, constraints.prompt, list[StockPhrase]()
        if own := self.own_phrases:
            found = own.after(prompt)
            search = WordSearch(model, self.writer_classes, 1, refusals=constraints.refusals)
            for word in search.run([prompt], log_probabilities, state)[0]:
                added = self.vocabulary.decode(word.ids)
                if constraints.n == 1 and any(begins_with(phrase.text, added) for phrase in found):
                    constraints.first_word = added
        return stock_hypotheses(
            [*found, *bundled().after(prompt, self._heard)], model, constraints, log_probabilities, state
        )

    def fix_own_phrases(self) -> None:
        """Make no phrases of what is learnt from here on, by several writers, and spell as before."""
        self._own_phrases, self._unused = (_FIXED, self.own_phrases), self._adaptation.unused

    @property
    def own_phrases(self) -> StockPhrases | None:
        """Phrases of the learnt texts, if any."""
        version = self.language_model.version
        if self._own_phrases[0] not in (version, _FIXED):
            self._own_phrases = version, own_phrases([*map(self.normalise, self.learnt_texts[-MAX_OWN:])])
        return self._own_phrases[1]

    def reading(self, prompt: str, *, refusals: Refusals = NO_REFUSALS) -> tuple[str, int]:
        """Return the Arabic words that the last Latin letters of a prompt are read as, and the number of characters
        they replace, or 0, as where `refusals` let nothing follow."""
        prompt = prompt[-MAX_READ:]
        text = TypedText.of(self.vocabulary, prompt, self.normalise(prompt))
        asked = self.language_model, self.state_cache, text.ids, text.letters, text.as_typed
        arabic, replaces = self.word_reader.reading(*asked)
        letters = self.writer_classes.respelt_after(text.seen)
        read = self.vocabulary.decode(np.array([letters.get(id, id) for id in arabic], np.int64))
        silent = replaces and refusals.silent(text.seen, text.seen[: len(text.seen) - replaces] + read)
        return ("", 0) if silent else (read, replaces)

    def phrase(
        self,
        prefix: str,
        *,
        threshold: float | None = None,
        context: Sequence[str] = (),
        **options: Unpack[GhostKeywords],
    ) -> ghost_text.Phrase:
        """Predict ghost text: the most probable next word, then the most probable one after it, up to `words`, none
        twice.

        Each word must save more than it costs to read, as surely as `ghost` says, or be as probable as `threshold`.
        There is none where the word at hand is more probably complete, nor a ruler, a party or a religious formula that
        the text has not begun, nor what `suggest` refuses. It may be a stock phrase (`ghost_text`). `OptionError` for
        an option out of range (`SuggestOptions`).
        """
        if context:
            return self.in_context(context).phrase(prefix, threshold=threshold, **options)
        checked = {} if threshold is None else {"threshold": threshold}
        query = self.query(prefix, SuggestOptions.of(**options, **checked), ghost=True)
        return self.phrase_for(query, threshold)

    def phrase_for(self, query: Query, threshold: float | None = None) -> ghost_text.Phrase:
        """Predict ghost text as `phrase`, or return it as before."""
        rule = ghost_text.GHOST_RULES[query.options.ghost]
        if threshold is not None:
            rule = ghost_text.GhostRule(threshold, 0.0)
        question = query.text.seen, rule, query.options.words, query.stock is None, weakref.ref(query.refusals)
        return self._read(query.text.seen).once(question, lambda result: self._phrase(query, rule, *result))

    def _phrase(
        self, query: Query, rule: ghost_text.GhostRule, log_probabilities: LogProbabilities, state: State
    ) -> ghost_text.Phrase:
        seen = query.text.seen
        ghost = ghost_text.phrase(
            self.language_model,
            self.vocabulary,
            self.character_classes if query.options.forbid else self.writer_classes,
            seen,
            log_probabilities,
            state,
            words=query.options.words,
            rule=rule,
            refusals=query.refusals,
        )
        if query.stock is None:
            return ghost
        constraints = query.stock.at(seen)
        stock = self.stock_hypotheses(constraints, log_probabilities, state)
        stock = [one for one in stock if not constraints.unwanted(one.text)]
        return ghost_text.or_stock_phrase(ghost, seen, stock, rule)

    def learn(self, text: str) -> None:
        """Learn a text, for all sessions of this model.

        No weight changes; the text is saved in the profile, if there is one, and nowhere else. `OptionError` for a
        family that cannot learn, or a text without characters.
        """
        self._adaptation.learn(text)

    def forget(self, text: str) -> None:
        """Undo one `learn` of the same text; `OptionError` if it was not learnt."""
        self._adaptation.forget(text)

    @property
    def learnt_texts(self) -> Sequence[str]:
        """Learnt texts, oldest first."""
        return self._adaptation.texts

    @property
    def user_allowed_words(self) -> frozenset[BlockedWord]:
        """Offensive words in learnt texts, which their writer may be shown."""
        return self._adaptation.user_allowed_words

    @property
    def own_blocked_words(self) -> tuple[BlockedWord, ...]:
        """Words that are never written, beside the list of offensive words."""
        return self._word_blocks.own

    def score(self, text: str, given: str = "", *, context: Sequence[str] = ()) -> Score:
        """Score each character of `text` after `given`, and its end, in bits."""
        if context:
            return self.in_context(context).score(text, given)
        before, seen = self.split_prompt(text, given)
        scores = score_texts(self.language_model, self.vocabulary, [before + seen])[0]
        return Score(seen, tuple(float(b) for b in scores.bits[len(before) :]))

    def split_prompt(self, text: str, given: str) -> tuple[str, str]:
        """Normalise `given`, and `text` as it stands after it."""
        before = self.normalise(given)
        both = self.normalise(given + text)
        # Where an accent composes at the seam, each is normalised by itself.
        return before, both[len(before) :] if both.startswith(before) else self.normalise(text)

    def constraints(
        self,
        options: Options,
        n: int,
        *,
        bias: Mapping[int, float] | None = None,
        taught: frozenset[BlockedWord] | None = None,
    ) -> Constraints:
        """Return the constraints of a call for n completions; `bias` is added to log-probabilities, `taught` is as in
        `word_block`; `OptionError` for options that do not fit together."""
        decoding = DecodingOptions.for_texts(n, options)
        if not 1 <= n <= MAX_COMPLETIONS:
            raise OptionError(f"n is {n}, but it must be a number of completions from 1 to {MAX_COMPLETIONS:,}.")
        if n > decoding.best_of > 1:
            raise OptionError(f"n is {n}, but best_of is {decoding.best_of}; it must be at least n.")
        runs = self.runs if decoding.no_copy is not None else None
        exempt = self._exempt(taught, decoding.allow_offensive)
        block = self._word_blocks.get(exempt, named=True)
        return Constraints(
            decoding,
            self.vocabulary,
            self.vocabulary.unwritable,
            runs,
            bias,
            block,
            unsolicited_politics,
            n,
            self.writer_classes.respelt_after,
        )

    def word_block(
        self, *, allow_offensive: bool = False, taught: frozenset[BlockedWord] | None = None
    ) -> WordBlock | None:
        """Return the blocked words, if any: own ones, and offensive ones without those of `taught`, by default of all
        learnt texts."""
        return self._word_blocks.get(self._exempt(taught, allow_offensive), named=False)

    def refusals(
        self,
        forbid: Sequence[str] = (),
        *,
        allow_offensive: bool = False,
        taught: frozenset[BlockedWord] | None = None,
    ) -> Refusals:
        """Return what must not be suggested: blocked words, and strings."""
        return self._word_blocks.refusals(self._exempt(taught, allow_offensive), tuple(forbid))

    def _exempt(self, taught: frozenset[BlockedWord] | None, allow_offensive: bool) -> frozenset[BlockedWord] | None:
        self._adaptation.sync_profile()
        if allow_offensive:
            return None
        return self._adaptation.user_allowed_words if taught is None else taught

    def read_prompt(self, prompt: str, constraints: Constraints) -> Prompt:
        """Normalise a prompt and, with `read_latin`, read the Latin letters at its end."""
        typed = self.normalise(prompt)
        if not constraints.options.read_latin:
            return Prompt(typed, typed)
        reading, replaces = self.reading(prompt)
        text = typed[: len(typed) - replaces] + reading
        if constraints.refusals.silent(typed, text):
            return Prompt(typed, text)
        return Prompt(text, typed, reading, replaces)

    def write(self, prompt: Prompt, constraints: Constraints) -> Writing:
        """Begin the texts of a call."""
        decoder = self._read(prompt.text)
        return self.write_after(constraints.at(prompt.text, prompt.typed), *decoder.result, step=decoder.step)

    def write_after(
        self, constraints: Constraints, log_probabilities: LogProbabilities, state: State, *, step: Step | None = None
    ) -> Writing:
        """Begin the texts of a call after a prompt that was read; `step` reads what is most probable."""
        options, find = constraints.options, self.stock_hypotheses
        # Such steps are cached: the next keystroke may ask for the rest.
        cached = step if constraints.n == options.best_of == 1 and options.temperature == 0 else None
        return Writing(self.language_model, constraints, log_probabilities, state, find, cached)

    def _read(self, seen: str) -> Prefill:
        self._adaptation.sync_profile()
        return self.state_cache.decoder(np.concatenate([[BOS], self.vocabulary.encode(seen)]))


Asked = ParamSpec("Asked")
Answer = TypeVar("Answer")


def _of_text(
    method: Callable[Concatenate[Completer, str, Asked], Answer],
) -> Callable[Concatenate[Session, Asked], Answer]:
    """Return a method of `Completer` as one of a session."""

    @wraps(method)
    def asked(session: Session, *args: Asked.args, **options: Asked.kwargs) -> Answer:
        return method(session.model, session.text, *args, **options)

    parameters = [*inspect.signature(method).parameters.values()]
    setattr(asked, "__signature__", inspect.Signature([parameters[0], *parameters[2:]]))  # noqa: B010
    return asked


class Session:
    """One text that is being typed, with a state cache of its own: a keystroke costs what it changed.

    ```python
    session = model.session()
    session.update("شو حل")                 # the whole text so far, after any edit
    session.complete(length=30).text
    session.suggest(k=3)
    session.phrase().added                  # ghost text
    ```

    Sessions may share a model; none sees the text of another. `context`: messages before the text (`in_context`), which
    may be replaced.
    """

    def __init__(self, model: Completer, *, megabytes: float = MAX_MEGABYTES, context: Sequence[str] = ()) -> None:
        self._alone, self._text, self.context = model.with_own_cache(megabytes), "", context

    @property
    def context(self) -> Sequence[str]:
        """Messages before the text, as the model reads them."""
        return self._context

    @context.setter
    def context(self, messages: Sequence[str]) -> None:
        self._context = recent(messages, self._alone.normalise)

    @property
    def model(self) -> Completer:
        """Return the model in this context."""
        return self._alone.after_messages(self._context)

    @property
    def text(self) -> str:
        """Return the text so far, as given."""
        return self._text

    def update(self, text: str) -> None:
        """Set the whole text so far, and read what is new of it."""
        self._text = text
        self.model.after(text)

    complete = _of_text(Completer.complete)
    samples = _of_text(Completer.samples)
    stream = _of_text(Completer.stream)
    suggest = _of_text(Completer.suggest)
    phrase = _of_text(Completer.phrase)


def load(
    path: str | Path = folders.PRETRAINED,
    *,
    profile: str | Path | Profile | None = None,
    block: str | Path | None = None,
) -> Completer:
    """Open a model folder, or a bundled or installed model by name; `FolderError` where there is none, a truncated one,
    another format.

    The model knows the texts of the profile, later ones too, and keeps there what it learns. `block` is a file of words
    that are never written in any variant, one a line, beside the folder's `block.txt`. `DataError` for a file that is
    no profile or no list, `OptionError` for a model that cannot learn.
    """
    model = folders.read(Path(path))
    loaded = load_model(model.description.family, model.description.settings, model.artifacts)
    if loaded.vocabulary_size != model.vocabulary.size:
        raise FolderError(
            f"{path} has {model.vocabulary.size} vocabulary entries, {loaded.vocabulary_size} outputs; copy it again."
        )
    # The language model has unpacked its arrays; the packed ones would only take memory.
    model = replace(model, artifacts=Artifacts({}))
    opened = Profile(profile) if isinstance(profile, str | Path) else profile
    folder = folders.locate(Path(path))
    lists = [own_list] if (own_list := folder / folders.BLOCK).is_file() else []
    words = [word for file in [*lists, *([] if block is None else [Path(block)])] for word in read_list_file(file)]
    rules = TextRules.from_dict(model.description.rules)
    messages = model.metrics.get(folders.STOCK_PHRASES) is True
    return Completer(loaded, model.vocabulary, rules, model, opened, words, messages=messages)
