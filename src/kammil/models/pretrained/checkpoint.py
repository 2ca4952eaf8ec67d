"""Causal language models of transformers, opened as bases or built from a model folder.

No foreign code runs, no pickle is read, and only a base named on the Hub is fetched.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
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
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.utils import logging as transformers_logging

from kammil import model_folder as folders
from kammil.errors import FolderError, OptionError
from kammil.language_model import CONFIG, TOKENIZER
from kammil.models.pretrained.model import ARRAYS, TokenUnits, without_code
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
    """Stops this thread after a number of PyTorch calls."""

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
