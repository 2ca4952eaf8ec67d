"""`kammil complete`."""

from __future__ import annotations

import json as json_
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import typer

from kammil.cli._options import opened
from kammil.completion.completer import Completer, Completion, load
from kammil.decoding.options import Options


def run(
    text: str | None, folder: Path, options: Options, *, profile: Path | None, n: int, probabilities: bool, json: bool
) -> None:
    """Complete the prompt, or every line of stdin, with one loaded model.

    stdout is the completion alone, so probabilities go to stderr; in JSON each answer holds them, as `places`.
    """
    model = load(folder, profile=opened(profile))
    for prompt in [text] if text is not None else lines():
        if json:
            answers = model.samples(prompt, n, **options)
            made = [asdict(answer) | (_places(model, answer) if probabilities else {}) for answer in answers]
            typer.echo(json_.dumps(made, ensure_ascii=False))
        elif n != 1:
            for answer in model.samples(prompt, n, **options):
                typer.echo(_shown(prompt) + answer.text)
                if probabilities:
                    _explain(model, prompt, answer.text)
        else:
            written = _stream(model, prompt, options)
            if probabilities:
                _explain(model, prompt, written)


def _places(model: Completer, answer: Completion) -> dict[str, object]:
    """For each character of an answer, and its end, what is known of it."""
    from kammil.completion.explain.attribution import explain_written

    return {"places": asdict(explain_written(model, answer.prompt, answer.text))["places"]}


def _explain(model: Completer, prompt: str, written: str) -> None:
    """The table of `kammil explain`, on stderr."""
    from kammil.cli.explaining import show
    from kammil.completion.explain.attribution import explain_written

    show(explain_written(model, prompt, written), stderr=True)


def _stream(model: Completer, prompt: str, options: Options) -> str:
    """Print the completion as it comes; returns it."""
    pieces = model.stream(prompt, **options)
    sys.stdout.write(_shown(prompt))
    written = ""
    for piece in pieces:
        sys.stdout.write(piece)
        sys.stdout.flush()
        written += piece
    sys.stdout.write("\n")
    sys.stdout.flush()
    return written


def _shown(prompt: str) -> str:
    """On a terminal a person reads, and wants the whole text: letters join across the seam only if it is printed."""
    return prompt if sys.stdout.isatty() else ""


def lines() -> Iterator[str]:
    """The lines of stdin; bytes that are not UTF-8 become U+FFFD."""
    for line in sys.stdin.buffer:
        yield line.decode("utf-8", "replace").rstrip("\r\n")
