"""Commands that make models: what they are called with. What they need is imported when they run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kammil.cli._options import Column, Encoding, Json, ModelFolder, Where


def train(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="txt (one text a line), tsv, csv, jsonl, parquet; or a data set.")
    ],
    column: Column = None,
    where: Where = None,
    encoding: Annotated[str | None, typer.Option(help="Encoding of the file.  [default: utf-8]")] = None,
    validation: Annotated[
        str | None,
        typer.Option(
            help="A second file to validate with; without it, a tenth of FILE that has no near-duplicate in the rest."
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Family: ngram, gru, words, subwords, attention, transformer or blend.  [default: blend]"),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The new model folder.  [default: FILE's name and family]")] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Leave the texts as they are; apply no text rule.")] = False,
    without: Annotated[
        list[str] | None,
        typer.Option(help="Switch one rule off: nfc, invisible, tatweel, urls, handles, spaces. Repeatable."),
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Most minutes for the whole command, from reading to the figures.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Most passes over the texts.")] = None,
    seed: Annotated[
        int | None, typer.Option(help="Random seed of the split, the weights, the order, the dropout.")
    ] = None,
    objective: Annotated[
        str | None,
        typer.Option(help="What the loss counts. text: every character; completion: only the 30 target characters."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Set any other option, such as hidden=320. Repeatable."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Read options from a TOML file; flags on the command line win.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue an interrupted training; the result is identical.")
    ] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Replace an existing model of that name.")] = False,
) -> None:
    """Train a model on the texts of a file and write its folder."""
    from kammil.cli import training

    training.run(
        file,
        out=out,
        validation=validation,
        config=config,
        assignments=set_ or [],
        without=without or [],
        flags={
            "column": column,
            "where": where,
            "encoding": encoding,
            "model": model,
            "raw": raw or None,
            "minutes": minutes,
            "epochs": epochs,
            "seed": seed,
            "objective": objective,
        },
        resume=resume,
        replace=replace,
    )


def compare(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="txt (one text a line), tsv, csv, jsonl, parquet; or a data set.")
    ],
    *,
    minutes: Annotated[float, typer.Option(help="Wall-clock budget for each family.")],
    families: Annotated[
        list[str] | None, typer.Option(metavar="NAME,...", help="Families.  [default: all that can be trained here]")
    ] = None,
    column: Column = None,
    where: Where = None,
    encoding: Encoding = "utf-8",
    validation: Annotated[
        str | None, typer.Option(help="A file to validate with; without it, a leak-free tenth of FILE.")
    ] = None,
    test: Annotated[str | None, typer.Option(help="A file to test on; without it, a leak-free tenth of FILE.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of models and results; gone on with.  [default: FILE's name-compare]")
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Leave the texts as they are; apply no text rule.")] = False,
    without: Annotated[
        list[str] | None,
        typer.Option(help="Switch one rule off: nfc, invisible, tatweel, urls, handles, spaces. Repeatable."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Random seed of the split, the weights, the order, the dropout.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Set an option for those families that have it. Repeatable."),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Train rows again that other texts or options made.")
    ] = False,
    json: Json = False,
) -> None:
    """Every model family on one leak-free split with equal time, beside compressors and simple baselines."""
    from kammil.cli import comparing

    comparing.run(
        file,
        minutes=minutes,
        families=families or [],
        validation=validation,
        test=test,
        out=out,
        assignments=set_ or [],
        without=without or [],
        flags={"column": column, "where": where, "encoding": encoding, "raw": raw or None, "seed": seed},
        replace=replace,
        json=json,
    )


def plot(
    folder: ModelFolder,
    out: Annotated[Path | None, typer.Option(help="File to write.  [default: FOLDER/training.png]")] = None,
) -> None:
    """Draw the training curves: loss and accuracy by epoch."""
    from kammil.training.plot import plot as draw

    path = out or folder / "training.png"
    draw(folder, path)
    typer.echo(path)
