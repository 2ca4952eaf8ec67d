"""Commands that ask a model something: what they are called with. What they need is imported when they run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

import typer

from kammil.cli._options import BUNDLED, Column, Encoding, Json, ModelFolder, ProfileOption, Where


def complete(
    text: Annotated[
        str | None,
        typer.Argument(metavar="[TEXT]", help="The prompt; without it, every line of stdin is one."),
    ] = None,
    *,
    model: Annotated[Path, typer.Option(metavar="FOLDER", help="A model folder, or a bundled model.")] = BUNDLED,
    preset: Annotated[
        str | None, typer.Option(help="Options for a purpose: predictive, creative or exact; flags win over it.")
    ] = None,
    length: Annotated[int | None, typer.Option(help="Most characters to write.  [default: 30]")] = None,
    min_length: Annotated[int | None, typer.Option(help="Fewest characters to write.  [default: 0]")] = None,
    temperature: Annotated[
        float | None,
        typer.Option(
            help="0: always the most probable character; 1: as the model says; above: bolder.  [default: 0.7]"
        ),
    ] = None,
    top_k: Annotated[int | None, typer.Option(help="Choose among the k most probable characters only.")] = None,
    top_p: Annotated[
        float | None,
        typer.Option(
            help="Choose among the most probable characters that hold this share of the probability.  [default: 1]"
        ),
    ] = None,
    min_p: Annotated[
        float | None,
        typer.Option(
            help="Choose among characters with at least this share of the best one's probability.  [default: 0]"
        ),
    ] = None,
    typical_p: Annotated[
        float | None,
        typer.Option(help="Choose among characters that are about as surprising as the model expects.  [default: 1]"),
    ] = None,
    repetition_penalty: Annotated[
        float | None,
        typer.Option(help="Multiply the log-probability of characters that were written before.  [default: 1]"),
    ] = None,
    presence_penalty: Annotated[
        float | None,
        typer.Option(
            help="Subtract this from the log-probability of characters that were written before.  [default: 0]"
        ),
    ] = None,
    frequency_penalty: Annotated[
        float | None,
        typer.Option(help="Subtract this for each time that a character was written before.  [default: 0]"),
    ] = None,
    stop: Annotated[list[str] | None, typer.Option(help="Stop before this string. Repeatable.")] = None,
    forbid: Annotated[list[str] | None, typer.Option(help="Never write this string. Repeatable.")] = None,
    force: Annotated[list[str] | None, typer.Option(help="Write this string somewhere. Repeatable.")] = None,
    no_copy: Annotated[
        int | None,
        typer.Option(metavar="K", help="Copy at most K letters in a row from the training texts; 12 or more."),
    ] = None,
    beams: Annotated[
        int | None,
        typer.Option(help="Beam search: follow this many candidates and keep the most probable text.  [default: 1]"),
    ] = None,
    best_of: Annotated[
        int | None, typer.Option(help="Draw this many completions and keep the most probable.  [default: 1]")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Random seed; the same seed gives the same completion.  [default: 0]")
    ] = None,
    n: Annotated[int, typer.Option("-n", help="Number of completions.")] = 1,
    profile: ProfileOption = None,
    show_probabilities: Annotated[
        bool,
        typer.Option("--show-probabilities", help="Explain each completion on stderr (with --json, in it)."),
    ] = False,
    json: Json = False,
) -> None:
    """Complete a text. Prints what comes after it, or, on a terminal, the whole text."""
    from kammil.cli import completing
    from kammil.decoding.options import Options

    given: dict[str, object] = {
        "preset": preset,
        "length": length,
        "min_length": min_length,
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "min_p": min_p,
        "typical_p": typical_p,
        "repetition_penalty": repetition_penalty,
        "presence_penalty": presence_penalty,
        "frequency_penalty": frequency_penalty,
        "stop": stop or None,
        "forbid": forbid or None,
        "force": force or None,
        "no_copy": no_copy,
        "beams": beams,
        "best_of": best_of,
        "seed": seed,
    }
    # What is not given is left to the preset, and then to the defaults.
    options = cast(Options, {name: value for name, value in given.items() if value is not None})
    completing.run(text, model, options, profile=profile, n=n, probabilities=show_probabilities, json=json)


def suggest(
    text: Annotated[
        str | None,
        typer.Argument(metavar="[TEXT]", help="What was typed so far; without it, every line of stdin is one."),
    ] = None,
    *,
    model: Annotated[Path, typer.Option(metavar="FOLDER", help="A model folder, or a bundled model.")] = BUNDLED,
    k: Annotated[int, typer.Option("-k", help="Most suggestions to print.")] = 3,
    threshold: Annotated[
        float | None,
        typer.Option(help="Print no suggestion that is less probable than this.  [default: 0.01]", show_default=False),
    ] = None,
    profile: ProfileOption = None,
    json: Json = False,
) -> None:
    """The most probable next words, or endings of the word at hand and then next words: one a line, the best first, on
    a terminal with their probabilities; nothing if none is."""
    from kammil.cli import suggesting

    suggesting.run(text, model, profile=profile, k=k, threshold=threshold, json=json)


def explain(
    folder: ModelFolder,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to explain.")],
    *,
    given: Annotated[str, typer.Option(metavar="TEXT", help="Text before TEXT, which is read but not explained.")] = "",
    k: Annotated[int, typer.Option("-k", help="Number of alternatives to show for each character.")] = 3,
    png: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw a figure into this file (png, svg or pdf).")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write one HTML page that needs no other file.")
    ] = None,
    temperatures: Annotated[
        str | None,
        typer.Option(metavar="T,...", help="With --png: draw instead what may follow the text, at these temperatures."),
    ] = None,
    profile: ProfileOption = None,
    json: Json = False,
) -> None:
    """How surprising each character of a text is to a model, what else was likely, and which expert was believed."""
    from kammil.cli import explaining

    explaining.run(
        folder, text, given=given, profile=profile, k=k, png=png, html=html, temperatures=temperatures, json=json
    )


def evaluate(
    folder: ModelFolder,
    file: Annotated[str, typer.Argument(metavar="FILE", help="Texts the model has not seen, or a data set.")],
    column: Column = None,
    where: Where = None,
    encoding: Encoding = "utf-8",
    samples: Annotated[
        int, typer.Option(help="Number of texts to show with their completions, as in the notebook.")
    ] = 5,
    seed: Annotated[int, typer.Option(help="Seed of the samples.")] = 0,
    typing: Annotated[
        bool,
        typer.Option(
            "--typing", help="Also simulate a writer who uses the suggestions: keystrokes saved, calibration."
        ),
    ] = False,
    threshold: Annotated[
        float | None,
        typer.Option(
            help="With --typing: show no suggestion that is less probable than this.  [default: 0.01]",
            show_default=False,
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="With --typing: draw the reliability diagram of the suggestions."),
    ] = None,
    json: Json = False,
) -> None:
    """How good a model is on texts: figures with 95 % intervals, beside baselines, and samples."""
    from kammil.cli import evaluating

    evaluating.run(
        folder,
        file,
        column=column,
        where=where,
        encoding=encoding,
        samples=samples,
        seed=seed,
        typing=typing,
        threshold=threshold,
        plot=plot,
        json=json,
    )


def info(folder: ModelFolder, json: Json = False) -> None:
    """What is in a model folder: family, data, text rules, figures."""
    from kammil.cli import evaluating

    evaluating.info(folder, json=json)
