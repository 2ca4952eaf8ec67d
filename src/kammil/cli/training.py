"""`kammil train`."""

from __future__ import annotations

import inspect
import re
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from kammil import model_folder as folders
from kammil.cli.evaluating import print_evaluation
from kammil.cli.progress import progress
from kammil.errors import FolderError, MissingExtraError, OptionError
from kammil.evaluation import plots
from kammil.locks import interrupted
from kammil.training import train
from kammil.training.recipe import Recipe


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
    if flag := next((name for name in options if name in inspect.signature(train.train).parameters), None):
        raise OptionError(f"{flag} is no option for --set or a TOML file; give it on the command line.")
    rules = options.get("rules", {})
    if without and isinstance(rules, dict):
        options["rules"] = rules | dict.fromkeys(without, False)
    family = str(options.get("model", Recipe.model_fields["model"].default))
    target = out or Path(f"{Path(file).stem}-{family}")
    with progress() as listen:
        try:
            trained = train.train(
                file, out=target, validation=validation, resume=resume, replace=replace, listen=listen, **options
            )
        except KeyboardInterrupt:
            print(f"{kept(target)}; it was {listen.doing}", file=sys.stderr)
            raise
    print_evaluation(trained.evaluation, target.name, trained.cautions)
    if trained.history or trained.members:
        try:
            curves = plots.training_curves(trained.history, target.name, members=trained.members)
            plots.save(curves, target / "training.png")
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


def kept(out: Path) -> str:
    """What there is of a training that was stopped, and how to go on with it."""
    if interrupted(out):
        return f"the state after the last whole epoch of {out} is kept; go on with --resume"
    finished = sorted(path.name for path in _parts(out) if (path / folders.MODEL).exists())
    begun = [path.name for path in _parts(out) if interrupted(path)]
    if not finished and not begun:
        return f"there was nothing yet of {out} to keep; the same command begins anew"
    what = [*finished, *(f"the last whole epoch of {name}" for name in begun)]
    return f"{' and '.join(what)} {'are' if len(what) > 1 else 'is'} kept; the same command goes on from there"


def _parts(out: Path) -> list[Path]:
    """Bases and members that were made, or begun, on the way."""
    names = {path.name for path in out.parent.glob("*")}
    names |= {name[1 : -len(".training")] for name in names if name.startswith(".") and name.endswith(".training")}
    part = re.compile(rf"{re.escape(out.name)}(-\d+)?(-base)*")
    return [out.with_name(name) for name in sorted(names) if part.fullmatch(name) and name != out.name]
