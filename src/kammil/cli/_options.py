"""Options that several commands share, and how their values are read."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.core
import typer.main

if TYPE_CHECKING:
    from kammil.completion.profile import Profile

# ---- models and texts

BUNDLED = Path("levantine")
"""The bundled model; `kammil.model_folder` knows where it is."""
Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="A model folder, or a bundled model.")]
Model = Annotated[Path, typer.Option(metavar="FOLDER", help="A model folder, or a bundled model.")]
ProfileFile = Annotated[
    Path | None,
    typer.Option("--profile", metavar="FILE", help="Learn the texts of this profile first; see `kammil profile`."),
]
BlockFile = Annotated[
    Path | None,
    typer.Option("--block", metavar="FILE", help="Never write the words of this file, one a line, in any spelling."),
]
Column = Annotated[str | None, typer.Option(help="Column of a table that holds the texts: its name, or its number.")]
Where = Annotated[str | None, typer.Option(help="SQL condition on the rows of a table: \"Country = 'lebanon'\".")]
Encoding = Annotated[str, typer.Option(help="Encoding of the file.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def open_profile(path: Path | None) -> Profile | None:
    """Open a profile; `OptionError` if the file does not exist, so that a mistyped name does not go unnoticed."""
    if path is None:
        return None
    from kammil.completion.profile import Profile
    from kammil.errors import OptionError

    profile = Profile(path)
    if not profile.exists():
        raise OptionError(f"there is no profile at {path}; begin one with: kammil profile learn {path} TEXT")
    return profile


def texts_or_stdin(texts: Iterable[str] | None) -> Iterable[str]:
    """Return the texts of the command line; without any, the lines of stdin, where bytes that are not UTF-8 become
    U+FFFD."""
    return texts or (line.decode("utf-8", "replace").rstrip("\r\n") for line in sys.stdin.buffer)


# ---- training

TrainingFile = Annotated[
    str, typer.Argument(metavar="FILE", help="txt (one text a line), tsv, csv, jsonl, parquet; or a data set.")
]
Raw = Annotated[bool, typer.Option("--raw", help="Leave the texts as they are; apply no text rule.")]
Without = Annotated[
    list[str] | None,
    typer.Option(help="Switch one rule off: nfc, invisible, tatweel, urls, handles, spaces. Repeatable."),
]
Seed = Annotated[int | None, typer.Option(help="Random seed of the split, the weights, the order, the dropout.")]


def training_options(
    function: Callable[..., object],
    *,
    assignments: Sequence[str] | None,
    without: Sequence[str] | None,
    flags: dict[str, Any],
    config: Path | None = None,
) -> dict[str, Any]:
    """Merge the options for `function`: those of a TOML file, then those of --set, then the flags that are not None.

    Args:
        function: receives them; its named parameters have flags, so they are refused in a file or --set.
        assignments: values of --set, `name=value`.
        without: text rules to switch off.
        flags: values of the flags by option; None stands for a flag that is not given.
        config: the TOML file.

    Raises `OptionError` with one sentence for the first that is wrong.
    """
    from kammil.errors import OptionError

    parameters = inspect.signature(function).parameters
    sources = {"a TOML file": _toml(config), "--set": _assigned(assignments or ())}
    for source, values in sources.items():
        if name := next((name for name in values if name in parameters), None):
            raise OptionError(f"{name} is no option for {source}; give it on the command line.")
    options = {name: value for values in sources.values() for name, value in values.items()}
    options |= {name: value for name, value in flags.items() if value is not None}
    rules = options.get("rules", {})
    if without and isinstance(rules, dict):
        options["rules"] = rules | dict.fromkeys(without, False)
    return options


def _toml(path: Path | None) -> dict[str, Any]:
    import tomllib

    from kammil.errors import OptionError

    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise OptionError(f"--config {path} cannot be read as TOML: {error}.") from error


def _assigned(assignments: Sequence[str]) -> dict[str, Any]:
    """Parse `name=value` pairs: a value is read as TOML, or as a string where it is not TOML."""
    import tomllib

    from kammil.errors import OptionError

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


# ---- decoding


class DecodingCommand(typer.core.TyperCommand):
    """A command with a flag for every decoding option, before `--profile`; `obj` of its context is a dict of those
    that were given, so that the others are left to the preset, then to the defaults.

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
        ctx.obj = {name: value for name, value in values.items() if value not in (None, (), [])}
        return super().invoke(ctx)


def decoding_flags() -> list[Any]:
    """Return a parameter for every field of `DecodingOptions`, and for the preset; None for those not given."""
    from kammil.decoding.options import PRESET, DecodingOptions

    types: dict[str, object] = {"preset": Annotated[str | None, typer.Option(help=PRESET)]}
    for name, field in DecodingOptions.model_fields.items():
        repeatable = field.annotation == tuple[str, ...]
        switch = field.annotation is bool
        shown = "" if switch or field.default in (None, ()) else f"  [default: {field.default:g}]"
        text = f"{field.description}{' Repeatable.' if repeatable else shown}"
        option = typer.Option(f"--{name.replace('_', '-')}", help=text) if switch else typer.Option(help=text)
        types[name] = Annotated[list[str] | None if repeatable else field.annotation | None, option]  # pyright: ignore[reportOptionalOperand]

    def command(**_: Any) -> None: ...

    parameter = partial(inspect.Parameter, kind=inspect.Parameter.KEYWORD_ONLY, default=None)
    setattr(command, "__signature__", inspect.Signature([parameter(n, annotation=a) for n, a in types.items()]))  # noqa: B010
    command.__annotations__ = types
    app = typer.Typer(add_completion=False)
    app.command(add_help_option=False)(command)
    return typer.main.get_command(app).params
