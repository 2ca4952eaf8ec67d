"""`kammil complete`."""

from __future__ import annotations

import secrets
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kammil.cli._options import BUNDLED, BlockFile, Json, Model, ProfileFile, open_profile, texts_or_stdin
from kammil.cli._output import for_stdout, print_json

if TYPE_CHECKING:
    from kammil.completion.completer import Completer
    from kammil.completion.explain import Explanation

_SEEDS = 10_000
"""Number of seeds to draw from: short enough to type again."""


def complete(
    context: typer.Context,
    text: Annotated[
        str | None, typer.Argument(metavar="TEXT", help="The prompt; without it, every line of stdin is a prompt.")
    ] = None,
    *,
    model: Model = BUNDLED,
    n: Annotated[int, typer.Option("-n", help="Number of completions, 1,000 at most.")] = 1,
    profile: ProfileFile = None,
    block: BlockFile = None,
    show_probabilities: Annotated[
        bool, typer.Option("--show-probabilities", help="Explain each completion on stderr (with --json, in it).")
    ] = False,
    json: Json = False,
) -> None:
    """Continue a text by chance, up to 30 characters: of many draws the most probable one, cut after its last whole
    word; --preset plain is a single draw. It reads like the training texts and seldom says what you meant: for help
    while you type there are `kammil suggest` and `kammil serve`. What comes after the text is printed; on a terminal,
    the whole text, drawn with another seed at each call unless one is given. Where the text ends in Arabic in Latin
    letters, it goes on from their Arabic reading, which is printed too."""
    from dataclasses import asdict

    from kammil.completion.completer import load
    from kammil.decoding.options import DecodingOptions
    from kammil.views.heatmap import print_explanation

    decoding: dict[str, Any] = context.obj
    # A person wants to see something else at each call, a program the same.
    drawn = None
    if "seed" not in decoding and not json and sys.stdout.isatty():
        options = DecodingOptions.of(**decoding)
        if options.temperature and options.beams == 1:
            decoding["seed"] = drawn = secrets.randbelow(_SEEDS)
    completer = load(model, profile=open_profile(profile), block=block)
    for prompt in texts_or_stdin(None if text is None else [text]):
        if json:
            answers = [asdict(answer) for answer in completer.samples(prompt, n, **decoding)]
            if show_probabilities:
                for answer in answers:
                    read = answer["prompt"][: len(answer["prompt"]) - answer["replaces"]] + answer["reading"]
                    answer["places"] = asdict(_explain(completer, read, answer["text"]))["places"]
            print_json(answers, indent=None)
            continue
        reads = DecodingOptions.for_texts(n, decoding).read_latin
        reading, replaces = completer.reading(prompt) if reads else ("", 0)
        before = prompt[: len(prompt) - replaces]
        # A person at a terminal wants the whole text: Arabic letters join across the seam only if the prompt is there.
        shown = before * sys.stdout.isatty() + reading
        if n == 1:
            written = [_stream(completer, prompt, decoding, shown)]
        else:
            written = [answer.text for answer in completer.samples(prompt, n, **decoding)]
        for completion in written:
            if n != 1:
                typer.echo(for_stdout(shown + completion))
            if show_probabilities:
                print_explanation(_explain(completer, before + reading, completion), stderr=True)
    if drawn is not None:
        print(f"drawn with --seed {drawn}", file=sys.stderr)


def _stream(completer: Completer, prompt: str, decoding: dict[str, Any], shown: str) -> str:
    """Print a completion while it is written, after what is shown of the prompt; returns it."""
    pieces = completer.stream(prompt, **decoding)  # wrong options are refused before anything is printed
    sys.stdout.write(shown)
    written = ""
    for piece in pieces:
        sys.stdout.write(for_stdout(piece))
        sys.stdout.flush()
        written += piece
    sys.stdout.write("\n")
    sys.stdout.flush()
    return written


def _explain(completer: Completer, prompt: str, completion: str) -> Explanation:
    from kammil.completion.explain import explain_written  # most calls do without

    return explain_written(completer, prompt, completion)
