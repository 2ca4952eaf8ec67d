"""Options that several commands share, and how their values are read."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

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

DECODING_FLAGS: dict[str, object] = {
    "length": Annotated[int | None, typer.Option(help="Most characters to write.  [default: 30]")],
    "temperature": Annotated[
        float | None,
        typer.Option(
            help="0: always the most probable character; 1: as the model says; above: bolder.  [default: 0.7]"
        ),
    ],
    "preset": Annotated[
        str | None, typer.Option(help="Options for a purpose: predictive, creative or exact; flags win over it.")
    ],
    "seed": Annotated[
        int | None, typer.Option(help="Random seed; the same seed gives the same completion.  [default: 0]")
    ],
    "stop": Annotated[list[str] | None, typer.Option(help="Stop before this string. Repeatable.")],
    "min_length": Annotated[int | None, typer.Option(help="Fewest characters to write.  [default: 0]")],
    "top_k": Annotated[int | None, typer.Option(help="Choose among the k most probable characters only.")],
    "top_p": Annotated[
        float | None,
        typer.Option(
            help="Choose among the most probable characters that hold this share of the probability.  [default: 1]"
        ),
    ],
    "min_p": Annotated[
        float | None,
        typer.Option(
            help="Choose among characters with at least this share of the best one's probability.  [default: 0]"
        ),
    ],
    "typical_p": Annotated[
        float | None,
        typer.Option(help="Choose among characters that are about as surprising as the model expects.  [default: 1]"),
    ],
    "repetition_penalty": Annotated[
        float | None,
        typer.Option(help="Multiply the log-probability of characters that were written before.  [default: 1]"),
    ],
    "presence_penalty": Annotated[
        float | None,
        typer.Option(
            help="Subtract this from the log-probability of characters that were written before.  [default: 0]"
        ),
    ],
    "frequency_penalty": Annotated[
        float | None,
        typer.Option(help="Subtract this for each time that a character was written before.  [default: 0]"),
    ],
    "forbid": Annotated[list[str] | None, typer.Option(help="Never write this string. Repeatable.")],
    "force": Annotated[list[str] | None, typer.Option(help="Write this string somewhere. Repeatable.")],
    "no_copy": Annotated[
        int | None,
        typer.Option(metavar="K", help="Copy at most K letters in a row from the training texts; 12 or more."),
    ],
    "beams": Annotated[
        int | None,
        typer.Option(help="Beam search: follow this many candidates and keep the most probable text.  [default: 1]"),
    ],
    "best_of": Annotated[
        int | None, typer.Option(help="Draw this many completions and keep the most probable.  [default: 1]")
    ],
}
"""Name of an option of `kammil.decoding.Options` -> type and help of its flag, in the order of --help."""


def with_decoding_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Put one flag per decoding option in the place of the parameter `decoding` of a command.

    The command gets a dict of those that were given; the others are left to the preset, then to the defaults.
    """
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        if parameter.name == "decoding":
            parameters += [parameter.replace(name=n, annotation=a, default=None) for n, a in DECODING_FLAGS.items()]
        else:
            parameters.append(parameter)

    @wraps(command)
    def run(**arguments: Any) -> None:
        values = {name: arguments.pop(name) for name in DECODING_FLAGS}
        command(**arguments, decoding={name: value for name, value in values.items() if value not in (None, [])})

    # What typer reads: a wrapper's own signature and annotations.
    setattr(run, "__signature__", inspect.Signature(parameters))  # noqa: B010
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run
