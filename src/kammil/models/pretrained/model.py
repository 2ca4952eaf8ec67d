"""A pretrained model as a character model: the next character's probability over all ways to cut what was read.

With all hypotheses kept it is the sum over all cuts of a text into units, and with the heaviest `HYPOTHESES` still a
distribution that sums to one; so a prompt may end anywhere in a word. Left out are cuts within a character. Text
that is no unit has the probability of UNK; beyond its window of W tokens the network reads only the last W / 2 to W.

Running it needs PyTorch and transformers. Nothing is fetched, and code and kernels of others are refused.

Shapes: B batch, T time, V vocabulary, U units, M hypotheses, W window.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from kammil.errors import MissingExtraError
from kammil.language_model import CONFIG, Artifacts, Ids, LogProbabilities, SavedModel, Settings, State
from kammil.models.pretrained.tokens import TokenNetwork
from kammil.models.pretrained.units import ARRAYS, TokenUnits
from kammil.models.subwords.model import Beam, cumulative
from kammil.models.subwords.trie import ROOT, Trie
from kammil.vocabulary import BOS

HYPOTHESES = 8
"""Maximum number of hypotheses, M."""
MIN_SHARE = 1e-4
"""Minimum weight of a hypothesis that is kept."""


class PretrainedSettings(Settings):
    """The base of a pretrained model, and how it is fine-tuned."""

    base: str | None = None
    """The pretrained model: a name on the Hugging Face Hub, a folder in its format, or a folder of a model of this
    family. It must be a causal language model of transformers itself, with weights in safetensors."""
    lora_rank: int = Field(default=0, ge=0, le=4096)
    """Rank of the matrices that LoRA adds to the linear layers (Hu et al. 2021, arXiv:2106.09685), while all other
    weights stay; they are merged at the end. 0: all weights are trained."""
    lora_alpha: float = Field(default=16.0, gt=0, le=65_536, allow_inf_nan=False)
    """LoRA's matrices are multiplied by alpha / rank."""
    window: int = Field(default=512, ge=8, le=4096)
    """Maximum number of tokens that the network reads before the next one, W; no more than the base was made for."""


class PretrainedModel(SavedModel):
    """Runs a pretrained network, one character at a time.

    The state holds for each row and hypothesis: its weight (B, M), 0 for none; its node in the trie of units (B, M);
    the tokens of its complete units (B, M, W), and their number (B, M). The network's keys and values are kept beside
    it, found by the tokens.

    Args:
        network: over the units.
        units: of the network.
        hypotheses: M, at least two.
        min_share: minimum weight of a hypothesis that is kept.
    """

    def __init__(
        self,
        network: TokenNetwork,
        units: TokenUnits,
        *,
        hypotheses: int = HYPOTHESES,
        min_share: float = MIN_SHARE,
    ) -> None:
        if hypotheses < 2:
            raise ValueError("one hypothesis is at a new unit, so there must be another")
        self._network, self._units, self._trie = network, units.units, Trie(units.units)
        self._prefix, self._hypotheses, self._min_share = units.prefix, hypotheses, min_share

    @classmethod
    def from_artifacts(cls, settings: Mapping[str, Any], artifacts: Artifacts) -> Self:
        """Open a pretrained model; `MissingExtraError` without PyTorch or transformers."""
        checked = PretrainedSettings.model_validate(settings)
        units = TokenUnits.from_arrays(artifacts.weights)
        try:
            from kammil.models.pretrained.checkpoint import build, positions
            from kammil.models.pretrained.kv_cache import KeyValueCache
        except ModuleNotFoundError as error:
            raise MissingExtraError(f"a fine-tuned pretrained model needs {error.name} to run", "hf") from error
        config = artifacts.document(CONFIG)
        weights = {name: array for name, array in artifacts.weights.items() if not name.startswith(ARRAYS)}
        model = build(config, weights)
        if checked.window > positions(model.config):
            raise ValueError(f"a window of {checked.window} is more than the network has positions")
        return cls(TokenNetwork(KeyValueCache(model.eval()), units, checked.window), units)

    @property
    def vocabulary_size(self) -> int:
        """Return V, the number of character ids."""
        return self._units.characters

    def initial_state(self, batch: int) -> State:
        """Return one hypothesis a row, at a new unit, before any token."""
        weights = np.zeros((batch, self._hypotheses))
        weights[:, 0] = 1
        nodes = np.full((batch, self._hypotheses), ROOT, np.int64)
        tokens = self._network.initial_state(batch * self._hypotheses)
        return weights, nodes, *(array.reshape(batch, self._hypotheses, *array.shape[1:]) for array in tokens)

    def state_size(self, length: int) -> int:
        """Return the numbers of a row while it is read, mostly the cumulative unit probabilities of its hypotheses."""
        return self._hypotheses * (2 * self._units.size + 3 + self._network.state_size(length))

    def forward(self, ids: Ids, state: State, *, last: int | None = None) -> tuple[LogProbabilities, State]:
        """Read one character after the other; see `LanguageModel.forward`."""
        wanted = ids.shape[1] if last is None else last
        weights, nodes, *tokens = state
        beam = self._beam(weights, nodes, self._sums(weights, tokens), tokens)
        rows = np.empty((len(ids), wanted, self.vocabulary_size), np.float32)
        with np.errstate(divide="ignore", invalid="ignore"):  # 0 and NaN only come from a foreign network
            for t in range(ids.shape[1]):
                beam.read(ids[:, t])
                if len(self._prefix) and (ids[:, t] == BOS).any():
                    self._read_prefix(beam, np.flatnonzero(ids[:, t] == BOS))
                at = t - ids.shape[1] + wanted
                if at >= 0:
                    rows[:, at] = np.log(beam.next())
        return rows, (beam.weights, beam.nodes, *beam.network_state)

    def _beam(
        self,
        weights: NDArray[np.generic],
        nodes: NDArray[np.generic],
        sums: NDArray[np.generic],
        tokens: list[NDArray[np.generic]],
    ) -> Beam:
        return Beam(self._network, self._trie, self._min_share, weights, nodes, sums, tokens)

    def _sums(self, weights: NDArray[np.generic], tokens: list[NDArray[np.generic]]) -> NDArray[np.float64]:
        """Return the cumulative unit probabilities of all hypotheses, (B, M, U + 1)."""
        sums = np.zeros((*weights.shape, self._units.size + 1))
        alive = np.nonzero(weights)
        sums[alive] = cumulative(self._network.after(tuple(array[alive] for array in tokens)), self._trie)
        return sums

    def _read_prefix(self, beam: Beam, rows: Ids) -> None:
        """Read the prefix in some rows: what was read is a condition, so that the texts still sum to one."""
        part = self._beam(beam.weights[rows], beam.nodes[rows], beam.sums[rows], [a[rows] for a in beam.network_state])
        part.read(np.repeat(self._prefix, len(rows)))
        beam.weights[rows], beam.nodes[rows], beam.sums[rows] = part.weights, part.nodes, part.sums
        for array, read in zip(beam.network_state, part.network_state, strict=True):
            array[rows] = read
