"""Commands on the quality and content of a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from typer import Argument, Option

from kammil.cli import flags
from kammil.cli._output import for_stdout, new_app, print_json, shown_progress, tell
from kammil.views.tables import Table

if TYPE_CHECKING:
    from kammil.evaluation.bootstrap import Interval
    from kammil.evaluation.evaluate import Evaluation
    from kammil.evaluation.typing_report import TypingReport, TypingSavings

_SHOWN = ("target_bits_per_character", "target_top1", "target_top3", "free_running", "chrf", "perplexity")
"""Measures that `evaluate` tabulates on a terminal; the others are in its JSON, the card and the report."""

app = new_app()


@app.command(cls=flags.command(flags.READING))
def evaluate(
    context: typer.Context,
    folder: flags.Folder,
    files: Annotated[list[str], flags.UNSEEN],
    *,
    samples: Annotated[int, Option(min=0, help="Number of texts to show with their completions.")] = 5,
    target: flags.Target = 30,
    min_length: flags.MinLength = 0,
    earlier: Annotated[
        int,
        Option(
            "--context",
            metavar="N",
            help="Predict each text after the N texts before it: FILE is a conversation, oldest first.",
        ),
    ] = 0,
    plot_positions: Annotated[
        Path | None, Option(metavar="FILE", help="Draw and print accuracy by position in a target.")
    ] = None,
    typing: Annotated[bool, Option("--typing", help="Also simulate a writer who uses the suggestions.")] = False,
    slips: Annotated[float | None, Option(help="With --typing: share of wrong letters.  [default: 0]")] = None,
    threshold: Annotated[float | None, Option(help="With --typing: minimum probability.  [default: 0.01]")] = None,
    plot: Annotated[Path | None, Option(metavar="FILE", help="With --typing: draw the reliability diagram.")] = None,
    seed: Annotated[int, Option(help="Seed of the samples.")] = 0,
    json: flags.Json = False,
) -> None:
    """Measure how good a model is on texts it has not seen. The figures stand with their intervals beside those
    of baselines; samples follow."""
    from kammil.completion.completer import load
    from kammil.completion.suggestions import SuggestOptions
    from kammil.data import sources
    from kammil.errors import OptionError
    from kammil.evaluation import evaluate, plots, typing_report
    from kammil.evaluation.examples import samples as write_samples
    from kammil.evaluation.model_card import cautions, position_table, table
    from kammil.evaluation.suggestion_hits import check_slips
    from kammil.progress import phase

    only_typing = {"--plot": plot, "--threshold": threshold, "--slips": slips}
    if not typing and (option := next((name for name, value in only_typing.items() if value is not None), None)):
        raise OptionError(f"{option} is about suggestions; give --typing too.")
    share_of_slips = check_slips(0.0 if slips is None else slips)
    least = (SuggestOptions.of() if threshold is None else SuggestOptions.of(threshold=threshold)).threshold
    _check_task(target, min_length, earlier, files)
    if plot is not None or plot_positions is not None:
        plots.ready()
    model = load(folder)
    typed = None
    with shown_progress():
        texts = sources.texts(flags.file_names(files), **context.obj)
        with phase("evaluating", evaluate.LOOPS):
            evaluation = evaluate.evaluate(model, texts, target=target, min_length=min_length, context=earlier)
        written = write_samples(model, texts, samples, seed=seed, target=target, min_length=min_length, context=earlier)
        if typing:
            with phase("typing", 4):  # lists and ghost text, with the model and with its baseline
                typed = typing_report.simulate(model, texts, threshold=least, slips=share_of_slips, context=earlier)
    if typed is not None and plot is not None:
        charts = plots.reliability({folder.name: typed.model.calibration}, folder.name)
        plots.save(plots.figure(charts, f"{folder.name}: as often right as said?"), plot)
    if plot_positions is not None:
        chart = plots.accuracy_by_position(evaluation)
        plots.save(plots.figure([chart], f"{folder.name}: what errors of its own cost"), plot_positions)
    if json:
        result = evaluation.to_dict() | {"samples": [asdict(sample) for sample in written]}
        print_json(result | ({"typing": asdict(typed)} if typed is not None else {}))
        return
    print_size(evaluation, cautions(model.model) if model.model is not None else ())
    figures = table(evaluation, folder.name, _SHOWN)
    replace(figures, note=f"{figures.note} All figures: --json.").print()
    if plot_positions is not None:
        foot = (
            "teacher-forced: the model reads the true text; free-running: what it wrote itself; all positions: --json"
        )
        replace(position_table(evaluation), note=foot).print()
    if typed is not None:
        slipped = f", {100 * typed.slips:g} % of the letters wrong" if typed.slips else ""
        foot = (
            f"{typed.texts:,} texts typed{slipped}, words taken with a key; "
            f"nothing below a probability of {least:g} is listed; random: words drawn from all words of the texts"
        )
        for table in _typing_tables(typed, folder.name, foot):
            table.print()
    for sample in written:  # lines in logical order: terminals order Arabic themselves
        typer.echo(for_stdout(f"\ninput        [{sample.input}]\ntruth        [{sample.truth}]"))
        for one in sample.written:
            label = "greedy" if one.temperature == 0 else f"T = {one.temperature}"
            typer.echo(f"{label:<12} [{for_stdout(one.text)}]  {one.novelty}")


def _check_task(target: int, min_length: int, context: int, files: Sequence[str]) -> None:
    from kammil.errors import OptionError
    from kammil.evaluation import metrics

    metrics.check_task(target, min_length, context)
    if context and (len(files) > 1 or Path(files[0]).is_dir()):
        raise OptionError(f"--context {context} reads one conversation; give one FILE, and the next in another call.")


def print_size(evaluation: Evaluation, cautions: Sequence[str] = ()) -> None:
    """Print how much was measured, and what limits the meaning of the figures."""
    from kammil.data.bloom import RUN
    from kammil.text import counted

    size = f"{counted(evaluation.texts, 'text')}, {counted(evaluation.characters, 'character')}"
    target = f"at most {counted(evaluation.target, 'character')} after the middle of each text"
    typer.echo(f"{size}; target: {target}, {evaluation.target_characters:,} in all")
    if evaluation.short_texts:
        typer.echo(
            f"left out: {counted(evaluation.short_texts, 'text')} of fewer than {evaluation.min_length} characters"
        )
    if n := evaluation.context:
        typer.echo(f"each text is predicted after the {counted(n, 'text')} before it; baselines read each alone")
    if evaluation.seen_texts:
        one = evaluation.seen_texts == 1
        stand = f"{'stands' if one else 'stand'} in the training texts"
        if evaluation.seen_by == "runs":
            made, several = "is" if one else "are", "in one of them or in several"
            stand = f"{made} made of runs of {RUN} letters that stand in the training texts, {several}"
        of = f"{evaluation.seen_texts:,} of {counted(evaluation.texts, 'text')}"
        typer.echo(f"{of} {stand}: the figures measure recall there")
    if (unknown := evaluation.unknown_characters) * 2 > evaluation.characters:
        share = f"{unknown:,} of {counted(evaluation.characters, 'character')}"
        typer.echo(f"{share} are unknown to the model, which learnt from texts in other letters")
    for caution in cautions:
        typer.echo(for_stdout(caution))


def _typing_tables(typed: TypingReport, name: str, note: str) -> tuple[Table, Table]:
    """Return tables of the keystrokes saved and possible to save, and of words a minute by device."""
    from kammil.evaluation.measures import show
    from kammil.evaluation.metrics import RANDOM

    models = {name: typed.model, **typed.baselines}
    head, blank = [*models, RANDOM], [""] * len(models)
    lists = [*(each.lists for each in models.values()), typed.random]

    def row(title: str, figure: Callable[[TypingSavings], Interval | None]) -> list[str]:
        return [title, *(show(figure(each), percent=True) for each in models.values()), ""]

    saved, speeds = list[list[str]](), list[list[str]]()
    for length in typed.model.lists:
        suggestions = f"{length} suggestion{'s' if length > 1 else ''}"
        figures = [show(each[length].keystrokes, percent=True) for each in lists]
        saved.append([f"keystrokes saved, {suggestions}", *figures])
        figures = [show(each[length].precision, percent=True) for each in lists]
        saved.append(["... lists taken, of those shown", *figures])
    saved.append(row("keystrokes saved, ghost text", lambda each: each.ghost.keystrokes))
    saved.append(row("... taken, of those shown", lambda each: each.ghost.precision))
    saved.append(row("... shown, of all places", lambda each: each.ghost.shown))
    saved.append(row("... right, of those", lambda each: each.ghost.right))
    saved.append(["keystrokes saved, every word known", show(typed.ceiling, percent=True), *blank])
    saved.append(row("calibration error, first suggestion", lambda each: each.calibration.error))
    for device, rate in typed.unaided.items():
        speeds.append([f"{device}, no help", f"{rate:.2f}", *blank])
        for length in typed.model.lists:
            title = f"... {length} suggestion{'s' if length > 1 else ''}"
            speeds.append([title, *(show(each[length].speed[device], digits=2) for each in lists)])
        for level in typed.model.ghosts:
            figures = [show(each.ghosts[level].speed[device], digits=2) for each in models.values()]
            speeds.append([f"... {level} ghost text", *figures, ""])
    model = "a model of typing: reading costs time, too (kammil.evaluation.typing_report)"
    return Table(["typing", *head], saved, note=note), Table(["words a minute", *head], speeds, note=model)


@app.command(cls=flags.command(flags.READING))
def report(
    context: typer.Context,
    folder: flags.Folder,
    files: Annotated[list[str] | None, flags.UNSEEN] = None,
    *,
    out: Annotated[Path | None, Option(help="The page.  [default: FOLDER-report.html]")] = None,
    seconds: Annotated[float, Option(help="Time for measuring: more seconds type more of the texts.")] = 60.0,
) -> None:
    """Write a page for people about a model, as train does: figures on texts it has not seen, and how it was made.
    Without FILE the page has the figures of its training, and quotes no text."""
    from kammil import model_folder as folders
    from kammil import storage
    from kammil.completion.completer import load
    from kammil.data import sources
    from kammil.errors import OptionError
    from kammil.evaluation.evaluate import LOOPS, evaluate
    from kammil.evaluation.model_card import reproducing
    from kammil.evaluation.report import beside, model_report, stored_evaluation
    from kammil.progress import phase

    if not 0 < seconds <= 86_400:
        raise OptionError(f"--seconds is {seconds:g}, but it must be above 0 and at most a day, 86400.")
    stored = folders.read(folder)
    name = folder.resolve().name
    path = out or beside(folder)
    if not path.parent.is_dir():
        raise OptionError(f"--out is {path}, but there is no folder {path.parent}; make it, or name another place.")
    measured: dict[str, Any] = {}
    with shown_progress():
        if files:
            texts = sources.texts(flags.file_names(files), **context.obj)
            with phase("evaluating", LOOPS):
                model = load(folder)
                evaluation = evaluate(model, texts)
            on = f"texts of {sources.description(flags.file_names(files))}"
            measured = {"model": model, "texts": texts, "on": on, "chosen": False, "seconds": seconds}
        else:
            evaluation = stored_evaluation(stored.metrics)
        card = stored.card
        page = model_report(
            name, stored, evaluation, command=reproducing(card, ""), toml=reproducing(card, "toml"), **measured
        )
    storage.write_atomic(path, page.encode("utf-8", "replace"))
    typer.echo(f"report: {path}")


@app.command()
def explain(
    texts: Annotated[list[str], Argument(metavar="TEXT", help="The text to explain (FOLDER TEXT works too).")],
    *,
    model: Annotated[
        Path | None, Option(metavar="FOLDER", help="A model folder, or a bundled model.  [default: levantine]")
    ] = None,
    given: Annotated[str, Option(metavar="TEXT", help="Text before TEXT, which is read but not explained.")] = "",
    earlier: flags.ContextFile = None,
    k: Annotated[int, Option("-k", help="Number of alternatives to show for each character.")] = 3,
    html: Annotated[Path | None, Option(metavar="FILE", help="Write one HTML page that needs no other file.")] = None,
    profile: flags.ProfileFile = None,
    json: flags.Json = False,
) -> None:
    """Show how surprising each character of a text is to a model. Beside it stand likely alternatives, and which part
    of a blend raised it: its network, or its counts, by the number of letters before."""
    from kammil.completion import explain as explaining
    from kammil.completion.completer import load
    from kammil.errors import OptionError
    from kammil.views import heatmap

    *first, text = texts
    if len(first) > (model is None):
        raise OptionError(f"there are {len(texts)} texts; give one, in quotes if it has spaces.")
    folder = Path(first[0]) if first else model or flags.BUNDLED
    said = flags.read_context(earlier, text)
    opened = load(folder, profile=profile and flags.open_profile(profile))
    explanation = explaining.explain(opened, text, given=given, k=k, context=said)
    if html is not None:
        heatmap.save(explanation, folder.resolve().name, html)
    if json:
        print_json(asdict(explanation), indent=None)
    elif html is not None:
        typer.echo(html)
    else:
        heatmap.print_explanation(explanation)


@app.command()
def info(
    folder: flags.Folder = flags.BUNDLED,
    layers: Annotated[bool, Option("--layers", help="List the layers: shapes and parameters.")] = False,
    json: flags.Json = False,
) -> None:
    """Say what a model is for, how good it is and what is wrong with it; then its card: data, rules, figures."""
    from kammil import model_folder
    from kammil.engine.weights import layers as layers_of
    from kammil.errors import FolderError
    from kammil.evaluation.model_card import overview

    model, name = model_folder.read(folder), folder.resolve().name
    try:
        listed = layers_of(model.artifacts.weights) if layers else ()
    except ValueError as error:  # arrays that are not ours
        raise FolderError(f"{folder} does not fit together ({error}); copy the folder again.") from error
    if json:
        found = {"layers": [asdict(layer) for layer in listed]} if layers else {}
        print_json(model.description.model_dump(mode="json") | {"metrics": model.metrics} | found)
    elif layers:
        typer.echo(for_stdout(f"{name}: family {model.description.family}"))
        rows: list[list[str]] = []
        for layer in listed:
            how = "gradient descent" if layer.trainable else "counting"
            rows.append([layer.name, " x ".join(f"{n:,}" for n in layer.shape), f"{layer.parameters:,}", how])
        Table(["layer", "shape", "parameters", "learnt by"], rows).print()
        total = sum(layer.parameters for layer in listed)
        learnt = sum(layer.parameters for layer in listed if layer.trainable)
        typer.echo(f"parameters: {total:,}; trainable, by gradient descent: {learnt:,}; counted: {total - learnt:,}")
    else:
        typer.echo(for_stdout(f"{overview(name, model)}\n\nThe whole card\n\n{model.card.rstrip()}"))


@app.command()
def export(
    folder: flags.Folder,
    *,
    format: Annotated[
        str,
        Option(
            help="onnx: a file for ONNX Runtime. hf: a folder for Hugging Face's transformers, of a Transformer. "
            "web: a folder of static files by which a browser runs a blend. "
            "words: a folder of word lists for hunspell and for Android's keyboards, drawn in some minutes."
        ),
    ],
    out: Annotated[
        Path | None, Option(metavar="PATH", help="The file or folder.  [default: FOLDER and an ending]")
    ] = None,
    part: Annotated[str, Option(help="all, or network: of a blend, its networks without the counts.")] = "all",
    replace: Annotated[bool, Option("--replace", help="Replace files of these names, or the folder.")] = False,
    words: Annotated[
        int | None, Option(metavar="N", help="Maximum number of words in the lists.  [default: 100000]")
    ] = None,
    locale: Annotated[
        str | None, Option(metavar="CODE", help="Code of the words' language, such as ar.  [default: by the letters]")
    ] = None,
) -> None:
    """Write a model as other programs run it: ONNX Runtime, Hugging Face's transformers, a browser; or its words."""
    from kammil import exporting

    with shown_progress():
        exported = exporting.export(
            folder,
            format,
            out,
            part=cast(exporting.Part, part),
            replace=replace,
            num_words=words,
            locale=locale,
        )
    if exported.warning is not None:
        tell(f"kammil: {exported.warning}")
    typer.echo(exported.file)
    if exported.example is not None:
        typer.echo(exported.example)
