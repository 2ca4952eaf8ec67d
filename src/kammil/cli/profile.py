"""`kammil profile`: a file of the user's own texts, which a model learns when it is opened."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kammil.cli._options import Json, open_profile, texts_or_stdin
from kammil.cli._output import CommandGroup, print_json

if TYPE_CHECKING:
    from kammil.completion.profile import Profile

app = typer.Typer(cls=CommandGroup, no_args_is_help=True, rich_markup_mode=None)

File = Annotated[Path, typer.Argument(metavar="FILE", help="The profile; `learn` creates it.")]
Texts = Annotated[
    list[str] | None, typer.Argument(metavar="TEXT", help="Texts; without any, every line of stdin is one.")
]


@app.callback()
def common() -> None:
    """Keep texts of your own, which --profile makes a model know. Nothing is trained, and the file stays on this
    machine."""


@app.command()
def learn(file: File, texts: Texts = None) -> None:
    """Add texts; a text that is added twice counts twice. Beyond 2,000 texts, or 400,000 characters, the oldest are
    removed."""
    from kammil.completion.profile import MAX_TEXTS, MAX_TOTAL_CHARACTERS, Profile

    profile = Profile(file)
    removed = profile.learn(*_not_empty(texts))
    if removed:
        most = f"{MAX_TEXTS:,} texts of {MAX_TOTAL_CHARACTERS:,} characters in all"
        print(f"kammil: a profile keeps {most} at most, so the {removed:,} oldest went.", file=sys.stderr)
    _print_size(profile)


@app.command()
def forget(file: File, texts: Texts = None) -> None:
    """Remove texts, of each the copy that was added last. If one of them is not in the profile, none is removed."""
    profile = _existing(file)
    profile.forget(*_not_empty(texts))
    _print_size(profile)


@app.command()
def show(file: File, json: Json = False) -> None:
    """List the texts, oldest first, and how often each was added."""
    from collections import Counter

    from kammil.text import visible

    counts = Counter(_existing(file).texts)
    if json:
        print_json([{"text": text, "learnt": n} for text, n in counts.items()])
        return
    for text, n in counts.items():
        typer.echo(f"{n:>4}  {visible(text)}")


@app.command()
def wipe(file: File) -> None:
    """Delete the profile: the file, and with it all texts."""
    _existing(file).wipe()
    typer.echo(f"{file}: wiped")


def _existing(file: Path) -> Profile:
    profile = open_profile(file)
    assert profile is not None
    return profile


def _not_empty(texts: list[str] | None) -> list[str]:
    """Return the texts of the command line as they are, or the lines of stdin that are not blank."""
    return texts or [line for line in texts_or_stdin(None) if line.strip()]


def _print_size(profile: Profile) -> None:
    n = len(profile.texts)
    typer.echo(f"{profile.path}: {n:,} text{'' if n == 1 else 's'}")
