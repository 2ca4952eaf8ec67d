"""What a causal language model of transformers says after a sequence of tokens, with its work kept.

The attention of a layer reads the keys and values of all earlier tokens. Each is computed once: sequences that begin
alike share the nodes of a tree, and a node holds keys and values of its last token. A longer sequence costs one pass
over the tokens that are new; many sequences are one batch. When the tree has grown beyond its bound, the half that was
not read for longest is dropped, and computed anew where it is needed.

Models whose layers keep something else than keys and values of each token (state-space models, for instance) read every
sequence as a whole.

Shapes: K sequences, P tokens read before, N new tokens, T tokens of the vocabulary, F numbers of a token's keys and
values in all layers.
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Sequence
from threading import Lock
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from kammil.language_model import LogProbabilities

Context = tuple[int, ...]

_MAX_BYTES = 1 << 29
"""Bound of the tree, in bytes."""
_MAX_LOGITS = 1 << 24
"""Most logits that are computed at once."""
_SAME = 1e-3
"""Largest difference of log-probabilities between a pass in two steps and one, at which keys and values are kept."""


class _Node:
    """The end of a sequence of tokens."""

    __slots__ = ("above", "keys_values", "log_probabilities", "used")

    def __init__(self, above: _Node | None, keys_values: Tensor | None) -> None:
        self.above = above
        """The node of all tokens but the last; None where that is the first, and where keys and values are not kept."""
        self.keys_values = keys_values
        """Keys and values of the last token in all layers, (F,)."""
        self.log_probabilities: LogProbabilities | None = None
        """Of the next token, (T,)."""
        self.used = 0

    @property
    def bytes(self) -> int:
        scores, kept = self.log_probabilities, self.keys_values
        return (0 if scores is None else scores.nbytes) + (0 if kept is None else kept.nbytes)


class Contexts:
    """Log-probabilities of the next token after sequences of tokens.

    Args:
        model: a causal language model, in evaluation mode.
        max_bytes: bound of what is kept between calls.
    """

    def __init__(self, model: PreTrainedModel, max_bytes: int = _MAX_BYTES) -> None:
        self._model, self._max_bytes, self._bytes, self._time = model, max_bytes, 0, 0
        self._nodes: dict[Context, _Node] = {}
        self._parameters = inspect.signature(model.forward).parameters
        self._cache_name = "cache" if "cache" in self._parameters else "past_key_values"
        self._lock = Lock()
        self._layers: list[tuple[int, int]] = []
        """Heads, and numbers of a head, of the keys and of the values of each layer."""
        with torch.inference_mode():
            self.size = int(model(input_ids=torch.zeros((1, 1), dtype=torch.long)).logits.shape[-1])
            """T."""
            self.incremental = self._can_go_on()
            """Whether keys and values are kept."""

    def _can_go_on(self) -> bool:
        """Try a pass in two steps against one, in a batch of two sequences of different lengths."""
        tokens = [[i % self.size for i in (1, 2, 3, 4)], [i % self.size for i in (5, 6, 7)]]
        try:
            kept = [self._read([sequence[:-1]], [[]])[1][0] for sequence in tokens]
            scores, _ = self._read([sequence[-1:] for sequence in tokens], [[*each] for each in kept])
            whole = torch.stack([self._scores(torch.tensor([sequence]))[0, -1] for sequence in tokens])
        except (AttributeError, IndexError, KeyError, NotImplementedError, RuntimeError, TypeError, ValueError):
            return False
        return bool((scores[:, -1] - whole).abs().max() < _SAME)

    def log_probabilities(self, contexts: Sequence[Context]) -> LogProbabilities:
        """Return the log-probabilities of the next token after each context, (K, T); a context has a token or more."""
        with self._lock, torch.inference_mode():
            self._time += 1
            found = [self._nodes.get(context) for context in contexts]
            pairs = zip(contexts, found, strict=True)
            missing = {context for context, node in pairs if node is None or node.log_probabilities is None}
            if missing:
                self._compute(sorted(missing))
            scores = np.stack([self._scores_after(context) for context in contexts])
            if self._bytes > self._max_bytes:
                self._drop()
        return scores

    def _scores_after(self, context: Context) -> LogProbabilities:
        """Return the log-probabilities after a context that is in the tree, and mark it as used."""
        node = self._nodes[context]
        node.used = self._time
        assert node.log_probabilities is not None
        return node.log_probabilities

    def _known(self, context: Context) -> list[_Node]:
        """Return the nodes of the longest beginning of a context that is in the tree, without its last token, which is
        always read."""
        length = len(context) - 1
        while length and context[:length] not in self._nodes:
            length -= 1
        nodes = list[_Node]()
        node = self._nodes[context[:length]] if length else None
        while node is not None:
            nodes.append(node)
            node = node.above
        return nodes[::-1]

    def _compute(self, missing: Sequence[Context]) -> None:
        """Read the ends of contexts that are not in the tree, those of one length in a batch."""
        groups: dict[int, list[tuple[Context, list[_Node]]]] = defaultdict(list)
        for context in missing:
            before = self._known(context) if self.incremental else []
            groups[len(context) - len(before)].append((context, before))
        for length, group in groups.items():
            height = max(1, _MAX_LOGITS // (length * self.size))
            for top in range(0, len(group), height):
                part = group[top : top + height]
                new = [list(context[len(nodes) :]) for context, nodes in part]
                if self.incremental:
                    scores, kept = self._read(new, [[_keys_values(node) for node in nodes] for _, nodes in part])
                else:
                    scores, kept = self._scores(torch.tensor(new)), None
                last = scores[:, -1].numpy()
                for i, (context, nodes) in enumerate(part):
                    self._add(context, nodes, last[i].copy(), None if kept is None else kept[i])

    def _add(self, context: Context, before: list[_Node], scores: LogProbabilities, kept: Tensor | None) -> None:
        """Add the end of a context to the tree: keys and values (N, F) of the tokens after those of `before`."""
        above = before[-1] if before else None
        for length in range(len(context) if kept is None else len(before) + 1, len(context) + 1):
            node = self._nodes.get(context[:length])
            if node is None:
                node = _Node(above, None if kept is None else kept[length - len(before) - 1].clone())
                self._nodes[context[:length]] = node
                self._bytes += node.bytes
            above = node
        assert above is not None
        if above.log_probabilities is None:
            above.log_probabilities = scores
            self._bytes += scores.nbytes

    def _scores(self, tokens: Tensor) -> Tensor:
        """Read sequences of one length as a whole, (K, N); returns log-probabilities (K, N, T)."""
        return torch.log_softmax(self._model(input_ids=tokens, use_cache=False).logits.float(), -1)

    def _read(self, new: list[list[int]], before: list[list[Tensor]]) -> tuple[Tensor, Tensor]:
        """Read N new tokens each after sequences whose keys and values are known.

        Shorter sequences are padded at the left, so that new tokens stand beside each other.

        Returns: log-probabilities (K, N, T), and keys and values of the new tokens (K, N, F).
        """
        tokens = torch.tensor(new)
        count, width = len(new), max(map(len, before))
        arguments: dict[str, Any] = {"input_ids": tokens, "use_cache": True}
        if width:
            past = torch.zeros((count, width, before[0][0].numel() if before[0] else before[-1][0].numel()))
            mask = torch.zeros((count, width + tokens.shape[1]), dtype=torch.long)
            for i, row in enumerate(before):
                if row:
                    torch.stack(row, out=past[i, width - len(row) :])
                mask[i, width - len(row) :] = 1
            arguments[self._cache_name] = DynamicCache(self._split(past))
            arguments["attention_mask"] = mask
            if "position_ids" in self._parameters:
                lengths = torch.tensor([len(row) for row in before])
                arguments["position_ids"] = lengths[:, None] + torch.arange(tokens.shape[1])
        else:
            arguments[self._cache_name] = DynamicCache()
        output = self._model(**arguments)
        parts: list[Tensor] = []
        self._layers = []
        for layer in arguments[self._cache_name].layers:
            for part in (layer.keys, layer.values):  # (K, heads, P + N, numbers)
                if part.shape[2] != width + tokens.shape[1]:
                    raise ValueError("a layer keeps something else than keys and values of each token")
                self._layers.append((part.shape[1], part.shape[3]))
                parts.append(part[:, :, width:].transpose(1, 2).flatten(2))
        return torch.log_softmax(output.logits.float(), -1), torch.cat(parts, -1)

    def _split(self, past: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Split keys and values (K, P, F) into those of each layer, (K, heads, P, numbers) each."""
        parts = past.split([heads * numbers for heads, numbers in self._layers], -1)
        shaped = [
            part.unflatten(-1, layer).transpose(1, 2).contiguous()
            for part, layer in zip(parts, self._layers, strict=True)
        ]
        return list(zip(shaped[::2], shaped[1::2], strict=True))

    def _drop(self) -> None:
        """Drop the half of the tree, in bytes, that was not used for longest."""
        for node in list(self._nodes.values()):
            above = node.above
            while above is not None and above.used < node.used:  # whoever needs a node needs those above it
                above.used, above = node.used, above.above
        left, self._bytes = self._nodes, 0
        self._nodes = {}
        for context, node in sorted(left.items(), key=lambda item: (-item[1].used, len(item[0]))):
            self._bytes += node.bytes
            if self._bytes > self._max_bytes // 2:
                self._bytes -= node.bytes
                break
            self._nodes[context] = node


def _keys_values(node: _Node) -> Tensor:
    assert node.keys_values is not None
    return node.keys_values
