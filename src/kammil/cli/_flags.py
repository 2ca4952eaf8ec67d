"""Flags that several commands share, groups of flags, and flags that are made of the fields of options."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args, get_origin, get_type_hints

import typer
import typer.core
import typer.main

from kammil.models.family import FamilyName

if TYPE_CHECKING:
    from pydantic import BaseModel

    from kammil.completion.learning import Profile
    from kammil.data.files import ReadKeywords

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
UNSEEN = typer.Argument(metavar="FILE", help="Texts the model has not seen, of any kind that train reads.")
Target = Annotated[
    int, typer.Option(metavar="N", help="Maximum number of characters to predict from the middle of each text on.")
]
MinLength = Annotated[int, typer.Option(metavar="N", help="Leave out texts of fewer characters than this.")]
Raw = Annotated[bool | None, typer.Option("--raw", help="Leave the texts as they are; apply no text rule.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
_FORMATS = (
    "A file of texts: txt (one text a line), csv, tsv, xlsx, json, jsonl or parquet, also as .gz or .zst; a chat of "
    "WhatsApp or Telegram; a folder of these; - for standard input; or a name that `kammil data list` shows."
)
TrainingFile = Annotated[str, typer.Argument(metavar="FILE", help=_FORMATS)]
TextFiles = Annotated[list[str], typer.Argument(metavar="FILE", help=f"{_FORMATS} Several are read one after another.")]


def open_profile(path: Path | None) -> Profile | None:
    """Open a profile; `OptionError` if the file does not exist, so that a mistyped name does not go unnoticed."""
    if path is None:
        return None
    from kammil.completion.learning import Profile
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
    return Path(name.removesuffix(".gz").removesuffix(".zst")).stem


def texts_or_stdin(texts: Iterable[str] | None) -> Iterable[str]:
    """Return the texts of the command line; without any, the lines of stdin, where bytes that are not UTF-8 become
    U+FFFD."""
    return texts or (line.decode("utf-8", "replace").rstrip("\r\n") for line in sys.stdin.buffer)


# ---- groups of flags


@dataclass(frozen=True, kw_only=True)
class ReadingFlags:
    """Flags that say how files are read; None for a flag that is not given."""

    column: Annotated[
        str | None,
        typer.Option(
            help="Column of a table that holds the texts: its name, its number (from 1), or a path such as "
            "message.text."
        ),
    ] = None
    where: Annotated[
        str | None,
        typer.Option(help="Read only rows of a table that meet this SQL condition: \"Country = 'lebanon'\"."),
    ] = None
    encoding: Annotated[str | None, typer.Option(help="Encoding of the file.  [default: utf-8]")] = None
    delimiter: Annotated[
        str | None, typer.Option(help="Character between the cells of a csv, tsv or txt, or tab.  [default: detected]")
    ] = None
    sender: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="NAME", help="Read only the messages of NAME in a chat of WhatsApp or Telegram."
        ),
    ] = None

    def given(self) -> ReadKeywords:
        """Return the flags that were given, as the keywords of the functions of `kammil.data` that read files."""
        return cast("ReadKeywords", {name: value for name, value in vars(self).items() if value is not None})


@dataclass(frozen=True, kw_only=True)
class RecipeFlags(ReadingFlags):
    """Flags that say how models are trained, and on which split; None for a flag that is not given."""

    validation: Annotated[
        str | None,
        typer.Option(
            help="A second file to validate with; without it, a tenth of FILE (at most 5,000 texts) that has no "
            "near-duplicate in the rest."
        ),
    ] = None
    raw: Raw = None
    without: Annotated[
        list[str] | None,
        typer.Option(help="Switch one rule off: nfc, invisible, tatweel, urls, handles, spaces. Repeatable."),
    ] = None
    with_: Annotated[
        list[str] | None,
        typer.Option("--with", help="Switch a rule on: numbers (mask phone, card and account numbers). Repeatable."),
    ] = None
    epochs: Annotated[int | None, typer.Option(help="Maximum number of passes over the texts.")] = None
    seed: Annotated[int | None, typer.Option(help="Random seed of the split, the weights, the order, the dropout.")] = (
        None
    )
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Set any other option, such as hidden=320. Repeatable."),
    ] = None
    config: Annotated[
        Path | None, typer.Option(help="Read options from a TOML file; flags on the command line win.")
    ] = None


@dataclass(frozen=True, kw_only=True)
class TrainingFlags(RecipeFlags):
    """Flags that say how one model is trained; None for a flag that is not given."""

    model: Annotated[str | None, typer.Option(help=f"Family: {', '.join(get_args(FamilyName))}.  [default: blend]")] = (
        None
    )
    minutes: Annotated[
        float | None,
        typer.Option(
            help="Maximum number of minutes for each model, from reading to the figures. A blend has as many members "
            "as they are enough for."
        ),
    ] = None


def with_flag_groups(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command in which every parameter that is a dataclass of flags is replaced by these flags, in its place.

    Typer makes the flags; when the command is called, their values are put back into the dataclass.
    """
    parameters: list[inspect.Parameter] = []
    groups: dict[str, type[Any]] = {}
    hints = get_type_hints(command, include_extras=True)
    for parameter in inspect.signature(command).parameters.values():
        kind, declared = hints[parameter.name], [(parameter.name, hints[parameter.name], parameter.default)]
        if isinstance(kind, type) and is_dataclass(kind):
            groups[parameter.name] = kind
            types = get_type_hints(kind, include_extras=True)
            declared = [(field.name, types[field.name], field.default) for field in fields(kind)]
        parameters += [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
            for name, annotation, default in declared
        ]

    @functools.wraps(command)
    def grouped(**values: Any) -> None:
        for name, kind in groups.items():
            values[name] = kind(**{field.name: values.pop(field.name) for field in fields(kind)})
        command(**values)

    return _with_parameters(grouped, parameters)


def _with_parameters(command: Callable[..., None], parameters: Sequence[inspect.Parameter]) -> Callable[..., None]:
    setattr(command, "__signature__", inspect.Signature(parameters))  # noqa: B010
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


def training_options(function: Callable[..., object], flags: RecipeFlags, **own: Any) -> dict[str, Any]:
    """Merge the options for `function`: those of the TOML file, then those of --set, then the flags that are not None.

    Args:
        function: receives them; its named parameters have flags, so they are refused in a file or --set.
        flags: flags that several commands share.
        own: values of the command's own flags by option; None stands for a flag that is not given.

    Raises `OptionError` with one sentence for the first that is wrong.
    """
    from kammil.errors import OptionError

    given = vars(flags) | own
    config, assigned, without, with_ = (given.pop(name) for name in ("config", "set_", "without", "with_"))
    parameters, options = inspect.signature(function).parameters, dict[str, Any]()
    for source, values in (("a TOML file", _toml(config)), ("--set", _assigned(assigned or ()))):
        if name := next((name for name in values if name in parameters), None):
            raise OptionError(f"{name} is no option for {source}; give it on the command line.")
        options |= values
    options |= {name: value for name, value in given.items() if value is not None}
    rules = options.get("rules", {})
    if (without or with_) and isinstance(rules, dict):
        options["rules"] = rules | dict.fromkeys(without or (), False) | dict.fromkeys(with_ or (), True)
    return options


def _toml(path: Path | None) -> dict[str, Any]:
    import tomllib

    from kammil.errors import OptionError

    try:
        return {} if path is None else tomllib.loads(path.read_text("utf-8"))
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


# ---- flags made of options

Rows = Mapping[str, tuple[Any, str | None, Any]]
"""Option -> its type, its help, and the default that is shown."""


def rows_of(options: type[BaseModel], *names: str) -> Rows:
    """Return the fields of these names."""
    chosen = {name: options.model_fields[name] for name in names or options.model_fields}
    return {name: (field.annotation, field.description, field.default) for name, field in chosen.items()}


def options_command(rows: Callable[[], Rows]) -> type[typer.core.TyperCommand]:
    """Return a class of commands with a further flag for each row; `obj` of the context is a dict of those given.

    The rows are asked for when the command runs: options need NumPy, for which `kammil --help` would wait.
    """

    class Command(typer.core.TyperCommand):
        made: Sequence[Any] = ()

        def get_params(self, ctx: Any) -> list[Any]:
            if not self.made:
                self.made = [flag for flag in _flags(rows()) if flag.name not in {own.name for own in self.params}]
                self.params += self.made
            return super().get_params(ctx)

        def invoke(self, ctx: Any) -> object:
            values = {flag.name: ctx.params.pop(flag.name) for flag in self.made}
            ctx.obj = {name: value for name, value in values.items() if value not in (None, (), [])}
            return super().invoke(ctx)

    return Command


_NAMES = {"origins": "allow-origin", "hosts": "allow-host"}
"""Flags that are not called as their option is."""


def _flags(rows: Rows) -> list[Any]:
    parameters: list[inspect.Parameter] = []
    for name, (kind, text, default) in rows.items():
        repeatable, flag = get_origin(kind) is tuple, f"--{_NAMES.get(name, name).replace('_', '-')}"
        if name == "k":
            flag = "-k"
        if bool in (kind, *get_args(kind)) and default is not False:
            flag += flag.replace("--", "/--no-", 1)
        shown = " Repeatable." if repeatable else ""
        if default not in (None, ()) and not isinstance(default, bool):
            shown = f"  [default: {f'{default:g}' if isinstance(default, float) else default}]"
        option = Annotated[list[str] | None if repeatable else kind | None, typer.Option(flag, help=f"{text}{shown}")]
        keyword = inspect.Parameter.KEYWORD_ONLY
        parameters.append(inspect.Parameter(name, keyword, default=None, annotation=option))

    def command(**_: Any) -> None: ...

    app = typer.Typer(add_completion=False)
    app.command(add_help_option=False)(_with_parameters(command, parameters))
    return typer.main.get_command(app).params
