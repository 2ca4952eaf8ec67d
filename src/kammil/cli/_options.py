"""Options that several commands share, and how their values are read."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args, get_type_hints

import typer

from kammil.models.family import FamilyName

if TYPE_CHECKING:
    from kammil.completion.profile import Profile
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
Target = Annotated[
    int, typer.Option(metavar="N", help="Characters to predict from the middle of each text on, at most.")
]
MinLength = Annotated[int, typer.Option(metavar="N", help="Leave out texts of fewer characters than this.")]
Raw = Annotated[bool, typer.Option("--raw", help="Leave the texts as they are; apply no text rule.")]
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


_FORMATS = (
    "A file of texts: txt (one text a line), csv, tsv, xlsx, json, jsonl or parquet, also as .gz or .zst; a chat of "
    "WhatsApp or Telegram; a folder of these; - for standard input; or a name that `kammil data list` shows."
)
TrainingFile = Annotated[str, typer.Argument(metavar="FILE", help=_FORMATS)]
TextFiles = Annotated[list[str], typer.Argument(metavar="FILE", help=f"{_FORMATS} Several are read one after another.")]
HeldOut = Annotated[
    str | None,
    typer.Option(
        help="A second file to validate with; without it, a tenth of FILE (at most 5,000 texts) that has no "
        "near-duplicate in the rest."
    ),
]
Test = Annotated[
    str | None, typer.Option(help="A file to test on; without it, a leak-free tenth of FILE, 5,000 texts at most.")
]
Replace = Annotated[bool, typer.Option("--replace", help="Replace what was made of other texts or with other options.")]
Report = Annotated[
    bool,
    typer.Option("--report/--no-report", help="Write report.html, a page for people, which quotes a few texts."),
]


# ---- flags that belong together


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
        str | None,
        typer.Option(help="Character between the cells of a csv, tsv or txt, or tab.  [default: detected]"),
    ] = None
    sender: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="NAME", help="Read only the messages of NAME in a chat of WhatsApp or Telegram."
        ),
    ] = None

    def given(self) -> ReadKeywords:
        """Return the flags that were given, as the keywords of the functions of `kammil.data` that read files."""
        values = {field.name: getattr(self, field.name) for field in fields(ReadingFlags)}
        return cast("ReadKeywords", {name: value for name, value in values.items() if value is not None})


@dataclass(frozen=True, kw_only=True)
class TextFlags(ReadingFlags):
    """Flags that say how files are read and which text rules change their texts."""

    raw: Raw = False
    without: Annotated[
        list[str] | None,
        typer.Option(help="Switch one rule off: nfc, invisible, tatweel, urls, handles, spaces. Repeatable."),
    ] = None
    with_: Annotated[
        list[str] | None,
        typer.Option("--with", help="Switch a rule on: numbers (mask phone, card and account numbers). Repeatable."),
    ] = None


@dataclass(frozen=True, kw_only=True)
class RecipeFlags(TextFlags):
    """Flags that say how a model is trained; None for a flag that is not given."""

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
class ModelFlags:
    """Flags that choose a family and its time; None for a flag that is not given."""

    model: Annotated[
        str | None,
        typer.Option(help=f"Family: {', '.join(get_args(FamilyName))}.  [default: blend]"),
    ] = None
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

    setattr(grouped, "__signature__", inspect.Signature(parameters))  # noqa: B010
    grouped.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return grouped


# ---- options of a training


def training_options(function: Callable[..., object], flags: RecipeFlags, **more: Any) -> dict[str, Any]:
    """Merge the options for `function`: those of the TOML file, then those of --set, then the flags that are not None.

    Args:
        function: receives them; its named parameters have flags, so they are refused in a file or --set.
        flags: flags that several commands share.
        more: values of the command's own flags by option; None stands for a flag that is not given.

    Raises `OptionError` with one sentence for the first that is wrong.
    """
    from kammil.errors import OptionError

    parameters = inspect.signature(function).parameters
    sources = {"a TOML file": _toml(flags.config), "--set": _assigned(flags.set_ or ())}
    for source, values in sources.items():
        if name := next((name for name in values if name in parameters), None):
            raise OptionError(f"{name} is no option for {source}; give it on the command line.")
    options = {name: value for values in sources.values() for name, value in values.items()}
    named = {"epochs": flags.epochs, "seed": flags.seed} | more
    options |= {name: value for name, value in named.items() if value is not None} | flags.given()
    if flags.raw:
        options["raw"] = True
    rules, off, on = options.get("rules", {}), flags.without or (), flags.with_ or ()
    if (off or on) and isinstance(rules, dict):
        options["rules"] = rules | dict.fromkeys(off, False) | dict.fromkeys(on, True)
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
