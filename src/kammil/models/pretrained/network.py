"""Fine-tuning: a network that others trained on much text learns the user's texts on top (Howard & Ruder 2018).

The network keeps its own subwords. Losses are those of the tokenizer's own cut of each text, an upper bound of what the
running model is charged, which sums over cuts.

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
"""Maximum number of parameters of a base: in single precision the 2 GiB that a file of a model folder may have."""
_FULL, _LORA = 1e-4, 1e-3
"""Learning rates of all weights and of LoRA: usual ones, not tuned here."""


class PretrainedNetwork(nn.Module):
    """A causal language model over the ids of the training loop; ids (B, T) to logits (B, T, D).

    Id `SPECIALS` + n is token n; UNK, BOS and EOS stand for the tokens `unknown`, `bos` and `eos`. Beyond `window`
    tokens, each piece of half a window is read after the one before.
    """

    def __init__(self, model: nn.Module, *, unknown: int, bos: int, eos: int, window: int) -> None:
        super().__init__()
        self.model, self._unknown, self._bos, self._eos, self._window = model, unknown, bos, eos, window

    def forward(self, ids: Tensor) -> Tensor:
        """Return the logits of what follows each position."""
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
        """Return what is trained, each tied weight once: the rest is in the base."""
        del args, kwargs
        return {name: value.detach() for name, value in self.named_parameters() if value.requires_grad}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Load what `state_dict` returned; `RuntimeError` for anything else."""
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
        """Open the base, cut the texts, fine-tune, and merge what LoRA added."""
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

        untrained = settings, artifacts(base.model)  # before LoRA renames its layers; on a CPU the arrays are shared
        task = NetworkTask(build, cut.train, cut.validation, cut.widths, rare=(), assemble=lambda _: untrained)
        (network,) = descend(task)
        return settings, artifacts(merged(network))


def with_lora(model: PreTrainedModel, settings: PretrainedSettings) -> nn.Module:
    """Return the model to train: itself, or LoRA matrices beside its linear layers."""
    if not settings.lora_rank:
        return model
    config = peft.LoraConfig(
        r=settings.lora_rank, lora_alpha=cast(int, settings.lora_alpha), target_modules="all-linear"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that GPT-2 stores its matrices the other way round, peft finds out by itself
        return peft.get_peft_model(model, config)


def merged(network: PretrainedNetwork) -> PreTrainedModel:
    """Return the model of transformers in a network, with what LoRA added."""
    model = network.model
    if isinstance(model, peft.PeftModel):
        model = cast(Any, model).merge_and_unload()
    return cast(PreTrainedModel, model)


LEARNER = PretrainedLearner(settings=PretrainedSettings)
