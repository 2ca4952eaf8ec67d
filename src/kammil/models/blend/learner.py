"""Train a blend: the texts are counted once, each member network is trained separately, and all become one model.

Members trained under a common loss do not become different enough to gain, so each has its own seed, gate and loss.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kammil.data.bloom import BloomFilter
from kammil.data.near_duplicates import groups, resembling
from kammil.engine.weights import pack, unpack
from kammil.language_model import Artifacts
from kammil.model_folder import ModelConfig, ModelFiles
from kammil.models.blend.experts import KeptCounts, NgramExperts
from kammil.models.blend.network import FIRST_WEIGHT, BlendNetwork
from kammil.models.blend.settings import BACKGROUND, IN_WORD, OWN, BlendSettings, member_prefixes, sizes
from kammil.models.family import GradientDescent, MergingLearner, NetworkTask, TrainingTexts, Weights
from kammil.ngrams.compression import unpack as unpack_table
from kammil.ngrams.features import GATE_FEATURES, SCORE_FEATURES
from kammil.progress import note

_MATRICES = ("embedding.weight", "gru.weight_ih_l0", "gru.weight_hh_l0", "output.weight")
_PARTS = ("embedding.", "gru.", "output.", "gate_in.", "gate_out.")
"""Prefixes of the first member's weights; the names of the other members' weights begin with another prefix."""


@dataclass(frozen=True, kw_only=True)
class BlendLearner(MergingLearner[BlendSettings]):
    """Trains by counting and gradient descent. `training`: on the benchmark's validation texts 6 passes in batches of
    16 ended at 2.88 bits, 8 in batches of 8 at 2.89; more than 8 passes over-fit. `from_base`:
    docs/log.md#what-does-a-model-of-your-own-gain-from-the-bundled-one."""

    settings: type[BlendSettings] = BlendSettings
    training: Mapping[str, float] = field(default_factory=lambda: {"batch_size": 16, "epochs": 8})
    beats_counters: bool = True
    sized: tuple[str, ...] = ("hidden", "networks", "epochs")
    of_base: tuple[str, ...] = ("embedding", "hidden", "networks", "gate", "kinds", "history")
    from_base: Mapping[str, float] = field(default_factory=lambda: {"learning_rate": 1e-3, "epochs": 3, "dropout": 0.2})

    def sizes(self, characters: int, minutes: float, threads: int) -> Mapping[str, int]:
        """Choose width, members and passes by `sizes`."""
        return sizes(characters, minutes, threads)

    def needs_vocabulary(self, values: Mapping[str, Any], base: ModelConfig) -> bool:
        """Return whether the counts of the base can stay, whose contexts are hashes of ids."""
        return bool(values["base_counts"]) and self._obstacle(values, base) is None

    @staticmethod
    def _obstacle(values: Mapping[str, Any], base: ModelConfig) -> str | None:
        """Return why the counts of the base cannot stay; None if they can."""
        if base.family != "blend":
            return "it is no blend"
        same = list(base.settings["kinds"]) == list(values["kinds"])
        return None if same else "it counts other kinds of contexts"

    def fit(
        self, values: Mapping[str, Any], texts: TrainingTexts, descend: GradientDescent
    ) -> tuple[BlendSettings, Artifacts]:
        """Count the texts, and train the members on the counts of the other texts."""
        settings = self.check(values)
        experts = NgramExperts(
            texts.train,
            texts.validation,
            kin=groups(list(texts.texts)).tolist(),
            background=texts.vocabulary.encode_all(_background(texts)),
            kept=self._kept_counts(settings, texts),
            vocabulary=texts.vocabulary,
            settings=settings,
        )

        tables = experts.arrays()

        def assemble(networks: Sequence[BlendNetwork]) -> tuple[BlendSettings, Artifacts]:
            return settings, Artifacts({**export(networks).weights, **tables})

        task = NetworkTask(
            lambda: BlendNetwork(texts.vocabulary.size, experts.count, settings),
            texts.train,
            texts.validation,
            extra_inputs=experts.features,
            count=settings.networks,
            bases=_bases(texts.base, settings, experts.count) if texts.base is not None else (),
            assemble=assemble,
        )
        return assemble(descend(task))

    def merge(
        self, settings: Sequence[Mapping[str, Any]], weights: Sequence[Weights]
    ) -> tuple[BlendSettings, Artifacts]:
        """Merge blends of the same texts: their networks become the members of one blend."""
        checked, tables = [self.check(values) for values in settings], _tables(weights[0])
        first = checked[0]
        members: list[Weights] = []
        for blend, arrays in zip(checked, weights, strict=True):
            if blend.model_copy(update={"networks": first.networks, "dropout": first.dropout}) != first:
                raise ValueError("they are of different sizes")
            counts = _tables(arrays)
            if counts.keys() != tables.keys() or not all(np.array_equal(tables[n], counts[n]) for n in tables):
                raise ValueError("they count different texts")
            members += _members(unpack(arrays))
        merged = first.model_copy(update={"networks": len(members)})
        return merged, Artifacts({**_packed(members), **tables})

    def _kept_counts(self, settings: BlendSettings, texts: TrainingTexts) -> KeptCounts | None:
        """Return the counts of a base folder that stay; None if there are none."""
        base = texts.base
        if base is None or texts.base_texts or not settings.base_counts or base.description.family != "blend":
            return None
        obstacle = self._obstacle(settings.model_dump(mode="json"), base.description)
        if obstacle is None and texts.vocabulary.characters != base.vocabulary.characters:
            obstacle = "it lacks many characters of these texts"
        if obstacle is not None:
            note(f"the counts of the base do not stay, since {obstacle}")
            return None
        arrays, prefix = base.artifacts.weights, OWN
        if any(name.startswith(BACKGROUND) for name in arrays):
            prefix = BACKGROUND  # one table has room; it is that of most texts
            note("of the base, the counts of its own texts do not stay; name these texts, too, or what it started from")
        packed = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
        seen = BloomFilter(base.seen)
        return KeptCounts(unpack_table(arrays, prefix), packed, [seen.knows_half(text) for text in texts.texts])


def export(networks: Sequence[BlendNetwork]) -> Artifacts:
    """Return the members' weights as integers and in half precision, which changes no figure; without the tables."""
    return Artifacts(
        _packed(
            [
                {name: value.detach().cpu().numpy().astype(np.float16) for name, value in network.state_dict().items()}
                for network in networks
            ]
        )
    )


def _bases(base: ModelFiles, settings: BlendSettings, experts: int) -> list[Weights]:
    members = _members(unpack(base.artifacts.weights))
    if base.description.family != "blend":
        return members
    theirs = BlendSettings.model_validate(base.description.settings)
    return [with_new_experts(member, settings, theirs, experts) for member in members]


def with_new_experts(weights: Weights, settings: BlendSettings, base: BlendSettings, experts: int) -> Weights:
    """Return a member's weights with those of its gate for a number of experts; the base's texts are background now.

    The base's experts become those of the background, and those of the new texts begin as in a new gate. Nothing is
    changed where context types or the gate's width differ, or where the base has a background itself.
    """
    old = len(settings.kinds) + len(settings.history)  # experts of the base
    new = experts - old  # experts that the base lacks
    same = all(getattr(settings, n) == getattr(base, n) for n in ("kinds", "history", "gate"))
    if new != len(settings.kinds) or not same or weights["gate_out.bias"].shape != (SCORE_FEATURES * old,):
        return weights
    state, features = np.split(weights["gate_in.weight"], [base.hidden], axis=1)
    features = features.reshape(settings.gate, GATE_FEATURES, old)
    features = np.concatenate([np.zeros((settings.gate, GATE_FEATURES, new), features.dtype), features], axis=2)
    out, bias = weights["gate_out.weight"], weights["gate_out.bias"]
    first = np.zeros((SCORE_FEATURES * new, settings.gate), out.dtype)
    return {
        **weights,
        "gate_in.weight": np.concatenate([state, features.reshape(settings.gate, -1)], axis=1),
        "gate_out.weight": np.concatenate([first, out]),
        "gate_out.bias": np.concatenate([np.full(SCORE_FEATURES * new, FIRST_WEIGHT, np.float32), bias]),
    }


def _background(texts: TrainingTexts) -> list[str]:
    """Return the base's texts that are counted as background: none that resembles a training text.

    A training text is left out of the counts that predict it. A copy of it in the background would predict it
    exactly, and the gate would trust nothing else: 0.9 bits on training texts, 40 on new ones.
    """
    train = set(texts.texts)
    new = [text for text in texts.base_texts if text not in train]
    return [text for text, drop in zip(new, resembling(new, list(texts.texts)), strict=True) if not drop]


def _members(weights: Weights) -> list[Weights]:
    """Return each member's weights, named like those of the first; of a model that is no blend, all its weights."""
    networks = 1
    while f"{member_prefixes(networks + 1)[-1]}output.bias" in weights:
        networks += 1
    return [
        {name.removeprefix(prefix): array for name, array in weights.items() if name.startswith(prefix or _PARTS)}
        for prefix in member_prefixes(networks)
    ]


def _packed(members: Sequence[Weights]) -> dict[str, NDArray[np.generic]]:
    prefixes = member_prefixes(len(members))
    named = {p + name: array for p, member in zip(prefixes, members, strict=True) for name, array in member.items()}
    return pack(named, [prefix + name for prefix in prefixes for name in _MATRICES])


def _tables(arrays: Weights) -> Weights:
    return {name: array for name, array in arrays.items() if name.startswith((OWN, BACKGROUND, IN_WORD))}


LEARNER = BlendLearner()
