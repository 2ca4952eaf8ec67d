"""All commands. What a command needs is imported when it runs, so that `kammil --help` stays instant."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

import typer

import kammil
from kammil.cli import data, profiling
from kammil.cli.options import BUNDLED, Column, Encoding, Json, ModelFolder, ProfileOption, Where

app = typer.Typer(
    name="kammil",
    help="Train a text-completion model on your own short texts, on a laptop CPU, and complete what you type.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)
app.add_typer(data.app, name="data", help="Named data sets, and the audit of any file or split.")
app.add_typer(profiling.app, name="profile", help="Texts of your own that --profile makes a model know.")


def _version(value: bool) -> None:
    if value:
        typer.echo(kammil.__version__)
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of every command."""


@app.command()
def train(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="txt (one text a line), tsv, csv, jsonl, parquet; or a data set.")
    ],
    column: Column = None,
    where: Where = None,
    encoding: Annotated[str | None, typer.Option(help="Encoding of the file.  [default: utf-8]")] = None,
    validation: Annotated[
        str | None, typer.Option(help="A second file to validate with; else a leak-free tenth of FILE.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Family: ngram, gru, words, subwords, attention, transformer or blend.  [default: blend]"),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The new model folder.  [default: FILE's name and family]")] = None,
    raw: Annotated[bool, typer.Option("--raw", help="No normalisation at all.")] = False,
    without: Annotated[
        list[str] | None,
        typer.Option(help="Switch one rule off: nfc, invisible, tatweel, urls, handles, spaces. Repeatable."),
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="Wall-clock budget at most; the schedule fits into it.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the texts at most.")] = None,
    seed: Annotated[int | None, typer.Option(help="Decides the split, the weights, the order, the dropout.")] = None,
    objective: Annotated[
        str | None,
        typer.Option(help="text: learn every position; completion: only the 30 target characters."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Any other option, such as hidden=320. Repeatable."),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file of options; flags win over it.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Replace a model of that name.")] = False,
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


@app.command()
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
    length: Annotated[int | None, typer.Option(help="Characters at most.  [default: 30]")] = None,
    min_length: Annotated[int | None, typer.Option(help="Characters at least.  [default: 0]")] = None,
    temperature: Annotated[
        float | None, typer.Option(help="0: always the most probable; 1: as the model is.  [default: 0.7]")
    ] = None,
    top_k: Annotated[int | None, typer.Option(help="Keep exactly the k most probable.")] = None,
    top_p: Annotated[
        float | None, typer.Option(help="Keep the most probable that hold this much probability.  [default: 1]")
    ] = None,
    min_p: Annotated[
        float | None, typer.Option(help="Keep what has this share of the best one's probability.  [default: 0]")
    ] = None,
    typical_p: Annotated[
        float | None, typer.Option(help="Keep what is about as surprising as expected.  [default: 1]")
    ] = None,
    repetition_penalty: Annotated[
        float | None, typer.Option(help="Multiply log-probabilities of what was written.  [default: 1]")
    ] = None,
    presence_penalty: Annotated[
        float | None, typer.Option(help="Take this from characters that were written.  [default: 0]")
    ] = None,
    frequency_penalty: Annotated[
        float | None, typer.Option(help="Take this from characters each time they were written.  [default: 0]")
    ] = None,
    stop: Annotated[list[str] | None, typer.Option(help="End before this string. Repeatable.")] = None,
    forbid: Annotated[list[str] | None, typer.Option(help="Never write this string. Repeatable.")] = None,
    force: Annotated[list[str] | None, typer.Option(help="Write this string somewhere. Repeatable.")] = None,
    no_copy: Annotated[
        int | None,
        typer.Option(metavar="K", help="Copy at most K letters in a row from the training texts; 12 or more."),
    ] = None,
    beams: Annotated[
        int | None, typer.Option(help="Search for the most probable text with this many at a time.  [default: 1]")
    ] = None,
    best_of: Annotated[
        int | None, typer.Option(help="Draw this many and keep the most probable.  [default: 1]")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Same seed, same completion.  [default: 0]")] = None,
    n: Annotated[int, typer.Option("-n", help="How many completions.")] = 1,
    profile: ProfileOption = None,
    show_probabilities: Annotated[
        bool,
        typer.Option("--show-probabilities", help="Explain each completion on stderr (with --json, in it)."),
    ] = False,
    json: Json = False,
) -> None:
    """Complete a text. Prints what comes after it, or, on a terminal, the whole text."""
    from kammil.cli import completing
    from kammil.completion import Options

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


@app.command()
def suggest(
    text: Annotated[
        str | None,
        typer.Argument(metavar="[TEXT]", help="What was typed so far; without it, every line of stdin is one."),
    ] = None,
    *,
    model: Annotated[Path, typer.Option(metavar="FOLDER", help="A model folder, or a bundled model.")] = BUNDLED,
    k: Annotated[int, typer.Option("-k", help="Suggestions at most.")] = 3,
    threshold: Annotated[
        float | None, typer.Option(help="Say nothing that is less probable.  [default: 0.01]", show_default=False)
    ] = None,
    profile: ProfileOption = None,
    json: Json = False,
) -> None:
    """The most probable next words, or endings of the word at hand: one a line, the best first; nothing if none is."""
    from kammil.cli import suggesting

    suggesting.run(text, model, profile=profile, k=k, threshold=threshold, json=json)


@app.command()
def explain(
    folder: ModelFolder,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to explain.")],
    *,
    given: Annotated[str, typer.Option(metavar="TEXT", help="What stands before it, and is not explained.")] = "",
    k: Annotated[int, typer.Option("-k", help="Alternatives to show for each character.")] = 3,
    png: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw it; the ending may also be svg or pdf.")
    ] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page that needs nothing else.")] = None,
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


@app.command()
def serve(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FOLDER]...", help="Model folders, or bundled models.  [default: levantine]"),
    ] = None,
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.")] = 8000,
    workers: Annotated[int, typer.Option(help="Processes.")] = 1,
    api_key: Annotated[
        str | None,
        typer.Option(envvar="KAMMIL_API_KEY", help="Answer only those who know it (better given as KAMMIL_API_KEY)."),
    ] = None,
    allow_origin: Annotated[
        list[str] | None, typer.Option(metavar="ORIGIN", help="Let the pages of this origin ask too. Repeatable.")
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Another name of this server. Repeatable.")
    ] = None,
    rows: Annotated[int, typer.Option(help="Texts stepped together at most; 1: no micro-batching.")] = 64,
    queue: Annotated[int, typer.Option(help="Requests at work or waiting at most; more get 429.")] = 256,
    timeout: Annotated[float, typer.Option(help="Seconds of a request; what is written by then is the answer.")] = 30,
    max_tokens: Annotated[int, typer.Option(help="Characters of one completion at most.")] = 2048,
    max_body: Annotated[int, typer.Option(help="Bytes of one request at most; more get 413.")] = 1 << 20,
    sessions: Annotated[int, typer.Option(help="Clients whose typing is remembered, of each model.")] = 256,
    learn: Annotated[
        bool | None,
        typer.Option("--learn/--no-learn", help="Let clients teach.  [default: yes on a loopback address]"),
    ] = None,
    access_log: Annotated[
        bool, typer.Option("--access-log/--no-access-log", help="A line for every request, on stderr.")
    ] = True,
    log_prompts: Annotated[bool, typer.Option("--log-prompts", help="Let prompts stand in the log.")] = False,
) -> None:
    """Serve models: a page to type on, and an OpenAI-compatible API."""
    from kammil.cli import serving

    serving.run(
        folders=folders or None,
        host=host,
        port=port,
        workers=workers,
        api_key=api_key,
        origins=allow_origin,
        hosts=allow_host,
        rows=rows,
        waiting=queue,
        seconds=timeout,
        max_tokens=max_tokens,
        body=max_body,
        sessions=sessions,
        learn=learn,
        access_log=access_log,
        log_prompts=log_prompts,
    )


@app.command()
def evaluate(
    folder: ModelFolder,
    file: Annotated[str, typer.Argument(metavar="FILE", help="Texts the model has not seen, or a data set.")],
    column: Column = None,
    where: Where = None,
    encoding: Encoding = "utf-8",
    samples: Annotated[int, typer.Option(help="Texts to show completed, as in the notebook.")] = 5,
    seed: Annotated[int, typer.Option(help="Seed of the samples.")] = 0,
    typing: Annotated[
        bool, typer.Option("--typing", help="Also type the texts with suggestions: keystrokes saved, calibration.")
    ] = False,
    threshold: Annotated[
        float | None,
        typer.Option(help="With --typing: show nothing less probable.  [default: 0.01]", show_default=False),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With --typing: draw how far probabilities can be believed.")
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


@app.command()
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
    validation: Annotated[str | None, typer.Option(help="A file to choose by; else a leak-free tenth of FILE.")] = None,
    test: Annotated[str | None, typer.Option(help="A file to test on; else a leak-free tenth of FILE.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of models and results; gone on with.  [default: FILE's name-compare]")
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="No normalisation at all.")] = False,
    without: Annotated[
        list[str] | None,
        typer.Option(help="Switch one rule off: nfc, invisible, tatweel, urls, handles, spaces. Repeatable."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Decides the split, the weights, the order, the dropout.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="An option of those families that have it. Repeatable."),
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Make rows of another origin anew.")] = False,
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


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A model folder, or a bundled model.")],
    *,
    format: Annotated[str, typer.Option(help="onnx: one file that ONNX Runtime runs by itself.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The file.  [default: FOLDER's name and the format's ending]")
    ] = None,
    part: Annotated[str, typer.Option(help="all, or network: of a blend, its networks without the counts.")] = "all",
    replace: Annotated[bool, typer.Option("--replace", help="Replace files of these names.")] = False,
) -> None:
    """Write a model in a format that other programs run, and beside it a short program that runs it."""
    from kammil.cli import exporting

    exporting.run(folder, format=format, out=out, part=part, replace=replace)


@app.command()
def plot(
    folder: ModelFolder,
    out: Annotated[Path | None, typer.Option(help="File to write.  [default: FOLDER/training.png]")] = None,
) -> None:
    """Draw the training curves: loss and accuracy by epoch."""
    from dataclasses import asdict

    from kammil import folder as folders
    from kammil import plots
    from kammil.errors import FolderError
    from kammil.training.events import EpochEnded

    path = out or folder / "training.png"
    try:
        history = [asdict(EpochEnded(**epoch)) for epoch in folders.read(folder).metrics.get("history", [])]
    except TypeError as error:
        raise FolderError(f"{folder / folders.METRICS} holds no training history; copy the folder again.") from error
    plots.save(plots.training_curves(history, folder.resolve().name), path)
    typer.echo(path)


@app.command()
def info(folder: ModelFolder, json: Json = False) -> None:
    """What is in a model folder: family, data, text rules, figures."""
    from kammil.cli import evaluating

    evaluating.info(folder, json=json)
