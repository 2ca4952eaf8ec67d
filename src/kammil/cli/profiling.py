"""`kammil profile`: texts that models learn when they are opened, in a file of the user's own."""

from __future__ import annotations

import json as json_
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kammil.cli._options import Json, opened

if TYPE_CHECKING:
    from kammil.completion.profile import Profile

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

File = Annotated[Path, typer.Argument(metavar="FILE", help="The profile; learn makes it.")]
Texts = Annotated[
    list[str] | None, typer.Argument(metavar="[TEXT]...", help="Texts; without any, every line of stdin is one.")
]


@app.callback()
def common() -> None:
    """Texts of your own that --profile makes a model know, without training: a file that never leaves this machine."""


@app.command()
def learn(file: File, texts: Texts = None) -> None:
    """Add texts; what is added again counts again. Beyond 2,000 texts, or 400,000 characters, the oldest go."""
    from kammil.completion.profile import CHARACTERS, TEXTS, Profile

    profile = Profile(file)
    gone = profile.learn(*_given(texts))
    if gone:
        most = f"{TEXTS:,} texts of {CHARACTERS:,} characters in all"
        print(f"kammil: a profile keeps {most} at most, so the {gone:,} oldest went.", file=sys.stderr)
    _say(profile)


@app.command()
def forget(file: File, texts: Texts = None) -> None:
    """Take texts out, of each the one that was added last; all stay if one of them is not there."""
    profile = _there(file)
    profile.forget(*_given(texts))
    _say(profile)


@app.command()
def show(file: File, json: Json = False) -> None:
    """List the texts, oldest first, and how often each was added."""
    from kammil.text import visible

    counts = Counter(_there(file).texts)
    if json:
        typer.echo(json_.dumps([{"text": t, "learnt": n} for t, n in counts.items()], ensure_ascii=False, indent=2))
        return
    for text, n in counts.items():
        typer.echo(f"{n:>4}  {visible(text)}")


@app.command()
def wipe(file: File) -> None:
    """Delete the profile: the file, and with it all texts."""
    _there(file).wipe()
    typer.echo(f"{file}: wiped")


def _there(file: Path) -> Profile:
    """A profile that there is."""
    profile = opened(file)
    assert profile is not None
    return profile


def _given(texts: list[str] | None) -> list[str]:
    """The texts of the command line, or the lines of stdin that hold any."""
    from kammil.cli.completing import lines

    return texts if texts else [line for line in lines() if line.strip()]


def _say(profile: Profile) -> None:
    """How many texts there are now."""
    n = len(profile.texts)
    typer.echo(f"{profile.path}: {n:,} text{'' if n == 1 else 's'}")
