"""Initial weights of networks: random with a blend's gate trained first, or those of a base.

Shapes: B batch, T time, V vocabulary, H units.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kammil import distributed
from kammil.errors import OptionError
from kammil.models.family import NetworkTask, TrainingTexts
from kammil.training.batches import batches, make_rows
from kammil.training.checkpoint import Checkpoint
from kammil.training.loss import teacher_forced
from kammil.training.optim import make_optimiser, warmup_then_cosine
from kammil.training.recipe import TrainingOptions
from kammil.training.time_budget import TimeBudget
from kammil.vocabulary import SPECIALS, UNK, CharacterVocabulary

N = TypeVar("N", bound=nn.Module)

_CHARACTERS = 200_000
"""Maximum number of positions to train on: a few seconds."""
_SHARE = 0.1
_BATCH = 16
_ROW_PER_CHARACTER = ("embedding.weight", "output.weight", "output.bias")
_RECURRENT = "gru.weight_hh_l0"
_READ_STATE = {_RECURRENT, "output.weight", "gate_in.weight", "gate.weight"} | {
    f"{name}.weight" for name in ("query", "key", "value")
}
"""Weights whose first H columns multiply the state of a GRU."""


def new_networks(
    task: NetworkTask[N],
    texts: TrainingTexts,
    states: Sequence[Checkpoint],
    options: TrainingOptions,
) -> list[N]:
    """Build the networks, with random weights and warmed-up gates, or with the weights of the base."""
    networks: list[N] = []
    for member in range(task.count):
        torch.manual_seed(seed_of(member, options.seed))
        network = task.build()
        if texts.base is not None:
            weights = task.bases[member % len(task.bases)]
            warm_start(network, texts.vocabulary, weights, texts.base.vocabulary)
        networks.append(network)
    fresh = [network for network, state in zip(networks, states, strict=True) if not state.exists()]
    gates = [network for network in fresh if hasattr(network, "forward_gate")]
    if texts.base is None and gates and distributed.rank() == 0:
        warm_up_gates(gates, task, options)  # other processes take over the weights of the first
    return networks


def seed_of(member: int, seed: int) -> int:
    """Return the seed of a member; the first has that of the run."""
    return int(np.random.SeedSequence([seed, member]).generate_state(1)[0]) if member else seed


def warm_up_gates(models: Sequence[Any], data: NetworkTask[Any], options: TrainingOptions) -> None:
    """Train the gates of blends in place, on the CPU, from the n-gram tables alone, in one pass over some texts.

    A gate trained only with its network learns as slowly, and a minute may end behind an n-gram model
    (`docs/log.md#why-does-a-short-blend-lose`).
    """
    if data.extra_inputs is None:
        return
    generator = np.random.default_rng(np.random.SeedSequence([options.seed, 0x09E]))
    rows = make_rows(data.train, objective=options.objective, block=options.block)
    order = generator.permutation(len(rows))
    last = int(np.searchsorted(np.cumsum((rows.stops - rows.firsts)[order]), _CHARACTERS)) + 1
    stream = list(batches(rows.take(order[:last]), _BATCH, rare=data.rare or (), generator=generator))
    parameters = nn.ParameterList(p for model in models for p in model.gate_parameters())
    optimiser = make_optimiser(parameters, options)
    budget = TimeBudget(None if options.minutes is None else _SHARE * options.minutes, options.clock)
    for step, batch in enumerate(stream):
        if not budget.left:
            return
        for group in optimiser.param_groups:
            group["lr"] = options.learning_rate * warmup_then_cosine(step / len(stream), warmup=options.warmup)
        arrays = data.extra_inputs(batch.rows, batch.inputs.shape[1], learning=True)
        arrays = (batch.inputs, batch.targets, batch.counted, *arrays)
        inputs, targets, counted, *extra = (torch.from_numpy(np.ascontiguousarray(array)) for array in arrays)
        losses = [teacher_forced(model.forward_gate(inputs, *extra), targets, counted) for model in models]
        optimiser.zero_grad()
        torch.stack([loss.nats / loss.count for loss in losses]).sum().backward()
        optimiser.step()


def warm_start(
    network: nn.Module,
    vocabulary: CharacterVocabulary,
    weights: Mapping[str, NDArray[np.generic]],
    base_vocabulary: CharacterVocabulary,
) -> None:
    """Copy the base's weights of the same names into a network, row by row for each character.

    Characters that the base lacks get the weights of UNK and share its probability evenly. A GRU may have more units; a
    gate of another number of experts stays random. `OptionError` where other shapes differ or no weights fit.
    """
    base_ids = np.array(
        [i if i < SPECIALS else int(base_vocabulary.encode(vocabulary.piece(i))[0]) for i in range(vocabulary.size)]
    )  # (V,)
    new = (base_ids == UNK) & (np.arange(vocabulary.size) != UNK)
    initial = network.state_dict()
    weights = _widen(weights, initial)
    copied: dict[str, Tensor] = {}
    for name in initial.keys() & weights.keys():
        value = np.asarray(weights[name], np.float32)
        if name in _ROW_PER_CHARACTER and len(value) == base_vocabulary.size:
            value = value[base_ids]
            if name == "output.bias":
                value[new | (np.arange(len(value)) == UNK)] -= math.log(1 + int(new.sum()))
        if value.shape == tuple(initial[name].shape):
            copied[name] = torch.from_numpy(value.copy())
        elif not name.startswith("gate"):
            raise OptionError(
                f"the base model's {name} has the shape {value.shape} and this model's {tuple(initial[name].shape)}; "
                "give both models the same sizes."
            )
    if "output.weight" not in copied:
        raise OptionError("the base model's network has other parts than this one; name one of the same family.")
    network.load_state_dict(copied, strict=False)


def _widen(weights: Mapping[str, NDArray[np.generic]], initial: Mapping[str, Tensor]) -> dict[str, NDArray[np.generic]]:
    """Return the weights of a GRU with more units that computes the same; others as they are.

    As in Net2Net (Chen, Goodfellow & Shlens 2016, arXiv:1511.05641), but with random new units, whose weights to the
    old units, output and gate are zero. `OptionError` for fewer units.
    """
    widened = dict(weights)
    if _RECURRENT not in weights or _RECURRENT not in initial:
        return widened
    old, units = weights[_RECURRENT].shape[-1], initial[_RECURRENT].shape[-1]  # h, H
    if old > units:
        raise OptionError(f"the base model has {old} units and this model {units}; give hidden={old}, or more.")
    if old == units:
        return widened
    for name in _READ_STATE & weights.keys():
        state, others = np.split(weights[name], [old], axis=1)
        widened[name] = np.concatenate([state, np.zeros((len(state), units - old), state.dtype), others], axis=1)
    for name in (name for name in weights if name.startswith("gru.")):
        new = initial[name].numpy().reshape(3, units, -1)[:, old:]  # (3, H - h, inputs)
        value = widened[name].reshape(3, old, -1)  # (3, h, inputs): gate by gate
        if value.shape[2] == new.shape[2]:
            widened[name] = np.concatenate([value, new], axis=1).reshape(initial[name].shape)
    return widened
