"""A pretrained model as a character model, which sums over all ways to cut a text into tokens.

A *unit* is the shortest run of tokens that is whole text: a token of bytes may be half an emoji. `TokenNetwork`
predicts units, and `UnitModel` sums over them, so a prompt may end anywhere in a word. Nothing is fetched, and foreign
code and kernels are refused.

Shapes: B batch, T time, V vocabulary, U units, M hypotheses, W window, K rows, N tokens of all units together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from kammil.errors import MissingExtraError
from kammil.language_model import CONFIG, Artifacts, Ids, LanguageModel, LogProbabilities, Settings, State
from kammil.models.ngram.model import whole_numbers
from kammil.models.subwords.model import HYPOTHESES, Beam, UnitModel, UnitVocabulary, cumulative, joined, split
from kammil.vocabulary import BOS, EOS, PAD, UNK

MIN_SHARE = 1e-4
"""Minimum weight of a hypothesis."""
EXPANDED = 1e-2
"""Minimum probability of an incomplete unit to ask the network what follows."""
ARRAYS = "units."
"""Prefix of the units' arrays, which no weight of a network has."""
TOKENS, OFFSETS, SHARES, PREFIX = "units.tokens", "units.token_offsets", "units.shares", "units.prefix"
"""Arrays: tokens of all units, (N,); their offsets, (U + 1,); shares, (U,); prefix."""
_UNSAFE = ("auto_map", "quantization_config", "name_or_path", "dtype", "torch_dtype", "num_labels")
"""Parts of a configuration that name code, kernels or weight formats; and `num_labels`: transformers names each."""

Context = tuple[int, ...]


class PretrainedSettings(Settings):
    """The base of a pretrained model, and how it is fine-tuned."""

    base: str | None = None
    """Name on the Hugging Face Hub, a folder in its format, or a model folder of this family: a causal language model
    of transformers itself, with weights in safetensors."""
    lora_rank: int = Field(default=0, ge=0, le=4096)
    """Rank of the matrices that LoRA adds to the linear layers (Hu et al. 2021, arXiv:2106.09685), which alone are
    trained. 0: all weights are."""
    lora_alpha: float = Field(default=16.0, gt=0, le=65_536, allow_inf_nan=False)
    """LoRA's matrices are multiplied by alpha / rank."""
    window: int = Field(default=512, ge=8, le=4096)
    """Maximum number of tokens that the network reads before the next one, W, within what the base was made for."""


@dataclass(frozen=True)
class TokenUnits:
    """Units and their tokens; `ValueError` for parts that do not fit."""

    units: UnitVocabulary
    tokens: Sequence[Context]
    """(U,): none for PAD, one for UNK, BOS and EOS."""
    shares: NDArray[np.float32]
    """(U,): share of each unit in the probability of its first token, 0 for PAD and BOS; the rest is UNK's."""
    prefix: Ids
    """Characters read after BOS: SentencePiece puts a space before every text."""

    def __post_init__(self) -> None:
        """Check the parts."""
        size, special = self.units.size, [self.tokens[id] if id < len(self.tokens) else () for id in (UNK, BOS, EOS)]
        if len(self.tokens) != size or self.shares.shape != (size,) or any(len(tokens) != 1 for tokens in special):
            raise ValueError("the tokens of the units are not consistent")
        if self.tokens[PAD] or any(not tokens or min(tokens) < 0 for tokens in self.tokens[1:]):
            raise ValueError("a unit has no token")
        if not (np.isfinite(self.shares).all() and (self.shares >= 0).all() and (self.shares <= 1).all()):
            raise ValueError("the shares of the units are no shares")
        if ((self.prefix < 0) | (self.prefix >= self.units.characters)).any() or len(self.prefix) > 1:
            raise ValueError("the prefix is no character")

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Convert to arrays of a model folder."""
        tokens, offsets = joined(self.tokens)
        return self.units.arrays() | {TOKENS: tokens, OFFSETS: offsets, SHARES: self.shares, PREFIX: self.prefix}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> TokenUnits:
        """Convert arrays back; `KeyError` or `ValueError` for invalid ones."""
        if (shares := arrays[SHARES]).dtype != np.float32:
            raise ValueError("the shares of the units are no shares")
        units, tokens = UnitVocabulary.from_arrays(arrays), split(arrays[TOKENS], arrays[OFFSETS])
        return cls(units, tokens, shares.astype(np.float32), whole_numbers(arrays[PREFIX]).astype(np.int64))


def without_code(config: Mapping[str, Any]) -> dict[str, Any]:
    """Drop from a configuration what names code, kernels and paths."""
    kept = {
        name: value
        for name, value in config.items()
        if name not in _UNSAFE and not name.startswith("_") and not name.endswith(("_implementation", "kernels"))
    }
    return {name: without_code(cast(dict[str, Any], v)) if isinstance(v, dict) else v for name, v in kept.items()}


class NextTokens(Protocol):
    """A causal language model over tokens."""

    size: int
    """Number of tokens, T."""

    def log_probabilities(self, contexts: Sequence[Context]) -> LogProbabilities:
        """Return the log-probabilities of the next token after each context, (K, T); no context is empty."""
        ...


def extend(context: Context, tokens: Sequence[int], window: int) -> Context:
    """Append tokens to a context; a full window first drops its older half."""
    for token in tokens:
        context = (*(context[window // 2 :] if len(context) >= window else context), token)
    return context


@dataclass(frozen=True)
class _Branch:
    """Units that begin with the same tokens, which are no text."""

    units: Ids
    shares: NDArray[np.float64]
    """Sum to one."""
    last: Ids
    """Tokens that complete the units `completed`."""
    completed: Ids
    longer: dict[int, _Branch]
    """Longer beginnings by their last token."""

    @classmethod
    def of(cls, chosen: Sequence[int], depth: int, units: TokenUnits) -> _Branch:
        """Build the branch of `chosen`, which share their first `depth` tokens."""
        groups: dict[int, list[int]] = defaultdict(list)
        ends: dict[int, int] = {}
        for unit in chosen:
            tokens = units.tokens[unit]
            if len(tokens) == depth + 1:
                ends[tokens[depth]] = unit
            else:
                groups[tokens[depth]].append(unit)
        longer = {token: cls.of(group, depth + 1, units) for token, group in groups.items()}
        own = units.shares[list(chosen)].astype(np.float64)
        shares = own / own.sum() if own.sum() > 0 else np.full(len(chosen), 1 / len(chosen))
        last, completed = np.array(list(ends), np.int64), np.array(list(ends.values()), np.int64)
        return cls(np.array(chosen, np.int64), shares, last, completed, longer)


class TokenNetwork(LanguageModel):
    """Runs a network over tokens, unit by unit; `ValueError` for a unit with an unknown token.

    The network is asked what follows an incomplete unit of probability `expanded` or more; else completions share it as
    in the training texts. The state holds each row's tokens, (K, W), and their number, (K,).
    """

    def __init__(self, network: NextTokens, units: TokenUnits, window: int, *, expanded: float = EXPANDED) -> None:
        if max(max(tokens) for tokens in units.tokens[1:]) >= network.size:
            raise ValueError("a unit has a token that the network does not know")
        self._network, self._tokens, self._window, self._expanded = network, units.tokens, window, expanded
        self._first = np.array([tokens[0] if tokens else 0 for tokens in units.tokens], np.int64)  # (U,)
        self._shares, self.vocabulary_size = units.shares, len(units.tokens)
        whole = {tokens[0] for tokens in units.tokens if len(tokens) == 1}
        groups: dict[int, list[int]] = defaultdict(list)
        for unit, tokens in enumerate(units.tokens):
            if len(tokens) > 1 and tokens[0] not in whole:
                groups[tokens[0]].append(unit)
        self._branches = {token: _Branch.of(group, 1, units) for token, group in groups.items()}
        self._partial = np.array(list(self._branches), np.int64)

    def initial_state(self, batch: int) -> State:
        """Return empty rows."""
        return np.zeros((batch, self._window), np.int32), np.zeros(batch, np.int64)

    def forward(self, ids: Ids, state: State, *, last: int | None = None) -> tuple[LogProbabilities, State]:
        """Read units (K, T) one by one."""
        contexts = _contexts(state)
        wanted = ids.shape[1] if last is None else last
        outputs: list[LogProbabilities] = []
        for t, column in enumerate(ids.T.tolist()):
            pairs = zip(contexts, column, strict=True)
            contexts = [extend(context, self._tokens[unit], self._window) for context, unit in pairs]
            if t >= ids.shape[1] - wanted:
                outputs.append(self._scores(contexts))
        tokens = np.zeros((len(contexts), self._window), np.int32)
        for row, context in zip(tokens, contexts, strict=True):
            row[: len(context)] = context
        return np.stack(outputs, axis=1), (tokens, np.array([*map(len, contexts)], np.int64))

    def after(self, state: State) -> LogProbabilities:
        """Return the log-probabilities of the next unit, (K, U)."""
        return self._scores(_contexts(state))

    def _scores(self, contexts: Sequence[Context]) -> LogProbabilities:
        scores = np.full((len(contexts), self.vocabulary_size), -np.log(self.vocabulary_size), np.float32)
        read = [row for row, context in enumerate(contexts) if context]
        if read:
            with np.errstate(divide="ignore"):
                scores[read] = np.log(self._probabilities([contexts[row] for row in read]))
        return scores

    def _probabilities(self, contexts: Sequence[Context]) -> NDArray[np.float32]:
        p = np.exp(self._network.log_probabilities(contexts))  # (K, T)
        units = p[:, self._first] * self._shares  # (K, U)
        pending = [
            (int(row), self._branches[token], (token,), float(p[row, token]))
            for row, at in zip(*np.nonzero(p[:, self._partial] >= self._expanded), strict=True)
            for token in [int(self._partial[at])]
        ]
        while pending:
            read = [extend(contexts[row], beginning, self._window) for row, _, beginning, _ in pending]
            after = np.exp(self._network.log_probabilities(read))
            longer: list[tuple[int, _Branch, Context, float]] = []
            for (row, branch, beginning, mass), next_token in zip(pending, after, strict=True):
                units[row, branch.completed] = mass * next_token[branch.last]
                for token, below in branch.longer.items():
                    share = mass * float(next_token[token])
                    if share >= self._expanded:
                        longer.append((row, below, (*beginning, token), share))
                    else:
                        units[row, below.units] = share * below.shares
            pending = longer
        units[:, UNK] += np.maximum(0, 1 - units.sum(-1, dtype=np.float64))
        return units


def _contexts(state: State) -> list[Context]:
    tokens, lengths = state
    return [tuple(row[:length].tolist()) for row, length in zip(tokens, lengths.tolist(), strict=True)]


class PretrainedModel(UnitModel):
    """Runs a pretrained network, one character at a time.

    The state is that of `UnitModel` without cumulative probabilities, megabytes that are recomputed.
    """

    def __init__(
        self,
        network: TokenNetwork,
        units: TokenUnits,
        *,
        hypotheses: int = HYPOTHESES,
        min_share: float = MIN_SHARE,
    ) -> None:
        super().__init__(network, units.units, hypotheses=hypotheses, min_share=min_share)
        self._tokens, self._prefix = network, units.prefix

    @classmethod
    def from_artifacts(cls, settings: Mapping[str, Any], artifacts: Artifacts) -> Self:
        """Open a pretrained model; `MissingExtraError` without PyTorch or transformers."""
        checked = PretrainedSettings.model_validate(settings)
        units = TokenUnits.from_arrays(artifacts.weights)
        try:
            from kammil.models.pretrained.checkpoint import KeyValueCache, build, positions
        except ModuleNotFoundError as error:
            raise MissingExtraError(f"a fine-tuned pretrained model needs {error.name} to run", "hf") from error
        config = artifacts.document(CONFIG)
        model = build(config, {name: a for name, a in artifacts.weights.items() if not name.startswith(ARRAYS)})
        if checked.window > positions(model.config):
            raise ValueError(f"a window of {checked.window} is more than the network has positions")
        return cls(TokenNetwork(KeyValueCache(model.eval()), units, checked.window), units)

    def initial_state(self, batch: int) -> State:
        """Return one hypothesis a row, before any token."""
        return self._new_hypotheses(batch)

    def state_size(self, length: int) -> int:
        """Count the numbers of a row while it is read, cumulative probabilities included."""
        return super().state_size(length) + self._max_hypotheses * self._units.size

    def _beam(self, state: State) -> Beam:
        weights, nodes, *tokens = state
        sums = np.zeros((*weights.shape, self._units.size + 1))
        alive = np.nonzero(weights)
        sums[alive] = cumulative(self._tokens.after(tuple(array[alive] for array in tokens)), self._trie)
        return super()._beam((weights, nodes, sums, *tokens))

    def _after(self, beam: Beam, ids: Ids) -> None:
        """Read the prefix after BOS: texts are conditioned on it, so they still sum to one."""
        rows = np.flatnonzero(ids == BOS)
        if not len(self._prefix) or not len(rows):
            return
        arrays = (beam.weights, beam.nodes, beam.sums, *beam.network_state)
        part = super()._beam(tuple(array[rows] for array in arrays))
        part.read(np.repeat(self._prefix, len(rows)))
        for array, read in zip(arrays, super()._state(part), strict=True):
            array[rows] = read

    def _state(self, beam: Beam) -> State:
        return beam.weights, beam.nodes, *beam.network_state
