"""Commands that train, or check a training."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from typer import Argument, Option

from kammil.cli import flags
from kammil.cli._output import (
    for_stdout,
    new_app,
    optional_figure,
    print_json,
    resumable_after_interrupt,
    shown_progress,
    tell,
)
from kammil.views.tables import Table

if TYPE_CHECKING:
    from kammil.evaluation.ranking import LearningCurve

T = TypeVar("T")
_MAX_FIGURES = 40
"""Maximum number of differing figures listed; a wrong validation file makes them all differ."""

app = new_app()

_SPLIT: flags.Rows = {
    "test": (str, "A file to test on; else a leak-free tenth, 5,000 texts at most.", None),
    "replace": (bool, "Replace what was made of other texts or with other options.", False),
}
_REPORT: flags.Rows = {"report": (bool, "Write a report (HTML), which quotes a few texts.", True)}
_TRAIN: flags.Rows = {
    "base": (
        str,
        "Model to start from: bundled, or a folder of the family; for pretrained, one of the Hugging Face Hub.",
        None,
    ),
    "objective": (str, "What the loss counts. text: every character; completion: only the 30 target characters.", None),
    "track": (tuple[str, ...], "Show the run on this machine: tensorboard.", ()),
    "resume": (bool, "Continue an interrupted training, to the same result.", False),
    "replace": (bool, "Replace an existing model of that name.", False),
}
ResultsFolder = Annotated[
    Path | None,
    Option(help="Folder of results, which are kept.  [default: the file's name, a hyphen, and the command's]"),
]


def _run(
    function: Callable[..., T],
    files: Sequence[str],
    out: Path | None,
    given: Mapping[str, Any],
    ending: str = "-{}",
    kept: Callable[[Path], str] | None = None,
) -> tuple[T, Path]:
    """Call a function of `kammil.training` and show its progress; return its result and the folder.

    Args:
        given: flags.
        ending: of the folder's default name, behind that of the file; {} stands for the family.
        kept: returns a sentence on the folder after Ctrl-C; None: Ctrl-C leaves the models unfinished.
    """
    from kammil import distributed
    from kammil.training.recipe import Recipe
    from kammil.views.progress import progress

    options = flags.training_options(function, given)
    family = options.get("model", Recipe.model_fields["model"].default)
    target = out or Path(flags.default_name(files) + ending.format(family))
    with nullcontext() if kept else resumable_after_interrupt(), progress() as listen:
        try:
            return function(flags.file_names(files), out=target, listen=listen, **options), target
        except KeyboardInterrupt:
            if kept and distributed.is_first() and (sentence := kept(target)):
                tell(f"{sentence}; it was {listen.activity}")
            raise


@app.command(cls=flags.command(flags.TRAINING | _TRAIN | _REPORT))
def train(
    context: typer.Context,
    files: flags.TextFiles,
    out: Annotated[Path | None, Option(help="The new model folder.  [default: FILE-family]")] = None,
) -> None:
    """Train a model on the texts of files and write its folder."""
    from kammil import distributed
    from kammil.cli.evaluate import print_size
    from kammil.evaluation import plots
    from kammil.evaluation.model_card import quality
    from kammil.training import train as training

    trained, target = _run(training.train, files, out, context.obj, kept=what_is_kept)
    if not distributed.is_first():
        return
    print_size(trained.evaluation, trained.cautions)
    typer.echo(quality({"validation": trained.evaluation.to_dict()}))
    if trained.history or trained.members:
        with optional_figure():
            curves = plots.training_curves(trained.history, target.name, members=trained.members)
            plots.save(plots.figure(curves, target.name), target / "training.png")
    if trained.report is not None:
        typer.echo(f"report: {trained.report}, which quotes texts")
    typer.echo(f"model: {target}")


def what_is_kept(out: Path) -> str:
    """Return what is kept of a stopped training, and how to continue."""
    from kammil.model_folder import MODEL
    from kammil.storage import interrupted

    if interrupted(out):
        return f"the state after the last whole epoch of {out} is kept; go on with --resume"
    names = {path.name for path in out.parent.glob("*")}
    names |= {name[1 : -len(".training")] for name in names if name.startswith(".") and name.endswith(".training")}
    part = re.compile(rf"{re.escape(out.name)}(-\d+)?(-base)*")  # bases and members: out-base, out-1, out-1-base
    parts = [out.with_name(name) for name in sorted(names - {out.name}) if part.fullmatch(name)]
    what = [path.name for path in parts if (path / MODEL).exists()]
    what += [f"the last whole epoch of {path.name}" for path in parts if interrupted(path)]
    if not what:
        return f"there was nothing yet of {out} to keep; the same command begins anew"
    return f"{' and '.join(what)} {'are' if len(what) > 1 else 'is'} kept; the same command goes on from there"


@app.command(cls=flags.command(flags.RECIPE | _SPLIT | _REPORT))
def compare(
    context: typer.Context,
    file: flags.TrainingFile,
    minutes: Annotated[float, Option(help="Wall-clock budget for each family.")],
    families: Annotated[list[str] | None, Option(help="Families, by commas.  [default: all that can run]")] = None,
    out: ResultsFolder = None,
    json: flags.Json = False,
) -> None:
    """Train every model family on one leak-free split and rank them. Each family gets the same time; compressors and
    simple baselines are ranked beside them."""
    from kammil import model_folder as folders
    from kammil import storage
    from kammil.evaluation import plots
    from kammil.evaluation.report import REPORT
    from kammil.training import comparison_report as tables
    from kammil.training import suite

    names = [name.strip() for listed in families or () for name in listed.split(",") if name.strip()]
    given = context.obj | {"minutes": minutes, "families": names or None}
    ranking, target = _run(suite.compare, [file], out, given, "-compare")
    storage.write_atomic(target / folders.CARD, tables.markdown(ranking).encode("utf-8", "replace"))
    with optional_figure():
        plots.save(plots.figure(plots.comparison(ranking)), target / tables.FIGURE)
    if json:
        print_json(ranking.to_dict())
        return
    for table, meanings in tables.tables(ranking):
        table.print()
        for meaning in meanings:
            typer.echo(f"  {meaning}")
    for note in tables.notes(ranking):
        typer.echo(for_stdout(note))
    if given.get("report", True) and (target / REPORT).is_file():
        typer.echo(f"report: {target / REPORT}, which quotes texts")
    typer.echo(f"comparison: {target}")


@app.command(cls=flags.command(flags.TRAINING | _SPLIT))
def curve(
    context: typer.Context,
    file: flags.TrainingFile,
    shares: Annotated[str, Option(help="Shares of the training texts, rising.")] = "1/8,1/4,1/2,1",
    out: ResultsFolder = None,
    json: flags.Json = False,
) -> None:
    """Find out how many texts you need: train a model on an eighth, a quarter, half and all of them, and measure each
    on the same test texts."""
    from kammil.evaluation import plots
    from kammil.training import suite

    given = context.obj | {"shares": [_share(share) for share in shares.split(",")]}
    made, target = _run(suite.curve, [file], out, given, "-curve")
    with optional_figure():
        title = f"{made.data['source']}: how much text does {made.data['model']} need?"
        plots.save(plots.figure(plots.learning_curve(made), title), target / suite.CURVE_FIGURE)
    if json:
        print_json(made.to_dict())
        return
    _curve_table(made).print()
    typer.echo(made.verdict())
    typer.echo(f"curve: {target}")


def _share(text: str) -> float:
    from fractions import Fraction

    from kammil.errors import OptionError

    try:
        return float(Fraction(text.strip()))
    except (ValueError, ZeroDivisionError) as error:
        raise OptionError(f"--shares has {text!r}, but a share is written as 1/8 or 0.125.") from error


def _curve_table(made: LearningCurve) -> Table:
    from kammil.evaluation.measures import KEYS, MEASURES
    from kammil.evaluation.ranking import RANKED_BY

    ranked = MEASURES[RANKED_BY]
    shown = [(name, MEASURES[name]) for name in ("target_top1", "next_word", f"{KEYS}3")]
    rows = [["random", ranked.show(made.random.get(RANKED_BY)), ""]]
    rows[0] += [*(measure.show(made.random.get(name)) for name, measure in shown), ""]
    for point in made.points:
        figures = [measure.show(point.figures.get(name)) for name, measure in shown]
        gain = ranked.show(point.gains.get(RANKED_BY), signed=True)
        bits = ranked.show(point.figures.get(RANKED_BY))
        rows.append([f"{point.texts:,}", bits, gain, *figures, f"{point.training_seconds:.1f} s"])
    note = "95 % intervals in brackets: bootstrap over texts; gains are paired, per step"
    head = ["training texts", ranked.title, "gain", *(measure.title for _, measure in shown), "training"]
    return Table(head, rows, note=note)


@app.command()
def plot(
    folder: flags.Folder,
    out: Annotated[Path | None, Option(help="File to write.  [default: FOLDER/training.png]")] = None,
) -> None:
    """Draw the training curves of a model: loss and accuracy by epoch."""
    from kammil import model_folder
    from kammil.errors import OptionError
    from kammil.training import publish

    if out is None and model_folder.locate(folder) != folder:
        raise OptionError(f"{folder} is a bundled model; name a file for the figure with --out.")
    path = out or folder / "training.png"
    publish.plot(folder, path)
    typer.echo(path)


@app.command()
def verify(
    folder: flags.Folder,
    files: Annotated[
        list[str] | None, Argument(metavar="FILE", help="The training texts.  [default: as recorded]")
    ] = None,
    validation: Annotated[
        str | None, Option(help="The second file that it was validated with; enough by itself.")
    ] = None,
    json: flags.Json = False,
) -> None:
    """Compute every figure of a model's folder again, from its texts, and say which differ. Exit status 1 if
    any does."""
    from kammil.training import verify as verifying

    with shown_progress():
        result = verifying.verify(folder, flags.file_names(files) if files else None, validation=validation)
    differing, total = result.differing, len(result.checks)
    if json:
        print_json(result.to_dict())
    else:
        if differing:
            rows = [[check.name, str(check.recorded), str(check.found)] for check in differing[:_MAX_FIGURES]]
            more = f"and {len(differing) - _MAX_FIGURES:,} more: --json" if len(differing) > _MAX_FIGURES else ""
            Table(["figure", "recorded", "found"], rows, note=more, words=True).print()
        for what in result.not_verified:
            typer.echo(for_stdout(f"not verified: {what}"))
        typer.echo(f"{len(differing):,} of {total:,} figures differ" if differing else f"all {total:,} figures agree")
    if differing:
        raise typer.Exit(1)
