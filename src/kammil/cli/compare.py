"""`kammil compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kammil.cli._options import (
    HeldOut,
    Json,
    RecipeFlags,
    Replace,
    Report,
    Test,
    TrainingFile,
    default_name,
    training_options,
    with_flag_groups,
)
from kammil.cli._output import for_stdout, optional_figure, print_json, resumable_after_interrupt


@with_flag_groups
def compare(
    file: TrainingFile,
    *,
    minutes: Annotated[float, typer.Option(help="Wall-clock budget for each family.")],
    families: Annotated[
        list[str] | None, typer.Option(metavar="NAME,...", help="Families.  [default: all that can be trained here]")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of models and results; finished rows in it are kept.  [default: FILE's name-compare]"
        ),
    ] = None,
    validation: HeldOut = None,
    test: Test = None,
    flags: RecipeFlags,
    replace: Replace = False,
    report: Report = True,
    json: Json = False,
) -> None:
    """Train every model family on one leak-free split and rank them. Each family gets the same time; compressors and
    simple baselines are ranked beside them."""
    from kammil import model_folder as folders
    from kammil import storage
    from kammil.evaluation import plots
    from kammil.evaluation.report import REPORT
    from kammil.training.comparison import compare as comparison
    from kammil.training.comparison import report as tables
    from kammil.views.progress import progress

    options = training_options(comparison.compare, flags)
    names = [name.strip() for listed in families or () for name in listed.split(",") if name.strip()]
    target = out or Path(f"{default_name([file])}-compare")
    with resumable_after_interrupt(), progress() as listen:
        standings = comparison.compare(
            file,
            minutes=minutes,
            out=target,
            families=names or None,
            validation=validation,
            test=test,
            replace=replace,
            report=report,
            listen=listen,
            **options,
        )
    storage.write_atomic(target / folders.CARD, tables.markdown(standings).encode("utf-8", "replace"))
    with optional_figure():
        plots.save(plots.figure(plots.comparison(standings)), target / tables.FIGURE)
    if json:
        print_json(standings.to_dict())
        return
    for table, meanings in tables.tables(standings):
        table.print()
        for meaning in meanings:
            typer.echo(f"  {meaning}")
    for note in tables.notes(standings):
        typer.echo(for_stdout(note))
    if report and (target / REPORT).is_file():
        typer.echo(f"report: {target / REPORT}")
    typer.echo(f"comparison: {target}")
