"""Write the folder of a finished model, evaluate it, and describe how it was made."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from kammil import files
from kammil import model_folder as folders
from kammil.completion.completer import Completer, load
from kammil.errors import FolderError, KammilError
from kammil.evaluation import model_card, plots
from kammil.evaluation.evaluate import LOOPS, Evaluation, evaluate
from kammil.evaluation.machine import machine, versions
from kammil.evaluation.report import REPORT, model_report
from kammil.language_model import Artifacts, Settings
from kammil.models.layers import count_parameters
from kammil.progress import EpochEnded, note, phase
from kammil.training import tracking
from kammil.training.recipe import Recipe, flags, toml
from kammil.training.texts import Dataset, name_of, printable
from kammil.views.notebook import picture, sentences
from kammil.vocabulary import CharacterVocabulary

_PATHS = ("base", "source", "validation", "exclude")
"""Options that name files, or the folder of a model."""


@dataclass(frozen=True)
class TrainResult:
    """A finished run."""

    folder: Path
    evaluation: Evaluation
    """Figures on the validation texts."""
    history: tuple[dict[str, Any], ...]
    """One mapping per epoch; empty for an n-gram model and for a blend that was merged from several models."""
    cautions: tuple[str, ...] = ()
    """Sentences on the training texts that one should know before trusting the figures."""
    members: tuple[tuple[dict[str, Any], ...], ...] = ()
    """Histories of the models that a blend was merged from."""
    report: Path | None = None
    """The report, one HTML page to open in a browser; None if none was written."""
    ending: str = ""
    """A sentence: how many passes were made, and whether more minutes would help; empty for a counter."""

    def __repr__(self) -> str:
        """Name the folder and the bits per character on validation."""
        bits = self.evaluation.model.bits_per_character_with_end
        figure = "" if bits is None else f": {bits.value:.3f} bits a character"
        return f"<TrainResult {self.folder}{figure} on {self.evaluation.texts:,} validation texts>"

    def _repr_html_(self) -> str:
        """Format figures and training curves for a notebook."""
        name = printable(self.folder.name)
        where = () if self.report is None else (f"The whole report: {self.report}",)
        figures = model_card.table(self.evaluation, name).fragment() + sentences((*self.cautions, *where))
        if not self.history and not self.members:
            return figures
        try:
            curves = plots.figure(plots.training_curves(self.history, name, members=self.members), name)
            return figures + picture(plots.png(curves), "bits and accuracy by epoch")
        except KammilError:  # no matplotlib, no curves; the figures can do without them
            return figures


@dataclass(frozen=True)
class TrainedModel:
    """A trained model, before it is written."""

    family: str
    settings: Settings
    vocabulary: CharacterVocabulary
    artifacts: Artifacts
    seen: Mapping[str, NDArray[np.generic]]
    """Bloom filter of the 12-letter runs of the training texts, as arrays."""
    baselines: Mapping[str, NDArray[np.generic]]
    """Character counts and a 3-gram model of the training texts, as arrays."""
    used: Mapping[str, str] | None = None
    """Device and precision of training; None for an n-gram model."""


def data_summary(data: Dataset, base: Mapping[str, Any] | None) -> dict[str, Any]:
    """Describe the texts of a model for its folder; `base` is the same description of its base's texts."""
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
        **({"validation_in_full": data.validation_in_full} if data.validation_in_full else {}),
    }


def is_up_to_date(folder: Path, recipe: Recipe, data: Dataset, base: Mapping[str, Any] | None) -> bool:
    """Whether a folder holds a finished model of this recipe and these texts."""
    try:
        found = folders.read(folder).description.training
        # An option that is younger than the folder has its default there.
        stored = found | {"recipe": recorded(Recipe.model_validate(found["recipe"]))}
    except (KammilError, ValidationError, KeyError):
        return False
    stored.pop("used", None)  # the device and precision that were used are no part of the recipe
    wanted = json.loads(json.dumps(_training(recipe, data, base)))
    if model_card.SHA256 not in stored:  # older folders do not record it
        wanted.pop(model_card.SHA256, None)
    return stored == wanted


def publish(
    model: TrainedModel,
    recipe: Recipe,
    data: Dataset,
    base: Mapping[str, Any] | None,
    out: Path,
    *,
    history: Sequence[EpochEnded],
    seconds: float,
    earlier: float = 0.0,
    licence_of_base: str | None = None,
    learnt_by_base: int | None = None,
    members: Sequence[Sequence[dict[str, Any]]] = (),
    events: bytes = b"",
    replace: bool,
    report_seconds: float = 0.0,
    ending: str = "",
) -> TrainResult:
    """Write a model's folder, evaluate the model as it will be run from there, and add figures, card and report.

    Args:
        model: the trained model.
        recipe, data: what it was trained by and on.
        base: description of the base's texts, if there is a base.
        out: the folder; it appears complete or not at all.
        history: the epochs of training.
        seconds: time of training.
        earlier: seconds of training of its base, or of the bases of its members.
        licence_of_base: what its base says about its terms.
        learnt_by_base: number of validation texts that its base had learnt; None without a base of ours.
        members: histories of the models that it was merged from.
        events: lines of `events.jsonl`.
        replace: replace a model folder of that name.
        report_seconds: about how long the report may take; none is written at 0.
        ending: how training ended, in a sentence.
    """
    with folders.new(out, replace=replace) as draft:
        description = folders.ModelConfig(
            format=folders.FORMAT,
            family=model.family,
            settings=cast(dict[str, Any], _without_folders(model.settings.model_dump())),
            rules=recipe.text_rules.to_stored(),
            training=_training(recipe, data, base) | ({"used": dict(model.used)} if model.used else {}),
        )
        folders.write(draft, description, model.vocabulary, model.artifacts, seen=model.seen, baselines=model.baselines)
        with phase("evaluating", LOOPS):
            runner = load(draft)
            evaluation = evaluate(runner, data.validation)
        folders.write_metrics(
            draft,
            {
                "validation": evaluation.to_dict(),
                "training_seconds": round(seconds, 2),
                "training_seconds_in_all": round(seconds + earlier, 2),
                "parameters": count_parameters(model.artifacts.weights),
                "history": [asdict(event) for event in history],
                "machine": machine(),
                "versions": versions(),
            }
            | ({"members": [list(epochs) for epochs in members]} if members else {})
            | ({"ending": ending} if ending else {})
            | ({"licence_of_base": licence_of_base} if licence_of_base else {})
            | ({model_card.LEARNT_BY_BASE: learnt_by_base} if learnt_by_base is not None else {}),
        )
        figures: dict[str, Any] = evaluation.to_dict()["model"]
        values = {figure: interval and interval["value"] for figure, interval in figures.items()}
        files.write_atomic(draft / folders.EVENTS, events + tracking.line("Evaluated", values))
        name = printable(out.name)
        command, written = _repeat_command(recipe, data, name), folders.read(draft)
        text = model_card.model_card(name, written, evaluation, command=command)
        files.write_atomic(draft / folders.CARD, text.encode())
        if report_seconds:
            _write_report(draft, name, written, runner, evaluation, recipe, data, command, report_seconds)
        report = out / REPORT if (draft / REPORT).exists() else None
    return TrainResult(
        out,
        evaluation,
        tuple(asdict(event) for event in history),
        tuple(model_card.cautions(written)),
        tuple(map(tuple, members)),
        report,
        ending,
    )


def _write_report(
    folder: Path,
    name: str,
    written: folders.ModelFiles,
    model: Completer,
    evaluation: Evaluation,
    recipe: Recipe,
    data: Dataset,
    command: str,
    seconds: float,
) -> None:
    """Write the report into the folder; where that cannot be, the listener is told why, and the rest stays."""
    try:
        page = model_report(
            name,
            written,
            evaluation,
            model=model,
            texts=data.validation,
            trained_on=data.train,
            command=command,
            toml=_tables(recipe),
            seconds=seconds,
        )
        files.write_atomic(folder / REPORT, page.encode("utf-8", "replace"))
    except FolderError as error:
        note(f"no report: {error}")


def _tables(recipe: Recipe) -> str:
    """Return base and members of a recipe in TOML; empty without any, or where the base is named by an option."""
    tables = {"base": recipe.base if recipe.members or isinstance(recipe.base, Mapping) else None}
    tables |= {"members": list(recipe.members)}
    return "\n".join(f"{name} = {toml(_without_folders(value, name))}" for name, value in tables.items() if value)


def recorded(recipe: Recipe) -> dict[str, Any]:
    """Return the options of a recipe as a model folder records them: files and folders by their names alone, since a
    folder may be published, and where they lie on this machine is private."""
    return cast(dict[str, Any], _without_folders(recipe.model_dump(mode="json")))


def folder_hashes(recipe: Recipe) -> dict[str, str]:
    """Return the SHA-256 of the model folder that a recipe starts from, by option; a model on the Hub has none."""
    base = recipe.settings.get("base", recipe.base)
    folder = folders.locate(Path(base)) if isinstance(base, str) else None
    return {"base": _checksum(folder)} if folder is not None and folder.is_dir() else {}


def _checksum(folder: Path) -> str:
    """Return the SHA-256 of what a model is made of: the arrays and JSON files of its folder, without its figures."""
    total = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.suffix in (".json", ".safetensors")):
        if path.name != folders.METRICS and path.is_file():
            with path.open("rb") as file:
                total.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()


def _without_folders(value: object, option: str = "") -> object:
    """Return plain values of a recipe with files named without the folders that hold them."""
    if isinstance(value, Mapping):
        return {name: _without_folders(v, name) for name, v in cast(Mapping[str, object], value).items()}
    if isinstance(value, list | tuple):
        return [_without_folders(each, option) for each in cast(Sequence[object], value)]
    return _name(value) if isinstance(value, str) and option in _PATHS else value


def _name(source: str) -> str:
    """Return the name of a file or folder without the folders that hold it, or the name of a data set."""
    return Path(source).name if Path(source).is_absolute() else name_of(source)


def _repeat_command(recipe: Recipe, data: Dataset, name: str) -> str:
    """Return the command or line of Python that repeats this training, except for the tables of base and members."""
    recipe = recipe.model_copy(update={"exclude": tuple(map(_name, recipe.exclude))})
    if data.arguments is not None:
        config = ["--base", _name(recipe.base)] if isinstance(recipe.base, str) else []
        config = ["--config", "FILE"] if _tables(recipe) else config
        return shlex.join(["kammil", "train", *data.arguments, *flags(recipe), *config, "--out", f"{name}-again"])
    defaults = Recipe.of({"model": recipe.model}).model_dump()
    flat = recipe.model_dump() | recipe.training.model_dump() | recipe.settings
    defaults |= defaults["training"] | defaults["settings"]
    changed = {
        k: v
        for k, v in flat.items()
        if k not in ("training", "settings", "base", "members") and (v != defaults[k] or k in recipe.pinned)
    }
    if isinstance(recipe.base, str):
        changed["base"] = _name(recipe.base)
    options = "".join(f", {k}={v!r}" for k, v in ({"model": recipe.model} | changed).items())
    validation = ", validation=validation_texts" if not data.validation_split_off else ""
    return f"kammil.train(texts{validation}{options}, out={name + '-again'!r})"


def total_seconds(model: folders.ModelFiles) -> float:
    """Return the seconds of a model's training, with those of its base where its folder has them."""
    metrics = model.metrics
    return float(metrics.get("training_seconds_in_all", metrics.get("training_seconds", 0.0)))


def _training(recipe: Recipe, data: Dataset, base: Mapping[str, Any] | None) -> dict[str, Any]:
    hashes = folder_hashes(recipe)
    return {
        "recipe": recorded(recipe),
        "kammil": version("kammil"),
        "data": data_summary(data, base),
        **({model_card.SHA256: hashes} if hashes else {}),
    }
