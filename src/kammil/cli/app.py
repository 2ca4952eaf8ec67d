"""The program: all commands. What one needs is imported when it runs, so that `kammil --help` stays instant."""

from __future__ import annotations

from typing import Annotated

import typer

import kammil
from kammil.cli import data, profiling
from kammil.cli.asking import complete, evaluate, explain, info, suggest
from kammil.cli.giving import export, serve
from kammil.cli.making import compare, plot, train

app = typer.Typer(
    name="kammil",
    help="Train a text-completion model on your own short texts, on a laptop CPU, and complete what you type.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)
app.add_typer(data.app, name="data", help="Named data sets, and the audit of any file or split.")
app.add_typer(profiling.app, name="profile", help="Texts of your own that --profile makes a model know.")


def _version(value: bool) -> None:
    if value:
        from kammil.engine import build as engine_build

        typer.echo(kammil.__version__)
        typer.echo(engine_build.engine_name(), err=True)
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of every command."""


for command in (train, complete, suggest, explain, evaluate, compare, export, serve, plot, info):
    app.command()(command)
