"""`kammil tune`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from kammil.cli._options import (
    HeldOut,
    ModelFlags,
    RecipeFlags,
    TextFiles,
    default_name,
    file_names,
    training_options,
    with_flag_groups,
)
from kammil.views.tables import Table


@with_flag_groups
def tune(
    files: TextFiles,
    *,
    trials: Annotated[int, typer.Option(help="Trials in all, those of earlier calls included.")] = 20,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the search.  [default: FILE's name and family, and -tuning]")
    ] = None,
    family: ModelFlags,
    validation: HeldOut = None,
    flags: RecipeFlags,
) -> None:
    """Search for the settings of a family that cost the fewest bits on validation texts. The same command goes on with
    an earlier search, and several may work on one at the same time. An option that is given is not searched for."""
    from kammil.training import tuning
    from kammil.training.recipe import Recipe
    from kammil.views.progress import progress

    options = training_options(tuning.tune, flags, **vars(family))
    name = str(options.get("model", Recipe.model_fields["model"].default))
    target = out or Path(f"{default_name(files)}-{name}-tuning")
    with progress() as listen:
        try:
            tuned = tuning.tune(
                file_names(files),
                out=target,
                trials=trials,
                validation=validation,
                listen=listen,
                **options,
            )
        except KeyboardInterrupt:
            if (target / tuning.STUDY).exists():
                print(f"the trials of {target} are kept; the same command goes on", file=sys.stderr)
            raise
    defaults = {name: tuning.shown(value) for name, value in tuned.defaults.items()}
    rows = [[name, tuning.shown(value), defaults.get(name, "")] for name, value in tuned.options.items()]
    width = 3 if defaults else 2
    Table(["", "best", "default"][:width], [row[:width] for row in rows], words=True).print()
    counts = f"{tuned.complete} complete, {tuned.pruned} pruned, {tuned.failed} failed or stopped"
    typer.echo(f"{tuned.bits:.3f} bits per character on the validation texts, trial {tuned.trial}; {counts}")
    if tuned.default_bits is not None:
        gain = tuned.default_bits - tuned.bits
        typer.echo(
            f"{tuned.default_bits:.3f} with the defaults"
            + (f", {gain:.3f} more" if gain else ": nothing better was found")
        )
    typer.echo(f"best: {tuned.best}")
