"""Prompt to completion: `Completer` holds a model ready to run; no PyTorch.

Shapes: B batch, T time, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from kammil import folder as folders
from kammil.decoding import Decoding, filters, greedy, sample
from kammil.errors import FolderError, OptionError
from kammil.models import load_runner
from kammil.models.base import Artifacts, Ids, LogProbabilities, Runner, State, rows
from kammil.prefixes import MEGABYTES, Prefixes
from kammil.text import TextRules, graphemes
from kammil.vocabulary import BOS, EOS, PAD, SPECIALS, UNK, CharacterVocabulary

if TYPE_CHECKING:
    from kammil.session import Session

FinishReason = Literal["length", "end", "stop"]

CHUNK = 4096
"""Positions read in one call at most: bounds the memory of a long prompt (4096 positions x V numbers)."""


class Options(TypedDict, total=False):
    """The options of `Decoding`, by keyword."""

    length: int
    temperature: float
    top_k: int | None
    top_p: float
    min_p: float
    stop: Sequence[str]
    seed: int


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
    """One figure for each character of `text`, then one for its end; unknown characters charged in full."""

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
        runner: Runner,
        vocabulary: CharacterVocabulary,
        rules: TextRules,
        model: folders.Model | None = None,
    ) -> None:
        """Bind a running side to its vocabulary and text rules; `model` is the folder it came from."""
        self.runner, self.vocabulary, self.rules, self.model = runner, vocabulary, rules, model
        # Lone surrogates, which a raw model may have learnt, are no text that could be written anywhere.
        surrogates = [id for id, c in enumerate(vocabulary.characters, SPECIALS) if "\ud800" <= c <= "\udfff"]
        self._forbidden = (PAD, UNK, BOS, *surrogates)
        self._prefixes = Prefixes(runner)

    def session(self, *, megabytes: float = MEGABYTES) -> Session:
        """A text that is being typed, with states of its own: see `Session`."""
        from kammil.session import Session  # one room to the right: this is a door, nothing here needs it

        return Session(self, megabytes=megabytes)

    def apart(self, megabytes: float = MEGABYTES) -> Self:
        """The same model with states of its own, of so many megabytes at most; nothing was read."""
        other = copy(self)
        other._prefixes = Prefixes(self.runner, megabytes)
        return other

    def after(self, text: str) -> tuple[LogProbabilities, State]:
        """What may follow a text, (1, V), and the state of the runner there, one row; neither may be changed."""
        return self._read(self.vocabulary.encode(self.normalise(text)))

    def normalise(self, text: str) -> str:
        """The text as the model sees it; the text itself for a model trained with `--raw`."""
        return self.rules.normalise(text)

    def complete(self, prompt: str, **options: Unpack[Options]) -> Completion:
        """What the model writes after `prompt`. Any text is accepted; unknown characters are read as UNK.

        Options: see `Decoding`; `OptionError` for one out of range.
        """
        return self.samples(prompt, 1, **options)[0]

    def samples(self, prompt: str, n: int, **options: Unpack[Options]) -> list[Completion]:
        """`n` completions of one prompt, stepped together; the first is that of `complete`."""
        if n < 1:
            raise OptionError(f"n is {n}, but at least one completion must be asked for.")
        *_, drafts = self._write(prompt, Decoding.of(**options), n)
        return [draft.completion(prompt) for draft in drafts]

    def stream(self, prompt: str, **options: Unpack[Options]) -> Iterator[str]:
        """The text of `complete`, piece by piece: whole graphemes that nothing to come can change."""
        decoding = Decoding.of(**options)  # here, so that a wrong option is reported before the first piece
        return self._pieces(prompt, decoding)

    def score(self, text: str, given: str = "") -> Score:
        """How surprising each character of `text` is after `given`, and then its end."""
        seen_given = self.normalise(given)
        whole = self.normalise(given + text)
        # A rule may join the two at the seam (an accent composes); then each side is taken by itself.
        seen = whole[len(seen_given) :] if whole.startswith(seen_given) else self.normalise(text)
        trace = follow(self.runner, self.vocabulary, [seen_given + seen])[0]
        return Score(seen, tuple(float(b) for b in trace.bits[len(seen_given) :]))

    def _pieces(self, prompt: str, decoding: Decoding) -> Iterator[str]:
        sent = 0
        for (draft,) in self._write(prompt, decoding, 1):
            safe = draft.safe()
            if safe > sent:
                yield draft.text[sent:safe]
                sent = safe

    def _write(self, prompt: str, decoding: Decoding, n: int) -> Iterator[list[_Draft]]:
        """The drafts of n completions after every step; the last ones are finished."""
        drafts = [_Draft(decoding) for _ in range(n)]
        if decoding.length == 0:
            yield drafts
            return
        steps = filters(decoding, self.vocabulary.size, forbidden=self._forbidden)
        generators = [np.random.default_rng([decoding.seed, i]) for i in range(n)]
        log_probabilities, state = self._read(self.vocabulary.encode(self.normalise(prompt)))
        if n > 1:
            log_probabilities, state = log_probabilities.repeat(n, axis=0), rows(state, np.zeros(n, np.int64))
        live = list(range(n))
        while True:
            choices = log_probabilities.astype(np.float64)
            for step in steps:
                choices = step(choices)
            ids = greedy(choices) if decoding.temperature == 0 else sample(choices, [generators[i] for i in live])
            for row, (i, id) in enumerate(zip(live, ids.tolist(), strict=True)):
                bits = -float(log_probabilities[row, id]) / math.log(2)
                if not math.isfinite(bits):  # there was nothing to choose, or NaN
                    raise FolderError("the model gives no probabilities; copy the model folder again.")
                drafts[i].add(None if id == EOS else self.vocabulary.piece(id), bits)
            yield drafts
            keep = [row for row, i in enumerate(live) if drafts[i].reason is None]
            if not keep:
                return
            if len(keep) < len(live):
                live = [live[row] for row in keep]
                ids, state = ids[keep], rows(state, np.array(keep))
            log_probabilities, state = self.runner.step(ids, state)  # (live, V)

    def _read(self, ids: Ids) -> tuple[LogProbabilities, State]:
        """What may follow BOS and ids, (1, V), and the state there; what was read before is not read again."""
        return self._prefixes.after(np.concatenate([[BOS], ids]))


@dataclass
class _Draft:
    """One completion on its way."""

    decoding: Decoding
    text: str = ""
    bits: list[float] = field(default_factory=list[float])
    reason: FinishReason | None = None
    closed: int = 0
    """Where the last grapheme that may still grow begins."""

    def __post_init__(self) -> None:
        if self.decoding.length == 0:
            self.reason = "length"

    def add(self, character: str | None, bits: float) -> None:
        """Take one more character; None is the end of the text."""
        if character is None:
            self.reason = "end"
            return
        self.text += character
        self.bits.append(bits)
        found = [at for at in map(self.text.find, self.decoding.stop) if at >= 0]
        if found:
            self.text, self.reason = self.text[: min(found)], "stop"
        elif len(self.text) >= self.decoding.length:
            self.text, self.reason = _whole(self.text), "length"

    def safe(self) -> int:
        """Characters that nothing to come can change: no stop string has begun, and the grapheme is closed."""
        if self.reason is not None:
            return len(self.text)
        limit = len(self.text) - max((_overlap(self.text, s) for s in self.decoding.stop), default=0)
        at = self.closed
        for grapheme in graphemes(self.text[self.closed :]):
            if at <= limit:
                self.closed = at
            at += len(grapheme)
        return self.closed

    def completion(self, prompt: str) -> Completion:
        """The finished completion."""
        return Completion(prompt, self.text, self.reason or "length", tuple(self.bits[: len(self.text)]))


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that begins `stop`."""
    return next((n for n in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:n])), 0)


def _whole(text: str) -> str:
    """The text without a last grapheme that was cut: one that ends in a joiner, or half a flag."""
    last = "".join(graphemes(text)[-1:])
    cut = last.endswith("\N{ZERO WIDTH JOINER}") or (len(last) == 1 and "\U0001f1e6" <= last <= "\U0001f1ff")
    return text[: len(text) - len(last)] if cut else text


@dataclass(frozen=True)
class Trace:
    """What a model thought of a text, teacher-forced: one entry for each character, then one for the end of text."""

    bits: NDArray[np.float64]
    """(T + 1,): surprise; unknown characters pay their UNK and the choice among all that are not covered."""
    ranks: NDArray[np.int64]
    """(T + 1,): how many ids were more probable than the true one; V for an unknown character, which no guess hits."""


def follow(runner: Runner, vocabulary: CharacterVocabulary, texts: Sequence[str]) -> list[Trace]:
    """Read texts, already normalised, on the running side, all in one batch, in bounded memory.

    Raises `FolderError` if the model gives some text no probability, which no sound model does.
    """
    encoded = [vocabulary.encode(text) for text in texts]
    width = max((len(ids) for ids in encoded), default=0) + 1
    inputs = np.full((len(texts), width), PAD, np.int64)
    targets = np.full((len(texts), width), PAD, np.int64)
    for i, ids in enumerate(encoded):
        inputs[i, : len(ids) + 1] = [BOS, *ids]
        targets[i, : len(ids) + 1] = [*ids, EOS]
    bits, ranks = np.zeros(inputs.shape), np.zeros(inputs.shape, np.int64)
    state = runner.start(len(texts))
    chunk = max(1, CHUNK // max(1, len(texts)))
    for begin in range(0, width, chunk):
        part = slice(begin, begin + chunk)
        log_probabilities, state = runner.read(inputs[:, part], state)  # (B, chunk, V)
        true = np.take_along_axis(log_probabilities, targets[:, part, None], -1)  # (B, chunk, 1)
        bits[:, part] = -true[..., 0] / math.log(2)
        ranks[:, part] = (log_probabilities > true).sum(-1)
    if not np.isfinite(bits[targets != PAD]).all():
        raise FolderError("the model gives no probabilities; copy the model folder again.")
    unknown = targets == UNK
    bits[unknown] += vocabulary.unknown_bits
    ranks[unknown] = vocabulary.size
    return [Trace(bits[i, : len(ids) + 1], ranks[i, : len(ids) + 1]) for i, ids in enumerate(encoded)]


def load(path: str | Path = folders.PRETRAINED[0]) -> Completer:
    """Open a model folder, or the bundled model; `FolderError` if it is none, truncated, or of another format."""
    model = folders.read(Path(path))
    runner = load_runner(model.description.family, model.description.settings, model.artifacts)
    if runner.vocabulary_size != model.vocabulary.size:
        raise FolderError(
            f"{path} has {model.vocabulary.size} vocabulary entries, {runner.vocabulary_size} outputs; copy it again."
        )
    # The runner has what it needs of the arrays; the arrays as they were packed are not kept beside it.
    model = replace(model, artifacts=Artifacts({}))
    return Completer(runner, model.vocabulary, TextRules.from_dict(model.description.rules), model)
