"""`kammil curve`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kammil.cli._options import (
    HeldOut,
    Json,
    ModelFlags,
    RecipeFlags,
    Replace,
    Test,
    TrainingFile,
    default_name,
    training_options,
    with_flag_groups,
)
from kammil.cli._output import optional_figure, print_json, resumable_after_interrupt
from kammil.views.tables import Table

if TYPE_CHECKING:
    from kammil.evaluation.ranking import LearningCurve


@with_flag_groups
def curve(
    file: TrainingFile,
    *,
    family: ModelFlags,
    shares: Annotated[
        str, typer.Option(metavar="SHARE,...", help="Shares of the training texts, from the fewest on.")
    ] = "1/8,1/4,1/2,1",
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of models and results; what is finished in it is kept.  [default: FILE's name-curve]"
        ),
    ] = None,
    validation: HeldOut = None,
    test: Test = None,
    flags: RecipeFlags,
    replace: Replace = False,
    json: Json = False,
) -> None:
    """Find out how many texts you need: train a model on an eighth, a quarter, half and all of them, and measure each
    on the same test texts."""
    from kammil.evaluation import plots
    from kammil.training.comparison import curve as curves
    from kammil.views.progress import progress

    options = training_options(curves.curve, flags, **vars(family))
    target = out or Path(f"{default_name([file])}-curve")
    with resumable_after_interrupt(), progress() as listen:
        made = curves.curve(
            file,
            out=target,
            shares=[_share(share) for share in shares.split(",")],
            validation=validation,
            test=test,
            replace=replace,
            listen=listen,
            **options,
        )
    with optional_figure():
        title = f"{made.data['source']}: how much text does {made.data['model']} need?"
        plots.save(plots.figure(plots.learning_curve(made), title), target / curves.FIGURE)
    if json:
        print_json(made.to_dict())
        return
    _table(made).print()
    typer.echo(made.verdict())
    typer.echo(f"curve: {target}")


def _share(text: str) -> float:
    """Parse a share, such as 1/8 or 0.125."""
    from fractions import Fraction

    from kammil.errors import OptionError

    try:
        return float(Fraction(text.strip()))
    except (ValueError, ZeroDivisionError) as error:
        raise OptionError(f"--shares has {text!r}, but a share is written as 1/8 or 0.125.") from error


def _table(made: LearningCurve) -> Table:
    """A random guess, then one row for each amount of text."""
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
