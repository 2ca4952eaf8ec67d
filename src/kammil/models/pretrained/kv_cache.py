"""A causal language model of transformers with a key-value cache.

Each sequence and each of its prefixes has an entry; the least recently used are dropped. Keys and values are no part of
the model's state, since hypotheses share most tokens, and each would hold megabytes.

Shapes: K sequences, P tokens before, N new tokens, T tokens of the vocabulary, F numbers of a token's keys and values.
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from kammil.language_model import LogProbabilities

Context = tuple[int, ...]

_MAX_BYTES = 1 << 29
_MAX_LOGITS = 1 << 24
"""Maximum number of logits computed at once."""
_TOLERANCE = 1e-3
"""Maximum difference of log-probabilities between reading in two steps and in one."""


@dataclass(slots=True)
class _Entry:
    keys_values: Tensor | None
    """(F,), of the last token."""
    log_probabilities: LogProbabilities | None = None
    """(T,), of the next token."""

    @property
    def bytes(self) -> int:
        return sum(part.nbytes for part in (self.keys_values, self.log_probabilities) if part is not None)


class KeyValueCache:
    """Predicts next tokens; the model must be in evaluation mode."""

    def __init__(self, model: PreTrainedModel, max_bytes: int = _MAX_BYTES) -> None:
        self._model, self._max_bytes, self._bytes, self._lock = model, max_bytes, 0, Lock()
        self._entries: dict[Context, _Entry] = {}  # least recently used first, sequences before their prefixes
        self._parameters = inspect.signature(model.forward).parameters
        self._cache_name = "cache" if "cache" in self._parameters else "past_key_values"
        self._layers: list[tuple[int, int]] = []  # heads and head size of keys, of values, ...
        with torch.inference_mode():
            self.size = int(model(input_ids=torch.zeros((1, 1), dtype=torch.long)).logits.shape[-1])
            """T."""
            self.incremental = self._supports_cache()
            """Whether keys and values are kept; else sequences are read whole."""

    def _supports_cache(self) -> bool:
        """Compare reading in two steps with one."""
        tokens = [[i % self.size for i in (1, 2, 3, 4)], [i % self.size for i in (5, 6, 7)]]
        try:
            kept = [self._read([sequence[:-1]], [[]])[1][0] for sequence in tokens]
            scores, _ = self._read([sequence[-1:] for sequence in tokens], [[*each] for each in kept])
        except Exception:  # architectures without keys and values raise anything
            return False
        whole = torch.stack([self._read_whole(torch.tensor([sequence]))[0, -1] for sequence in tokens])
        return bool((scores[:, -1] - whole).abs().max() < _TOLERANCE)

    def log_probabilities(self, contexts: Sequence[Context]) -> LogProbabilities:
        """Return the log-probabilities of the next token after each context, (K, T); no context is empty."""
        with self._lock, torch.inference_mode():
            entries = {context: self._entries.get(context) for context in contexts}
            self._compute(sorted(c for c, e in entries.items() if e is None or e.log_probabilities is None))
            scores = np.stack([self._use(context) for context in contexts])
            while self._bytes > self._max_bytes:
                self._bytes -= self._entries.pop(next(iter(self._entries))).bytes
        return scores

    def _use(self, context: Context) -> LogProbabilities:
        for length in range(len(context), 0, -1):
            if (entry := self._entries.pop(context[:length], None)) is not None:
                self._entries[context[:length]] = entry
        return cast(LogProbabilities, self._entries[context].log_probabilities)

    def _compute(self, missing: Sequence[Context]) -> None:
        """Read contexts, batched by their number of new tokens."""
        groups: dict[int, list[tuple[Context, int]]] = defaultdict(list)
        for context in missing:
            known = len(context) - 1 if self.incremental else 0  # the last token is always read
            while known and context[:known] not in self._entries:
                known -= 1
            groups[len(context) - known].append((context, known))
        for length, group in groups.items():
            height = max(1, _MAX_LOGITS // (length * self.size))
            for top in range(0, len(group), height):
                part = group[top : top + height]
                new = [list(context[known:]) for context, known in part]
                kept: Tensor | list[None] = [None] * len(part)
                if self.incremental:
                    scores, kept = self._read(new, [self._keys_values(context[:known]) for context, known in part])
                else:
                    scores = self._read_whole(torch.tensor(new))
                last = scores[:, -1].numpy()
                for i, (context, known) in enumerate(part):
                    self._add(context, known, last[i].copy(), kept[i])

    def _keys_values(self, context: Context) -> list[Tensor]:
        return [cast(Tensor, self._entries[context[: n + 1]].keys_values) for n in range(len(context))]

    def _add(self, context: Context, known: int, scores: LogProbabilities, kept: Tensor | None) -> None:
        """Add a context, and keys and values (N, F) of its new tokens."""
        for length in range(len(context) if kept is None else known + 1, len(context) + 1):
            if context[:length] not in self._entries:
                entry = _Entry(None if kept is None else kept[length - known - 1].clone())
                self._entries[context[:length]] = entry
                self._bytes += entry.bytes
        self._entries[context].log_probabilities = scores
        self._bytes += scores.nbytes

    def _read_whole(self, tokens: Tensor) -> Tensor:
        return torch.log_softmax(self._model(input_ids=tokens, use_cache=False).logits.float(), -1)

    def _read(self, new: list[list[int]], before: list[list[Tensor]]) -> tuple[Tensor, Tensor]:
        """Read N new tokens after known keys and values, padded at the left.

        Returns: log-probabilities (K, N, T), and new keys and values (K, N, F).
        """
        tokens = torch.tensor(new)
        count, width = len(new), max(map(len, before))
        arguments: dict[str, Any] = {"input_ids": tokens, "use_cache": True, self._cache_name: DynamicCache()}
        if width:
            past = torch.zeros((count, width, next(row[0].numel() for row in before if row)))
            mask = torch.zeros((count, width + tokens.shape[1]), dtype=torch.long)
            for i, row in enumerate(before):
                if row:
                    torch.stack(row, out=past[i, width - len(row) :])
                mask[i, width - len(row) :] = 1
            arguments |= {self._cache_name: DynamicCache(self._split(past)), "attention_mask": mask}
            if "position_ids" in self._parameters:
                lengths = torch.tensor([len(row) for row in before])
                arguments["position_ids"] = lengths[:, None] + torch.arange(tokens.shape[1])
        output = self._model(**arguments)
        parts = [part for layer in arguments[self._cache_name].layers for part in (layer.keys, layer.values)]
        if any(part.shape[2] != width + tokens.shape[1] for part in parts):  # (K, heads, P + N, numbers)
            raise ValueError("a layer keeps something else than keys and values of each token")
        self._layers = [(part.shape[1], part.shape[3]) for part in parts]
        kept = torch.cat([part[:, :, width:].transpose(1, 2).flatten(2) for part in parts], -1)
        return torch.log_softmax(output.logits.float(), -1), kept

    def _split(self, past: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Split keys and values (K, P, F) by layer, (K, heads, P, numbers) each."""
        parts = past.split([heads * numbers for heads, numbers in self._layers], -1)
        shaped = [
            part.unflatten(-1, layer).transpose(1, 2).contiguous()
            for part, layer in zip(parts, self._layers, strict=True)
        ]
        return list(zip(shaped[::2], shaped[1::2], strict=True))
