"""`kammil train`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from kammil.cli._options import (
    HeldOut,
    ModelFlags,
    RecipeFlags,
    Report,
    TextFiles,
    default_name,
    file_names,
    training_options,
    with_flag_groups,
)
from kammil.cli._output import optional_figure


@with_flag_groups
def train(
    files: TextFiles,
    *,
    out: Annotated[Path | None, typer.Option(help="The new model folder.  [default: FILE's name and family]")] = None,
    family: ModelFlags,
    base: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Model to start from: a bundled model, or a model folder of the same family; for pretrained, a causal "
            "language model on the Hugging Face Hub or a folder of one.",
        ),
    ] = None,
    validation: HeldOut = None,
    flags: RecipeFlags,
    objective: Annotated[
        str | None,
        typer.Option(help="What the loss counts. text: every character; completion: only the 30 target characters."),
    ] = None,
    track: Annotated[
        list[str] | None,
        typer.Option(help="Show the run while it goes on, on this machine: tensorboard."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue an interrupted training; the result is identical.")
    ] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Replace an existing model of that name.")] = False,
    report: Report = True,
) -> None:
    """Train a model on the texts of files and write its folder."""
    from kammil import distributed
    from kammil.cli.evaluate import print_evaluation
    from kammil.evaluation import plots
    from kammil.training import train as training
    from kammil.training.recipe import Recipe
    from kammil.views.progress import progress

    options = training_options(training.train, flags, **vars(family), base=base, objective=objective)
    name = str(options.get("model", Recipe.model_fields["model"].default))
    target = out or Path(f"{default_name(files)}-{name}")
    with progress() as listen:
        try:
            trained = training.train(
                file_names(files),
                out=target,
                validation=validation,
                resume=resume,
                replace=replace,
                report=report,
                listen=listen,
                track=track or (),
                **options,
            )
        except KeyboardInterrupt:
            if distributed.is_first():
                print(f"{what_is_kept(target)}; it was {listen.activity}", file=sys.stderr)
            raise
    if not distributed.is_first():
        return
    print_evaluation(trained.evaluation, target.name, trained.cautions)
    if trained.history or trained.members:
        with optional_figure():
            curves = plots.training_curves(trained.history, target.name, members=trained.members)
            plots.save(plots.figure(curves, target.name), target / "training.png")
    if trained.report is not None:
        typer.echo(f"report: {trained.report}")
    typer.echo(f"model: {target}")
    if trained.ending:
        typer.echo(trained.ending, err=True)


def what_is_kept(out: Path) -> str:
    """Return the sentence on a training that was stopped: what is kept of it, and how to continue."""
    from kammil.model_folder import MODEL
    from kammil.storage import interrupted

    if interrupted(out):
        return f"the state after the last whole epoch of {out} is kept; go on with --resume"
    parts = _bases_and_members(out)
    finished = [path.name for path in parts if (path / MODEL).exists()]
    begun = [path.name for path in parts if interrupted(path)]
    if not finished and not begun:
        return f"there was nothing yet of {out} to keep; the same command begins anew"
    what = [*finished, *(f"the last whole epoch of {name}" for name in begun)]
    return f"{' and '.join(what)} {'are' if len(what) > 1 else 'is'} kept; the same command goes on from there"


def _bases_and_members(out: Path) -> list[Path]:
    """List the bases and members of `out` that were finished or begun: `out-base`, `out-1`, `out-1-base`, ..."""
    import re

    names = {path.name for path in out.parent.glob("*")}
    names |= {name[1 : -len(".training")] for name in names if name.startswith(".") and name.endswith(".training")}
    part = re.compile(rf"{re.escape(out.name)}(-\d+)?(-base)*")
    return [out.with_name(name) for name in sorted(names) if part.fullmatch(name) and name != out.name]
