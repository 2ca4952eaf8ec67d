"""`kammil suggest`."""

from __future__ import annotations

import sys
from typing import Annotated, Literal

import typer

from kammil.cli._options import BUNDLED, BlockFile, Json, Model, ProfileFile, open_profile, texts_or_stdin
from kammil.cli._output import for_stdout, print_json, tell


def suggest(
    text: Annotated[
        str | None,
        typer.Argument(metavar="TEXT", help="The text typed so far; without it, every line of stdin is one."),
    ] = None,
    *,
    model: Model = BUNDLED,
    k: Annotated[int, typer.Option("-k", help="Most suggestions to print.")] = 3,
    threshold: Annotated[
        float | None,
        typer.Option(help="Print no suggestion that is less probable than this.  [default: 0.01]", show_default=False),
    ] = None,
    ghost: Annotated[
        Literal["quiet", "balanced", "eager"] | None,
        typer.Option(help="Print ghost text in place of a list, as readily as this."),
    ] = None,
    forbid: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="Suggest no word that writes this string. Repeatable.")
    ] = None,
    allow_offensive: Annotated[
        bool, typer.Option("--allow-offensive", help="Suggest words of the list of offensive words too.")
    ] = False,
    no_correct: Annotated[
        bool,
        typer.Option(
            "--no-correct",
            help="Suggest no word that corrects a slip of a key, or the spelling, or is Arabic for Latin letters.",
        ),
    ] = False,
    block: BlockFile = None,
    profile: ProfileFile = None,
    json: Json = False,
) -> None:
    """Print the most probable next words, or ends of a begun word. One suggestion a line, the best first, on a terminal
    with its probability; ends of a begun word come before the words after it, or behind them if it is more probably
    complete. Nothing is printed where no suggestion reaches the threshold; an empty line parts the suggestions for two
    lines of stdin. With --ghost one line is printed for each text, the words that would stand grey behind the caret: it
    is empty unless they are worth reading."""
    from dataclasses import asdict

    from kammil.completion.completer import load
    from kammil.completion.options import ListKeywords, RefusalKeywords, SuggestOptions

    refusing: RefusalKeywords = {"forbid": forbid or (), "allow_offensive": allow_offensive}
    asked: ListKeywords = {**refusing, "correct": not no_correct}
    if threshold is not None:
        asked["threshold"] = threshold
    SuggestOptions.of(k=k, **asked)  # before the model is opened
    completer = load(model, profile=open_profile(profile), block=block)
    for i, prefix in enumerate(texts_or_stdin(None if text is None else [text])):
        if ghost is not None:
            phrase = completer.phrase(prefix, ghost=ghost, threshold=threshold, **refusing)
            if json:
                print_json(asdict(phrase), indent=None)
            else:
                typer.echo(for_stdout(phrase.added))
            continue
        suggestions = completer.suggest(prefix, k, **asked)
        if json:
            print_json([asdict(suggestion) for suggestion in suggestions], indent=None)
            continue
        if i:
            typer.echo("")
        if not suggestions and sys.stderr.isatty():
            tell("nothing sure enough")
        for suggestion in suggestions:
            probability = f"{suggestion.probability:6.1%}  " if sys.stdout.isatty() else ""
            typer.echo(probability + for_stdout(suggestion.added if suggestion.replaces else suggestion.text))
