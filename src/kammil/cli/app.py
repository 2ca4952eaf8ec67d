"""The program: all commands. What a command needs is imported when it runs, so that `kammil --help` stays instant."""

from __future__ import annotations

from typing import Annotated

import typer

import kammil
from kammil.cli import data, profile
from kammil.cli._options import DecodingCommand
from kammil.cli.compare import compare
from kammil.cli.complete import complete
from kammil.cli.evaluate import evaluate, info
from kammil.cli.explain import explain
from kammil.cli.export import export
from kammil.cli.plot import plot
from kammil.cli.serve import serve
from kammil.cli.suggest import suggest
from kammil.cli.train import train

app = typer.Typer(
    name="kammil",
    help="Train a text-completion model on your own short texts, on a laptop CPU, and complete what you type.",
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


for command in (train, complete, suggest, explain, evaluate, compare, export, serve, plot, info):
    app.command(cls=DecodingCommand if command is complete else None)(command)
app.add_typer(data.app, name="data")
app.add_typer(profile.app, name="profile")
