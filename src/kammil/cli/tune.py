"""`kammil tune`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from kammil.cli._options import (
    Config,
    Seed,
    TextFiles,
    TextFlags,
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
    model: Annotated[
        str | None,
        typer.Option(help="Family: ngram, gru, words, subwords, attention, transformer or blend.  [default: blend]"),
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="Most minutes for one trial.")] = None,
    validation: Annotated[
        str | None,
        typer.Option(help="A second file to validate with; without it, a leak-free tenth of FILE."),
    ] = None,
    texts: TextFlags,
    epochs: Annotated[int | None, typer.Option(help="Most passes over the texts in one trial.")] = None,
    seed: Seed = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="Set any other option; what is set is not searched for. Repeatable."
        ),
    ] = None,
    config: Config = None,
) -> None:
    """Search for the settings of a family that cost the fewest bits on validation texts. The same command goes on with
    an earlier search, and several may work on one at the same time."""
    from kammil.progress import Event, TrainingStarted
    from kammil.training import tuning
    from kammil.training.recipe import Recipe
    from kammil.views.progress import progress

    options = training_options(
        tuning.tune,
        config=config,
        assignments=set_,
        texts=texts,
        flags={"model": model, "minutes": minutes, "epochs": epochs, "seed": seed},
    )
    family = str(options.get("model", Recipe.model_fields["model"].default))
    target = out or Path(f"{default_name(files)}-{family}-tuning")
    with progress() as listen:
        begun: list[int] = []

        def hear(event: Event) -> None:  # where it learns is the same in every trial
            if len(begun) == 1 or not isinstance(event, TrainingStarted):
                listen(event)

        def begin(number: int) -> None:
            begun.append(number)
            listen.print_line(f"trial {number} begins")

        try:
            tuned = tuning.tune(
                file_names(files),
                out=target,
                trials=trials,
                validation=validation,
                listen=hear,
                on_begin=begin,
                on_trial=lambda trial: listen.print_line(line(trial)),
                **options,
            )
        except KeyboardInterrupt:
            if (target / tuning.STUDY).exists():
                print(f"the trials of {target} are kept; the same command goes on", file=sys.stderr)
            raise
    defaults = {name: _shown(value) for name, value in tuned.defaults.items()}
    rows = [[name, _shown(value), defaults.get(name, "")] for name, value in tuned.options.items()]
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


def line(trial: object) -> str:
    """Return the line that is printed after a trial."""
    from kammil.training.tuning import TrialEnded

    assert isinstance(trial, TrialEnded)
    settings = ", ".join(f"{name} {_shown(value)}" for name, value in trial.settings.items())
    if trial.bits is None:
        return f"trial {trial.number} failed: {trial.error} ({settings})"
    how = ", best so far" if trial.best else ", pruned" if trial.state == "pruned" else ""
    return f"trial {trial.number}: {trial.bits:.3f} bits{how} ({settings})"


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
