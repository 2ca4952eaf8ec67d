"""`kammil type`."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from kammil.cli._options import BUNDLED, BlockFile, Model, ProfileFile, open_profile, texts_or_stdin
from kammil.cli._output import for_stdout

if TYPE_CHECKING:
    from kammil.cli._terminal import Typing
    from kammil.completion.completer import Completer
    from kammil.completion.ghost_text import Phrase
    from kammil.completion.suggestions import Suggestion


def type_(
    *,
    model: Model = BUNDLED,
    ghost: Annotated[
        Literal["quiet", "balanced", "eager"], typer.Option(help="How readily ghost text is shown.")
    ] = "balanced",
    learn: Annotated[
        bool,
        typer.Option("--learn", help="Learn each finished text: into the profile, or without one until you leave."),
    ] = False,
    allow_offensive: Annotated[
        bool, typer.Option("--allow-offensive", help="Show words of the list of offensive words too.")
    ] = False,
    block: BlockFile = None,
    profile: ProfileFile = None,
) -> None:
    """Type on the terminal, with ghost text behind the caret and three suggestions below. Tab or the right arrow takes
    a word of the ghost text, End all of it. 1 to 3 takes a suggestion (Backspace then types the digit), F1 to F3 where
    a digit is a letter, Tab the first where there is no ghost text. Enter ends a text, Esc leaves. On a pipe every line
    of stdin is a text, and its ghost text is printed."""
    from kammil.completion.adaptation import CANNOT_LEARN
    from kammil.completion.completer import load
    from kammil.errors import OptionError
    from kammil.language_model import AdaptiveModel

    # Before the model is opened: a missing library must be said at once.
    interactive = sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    make, help_text = _typing() if interactive else (None, "")
    completer = load(model, profile=open_profile(profile), block=block)
    if learn and not isinstance(completer.language_model, AdaptiveModel):
        raise OptionError(CANNOT_LEARN)
    session = completer.session()

    def after(text: str) -> Phrase:
        session.update(text)
        return session.phrase(ghost=ghost, allow_offensive=allow_offensive)

    def offer(text: str) -> tuple[str, list[Suggestion], str]:
        found, suggestions = after(text), session.suggest(allow_offensive=allow_offensive)
        return for_stdout(found.sure if found.stock else found.added), suggestions, for_stdout(found.added)

    if make is None:
        for text in texts_or_stdin(None):
            typer.echo(for_stdout(after(text).added))
            _learn(completer, text, learn=learn)
        return
    typer.echo(help_text, err=True)
    line = make(offer)
    while (text := line.read()) is not None:
        _learn(completer, text, learn=learn)


def _typing() -> tuple[type[Typing], str]:
    """Import the terminal and its help; `MissingExtraError` without prompt_toolkit."""
    from kammil.errors import MissingExtraError

    try:
        from kammil.cli._terminal import HELP, Typing
    except ModuleNotFoundError as error:
        raise MissingExtraError("typing on a terminal needs prompt_toolkit", "type") from error
    return Typing, HELP


def _learn(completer: Completer, text: str, *, learn: bool) -> None:
    """Learn a finished text, unless it is blank."""
    if learn and text.strip():
        completer.learn(text)
