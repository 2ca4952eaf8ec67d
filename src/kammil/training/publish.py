"""Write the folder of a finished model, evaluate it, describe how it was made, and draw its training."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from kammil import model_folder as folders
from kammil import storage
from kammil.completion.completer import Completer, load
from kammil.engine.weights import count_parameters
from kammil.errors import FolderError, KammilError, OptionError
from kammil.evaluation import model_card, plots
from kammil.evaluation.evaluate import LOOPS, Evaluation, evaluate
from kammil.evaluation.measurements import machine, versions
from kammil.evaluation.ranking import Ranking
from kammil.evaluation.report import beside, model_report
from kammil.language_model import Settings
from kammil.progress import EpochEnded, note, phase
from kammil.text import printable
from kammil.training import tracking
from kammil.training.record import RunRequest, recipe_toml, training_record, without_folders
from kammil.training.texts import Dataset
from kammil.views.notebook import picture, sentences

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class TrainResult:
    """A finished run."""

    folder: Path
    evaluation: Evaluation
    history: tuple[dict[str, Any], ...]
    """One mapping per epoch; empty for a counter and for a merged blend."""
    cautions: tuple[str, ...] = ()
    """Reasons not to trust the figures, a sentence each."""
    members: tuple[tuple[dict[str, Any], ...], ...] = ()
    """Histories of the members of a merged blend."""
    report: Path | None = None
    ending: str = ""
    """A sentence on the passes made, and whether more minutes would help; empty for a counter."""

    def __repr__(self) -> str:
        bits = self.evaluation.model.bits_per_character_with_end
        figure = "" if bits is None else f": {bits.value:.3f} bits a character"
        return f"<TrainResult {self.folder}{figure} on {self.evaluation.texts:,} validation texts>"

    def _repr_html_(self) -> str:
        """Show figures and training curves in a notebook."""
        name = printable(self.folder.name)
        where = () if self.report is None else (f"The whole report: {self.report}",)
        figures = model_card.table(self.evaluation, name).fragment() + sentences((*self.cautions, *where))
        if not self.history and not self.members:
            return figures
        try:
            curves = plots.figure(plots.training_curves(self.history, name, members=self.members), name)
            return figures + picture(plots.png(curves), "bits and accuracy by epoch")
        except KammilError:  # no matplotlib
            return figures


def describe(
    request: RunRequest, family: str, settings: Settings, used: Mapping[str, str] | None, base: Mapping[str, Any] | None
) -> folders.ModelConfig:
    """Return the content of `model.json`.

    Args:
        used: device and precision of training; None for an n-gram model.
        base: describes the texts of the base.
    """
    training = training_record(request.recipe, request.data, base)
    return folders.ModelConfig(
        format=folders.FORMAT,
        family=family,
        settings=without_folders(settings.model_dump()),
        rules=request.recipe.text_rules.to_stored(),
        training=training | ({"used": dict(used)} if used else {}),
    )


def publish(model: folders.ModelFiles, request: RunRequest, events: bytes = b"") -> TrainResult:
    """Write a model's folder, complete or not at all, with figures of the model as loaded from it.

    Entries of its `metrics` on the training that are empty are left out.
    """
    recipe, data, out = request.recipe, request.data, request.out
    with storage.new_folder(out, partial(folders.check_free, out, replace=request.replace)) as draft:
        folders.write(draft, model)
        with phase("evaluating", LOOPS):
            runner = load(draft)
            evaluation = evaluate(runner, data.validation)
        figures = evaluation.to_dict()
        told = {name: value for name, value in model.metrics.items() if value not in (None, (), "")}
        metrics: dict[str, Any] = {"validation": figures, "history": (), **told}
        metrics |= {"machine": machine(), "versions": versions()}
        folders.write_metrics(draft, metrics | {"parameters": count_parameters(model.artifacts.weights)})
        values = {figure: interval and interval["value"] for figure, interval in figures["model"].items()}
        storage.write_atomic(draft / folders.EVENTS, events + tracking.line("Evaluated", values))
        name, written = printable(out.name), folders.read(draft)
        command, toml = _repeat_command(data, name), recipe_toml(recipe)
        card = model_card.model_card(name, written, evaluation, command=command, toml=toml)
        storage.write_atomic(draft / folders.CARD, card.encode())
        page = ""
        if request.report_seconds:
            try:
                page = model_report(
                    name,
                    written,
                    evaluation,
                    model=runner,
                    texts=data.validation,
                    trained_on=data.train,
                    command=command,
                    toml=toml,
                    seconds=request.report_seconds,
                )
            except FolderError as error:
                note(f"no report: {error}")
    report = beside(out) if page else None
    try:
        if report is not None:
            storage.write_atomic(report, page.encode("utf-8", "replace"))
    except FolderError as error:  # a full disk costs no model
        note(f"no report: {error}")
        report = None
    cautions = tuple(model_card.cautions(written))
    history, members = metrics["history"], told.get("members", ())
    return TrainResult(out, evaluation, history, cautions, members, report, told.get("ending", ""))


def _repeat_command(data: Dataset, name: str) -> str:
    out = f"{name}-again"
    if data.arguments is not None:
        return shlex.join(["kammil", "train", *data.arguments, "--config", "recipe.toml", "--out", out])
    validation = "" if data.validation_split_off else ", validation=validation_texts"
    return f'kammil.train(texts{validation}, **tomllib.loads(Path("recipe.toml").read_text("utf-8")), out={out!r})'


def training_metrics(
    histories: Sequence[Sequence[Mapping[str, Any]]], seconds: float, earlier: float, **others: Any
) -> dict[str, Any]:
    """Return the entries of `metrics.json` on a training; `earlier`: seconds of its base."""
    epochs = tuple(tuple(map(dict, history)) for history in histories)
    return {
        "training_seconds": round(seconds, 2),
        "training_seconds_in_all": round(seconds + earlier, 2),
        "history": epochs[0] if len(epochs) == 1 else (),
        "members": epochs if len(epochs) > 1 else (),
        **others,
    }


def total_seconds(model: folders.ModelFiles) -> float:
    """Return the seconds of a model's training and, where known, of its base."""
    metrics = model.metrics
    return float(metrics.get("training_seconds_in_all", metrics.get("training_seconds", 0.0)))


def plot(
    what: str | PathLike[str] | Completer | TrainResult | Ranking, out: str | PathLike[str] | None = None
) -> Figure:
    """Draw a figure, write it to a file if one is named, and return it.

    Args:
        what: a model's folder, a model or a `TrainResult`, for its training curves; or a comparison.
        out: a file; its ending decides the format (png, svg, pdf).

    Raises `KammilError` for what has no figure, and without matplotlib.
    """
    if isinstance(what, Ranking):
        name, charts = "", plots.comparison(what)
    elif isinstance(what, TrainResult):
        name = what.folder.resolve().name
        charts = plots.training_curves(what.history, name, members=what.members)
    elif isinstance(what, Completer) and what.model is None:
        raise OptionError("the model comes from no folder, so nothing is known of its training; give one that does.")
    else:
        if isinstance(what, Completer):
            name, model = what.name, what.model
        elif isinstance(what, str | PathLike):  # pyright: ignore[reportUnnecessaryIsInstance]
            name, model = Path(what).resolve().name, folders.read(Path(what))
        else:
            raise OptionError(f"there is no figure of a {type(what).__name__}; give a model's folder.")
        metrics = cast(folders.ModelFiles, model).metrics
        try:
            histories = [metrics.get("history", []), *metrics.get("members", [])]
            history, *members = [[asdict(EpochEnded(**epoch)) for epoch in each] for each in histories]
        except TypeError as error:
            raise FolderError(f"{name}/{folders.METRICS} holds no training history; copy the folder again.") from error
        charts = plots.training_curves(history, name, members=members)
    drawn = plots.figure(charts, name)
    if out is not None:
        plots.save(drawn, Path(out))
    return drawn
