"""`kammil complete`."""

from __future__ import annotations

import json as json_
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import typer

from kammil.completion import Completer, Options, load


def run(text: str | None, folder: Path, options: Options, *, n: int, json: bool) -> None:
    """Complete the prompt, or every line of stdin, with one loaded model."""
    model = load(folder)
    for prompt in [text] if text is not None else lines():
        if json:
            answers = model.samples(prompt, n, **options)
            typer.echo(json_.dumps([asdict(answer) for answer in answers], ensure_ascii=False))
        elif n != 1:
            for answer in model.samples(prompt, n, **options):
                typer.echo(_shown(prompt) + answer.text)
        else:
            _stream(model, prompt, options)


def _stream(model: Completer, prompt: str, options: Options) -> None:
    """Print the completion as it comes."""
    pieces = model.stream(prompt, **options)
    sys.stdout.write(_shown(prompt))
    for piece in pieces:
        sys.stdout.write(piece)
        sys.stdout.flush()
    sys.stdout.write("\n")
    sys.stdout.flush()


def _shown(prompt: str) -> str:
    """On a terminal a person reads, and wants the whole text: letters join across the seam only if it is printed."""
    return prompt if sys.stdout.isatty() else ""


def lines() -> Iterator[str]:
    """The lines of stdin; bytes that are not UTF-8 become U+FFFD."""
    for line in sys.stdin.buffer:
        yield line.decode("utf-8", "replace").rstrip("\r\n")
