"""All commands, each imported when it runs, so that `kammil --help` stays instant."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Any

import typer
import typer.main
from typer import Option

from kammil.cli._output import CommandGroup

MODULES = {
    **dict.fromkeys(("suggest", "complete", "type", "lsp", "serve"), "complete"),
    **{"profile": "profile", "explain": "evaluate", "info": "evaluate"},
    **{"train": "train", "evaluate": "evaluate", "compare": "train", "curve": "train"},
    **{"report": "evaluate", "verify": "train", "data": "data", "plot": "train", "export": "evaluate"},
}
"""Command -> its module, in the order of `--help`."""


class _Commands(CommandGroup):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands: dict[str, Any] = dict.fromkeys(MODULES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name in MODULES and self.commands[cmd_name] is None:
            module = MODULES[cmd_name]
            found = typer.main.get_command(import_module(f"kammil.cli.{module}").app)
            commands: dict[str, Any] = getattr(found, "commands", {})
            ours = {name: command for name, command in commands.items() if MODULES.get(name) == module}
            self.commands |= ours or {cmd_name: found}
        return super().get_command(ctx, cmd_name)


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
        import kammil
        from kammil.engine import build

        typer.echo(kammil.__version__)
        typer.echo(build.engine_name(), err=True)
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[bool, Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Options of every command."""
