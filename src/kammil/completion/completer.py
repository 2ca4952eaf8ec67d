"""Prompt to completion: `Completer` holds a model ready to run; no PyTorch.

Shapes: B batch, T time, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self, Unpack

import numpy as np

from kammil import model_folder as folders
from kammil.completion import ghost_text, suggestions
from kammil.completion.adaptation import Adaptation
from kammil.completion.profile import Profile
from kammil.completion.scoring import score_texts
from kammil.completion.state_cache import MEGABYTES, CachedDecoder, StateCache
from kammil.completion.suggestions import CharacterClasses, Suggestion
from kammil.data.bloom import BloomFilter
from kammil.decoding import Constraints, DecodingOptions, FinishReason, Hypothesis, beam_search, generate, keep_best
from kammil.decoding.options import Options
from kammil.errors import FolderError, OptionError
from kammil.language_model import Artifacts, LanguageModel, LogProbabilities, State
from kammil.models.registry import load_model
from kammil.text import TextRules
from kammil.vocabulary import BOS, CharacterVocabulary

if TYPE_CHECKING:
    from kammil.completion.session import Session


@dataclass(frozen=True)
class Completion:
    """What a model wrote after a prompt."""

    prompt: str
    """The prompt as it was given."""
    text: str
    """What follows it, whole graphemes."""
    finish_reason: FinishReason
    """`length`: as long as asked; `end`: the model ended its text; `stop`: a stop string came up."""
    bits: tuple[float, ...]
    """What each character of `text` cost under the unfiltered model, in bits."""


@dataclass(frozen=True)
class Score:
    """How surprised a model is by a text."""

    text: str
    """The text as the model sees it."""
    bits: tuple[float, ...]
    """One figure for each character of `text`, then one for its end; with the cost of naming an unknown one."""

    @property
    def bits_per_character(self) -> float:
        """Mean bits of the characters, without the end of text; NaN for an empty text."""
        return sum(self.bits[:-1]) / len(self.text) if self.text else math.nan


class Completer:
    """A model ready to complete text. Open one with `kammil.load(folder)`.

    It keeps the states along the last prompts: of a prompt that begins like one of them only the rest is read.
    """

    def __init__(
        self,
        runner: LanguageModel,
        vocabulary: CharacterVocabulary,
        rules: TextRules,
        model: folders.ModelFiles | None = None,
        profile: Profile | None = None,
    ) -> None:
        """Bind a running side to its vocabulary and text rules; `model` is the folder it came from.

        With a profile it knows the texts there, and what it learns is kept there; `OptionError` if it cannot learn.
        """
        self._runner, self.vocabulary, self.rules, self.model = runner, vocabulary, rules, model
        self._adaptation = Adaptation(runner, lambda text: vocabulary.encode(rules.normalise(text).rstrip()), profile)
        self.prefixes = StateCache(runner)

    @property
    def name(self) -> str:
        """What the folder's card calls it; empty for a model from no folder."""
        card = self.model.card if self.model is not None else ""
        return card.partition("\n")[0].removeprefix("# ")

    def __repr__(self) -> str:
        """Name, family, and what it learnt from."""
        return "<" + ", ".join(["Completer" + f" {self.name}".rstrip(), *self._facts().values()]) + ">"

    def _repr_html_(self) -> str:
        """The same as a table, for a notebook."""
        from kammil.completion.explain.fragments import table  # rooms to the right: this is a door

        return table([["model", self.name], *([name, fact] for name, fact in self._facts().items())])

    def _facts(self) -> dict[str, str]:
        """What there is to say of it in a word or two each."""
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
        """The running side; it knows what the profile holds at this moment."""
        self._adaptation.follow()
        return self._runner

    def session(self, *, megabytes: float = MEGABYTES) -> Session:
        """A text that is being typed, with states of its own: see `Session`."""
        from kammil.completion.session import Session  # one room to the right: this is a door, nothing here needs it

        return Session(self, megabytes=megabytes)

    def with_own_cache(self, megabytes: float = MEGABYTES) -> Self:
        """The same model with states of its own, of so many megabytes at most; nothing was read."""
        other = copy(self)
        other.prefixes = StateCache(self._runner, megabytes)
        return other

    def after(self, text: str) -> tuple[LogProbabilities, State]:
        """What may follow a text, (1, V), and the state of the runner there, one row; neither may be changed."""
        return self._read(self.normalise(text)).result

    @cached_property
    def runs(self) -> BloomFilter | None:
        """Which runs of letters stand in the training texts; None for a model from no folder."""
        return BloomFilter(self.model.seen) if self.model is not None else None

    def normalise(self, text: str) -> str:
        """The text as the model sees it; the text itself for a model trained with `--raw`."""
        return self.rules.normalise(text)

    def complete(self, prompt: str, **options: Unpack[Options]) -> Completion:
        """What the model writes after `prompt`. Any text is accepted; unknown characters are read as UNK.

        Options: see `Decoding`; `OptionError` for one out of range.
        """
        return self.samples(prompt, 1, **options)[0]

    def samples(self, prompt: str, n: int, **options: Unpack[Options]) -> list[Completion]:
        """`n` completions of one prompt, stepped together; the first is that of `complete`.

        With beams they are the `n` best texts, all different; fewer where the model can write no more.
        """
        *_, drafts = self._write(prompt, self.constraints(options, n), n)
        return [Completion(prompt, d.text, d.reason or "length", tuple(d.bits[: len(d.text)])) for d in drafts]

    def stream(self, prompt: str, **options: Unpack[Options]) -> Iterator[str]:
        """The text of `complete`, piece by piece: whole graphemes that nothing to come can change.

        With beams or `best_of` nothing is certain before the end: the text comes in one piece.
        """
        guide = self.constraints(options, 1)  # here, so that a wrong option is reported before the first piece
        return self._pieces(prompt, guide)

    def suggest(self, prefix: str, k: int = 3, *, threshold: float = suggestions.MIN_PROBABILITY) -> list[Suggestion]:
        """At most `k` words that may come next, or what the word at hand may become, most probable first; the latter
        before the former, where there are both.

        None is less probable than `threshold`, so the list may be empty. `OptionError` for a k below 1, or a threshold
        that is no probability.
        """
        seen = self.normalise(prefix)
        return suggestions.suggest(
            self.language_model,
            self.vocabulary,
            self.character_classes,
            seen,
            *self._read(seen).result,
            k=k,
            threshold=threshold,
        )

    def phrase(
        self, prefix: str, *, words: int = ghost_text.MAX_WORDS, threshold: float = ghost_text.MIN_GHOST_PROBABILITY
    ) -> ghost_text.Phrase:
        """The most probable words that may come next, one after the other: ghost text.

        At most `words`, each of them no less probable than `threshold` given what stands before it, and none twice; so
        it may be empty. `OptionError` for fewer words than one, or a threshold that is no probability.
        """
        seen = self.normalise(prefix)
        known = self._read(seen).result
        return ghost_text.phrase(
            self.language_model, self.vocabulary, self.character_classes, seen, *known, words=words, threshold=threshold
        )

    @cached_property
    def character_classes(self) -> CharacterClasses:
        """What the ids of the vocabulary are to words."""
        return CharacterClasses.of(self.vocabulary)

    def learn(self, text: str) -> None:
        """Take in a text that the user wrote: the very next suggestion knows it. Nothing is trained or sent; it is
        saved in the profile, if there is one, and nowhere else.

        All sessions of this model know it. `OptionError` for a family that cannot, or a text without characters.
        """
        self._adaptation.learn(text)

    def forget(self, text: str) -> None:
        """Undo one `learn` of the same text; `OptionError` if it was not learnt."""
        self._adaptation.forget(text)

    def score(self, text: str, given: str = "") -> Score:
        """How surprising each character of `text` is after `given`, and then its end."""
        before, seen = self.split_prompt(text, given)
        trace = score_texts(self.language_model, self.vocabulary, [before + seen])[0]
        return Score(seen, tuple(float(b) for b in trace.bits[len(before) :]))

    def split_prompt(self, text: str, given: str) -> tuple[str, str]:
        """What the model sees of `given`, and of `text` after it."""
        before = self.normalise(given)
        whole = self.normalise(given + text)
        # A rule may join the two at the seam (an accent composes); then each side is taken by itself.
        return before, whole[len(before) :] if whole.startswith(before) else self.normalise(text)

    def _pieces(self, prompt: str, guide: Constraints) -> Iterator[str]:
        sent = 0
        for (draft,) in self._write(prompt, guide, 1):
            safe = draft.safe()
            if safe > sent:
                yield draft.text[sent:safe]
                sent = safe

    def constraints(self, options: Options, n: int, *, bias: Mapping[int, float] | None = None) -> Constraints:
        """The rules of a call for n completions, and what is added to the log-probabilities of some ids.

        `OptionError` before anything is read.
        """
        decoding = DecodingOptions.of(**options)
        if n < 1:
            raise OptionError(f"n is {n}, but at least one completion must be asked for.")
        if n > decoding.beams > 1:
            raise OptionError(f"n is {n}, but {decoding.beams} beams find no more than {decoding.beams}; raise beams.")
        if n > decoding.best_of > 1:
            raise OptionError(f"n is {n}, but best_of is {decoding.best_of}; it must be at least n.")
        runs = self.runs if decoding.no_copy is not None else None
        return Constraints(decoding, self.vocabulary, self.vocabulary.unwritable, runs, bias)

    def _write(self, prompt: str, guide: Constraints, n: int) -> Iterator[list[Hypothesis]]:
        """The drafts of n completions after every step, or the finished ones alone; the last ones are finished."""
        options = guide.options
        walk = self._read(self.normalise(prompt))
        log_probabilities, state = walk.result
        if options.beams > 1:
            yield beam_search(self.language_model, guide, log_probabilities, state, n)
        elif options.best_of > 1:
            *_, drafts = generate(self.language_model, guide, log_probabilities, state, options.best_of)
            yield keep_best(drafts, n)
        elif n == 1 and options.temperature == 0:  # it may well be asked for again, one character later
            yield from generate(self.language_model, guide, log_probabilities, state, n, step=walk.step)
        else:
            yield from generate(self.language_model, guide, log_probabilities, state, n)

    def _read(self, seen: str) -> CachedDecoder:
        """Read a text as the model sees it; what was read before is not read again."""
        self._adaptation.follow()
        return self.prefixes.decoder(np.concatenate([[BOS], self.vocabulary.encode(seen)]))


def load(path: str | Path = folders.PRETRAINED[0], *, profile: str | Path | Profile | None = None) -> Completer:
    """Open a model folder, or the bundled model; `FolderError` if it is none, truncated, or of another format.

    With a profile, or its file, the model knows the texts there, also those that are added while it runs, and keeps
    what it learns there. `DataError` for a file that is no profile, `OptionError` for a model that cannot learn.
    """
    model = folders.read(Path(path))
    runner = load_model(model.description.family, model.description.settings, model.artifacts)
    if runner.vocabulary_size != model.vocabulary.size:
        raise FolderError(
            f"{path} has {model.vocabulary.size} vocabulary entries, {runner.vocabulary_size} outputs; copy it again."
        )
    # The runner has what it needs of the arrays; the arrays as they were packed are not kept beside it.
    model = replace(model, artifacts=Artifacts({}))
    kept = Profile(profile) if isinstance(profile, str | Path) else profile
    return Completer(runner, model.vocabulary, TextRules.from_dict(model.description.rules), model, kept)
