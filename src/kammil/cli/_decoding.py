"""A flag for every decoding option."""

from __future__ import annotations

import inspect
from functools import partial
from typing import Annotated, Any

import typer
import typer.core
import typer.main

DEFAULT_PRESET = "sensible"
"""The preset where none is given: a person wants a text that makes sense, not one draw."""


class DecodingCommand(typer.core.TyperCommand):
    """A command with a flag for every decoding option, before `--profile`; `obj` of its context is a dict of those
    that were given, so that the others are left to the preset, `DEFAULT_PRESET` if none is given, then to the defaults.

    The flags are made when the command runs: `DecodingOptions` needs NumPy, for which `kammil --help` would wait.
    """

    def get_params(self, ctx: Any) -> list[Any]:
        """Return all parameters, those of decoding among them."""
        names = [param.name for param in self.params]
        if "temperature" not in names:
            at = names.index("profile")
            self.params[at:at] = decoding_flags()
        return super().get_params(ctx)

    def invoke(self, ctx: Any) -> object:
        """Run the command."""
        values = {flag.name: ctx.params.pop(flag.name) for flag in decoding_flags()}
        given = {name: value for name, value in values.items() if value not in (None, (), [])}
        ctx.obj = {"preset": DEFAULT_PRESET} | given
        return super().invoke(ctx)


def decoding_flags() -> list[Any]:
    """Return a parameter for every field of `DecodingOptions`, and for the preset; None for those not given."""
    from kammil.decoding.options import PRESET, PRESETS, DecodingOptions

    preset_help = f"{PRESET}  [default: {DEFAULT_PRESET}]"
    types: dict[str, object] = {"preset": Annotated[str | None, typer.Option(help=preset_help)]}
    for name, field in DecodingOptions.model_fields.items():
        repeatable = field.annotation == tuple[str, ...]
        switch = field.annotation is bool
        default = PRESETS[DEFAULT_PRESET].get(name, field.default)
        shown = "" if switch or default in (None, ()) else f"  [default: {default:g}]"
        if name == "seed":
            shown = f"  [default: {default:g}; on a terminal another one each time]"
        text = f"{field.description}{' Repeatable.' if repeatable else shown}"
        flag = f"--{name.replace('_', '-')}"
        if any(name in preset for preset in PRESETS.values()):  # so that the switch can win over the preset
            flag += flag.replace("--", "/--no-", 1)
        option = typer.Option(flag, help=text) if switch else typer.Option(help=text)
        types[name] = Annotated[list[str] | None if repeatable else field.annotation | None, option]  # pyright: ignore[reportOptionalOperand]

    def command(**_: Any) -> None: ...

    parameter = partial(inspect.Parameter, kind=inspect.Parameter.KEYWORD_ONLY, default=None)
    setattr(command, "__signature__", inspect.Signature([parameter(n, annotation=a) for n, a in types.items()]))  # noqa: B010
    command.__annotations__ = types
    app = typer.Typer(add_completion=False)
    app.command(add_help_option=False)(command)
    return typer.main.get_command(app).params
