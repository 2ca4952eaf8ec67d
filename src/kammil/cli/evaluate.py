"""`kammil evaluate` and `kammil info`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kammil.cli._options import (
    Folder,
    Json,
    MinLength,
    ReadingFlags,
    Target,
    file_names,
    with_flag_groups,
)
from kammil.cli._output import for_stdout, print_json
from kammil.views.tables import Table

if TYPE_CHECKING:
    from kammil.evaluation.bootstrap import Interval
    from kammil.evaluation.evaluate import Evaluation
    from kammil.evaluation.examples import Sample
    from kammil.evaluation.typing_report import Savings, TypingReport, TypingSavings
    from kammil.model_folder import ModelFiles
    from kammil.models.layers import Layer


@with_flag_groups
def evaluate(
    folder: Folder,
    files: Annotated[
        list[str], typer.Argument(metavar="FILE", help="Texts the model has not seen, of any kind that train reads.")
    ],
    *,
    samples: Annotated[int, typer.Option(help="Number of texts to show with their completions.")] = 5,
    target: Target = 30,
    min_length: MinLength = 0,
    plot_positions: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Draw accuracy by position after the prompt: fed the true text, and fed what the model wrote itself.",
        ),
    ] = None,
    typing: Annotated[
        bool,
        typer.Option(
            "--typing",
            help="Also simulate a writer who uses the suggestions: keystrokes saved, words a minute, calibration.",
        ),
    ] = False,
    slips: Annotated[
        float | None,
        typer.Option(
            help="With --typing: the share of the letters that are typed wrong, such as 0.03.  [default: 0]",
            show_default=False,
        ),
    ] = None,
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
    seed: Annotated[int, typer.Option(help="Seed of the samples.")] = 0,
    reading: ReadingFlags,
    json: Json = False,
) -> None:
    """Measure how good a model is on texts it has not seen. The figures stand with their intervals beside those
    of baselines; samples follow."""
    from kammil.completion.completer import load
    from kammil.completion.options import SuggestOptions
    from kammil.data import sources
    from kammil.errors import OptionError
    from kammil.evaluation import evaluate, metrics, plots, typing_report
    from kammil.evaluation.examples import samples as write_samples
    from kammil.evaluation.model_card import cautions, position_table
    from kammil.evaluation.suggestion_hits import check_slips
    from kammil.progress import listening, phase
    from kammil.views.progress import progress

    only_typing = {"--plot": plot, "--threshold": threshold, "--slips": slips}
    if not typing and (option := next((name for name, value in only_typing.items() if value is not None), None)):
        raise OptionError(f"{option} is about suggestions; give --typing too.")
    share_of_slips = check_slips(0.0 if slips is None else slips)
    least = (SuggestOptions.of() if threshold is None else SuggestOptions.of(threshold=threshold)).threshold
    metrics.check_task(target, min_length)
    if plot is not None or plot_positions is not None:
        plots.ready()
    model = load(folder)
    typed = None
    with progress() as listen, listening(listen):
        texts = sources.texts(file_names(files), **reading.given())
        with phase("evaluating", evaluate.LOOPS):
            evaluation = evaluate.evaluate(model, texts, target=target, min_length=min_length)
        shown = max(0, samples)
        written = write_samples(model, texts, shown, seed=seed, target=target, min_length=min_length)
        if typing:
            with phase("typing", 4):  # lists and ghost text, with the model and with its baseline
                typed = typing_report.simulate(model, texts, threshold=least, slips=share_of_slips)
    if typed is not None and plot is not None:
        calibration = {folder.name: typed.model.calibration}
        charts = plots.reliability(calibration, folder.name)
        plots.save(plots.figure(charts, f"{folder.name}: as often right as said?"), plot)
    if plot_positions is not None:
        chart = plots.accuracy_by_position(evaluation)
        plots.save(plots.figure([chart], f"{folder.name}: what errors of its own cost"), plot_positions)
    if json:
        result = evaluation.to_dict() | {"samples": [sample.to_dict() for sample in written]}
        print_json(result | ({"typing": typed.to_dict()} if typed is not None else {}))
        return
    print_evaluation(evaluation, folder.name, cautions(model.model) if model.model is not None else ())
    foot = "teacher-forced: the model reads the true text; free-running: what it wrote itself; all positions: --json"
    replace(position_table(evaluation), note=foot).print()
    if typed is not None:
        slipped = f", {100 * typed.slips:g} % of the letters wrong" if typed.slips else ""
        foot = (
            f"{typed.texts:,} texts typed{slipped}, words taken with a key; "
            f"nothing below a probability of {least:g} is listed; random: words drawn from all words of the texts"
        )
        _typing_table(typed, folder.name, foot).print()
        _speed_table(typed, folder.name).print()
    for sample in written:
        typer.echo("")
        _print_sample(sample)


def info(
    folder: Folder,
    layers: Annotated[
        bool, typer.Option("--layers", help="List the layers instead: shapes and parameters, total and trainable.")
    ] = False,
    json: Json = False,
) -> None:
    """Say what a model is for, how good it is and what is wrong with it; then its card: data, rules, figures."""
    from kammil import model_folder
    from kammil.evaluation.model_card import overview

    model = model_folder.read(folder)
    if json:
        found = {"layers": [asdict(layer) for layer in _layers(folder, model)]} if layers else {}
        print_json(model.description.model_dump(mode="json") | {"metrics": model.metrics} | found)
        return
    if layers:
        _print_layers(_layers(folder, model), f"{folder.resolve().name}: family {model.description.family}")
        return
    typer.echo(for_stdout(f"{overview(folder.resolve().name, model)}\n\nThe whole card\n\n{model.card.rstrip()}"))


def _layers(folder: Path, model: ModelFiles) -> Sequence[Layer]:
    """Read the layers of a model; `FolderError` for arrays that are not ours."""
    from kammil.errors import FolderError
    from kammil.models.layers import layers

    try:
        return layers(model.artifacts.weights)
    except ValueError as error:
        raise FolderError(f"{folder} does not fit together ({error}); copy the folder again.") from error


def _print_layers(layers: Sequence[Layer], title: str) -> None:
    """Print a table of layers, and the sums of their parameters."""
    rows: list[list[str]] = []
    for layer in layers:
        how = "gradient descent" if layer.trainable else "counting"
        rows.append([layer.name, " x ".join(f"{n:,}" for n in layer.shape), f"{layer.parameters:,}", how])
    total = sum(layer.parameters for layer in layers)
    trainable = sum(layer.parameters for layer in layers if layer.trainable)
    typer.echo(for_stdout(title))
    Table(["layer", "shape", "parameters", "learnt by"], rows).print()
    typer.echo(f"parameters: {total:,}; trainable, by gradient descent: {trainable:,}; counted: {total - trainable:,}")


def print_evaluation(evaluation: Evaluation, name: str, cautions: Sequence[str] = ()) -> None:
    """Print the counts, the cautions about the training texts, then the table of figures."""
    from kammil.data.bloom import RUN
    from kammil.evaluation.model_card import table
    from kammil.text import counted

    size = f"{counted(evaluation.texts, 'text')}, {counted(evaluation.characters, 'character')}"
    target = f"at most {counted(evaluation.target, 'character')} after the middle of each text"
    typer.echo(f"{size}; target: {target}, {evaluation.target_characters:,} in all")
    if evaluation.short_texts:
        typer.echo(
            f"left out: {counted(evaluation.short_texts, 'text')} of fewer than {evaluation.min_length} characters"
        )
    if evaluation.seen_texts:
        one = evaluation.seen_texts == 1
        stand = f"{'stands' if one else 'stand'} in the training texts"
        if evaluation.seen_by == "runs":
            made, several = "is" if one else "are", "in one of them or in several"
            stand = f"{made} made of runs of {RUN} letters that stand in the training texts, {several}"
        of = f"{evaluation.seen_texts:,} of {counted(evaluation.texts, 'text')}"
        typer.echo(f"{of} {stand}: the figures measure recall there")
    for caution in cautions:
        typer.echo(for_stdout(caution))
    table(evaluation, name).print()


def _typing_table(typed: TypingReport, name: str, note: str) -> Table:
    """The keystrokes that each kind of help saves, the most that can be saved, and the calibration."""
    from kammil.evaluation.measures import show
    from kammil.evaluation.metrics import RANDOM

    helped = {name: typed.model, **typed.baselines}

    def of_lists(title: str, width: int, figure: Callable[[Savings], Interval | None]) -> list[str]:
        lists = [*(each.lists for each in helped.values()), typed.random]
        return [title, *(show(figure(each[width]), percent=True) for each in lists)]

    def row(title: str, figure: Callable[[TypingSavings], Interval | None]) -> list[str]:
        return [title, *(show(figure(each), percent=True) for each in helped.values()), ""]

    rows: list[list[str]] = []
    for length in typed.model.lists:
        suggestions = f"{length} suggestion{'s' if length > 1 else ''}"
        rows.append(of_lists(f"keystrokes saved, {suggestions}", length, lambda each: each.keystrokes))
        rows.append(of_lists("... lists taken, of those shown", length, lambda each: each.precision))
    rows.append(row("keystrokes saved, ghost text", lambda each: each.ghost.keystrokes))
    rows.append(row("... taken, of those shown", lambda each: each.ghost.precision))
    rows.append(row("... shown, of all places", lambda each: each.ghost.shown))
    rows.append(row("... right, of those", lambda each: each.ghost.right))
    rows.append(["keystrokes saved, every word known", show(typed.ceiling, percent=True), *[""] * len(helped)])
    rows.append(row("calibration error, first suggestion", lambda each: each.calibration.error))
    return Table(["typing", *helped, RANDOM], rows, note=note)


def _speed_table(typed: TypingReport, name: str) -> Table:
    """The words a minute without help and with each kind of it, by device."""
    from kammil.evaluation.measures import show
    from kammil.evaluation.metrics import RANDOM

    helped = {name: typed.model, **typed.baselines}
    rows: list[list[str]] = []
    for device, rate in typed.unaided.items():
        rows.append([f"{device}, no help", f"{rate:.2f}", *[""] * len(helped)])
        for length in typed.model.lists:
            title = f"... {length} suggestion{'s' if length > 1 else ''}"
            lists = [*(each.lists for each in helped.values()), typed.random]
            rows.append([title, *(show(each[length].speed[device], digits=2) for each in lists)])
        for level in typed.model.ghosts:
            speeds = (show(each.ghosts[level].speed[device], digits=2) for each in helped.values())
            rows.append([f"... {level} ghost text", *speeds, ""])
    note = "a model of typing: reading costs time, too (kammil.evaluation.typing_report)"
    return Table(["words a minute", *helped, RANDOM], rows, note=note)


def _print_sample(sample: Sample) -> None:
    """Print a sample as the notebook does. Lines are in logical order: terminals order Arabic themselves."""
    typer.echo(for_stdout(f"input        [{sample.input}]\ntruth        [{sample.truth}]"))
    for written in sample.written:
        label = "greedy" if written.temperature == 0 else f"T = {written.temperature}"
        typer.echo(f"{label:<12} [{for_stdout(written.text)}]  {written.novelty}")
