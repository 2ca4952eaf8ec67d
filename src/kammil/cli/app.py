"""The program: all commands. What a command needs is imported when it runs, so that `kammil --help` stays instant."""

from __future__ import annotations

from typing import Annotated, Any

import typer

import kammil
from kammil.cli import data, profile
from kammil.cli._decoding import DecodingCommand
from kammil.cli._output import CommandGroup
from kammil.cli.compare import compare
from kammil.cli.complete import complete
from kammil.cli.curve import curve
from kammil.cli.evaluate import evaluate, info
from kammil.cli.explain import explain
from kammil.cli.export import export
from kammil.cli.plot import plot
from kammil.cli.report import report
from kammil.cli.serve import serve
from kammil.cli.suggest import suggest
from kammil.cli.train import train
from kammil.cli.tune import tune
from kammil.cli.type import type_
from kammil.cli.verify import verify

_ORDER = (
    *("suggest", "complete", "type", "serve", "profile", "explain", "info"),
    *("train", "tune", "evaluate", "compare", "curve", "report", "verify", "data", "plot", "export"),
)
"""Commands as `--help` lists them: those that need no training first."""


class _Commands(CommandGroup):
    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names in `_ORDER`, where Typer lists groups last."""
        return sorted(super().list_commands(ctx), key=_ORDER.index)


app = typer.Typer(
    name="kammil",
    cls=_Commands,
    help="Suggest the next words of what you type, learn from it, and train models on your own short texts, on a "
    "laptop without a GPU.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)


def _version(value: bool) -> None:
    if value:
        from kammil.engine import build

        typer.echo(kammil.__version__)
        typer.echo(build.engine_name(), err=True)
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of every command."""


for command in (
    suggest,
    complete,
    serve,
    explain,
    info,
    train,
    tune,
    evaluate,
    compare,
    curve,
    report,
    verify,
    plot,
    export,
):
    app.command(cls=DecodingCommand if command is complete else None)(command)
app.command("type")(type_)
app.add_typer(profile.app, name="profile")
app.add_typer(data.app, name="data")
