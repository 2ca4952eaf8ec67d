"""`kammil evaluate` and `kammil info`."""

from __future__ import annotations

import json as json_
from collections.abc import Callable, Sequence
from pathlib import Path

import typer

from kammil import model_folder as folders
from kammil.cli._tables import print_table
from kammil.cli.progress import progress
from kammil.completion.completer import Completer, load
from kammil.completion.suggestions import MIN_PROBABILITY, checked
from kammil.data import sources
from kammil.data.bloom import RUN
from kammil.errors import OptionError
from kammil.evaluation import plots
from kammil.evaluation.bootstrap import MIN_TEXTS, Interval
from kammil.evaluation.keystrokes import TypingReport, TypingSavings, simulate
from kammil.evaluation.metrics import LOOPS, Evaluation, evaluate
from kammil.evaluation.model_card import cautions, show, table
from kammil.evaluation.samples import Sample
from kammil.evaluation.samples import samples as make_samples
from kammil.progress import listening, phase


def run(
    folder: Path,
    file: str,
    *,
    column: str | None,
    where: str | None,
    encoding: str,
    samples: int,
    seed: int,
    typing: bool,
    threshold: float | None,
    plot: Path | None,
    json: bool,
) -> None:
    """Evaluate, then print tables and samples, or JSON; with a plot, write that first."""
    if not typing and (plot is not None or threshold is not None):
        option = "--plot" if plot is not None else "--threshold"
        raise OptionError(f"{option} is about suggestions; give --typing too.")
    least = checked(MIN_PROBABILITY if threshold is None else threshold)
    if plot is not None:
        plots.ready()
    model = load(folder)
    with progress() as listen, listening(listen):
        texts = sources.texts(file, column=column, where=where, encoding=encoding)
        with phase("evaluating", LOOPS):
            evaluation = evaluate(model, texts)
        shown = [] if samples <= 0 else make_samples(model, texts, samples, seed=seed)
        typed = _typed(model, texts, least) if typing else None
    if typed is not None and plot is not None:
        drawn = {folder.name: typed.model.calibration}
        plots.save(plots.reliability(drawn, "Suggestions: as often right as said?"), plot)
    if json:
        result = evaluation.to_dict() | {"samples": [sample.to_dict() for sample in shown]}
        result |= {"typing": typed.to_dict()} if typed is not None else {}
        typer.echo(json_.dumps(result, ensure_ascii=False, indent=2))
        return
    print_evaluation(evaluation, folder.name, cautions(model.model.description) if model.model is not None else ())
    if typed is not None:
        foot = f"{typed.texts:,} texts typed, words taken with a key; nothing below a probability of {least:g} is shown"
        print_table(typing_table(typed, folder.name), foot=foot, numbers=True)
    for sample in shown:
        typer.echo("")
        print_sample(sample)


def _typed(model: Completer, texts: list[str], least: float) -> TypingReport:
    """Type the texts: lists and ghost text, with the model and with its baseline."""
    with phase("typing", 4):
        return simulate(model, texts, threshold=least)


def print_evaluation(evaluation: Evaluation, name: str, cautions: Sequence[str] = ()) -> None:
    """Counts, what must be known of the training texts, then the table."""
    typer.echo(
        f"{evaluation.texts:,} texts, {evaluation.characters:,} characters; "
        f"target: {evaluation.target_characters:,} characters after the middle of each text"
    )
    if evaluation.seen_texts:
        stand = "stand in the training texts"
        if evaluation.seen_by == "runs":
            stand = f"are made of runs of {RUN} letters that {stand}, in one of them or in several"
        typer.echo(f"{evaluation.seen_texts:,} of these texts {stand}: the figures measure recall there")
    for caution in cautions:
        typer.echo(caution)
    print_table(table(evaluation, name), foot=_intervals(evaluation.texts), numbers=True)


def typing_table(typed: TypingReport, name: str) -> list[list[str]]:
    """A heading, then what each kind of help saves, the ceiling, and how far probabilities can be believed."""
    helped = {name: typed.model, **typed.baselines}

    def row(title: str, figure: Callable[[TypingSavings], Interval | None]) -> list[str]:
        return [title, *(show(figure(each), percent=True) for each in helped.values())]

    rows = [["typing", *helped]]
    for w in typed.model.lists:
        of = f"{w} suggestion{'s' if w > 1 else ''}"
        rows.append(row(f"keystrokes saved, {of}", lambda each, w=w: each.lists[w].keystrokes))
        rows.append(row("... lists taken, of those shown", lambda each, w=w: each.lists[w].precision))
    rows.append(row("keystrokes saved, ghost text", lambda each: each.ghost.keystrokes))
    rows.append(row("... taken, of those shown", lambda each: each.ghost.precision))
    nothing_else = [""] * len(typed.baselines)
    rows.append(["keystrokes saved, every word known", show(typed.ceiling, percent=True), *nothing_else])
    rows.append(row("calibration error, first suggestion", lambda each: each.calibration.error))
    return rows


def _intervals(texts: int) -> str:
    """Return the table's foot: what the intervals are, or why there are none."""
    if texts < MIN_TEXTS:
        return f"no intervals: {MIN_TEXTS} texts are the fewest that one is made of"
    return "95 % intervals in brackets: bootstrap over texts"


def print_sample(sample: Sample) -> None:
    """One sample as the notebook shows it. Lines are in logical order: terminals order Arabic themselves."""
    typer.echo(f"input        [{sample.input}]")
    typer.echo(f"truth        [{sample.truth}]")
    for written in sample.written:
        label = "greedy" if written.temperature == 0 else f"T = {written.temperature}"
        typer.echo(f"{label:<12} [{written.text}]  {written.novelty}")


def info(folder: Path, *, json: bool) -> None:
    """Print the model card, or what the card is made of."""
    model = folders.read(folder)
    if json:
        result = model.description.model_dump(mode="json") | {"metrics": model.metrics}
        typer.echo(json_.dumps(result, ensure_ascii=False, indent=2))
        return
    typer.echo(model.card.rstrip())
