"""Causal language models of transformers: opened as bases, built from a model folder, and run with a key-value cache.

No foreign code runs, no pickle is read, and only a base named on the Hub is fetched.
"""

from __future__ import annotations

import inspect
import json
import logging
import re
from collections import defaultdict
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor
from torch.overrides import TorchFunctionMode
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    DynamicCache,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.utils import logging as transformers_logging

from kammil import model_folder as folders
from kammil.errors import FolderError, OptionError
from kammil.language_model import CONFIG, TOKENIZER, LogProbabilities
from kammil.models.pretrained.model import ARRAYS, Context, TokenUnits, without_code
from kammil.vocabulary import BOS, EOS, UNK

# Bounds, so that a foreign configuration cannot keep the machine busy.
_MAX_REPEATS, _REPEATED = 1024, ("layer", "layers", "experts")
"""Maximum number of layers or experts, and how such names end."""
_MAX_NUMBER = 1 << 16
"""Maximum whole number other than a size, and maximum length of a list."""
_MAX_NESTED = 64
"""Maximum length of nested lists, whose numbers are repetitions."""
_SIZES = re.compile(r"(size|vocab\w*|offset|positions?|embeddings|length|len|ctx|window|floor|theta|ids?|index|base)$")
"""Ends of names of sizes, positions and ids, which may be higher: arrays without memory take no time."""
_CALLS_PER_ARRAY, _MORE_CALLS = 16, 1000
"""Maximum PyTorch calls to build a model without memory: 185 families take 2.4 to 6.6 an array."""
_MAX_BUFFER_BYTES = 1 << 28
"""Maximum bytes of arrays that are no weights."""
_NO_LIMIT = 1 << 20
"""Positions where a configuration names no maximum."""
_SAME = 1e-5
"""Tolerance of equal log-probabilities."""

_MAX_BYTES = 1 << 29
_MAX_LOGITS = 1 << 24
"""Maximum number of logits computed at once."""
_TOLERANCE = 1e-3
"""Maximum difference of log-probabilities between reading in two steps and in one."""


@dataclass(frozen=True)
class Base:
    """A pretrained model to start from."""

    model: PreTrainedModel
    tokenizer: str
    """JSON text of the library `tokenizers`."""
    bos: int | None
    eos: int | None
    unknown: int | None


def open_base(name: str) -> Base:
    """Open a pretrained model by Hub name or folder; `OptionError` where that fails."""
    if (Path(name) / folders.MODEL).exists():
        return _open_ours(name)
    try:
        with _quietly():
            tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False, use_fast=True)
            model = AutoModelForCausalLM.from_pretrained(
                name, trust_remote_code=False, use_safetensors=True, dtype=torch.float32
            )
            text = tokenizer.backend_tokenizer.to_str()
    except Exception as error:  # the library raises anything
        reason = str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
        raise OptionError(
            f"base is {name!r}, which cannot be opened ({reason}); name a causal language model with a fast tokenizer "
            "and weights in safetensors, by its name on the Hugging Face Hub or its folder."
        ) from error
    if not _is_causal(model):
        raise OptionError(f"base is {name!r}, which reads texts in both directions; name a causal language model.")
    return Base(model, text, tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id)


def _is_causal(model: PreTrainedModel) -> bool:
    tokens = torch.tensor([[1, 2, 3], [1, 2, 4]]) % model.config.get_text_config().vocab_size
    with torch.inference_mode():
        one, other = torch.log_softmax(model(input_ids=tokens, use_cache=False).logits[:, :2], -1)
    return bool((one - other).abs().max() < _SAME)


def _open_ours(name: str) -> Base:
    files = folders.read(Path(name))
    documents = files.artifacts.documents
    if files.description.family != "pretrained" or not {CONFIG, TOKENIZER} <= documents.keys():
        raise OptionError(
            f"base is {name!r}, a model of family {files.description.family}; name a pretrained model, on the Hugging "
            "Face Hub or in a folder."
        )
    try:
        config = files.artifacts.document(CONFIG)
        model = build(config, {n: a for n, a in files.artifacts.weights.items() if not n.startswith(ARRAYS)})
        tokens = TokenUnits.from_arrays(files.artifacts.weights).tokens
    except (KeyError, ValueError) as error:
        raise FolderError(f"{name} does not fit together ({error}); copy the model folder again.") from error
    try:
        Tokenizer.from_str(documents[TOKENIZER])
    except Exception as error:  # the library raises nothing narrower
        raise FolderError(f"{TOKENIZER} of {name} describes no tokenizer; copy the model folder again.") from error
    return Base(model, documents[TOKENIZER], tokens[BOS][0], tokens[EOS][0], tokens[UNK][0])


def build(config: Mapping[str, Any], weights: Mapping[str, NDArray[np.generic]]) -> PreTrainedModel:
    """Build a causal language model; `ValueError` where configuration and weights do not fit.

    A first build without memory compares shapes before anything is allocated.
    """
    safe = without_code(config)
    _check_numbers("", safe)
    try:
        with _quietly(), torch.device("meta"), _Budget(_CALLS_PER_ARRAY * len(weights) + _MORE_CALLS):
            sketch = _from_config(safe)
    except Exception as error:  # the library raises anything
        raise ValueError(f"{CONFIG} describes no causal language model") from error
    expected = {name: tuple(value.shape) for name, value in own_weights(sketch).items()}
    if expected != {name: array.shape for name, array in weights.items()}:
        raise ValueError(f"the weights are not those of {CONFIG}")
    if sum(buffer.numel() * buffer.element_size() for buffer in sketch.buffers()) > _MAX_BUFFER_BYTES:
        raise ValueError(f"{CONFIG} asks for more memory than a model of ours")
    # Skipping the random weights would change PyTorch for all threads.
    with _quietly(), torch.random.fork_rng(devices=[]):
        model = _from_config(safe)
    with torch.no_grad():
        for name, value in own_weights(model).items():
            array = np.array(weights[name], np.float32)
            if not np.isfinite(array).all():
                raise ValueError(f"{name} is not finite")
            value.copy_(torch.from_numpy(array))
    return model


def own_weights(model: torch.nn.Module) -> dict[str, Tensor]:
    """Return parameters and saved buffers by name, tied ones once."""
    parameters: dict[str, Tensor] = dict(model.named_parameters())
    saved = model.state_dict().keys()
    return parameters | {name: buffer for name, buffer in model.named_buffers() if name in saved}


def config_text(config: PreTrainedConfig) -> str:
    """Return `config.json` without names of code, kernels or paths."""
    return json.dumps(without_code(json.loads(config.to_json_string())), indent=2, ensure_ascii=False)


def positions(config: PreTrainedConfig) -> int:
    """Return the maximum number of tokens read."""
    found = getattr(config.get_text_config(), "max_position_embeddings", None)
    return found if isinstance(found, int) and found > 0 else _NO_LIMIT


class _Budget(TorchFunctionMode):
    """Raises `ValueError` after a number of PyTorch calls on this thread."""

    def __init__(self, calls: int) -> None:
        super().__init__()
        self._left = calls

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self._left -= 1
        if self._left < 0:
            raise ValueError("it has more parts than there are weights for")
        return func(*args, **(kwargs or {}))


def _check_numbers(name: str, value: object, lists: int = 0) -> None:
    """Raise `ValueError` for numbers beyond the bounds."""
    is_size = _SIZES.search(name)
    if isinstance(value, dict):
        for key, below in cast(dict[str, object], value).items():
            _check_numbers(key, below, lists)
    elif isinstance(value, list):
        entries = cast(list[object], value)
        nested = (lists or any(isinstance(below, list) for below in entries)) and not is_size
        if len(entries) > (_MAX_NESTED if nested else _MAX_NUMBER):
            raise ValueError(f"{name} has {len(entries)} entries")
        for below in entries:
            _check_numbers(name, below, lists + 1)
    elif isinstance(value, int | float):
        if name.endswith(_REPEATED) or (lists > 1 and not is_size):  # nested numbers repeat
            most: float = _MAX_REPEATS
        else:
            most = _MAX_NUMBER if isinstance(value, int) and not is_size else float("inf")
        if value > most:
            raise ValueError(f"{name} is {value}")


def _from_config(safe: Mapping[str, Any]) -> PreTrainedModel:
    rest = dict(safe)
    config = AutoConfig.for_model(rest.pop("model_type"), **rest)
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise ValueError("it is no causal language model")
    return AutoModelForCausalLM.from_config(config, trust_remote_code=False, dtype=torch.float32)


@contextmanager
def _quietly() -> Generator[None]:
    level = transformers_logging.get_verbosity()
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity(logging.ERROR)
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()


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
    """Predicts next tokens with a cache; the model must be in evaluation mode.

    Each sequence and each of its prefixes has an entry; the least recently used are dropped. Keys and values are no
    part of the model's state, since hypotheses share most tokens, and each would hold megabytes.

    Shapes: K sequences, P tokens before, N new tokens, T tokens of the vocabulary, F numbers of a token's keys and
    values.
    """

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
                    before = [[self._entries[context[: n + 1]] for n in range(known)] for context, known in part]
                    scores, kept = self._read(new, [[cast(Tensor, e.keys_values) for e in row] for row in before])
                else:
                    scores = self._read_whole(torch.tensor(new))
                last = scores[:, -1].numpy()
                for i, (context, known) in enumerate(part):
                    self._add(context, known, last[i].copy(), kept[i])

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
