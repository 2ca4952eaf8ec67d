"""Fine-tuning of a pretrained network, with its own subwords (Howard & Ruder 2018).

Losses, of the tokenizer's own cut, are an upper bound of those of the running model, which sums over cuts.

Shapes: B batch, T time, D = SPECIALS + tokens of the network.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import peft
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel

from kammil.errors import OptionError
from kammil.language_model import CONFIG, TOKENIZER, Artifacts
from kammil.models.family import GradientDescent, Learner, NetworkTask, TrainingTexts
from kammil.models.pretrained.checkpoint import config_text, open_base, own_weights, positions
from kammil.models.pretrained.model import PretrainedSettings
from kammil.models.pretrained.tokenizer import SubwordTokenizer, segment
from kammil.vocabulary import BOS, EOS, PAD, SPECIALS, UNK

MAX_PARAMETERS = 1 << 29
"""Maximum parameters of a base: 2 GiB in single precision, the maximum of a file in a model folder."""
_FULL, _LORA = 1e-4, 1e-3
"""Usual learning rates, not tuned here."""


class PretrainedNetwork(nn.Module):
    """A causal language model; ids (B, T) to logits (B, T, D).

    Id `SPECIALS` + n is token n. Beyond `window` tokens, each half window is read after the one before.
    """

    def __init__(self, model: nn.Module, *, unknown: int, bos: int, eos: int, window: int) -> None:
        super().__init__()
        self.model, self._unknown, self._bos, self._eos, self._window = model, unknown, bos, eos, window

    def forward(self, ids: Tensor) -> Tensor:
        """Return the logits."""
        tokens = ids - SPECIALS
        for id, token in ((PAD, self._eos), (UNK, self._unknown), (BOS, self._bos), (EOS, self._eos)):
            tokens = tokens.masked_fill(ids == id, token)
        logits = self._logits(tokens)  # (B, T, D - SPECIALS)
        ours = F.pad(logits, (SPECIALS, 0), value=-torch.inf)
        for id, token in ((UNK, self._unknown), (EOS, self._eos)):
            ours[..., id] = logits[..., token]
            ours[..., SPECIALS + token] = -torch.inf
        return ours

    def _logits(self, tokens: Tensor) -> Tensor:
        half = self._window // 2
        parts = [self.model(input_ids=tokens[:, : self._window], use_cache=False).logits]
        for begin in range(half, tokens.shape[1] - half, half):
            piece = tokens[:, begin : begin + self._window]
            if piece.shape[1] > self._window - half:
                read = self.model(input_ids=piece, use_cache=False).logits
                parts.append(read[:, self._window - half :])
        return parts[0] if len(parts) == 1 else torch.cat(parts, 1)

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Return what is trained, tied weights once."""
        del args, kwargs
        return {name: value.detach() for name, value in self.named_parameters() if value.requires_grad}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Load trained weights; `RuntimeError` for others."""
        del assign
        if strict and state_dict.keys() != self.state_dict().keys():
            raise RuntimeError("these are the weights of another network")
        return super().load_state_dict(state_dict, strict=False)


@dataclass(frozen=True, kw_only=True)
class PretrainedLearner(Learner[PretrainedSettings]):
    """Fine-tunes a causal language model of transformers."""

    def training_defaults(self, values: Mapping[str, Any]) -> Mapping[str, float]:
        """Return the learning rate."""
        return {"learning_rate": _LORA if values.get("lora_rank") else _FULL}

    def fit(
        self, values: Mapping[str, Any], texts: TrainingTexts, descend: GradientDescent
    ) -> tuple[PretrainedSettings, Artifacts]:
        """Open the base, cut the texts, fine-tune and merge LoRA."""
        settings = self.check(values)
        assert settings.base is not None, "`Family.check_base`"
        base = open_base(settings.base)
        parameters = sum(value.numel() for value in own_weights(base.model).values())
        if parameters > MAX_PARAMETERS:
            raise OptionError(
                f"base is {settings.base!r} with {parameters / 1e6:,.0f} million parameters, and a model folder holds "
                f"{MAX_PARAMETERS / 1e6:,.0f} million; name a smaller one."
            )
        settings = settings.model_copy(update={"window": min(settings.window, positions(base.model.config))})
        size = cast(nn.Linear, base.model.get_output_embeddings()).weight.shape[0]
        tokenizer = SubwordTokenizer(base.tokenizer, size, bos=base.bos, eos=base.eos, unknown=base.unknown)
        cut = segment(tokenizer, texts.train, texts.validation, texts.vocabulary)

        def build() -> PretrainedNetwork:
            return PretrainedNetwork(
                with_lora(base.model, settings),
                unknown=tokenizer.unknown,
                bos=tokenizer.bos,
                eos=tokenizer.eos,
                window=settings.window,
            )

        def artifacts(model: PreTrainedModel) -> Artifacts:
            weights = {name: value.detach().cpu().float().numpy() for name, value in own_weights(model).items()}
            documents = {CONFIG: config_text(model.config), TOKENIZER: base.tokenizer}
            return Artifacts(weights | cut.units.arrays(), documents)

        untrained = settings, artifacts(base.model)  # before LoRA renames layers
        task = NetworkTask(build, cut.train, cut.validation, cut.widths, rare=(), assemble=lambda _: untrained)
        (network,) = descend(task)
        return settings, artifacts(merged(network))


def with_lora(model: PreTrainedModel, settings: PretrainedSettings) -> nn.Module:
    """Add LoRA matrices to the linear layers, if the settings ask for them."""
    if not settings.lora_rank:
        return model
    config = peft.LoraConfig(
        r=settings.lora_rank, lora_alpha=cast(int, settings.lora_alpha), target_modules="all-linear"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft finds by itself that GPT-2's matrices are transposed
        return peft.get_peft_model(model, config)


def merged(network: PretrainedNetwork) -> PreTrainedModel:
    """Return the network's model, with LoRA merged."""
    model = network.model
    if isinstance(model, peft.PeftModel):
        model = cast(Any, model).merge_and_unload()
    return cast(PreTrainedModel, model)


LEARNER = PretrainedLearner(settings=PretrainedSettings)
