"""Flags that commands share, and flags made of rows or of the fields of options."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

import typer
import typer.core
import typer.main
from typer import Argument, Option

from kammil.cli._output import tell
from kammil.models.family import FamilyName

if TYPE_CHECKING:
    from kammil.completion.learning import Profile

# Models and texts

BUNDLED = Path("levantine")
"""`kammil.model_folder` locates it."""
Folder = Annotated[Path, Argument(metavar="FOLDER", help="A model folder, or a bundled model.")]
Model = Annotated[Path, Option(metavar="FOLDER", help="A model folder, or a bundled model.")]
ProfileFile = Annotated[Path | None, Option("--profile", metavar="FILE", help="Learn the texts of this profile first.")]
BlockFile = Annotated[
    Path | None, Option("--block", metavar="FILE", help="Never write the words of this file, one a line.")
]
ContextFile = Annotated[
    str | None,
    Option(
        "--context",
        metavar="FILE",
        help="Messages before the text, oldest first, which count for it alone: a file of texts, or - for stdin.",
    ),
]
UNSEEN = Argument(metavar="FILE", help="Texts the model has not seen, of any kind that train reads.")
Target = Annotated[
    int, Option(metavar="N", help="Maximum number of characters to predict, from the middle of a text on.")
]
MinLength = Annotated[int, Option(metavar="N", help="Leave out texts of fewer characters than this.")]
Raw = Annotated[bool | None, Option("--raw", help="Leave the texts as they are; apply no text rule.")]
Json = Annotated[bool, Option("--json", help="Print JSON, for programs.")]
_FORMATS = (
    "A file of texts: txt (one text a line), csv, tsv, xlsx, json, jsonl or parquet, also as .gz or .zst; a chat of "
    "WhatsApp or Telegram; a folder of these; - for standard input; or a name that `kammil data list` shows."
)
TrainingFile = Annotated[str, Argument(metavar="FILE", help=_FORMATS)]
TextFiles = Annotated[list[str], Argument(metavar="FILE", help=f"{_FORMATS} Several are read one after another.")]


def open_profile(path: Path, *, new: bool = False) -> Profile:
    """Open a profile; `OptionError` if there is no such file, unless it may be `new`."""
    from kammil.completion.learning import Profile
    from kammil.errors import OptionError

    profile = Profile(path)
    if not new and not profile.exists():
        raise OptionError(f"there is no profile at {path}; begin one with: kammil profile learn {path} TEXT")
    return profile


def read_context(file: str | None, text: str | None) -> list[str]:
    """Return the messages of a file, if any; `OptionError` where the texts come from stdin, too."""
    if file is None:
        return []
    from kammil.data import sources
    from kammil.errors import OptionError

    if file == sources.STDIN and text is None:
        raise OptionError("--context - reads standard input, and so do the texts; give TEXT, or a file of messages.")
    return sources.texts(file)


def file_names(files: Sequence[str]) -> str | list[Path]:
    """Return one name as it is, several as paths, since a list of strings would be texts."""
    return files[0] if len(files) == 1 else [Path(file) for file in files]


def default_name(files: Sequence[str]) -> str:
    """Return the default name of what is made of these files: the first one's, without endings."""
    first = Path(files[0])
    name = "stdin" if files[0] == "-" else first.name or first.resolve().name  # of "." and "/"
    return Path(name.removesuffix(".gz").removesuffix(".zst")).stem


def ask_for_lines() -> None:
    """Say on a terminal that lines are waited for."""
    if sys.stdin.isatty():
        tell("each line that you type is a text; Ctrl-D ends")


def texts_or_stdin(texts: Iterable[str] | None) -> Iterable[str]:
    """Return the texts, or without any the lines of stdin, whose wrong bytes become U+FFFD."""
    if not texts:
        ask_for_lines()
    return texts or (line.decode("utf-8", "replace").rstrip("\r\n") for line in sys.stdin.buffer)


# Flags as rows

Rows = dict[str, tuple[Any, str | None, Any]]
"""Option -> type, help and the default shown."""
READING: Rows = {
    "column": (str, "Column of the texts in a table: its name, its number (from 1), or a path: message.text.", None),
    "where": (str, "Read only rows of a table that meet this SQL condition: \"Country = 'lebanon'\".", None),
    "encoding": (str, "Encoding of the file.  [default: utf-8]", None),
    "delimiter": (str, "Character between the cells of a table, or tab.  [default: detected]", None),
    "sheet": (str, "Sheet of an .xlsx: its name, or its number (from 1).  [default: the first]", None),
    "sender": (str, "Read only the messages of this sender in a chat of WhatsApp or Telegram.", None),
}
"""Keywords of the functions of `kammil.data` that read files."""
RECIPE: Rows = READING | {
    "validation": (str, "A second file to validate with; else a leak-free tenth of FILE, 5,000 texts at most.", None),
    "raw": (bool, "Leave the texts as they are; apply no text rule.", False),
    "without": (tuple[str, ...], "Switch one rule off: nfc, invisible, tatweel, urls, handles, spaces.", ()),
    "with_": (tuple[str, ...], "Switch a rule on: numbers (mask phone, card and account numbers).", ()),
    "epochs": (int, "Maximum number of passes over the texts.", None),
    "seed": (int, "Random seed of split, weights, order, dropout.", None),
    "set_": (tuple[str, ...], "Set any other option, as NAME=VALUE, such as hidden=320.", ()),
    "config": (Path, "Read options from a TOML file; flags win.", None),
}
TRAINING: Rows = RECIPE | {
    "model": (str, f"Family: {', '.join(get_args(FamilyName))}.  [default: blend]", None),
    "minutes": (
        float,
        "Maximum number of minutes for a model, from reading to the figures; members of a blend fill them.",
        None,
    ),
}
_NAMES = {"sender": "from", "with_": "with", "set_": "set", "origins": "allow-origin", "hosts": "allow-host"}
"""Option -> another name of its flag."""


def rows_of(options: str, *left_out: str) -> Rows:
    """Return the fields, but some, of the options of a name such as `kammil.completion.suggestions:SuggestOptions`."""
    from pkgutil import resolve_name

    fields = resolve_name(options).model_fields
    chosen = {name: field for name, field in fields.items() if name not in left_out}
    return {name: (field.annotation, field.description, field.default) for name, field in chosen.items()}


def command(rows: Rows | Callable[[], Rows]) -> type[typer.core.TyperCommand]:
    """Return a class of commands with a further flag for each row; `obj` of the context is a dict of those given.

    Rows that need NumPy are a function, so that `kammil --help` stays instant.
    """

    class Command(typer.core.TyperCommand):
        made: Sequence[Any] = ()

        def get_params(self, ctx: Any) -> list[Any]:
            if not self.made:
                own = {param.name for param in self.params}
                self.made = [flag for flag in _flags(rows() if callable(rows) else rows) if flag.name not in own]
                self.params += self.made
            return super().get_params(ctx)

        def invoke(self, ctx: Any) -> object:
            values = {flag.name: ctx.params.pop(flag.name) for flag in self.made}
            ctx.obj = {name: value for name, value in values.items() if value not in (None, (), [])}
            return super().invoke(ctx)

    return Command


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
        option = Annotated[
            list[str] | None if repeatable else kind | None,
            Option(flag, help=f"{text}{shown}", metavar="TEXT" if repeatable else None),
        ]
        parameters.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=option))

    def taken(**_: Any) -> None: ...

    setattr(taken, "__signature__", inspect.Signature(parameters))  # noqa: B010
    taken.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    app = typer.Typer(add_completion=False)
    app.command(add_help_option=False)(taken)
    return typer.main.get_command(app).params


# Options of a training


def training_options(function: Callable[..., object], given: Mapping[str, Any]) -> dict[str, Any]:
    """Merge the options for `function`: the TOML file's, then --set's, then flags; `OptionError` for its named
    parameters, which have flags, in the first two."""
    from kammil.errors import OptionError

    flags = dict(given)
    config, assigned, without, with_ = (flags.pop(name, None) for name in ("config", "set_", "without", "with_"))
    parameters, options = inspect.signature(function).parameters, dict[str, Any]()
    for source, values in (("a TOML file", _toml(config)), ("--set", _assigned(assigned or ()))):
        if name := next((name for name in values if name in parameters), None):
            raise OptionError(f"{name} is no option for {source}; give it on the command line.")
        options |= values
    options |= flags
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
    """Parse `name=value` pairs, each value as TOML or else as a string."""
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
