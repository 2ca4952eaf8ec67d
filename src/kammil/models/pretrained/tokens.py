"""The units of a pretrained model as a language model: the probability of every unit after the units read so far.

Where the network gives a token that is no text, such as the first half of an emoji, at least `EXPANDED` of the
probability, it is asked what follows: then the probability of each unit that begins so is the product of the network's
own probabilities. Where it gives less, the units share it as they do in the training texts.

Shapes: K rows, T tokens, U units, W window.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from kammil.language_model import Ids, LanguageModel, LogProbabilities, State
from kammil.models.pretrained.units import TokenUnits
from kammil.vocabulary import UNK

Context = tuple[int, ...]
_Numbers = NDArray[np.float64]

EXPANDED = 1e-2
"""Minimum probability of a beginning of units after which the network is asked what follows."""


class NextTokens(Protocol):
    """A causal language model over tokens."""

    size: int
    """T."""

    def log_probabilities(self, contexts: Sequence[Context]) -> LogProbabilities:
        """Return the log-probabilities of the next token after each context, (K, T); a context has a token or more."""
        ...


def extend(context: Context, tokens: Sequence[int], window: int) -> Context:
    """Append tokens to a context; whenever it has `window` tokens, the older half of them is dropped first.

    So the network reads between W / 2 and W tokens before each next one, and reads most of them once.
    """
    for token in tokens:
        context = (*(context[window // 2 :] if len(context) >= window else context), token)
    return context


@dataclass(frozen=True)
class _Branch:
    """Units that begin with the same tokens, which are no text."""

    units: Ids
    """All of them."""
    shares: _Numbers
    """Their shares in the probability of the beginning; they sum to one."""
    last: Ids
    """Tokens that complete a unit."""
    completed: Ids
    """The units that they complete."""
    longer: dict[int, _Branch]
    """Longer beginnings by their last token."""


def _branch(units: Sequence[int], depth: int, tokens: Sequence[Context], shares: NDArray[np.float32]) -> _Branch:
    """Build the branch of units that have their first `depth` tokens in common."""
    groups: dict[int, list[int]] = defaultdict(list)
    for unit in units:
        groups[tokens[unit][depth]].append(unit)
    ends = {token: unit for token, group in groups.items() for unit in group if len(tokens[unit]) == depth + 1}
    longer = {
        token: _branch(rest, depth + 1, tokens, shares)
        for token, group in groups.items()
        if (rest := [unit for unit in group if len(tokens[unit]) > depth + 1])
    }
    own = shares[list(units)].astype(np.float64)
    even = np.full(len(units), 1 / len(units))
    return _Branch(
        np.array(units, np.int64),
        own / own.sum() if own.sum() > 0 else even,
        np.array(list(ends), np.int64),
        np.array(list(ends.values()), np.int64),
        longer,
    )


class TokenNetwork(LanguageModel):
    """Runs a network over tokens, unit by unit.

    The state holds the tokens of each row, (K, W), and their number, (K,).

    Args:
        network: over tokens.
        units: what the units are in tokens.
        window: W, maximum number of tokens that the network reads.
        expanded: minimum probability of a beginning of units after which the network is asked what follows.

    Raises: `ValueError` if a unit has a token that the network does not know.
    """

    def __init__(self, network: NextTokens, units: TokenUnits, window: int, *, expanded: float = EXPANDED) -> None:
        if units.num_tokens > network.size:
            raise ValueError("a unit has a token that the network does not know")
        self._network, self._tokens, self._window, self._expanded = network, units.tokens, window, expanded
        self._first = np.array([tokens[0] if tokens else 0 for tokens in units.tokens], np.int64)  # (U,)
        self._shares = units.shares
        whole = {tokens[0] for tokens in units.tokens if len(tokens) == 1}
        groups: dict[int, list[int]] = defaultdict(list)
        for unit, tokens in enumerate(units.tokens):
            if len(tokens) > 1 and tokens[0] not in whole:
                groups[tokens[0]].append(unit)
        self._branches = {token: _branch(group, 1, units.tokens, units.shares) for token, group in groups.items()}
        self._partial = np.array(list(self._branches), np.int64)

    @property
    def vocabulary_size(self) -> int:
        """Return U, the number of units."""
        return len(self._tokens)

    def initial_state(self, batch: int) -> State:
        """Return rows without a token."""
        return np.zeros((batch, self._window), np.int32), np.zeros(batch, np.int64)

    def forward(self, ids: Ids, state: State, *, last: int | None = None) -> tuple[LogProbabilities, State]:
        """Read units (K, T) one after the other; see `LanguageModel.forward`."""
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
        """Return the log-probabilities of the unit after each context, (K, U); even where nothing was read yet."""
        scores = np.full((len(contexts), self.vocabulary_size), -np.log(self.vocabulary_size), np.float32)
        read = [row for row, context in enumerate(contexts) if context]
        if read:
            with np.errstate(divide="ignore"):
                scores[read] = np.log(self._probabilities([contexts[row] for row in read]))
        return scores

    def _probabilities(self, contexts: Sequence[Context]) -> NDArray[np.float32]:
        """Return the probabilities of the unit after each context, (K, U)."""
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
