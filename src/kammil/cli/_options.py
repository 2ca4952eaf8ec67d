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
Column = Annotated[
    str | None,
    typer.Option(help="Column of a table that holds the texts: its name, its number, or a path such as message.text."),
]
Where = Annotated[str | None, typer.Option(help="SQL condition on the rows of a table: \"Country = 'lebanon'\".")]
Encoding = Annotated[str, typer.Option(help="Encoding of the file.")]
Delimiter = Annotated[
    str | None,
    typer.Option(help="Character between the cells of a csv, tsv or txt, or tab.  [default: found out]"),
]
Sender = Annotated[
    str | None,
    typer.Option("--from", metavar="NAME", help="Read only the messages of NAME in a chat of WhatsApp or Telegram."),
]
Target = Annotated[
    int, typer.Option(metavar="N", help="Characters to predict from the middle of each text on, at most.")
]
MinLength = Annotated[
    int, typer.Option(metavar="N", help="Leave out texts of fewer characters than this; the notebook's is 60.")
]
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


def file_names(files: Sequence[str]) -> str | list[Path]:
    """Return one name as it is, and several as paths, since a list of strings would be texts."""
    return files[0] if len(files) == 1 else [Path(file) for file in files]


def default_name(files: Sequence[str]) -> str:
    """Return the name of what is made of these files where none is given: the first file's, without its endings."""
    first = Path(files[0])
    name = "stdin" if files[0] == "-" else first.name or first.resolve().name  # of "." and "/"
    for ending in (".gz", ".zst"):
        name = name.removesuffix(ending)
    return Path(name).stem


def texts_or_stdin(texts: Iterable[str] | None) -> Iterable[str]:
    """Return the texts of the command line; without any, the lines of stdin, where bytes that are not UTF-8 become
    U+FFFD."""
    return texts or (line.decode("utf-8", "replace").rstrip("\r\n") for line in sys.stdin.buffer)


# ---- training

_FORMATS = (
    "txt (one text a line), csv, tsv, xlsx, json, jsonl, parquet, also .gz or .zst; a chat of WhatsApp or Telegram; "
    "a folder of these; - for standard input; or a data set."
)
TrainingFile = Annotated[str, typer.Argument(metavar="FILE", help=_FORMATS[0].upper() + _FORMATS[1:])]
TextFiles = Annotated[list[str], typer.Argument(metavar="FILE...", help=_FORMATS[0].upper() + _FORMATS[1:])]
OptionalEncoding = Annotated[str | None, typer.Option(help="Encoding of the file.  [default: utf-8]")]
Raw = Annotated[bool, typer.Option("--raw", help="Leave the texts as they are; apply no text rule.")]
Without = Annotated[
    list[str] | None,
    typer.Option(help="Switch one rule off: nfc, invisible, tatweel, urls, handles, spaces. Repeatable."),
]
With = Annotated[
    list[str] | None,
    typer.Option("--with", help="Switch a rule on: numbers (mask phone, card and account numbers). Repeatable."),
]
Seed = Annotated[int | None, typer.Option(help="Random seed of the split, the weights, the order, the dropout.")]


def reading_flags(
    *,
    column: str | None,
    where: str | None,
    encoding: str | None,
    delimiter: str | None,
    sender: str | None,
    raw: bool,
    seed: int | None,
) -> dict[str, Any]:
    """Return the flags by which texts are read and split, by option, for `training_options`; None if not given."""
    return {
        "column": column,
        "where": where,
        "encoding": encoding,
        "delimiter": delimiter,
        "sender": sender,
        "raw": raw or None,
        "seed": seed,
    }


def training_options(
    function: Callable[..., object],
    *,
    assignments: Sequence[str] | None,
    without: Sequence[str] | None,
    with_: Sequence[str] | None = None,
    flags: dict[str, Any],
    config: Path | None = None,
) -> dict[str, Any]:
    """Merge the options for `function`: those of a TOML file, then those of --set, then the flags that are not None.

    Args:
        function: receives them; its named parameters have flags, so they are refused in a file or --set.
        assignments: values of --set, `name=value`.
        without, with_: text rules to switch off and on.
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
    if (without or with_) and isinstance(rules, dict):
        options["rules"] = rules | dict.fromkeys(without or (), False) | dict.fromkeys(with_ or (), True)
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
