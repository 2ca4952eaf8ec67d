"""`kammil evaluate` and `kammil info`."""

from __future__ import annotations

import json as json_
from pathlib import Path

import typer

from kammil import folder as folders
from kammil.card import table
from kammil.cli.show import print_table
from kammil.completion import load
from kammil.corpus import sources
from kammil.evaluation.metrics import Evaluation, evaluate
from kammil.evaluation.samples import Sample
from kammil.evaluation.samples import samples as make_samples


def run(
    folder: Path,
    file: str,
    *,
    column: str | None,
    where: str | None,
    encoding: str,
    samples: int,
    seed: int,
    json: bool,
) -> None:
    """Evaluate, then print a table and samples, or JSON."""
    model = load(folder)
    texts = sources.texts(file, column=column, where=where, encoding=encoding)
    evaluation = evaluate(model, texts)
    shown = [] if samples <= 0 else make_samples(model, texts, samples, seed=seed)
    if json:
        result = evaluation.to_dict() | {"samples": [sample.to_dict() for sample in shown]}
        typer.echo(json_.dumps(result, ensure_ascii=False, indent=2))
        return
    print_evaluation(evaluation, folder.name)
    for sample in shown:
        typer.echo("")
        print_sample(sample)


def print_evaluation(evaluation: Evaluation, name: str) -> None:
    """Counts, then the table."""
    typer.echo(
        f"{evaluation.texts:,} texts, {evaluation.characters:,} characters; "
        f"target: {evaluation.target_characters:,} characters after the middle of each text"
    )
    if evaluation.seen_texts:
        typer.echo(
            f"{evaluation.seen_texts:,} of these texts stand in the training texts: the figures measure recall there"
        )
    print_table(table(evaluation, name), foot="95 % intervals in brackets: bootstrap over texts", numbers=True)


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
