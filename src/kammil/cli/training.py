"""`kammil train`."""

from __future__ import annotations

import inspect
import sys
import time
import tomllib
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from kammil import plots, workshop
from kammil.cli.evaluating import print_evaluation
from kammil.errors import FolderError, MissingExtraError, OptionError
from kammil.recipe import Recipe
from kammil.training.events import EpochEnded, Event, Interrupted, Outdone, Progressed


def run(
    file: str,
    *,
    out: Path | None,
    validation: str | None,
    config: Path | None,
    assignments: Sequence[str],
    without: Sequence[str],
    flags: Mapping[str, Any],
    resume: bool,
    replace: bool,
) -> None:
    """Resolve the options (defaults, then the TOML file, then flags), train, and print where the model is."""
    options = _toml(config) | assigned(assignments) | {k: v for k, v in flags.items() if v is not None}
    if flag := next((name for name in options if name in inspect.signature(workshop.train).parameters), None):
        raise OptionError(f"{flag} is no option for --set or a TOML file; give it on the command line.")
    rules = options.get("rules", {})
    if without and isinstance(rules, dict):
        options["rules"] = rules | dict.fromkeys(without, False)
    family = str(options.get("model", Recipe.model_fields["model"].default))
    target = out or Path(f"{Path(file).stem}-{family}")
    with progress() as listen:
        trained = workshop.train(
            file, out=target, validation=validation, resume=resume, replace=replace, listen=listen, **options
        )
    print_evaluation(trained.evaluation, target.name, trained.cautions)
    if trained.history:
        try:
            plots.save(plots.training_curves(trained.history, target.name), target / "training.png")
        except (MissingExtraError, FolderError) as error:  # the model is whole without it
            print(f"no figure: {error}", file=sys.stderr)
    typer.echo(f"model: {target}")


def _toml(path: Path | None) -> dict[str, Any]:
    """The options of a TOML file; `OptionError` if it cannot be read."""
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise OptionError(f"--config {path} cannot be read as TOML: {error}.") from error


def assigned(assignments: Sequence[str]) -> dict[str, Any]:
    """`name=value` pairs; a value is read as TOML would read it, and as a string if TOML could not."""
    options: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals or not name.strip():
            raise OptionError(f"--set {assignment!r} is no assignment; write it as name=value, such as hidden=320.")
        try:
            options[name.strip()] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            options[name.strip()] = value
    return options


@contextmanager
def progress() -> Generator[Callable[[Event], None]]:
    """A listener that draws on stderr: a live bar on a terminal, a plain line an epoch elsewhere."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield _plain
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[left]}"))
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("reading", total=1.0, left="")

        def listen(event: Event) -> None:
            if not isinstance(event, Progressed):
                bar.console.print(line(event))
            else:
                label = f"epoch {event.epoch}/{event.epochs}, {event.train_bits:.3f} bits"
                bar.update(task, description=label, completed=event.progress, left=time_left(event))

        yield listen


def _plain(event: Event) -> None:
    """One line for each epoch."""
    if not isinstance(event, Progressed):
        print(line(event), file=sys.stderr, flush=True)


def line(event: EpochEnded | Interrupted | Outdone) -> str:
    """An epoch, or what came of the last one, in one line."""
    if isinstance(event, Outdone):
        kept = "so the counter is your model; " if event.published else ""
        return (
            f"a counter is ahead on the validation texts, {event.counter_bits:.3f} bits against "
            f"{event.model_bits:.3f}: {kept}give more minutes, "
            + ("or --model blend to keep what was trained" if event.published else "or --model ngram")
        )
    if isinstance(event, Interrupted):
        return "ended early: " + (f"the best of {event.epoch} epochs" if event.epoch > 1 else "epoch 1") + " is kept"
    return (
        f"epoch {event.epoch}: train {event.train_bits:.3f} bits, validation {event.validation_bits:.3f} bits "
        f"{100 * event.validation_accuracy:.1f} % right, {event.elapsed:.0f} s{', best' if event.best else ''}"
    )


def time_left(event: Progressed) -> str:
    """What remains of the run, by what it took so far: an upper bound, since training may stop early."""
    if event.progress < 0.005:
        return ""
    seconds = event.elapsed * (1 - event.progress) / event.progress
    return time.strftime("%H:%M:%S left" if seconds >= 3600 else "%M:%S left", time.gmtime(seconds))
