"""Output of commands for people and programs, and the list of commands."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, NoReturn

import typer
import typer.core

from kammil.views.tables import COMMAND, harmless


class CommandGroup(typer.core.TyperGroup):
    """A group whose help wraps the summaries of its commands, which Typer cuts off."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of commands."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, one.get_short_help_str(1000)) for name, one in commands if one is not None])


def new_app(help: str | None = None) -> typer.Typer:
    """Return an empty group of commands."""
    return typer.Typer(cls=CommandGroup, help=help, no_args_is_help=True, rich_markup_mode=None, add_completion=False)


def for_stdout(text: str) -> str:
    """Return a text of a model or file, harmless on a terminal, unchanged on a pipe."""
    return harmless(text) if sys.stdout.isatty() else text


def tell(text: object) -> None:
    """Print a line for people on stderr."""
    print(harmless(str(text)), file=sys.stderr, flush=True)


def print_json(value: object, *, indent: int | None = 2) -> None:
    """Print a value as JSON, without an indent on one line."""
    import json

    shown = json.dumps(value, ensure_ascii=False, indent=indent)
    typer.echo(COMMAND.sub(lambda match: f"\\u{ord(match[0]):04x}", shown))


@contextmanager
def shown_progress() -> Generator[None]:
    """Show the progress of the block on stderr."""
    from kammil.progress import listening
    from kammil.views.progress import progress

    with progress() as listen, listening(listen):
        yield


@contextmanager
def optional_figure() -> Generator[None]:
    """Report on stderr, without failing, that a figure cannot be drawn or written."""
    from kammil.errors import FolderError, MissingExtraError

    try:
        yield
    except (MissingExtraError, FolderError) as error:
        tell(f"no figure: {error}")


class _Stopped(BaseException):
    """Ctrl-C where several models are trained: after a KeyboardInterrupt, the training loop would keep and rank a
    half-trained one."""


@contextmanager
def resumable_after_interrupt() -> Generator[None]:
    """Let Ctrl-C leave the checkpoints on the disk as they are."""

    def stop(_number: int, _frame: object) -> NoReturn:
        raise _Stopped

    if threading.current_thread() is not threading.main_thread():  # signals reach the main thread alone
        yield
        return
    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    except _Stopped:
        tell("what is done is kept; the same command goes on from there")
        raise KeyboardInterrupt from None
    finally:
        signal.signal(signal.SIGINT, before)
