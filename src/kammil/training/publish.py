"""A finished folder: what it says of how it was made, and how it is written and judged."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from kammil import files
from kammil import model_folder as folders
from kammil.completion.completer import load
from kammil.completion.explain.fragments import picture, sentences, table
from kammil.engine.quantization import unpack
from kammil.errors import KammilError
from kammil.evaluation import model_card
from kammil.evaluation.metrics import LOOPS, Evaluation, evaluate
from kammil.evaluation.plots import png, training_curves
from kammil.language_model import Artifacts, Settings
from kammil.progress import phase
from kammil.training.events import EpochEnded
from kammil.training.recipe import Recipe, flags
from kammil.training.texts import Dataset, printable
from kammil.vocabulary import CharacterVocabulary


@dataclass(frozen=True)
class TrainResult:
    """A finished run."""

    folder: Path
    evaluation: Evaluation
    """On the validation texts."""
    history: tuple[dict[str, Any], ...]
    """One mapping an epoch; empty for a family that counts, and for members that were put together."""
    cautions: tuple[str, ...] = ()
    """What must be known of the training texts before the figures are believed, a sentence each."""
    members: tuple[tuple[dict[str, Any], ...], ...] = ()
    """The histories of members that were put together."""

    def __repr__(self) -> str:
        """Where the model is, and how good."""
        bits = self.evaluation.model.bits_per_character_with_end
        figure = "" if bits is None else f": {bits.value:.3f} bits a character"
        return f"<TrainResult {self.folder}{figure} on {self.evaluation.texts:,} validation texts>"

    def _repr_html_(self) -> str:
        """Figures and training curves, for a notebook."""
        name = printable(self.folder.name)
        made = table(model_card.table(self.evaluation, name)) + sentences(self.cautions)
        if not self.history and not self.members:
            return made
        try:
            curves = training_curves(self.history, name, members=self.members)
            return made + picture(png(curves), "bits and accuracy by epoch")
        except KammilError:  # no matplotlib, no curves; the figures are whole without them
            return made


@dataclass(frozen=True)
class TrainedModel:
    """What was learnt."""

    family: str
    settings: Settings
    vocabulary: CharacterVocabulary
    artifacts: Artifacts
    seen: Mapping[str, NDArray[np.generic]]
    """Which runs of letters stand in the texts."""
    baselines: Mapping[str, NDArray[np.generic]]
    used: Mapping[str, str] | None = None
    """The device and the precision of training."""


def data_summary(data: Dataset, base: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a folder says of the texts that it was made from; `base`: what that of its base says of its own."""
    return {
        "source": data.source,
        "sha256": data.sha256,
        "texts": len(data.train),
        "characters": sum(map(len, data.train)),
        "excluded": data.excluded,
        "repeated": data.repeated,
        "base": base,
        "validation": data.validation_source,
        "validation_texts": len(data.validation),
        "validation_leaks": asdict(data.leaks) | {"exact_rows": [], "near_rows": [], "near_sources": []},
    } | ({"drawn": list(data.drawn)} if data.drawn else {})


def is_up_to_date(folder: Path, recipe: Recipe, data: Dataset, base: Mapping[str, Any] | None) -> bool:
    """Whether a folder holds what this recipe makes of these texts."""
    try:
        found = folders.read(folder).description.training
        # An option that is younger than the folder has its default there.
        there = found | {"recipe": Recipe.model_validate(found["recipe"]).model_dump(mode="json")}
    except (KammilError, ValidationError, KeyError):
        return False
    there.pop("used", None)  # the same recipe, wherever it was followed
    return there == json.loads(json.dumps(_training(recipe, data, base)))


def publish(
    made: TrainedModel,
    recipe: Recipe,
    data: Dataset,
    base: Mapping[str, Any] | None,
    out: Path,
    *,
    history: Sequence[EpochEnded],
    seconds: float,
    earlier: float = 0.0,
    members: Sequence[Sequence[dict[str, Any]]] = (),
    replace: bool,
) -> TrainResult:
    """Write the folder, evaluate what was written as it will be run, and add the figures and the card.

    `earlier`: seconds in which what it goes on from was trained; `members`: the histories of what it is made of.
    """
    with folders.new(out, replace=replace) as draft:
        description = folders.ModelConfig(
            format=folders.FORMAT,
            family=made.family,
            settings=made.settings.model_dump(),
            rules=recipe.text_rules.to_dict(),
            training=_training(recipe, data, base) | ({"used": dict(made.used)} if made.used else {}),
        )
        folders.write(draft, description, made.vocabulary, made.artifacts, seen=made.seen, baselines=made.baselines)
        with phase("evaluating", LOOPS):
            evaluation = evaluate(load(draft), data.validation)
        folders.write_metrics(
            draft,
            {
                "validation": evaluation.to_dict(),
                "training_seconds": round(seconds, 2),
                "training_seconds_in_all": round(seconds + earlier, 2),
                "parameters": _parameters(unpack(made.artifacts.weights)),
                "history": [asdict(event) for event in history],
            }
            | ({"members": [list(one) for one in members]} if members else {}),
        )
        name = printable(out.name)
        text = model_card.model_card(name, folders.read(draft), evaluation, command=_again(recipe, data, name))
        files.write_atomic(draft / folders.CARD, text.encode())
    return TrainResult(
        out,
        evaluation,
        tuple(asdict(event) for event in history),
        tuple(model_card.cautions(description)),
        tuple(map(tuple, members)),
    )


def _again(recipe: Recipe, data: Dataset, name: str) -> str:
    """The command, or the line of Python, that makes a model like this one, but for a base and members."""
    if data.arguments is not None:
        config = ["--config", "FILE"] if recipe.base is not None or recipe.members else []
        return shlex.join(["kammil", "train", *data.arguments, *flags(recipe), *config, "--out", f"{name}-again"])
    usual = Recipe.of({"model": recipe.model}).model_dump()
    flat = recipe.model_dump() | recipe.training.model_dump() | recipe.settings
    usual |= usual["training"] | usual["settings"]
    changed = {k: v for k, v in flat.items() if k not in ("training", "settings", "base", "members") and v != usual[k]}
    options = "".join(f", {k}={v!r}" for k, v in ({"model": recipe.model} | changed).items())
    validation = ", validation=validation_texts" if not data.cut else ""
    return f"kammil.train(texts{validation}{options}, out={name + '-command'!r})"


def seconds_in_all(model: folders.ModelFiles) -> float:
    """Of its training and, where its folder knows, of all that it goes on from."""
    metrics = model.metrics
    return float(metrics.get("training_seconds_in_all", metrics.get("training_seconds", 0.0)))


def _training(recipe: Recipe, data: Dataset, base: Mapping[str, Any] | None) -> dict[str, Any]:
    return {"recipe": recipe.model_dump(mode="json"), "kammil": version("kammil"), "data": data_summary(data, base)}


def _parameters(weights: Mapping[str, NDArray[np.generic]]) -> int:
    """Weights and counts; of packed tables, the contexts and followers in them."""
    packed = {name for name in weights if name.endswith(".sizes")}
    plain = sum(int(a.size) for name, a in weights.items() if name not in packed and a.dtype != np.uint8)
    return plain + sum(int(n) for name in packed for n in weights[name].tolist())
