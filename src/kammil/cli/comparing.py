"""`kammil compare`."""

from __future__ import annotations

import inspect
import json as json_
import signal
import sys
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import typer

from kammil import files
from kammil import model_folder as folders
from kammil.cli._tables import print_table
from kammil.cli.progress import progress
from kammil.cli.training import assigned
from kammil.errors import FolderError, MissingExtraError, OptionError
from kammil.evaluation import plots
from kammil.training.comparison import report
from kammil.training.comparison.compare import compare


def run(
    file: str,
    *,
    minutes: float,
    families: Sequence[str],
    validation: str | None,
    test: str | None,
    out: Path | None,
    assignments: Sequence[str],
    without: Sequence[str],
    flags: Mapping[str, Any],
    replace: bool,
    json: bool,
) -> None:
    """Compare, write the folder's page and figure, and print the tables, or all of it as JSON."""
    options = assigned(assignments) | {k: v for k, v in flags.items() if v is not None}
    if flag := next((name for name in options if name in inspect.signature(compare).parameters), None):
        raise OptionError(f"{flag} is no option for --set; give it on the command line.")
    if without:
        options["rules"] = dict.fromkeys(without, False)
    names = [name.strip() for listed in families for name in listed.split(",") if name.strip()]
    target = out or Path(f"{Path(file).stem}-compare")
    with _stoppable(), progress() as listen:
        standings = compare(
            file,
            minutes=minutes,
            out=target,
            families=names or None,
            validation=validation,
            test=test,
            replace=replace,
            listen=listen,
            say=_say,
            **options,
        )
    files.write_atomic(target / folders.CARD, report.markdown(standings).encode("utf-8", "replace"))
    try:
        plots.save(plots.comparison(standings), target / report.FIGURE)
    except (MissingExtraError, FolderError) as error:  # the results are whole without it
        print(f"no figure: {error}", file=sys.stderr)
    if json:
        typer.echo(json_.dumps(standings.to_dict(), ensure_ascii=False, indent=2, allow_nan=False))
        return
    for table in report.tables(standings):
        print_table(table, numbers=True)
    for note in report.notes(standings):
        typer.echo(note)
    typer.echo(f"comparison: {target}")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


class _Stopped(BaseException):
    """Ctrl-C, by a name that the training loop does not know: it takes a KeyboardInterrupt for "enough, keep the best
    so far", and half a training would be ranked among whole ones. So the state waits, to be gone on with."""


@contextmanager
def _stoppable() -> Generator[None]:
    """Within, Ctrl-C leaves all as it is on the disk."""

    def stop(_number: int, _frame: object) -> NoReturn:
        raise _Stopped

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    except _Stopped:
        print("what is done is kept; the same command goes on from there", file=sys.stderr)
        raise KeyboardInterrupt from None
    finally:
        signal.signal(signal.SIGINT, before)
