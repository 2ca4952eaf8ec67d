"""`kammil report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kammil.cli._options import (
    Folder,
    ReadingFlags,
    file_names,
    with_flag_groups,
)


@with_flag_groups
def report(
    folder: Folder,
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="FILE", help="Texts the model has not seen, of any kind that train reads."),
    ] = None,
    *,
    out: Annotated[
        Path | None,
        typer.Option(help="The page to write.  [default: FOLDER/report.html; of a bundled model, NAME-report.html]"),
    ] = None,
    seconds: Annotated[
        float, typer.Option(help="How long the measuring may take: more seconds type more of the texts.")
    ] = 60.0,
    reading: ReadingFlags,
) -> None:
    """Write a page for people about a model, as train does: figures on texts it has not seen, and how it was made.
    Without FILE the page has the figures of its training, and quotes no text."""
    from kammil import model_folder as folders
    from kammil import storage
    from kammil.completion.completer import load
    from kammil.data import sources
    from kammil.errors import OptionError
    from kammil.evaluation.evaluate import LOOPS, evaluate
    from kammil.evaluation.model_card import command, recipe_toml
    from kammil.evaluation.report import REPORT, model_report, stored_evaluation
    from kammil.progress import listening, phase
    from kammil.views.progress import progress

    if not 0 < seconds <= 86_400:
        raise OptionError(f"--seconds is {seconds:g}, but it must be above 0 and at most a day, 86400.")
    model = load(folder)
    assert model.model is not None
    name = folder.resolve().name
    bundled = folders.locate(folder) != folder
    path = out or (Path(f"{name}-{REPORT}") if bundled else folder / REPORT)
    how, toml = command(model.model.card), recipe_toml(model.model.card)
    with progress() as listen, listening(listen):
        if files:
            texts = sources.texts(file_names(files), **reading.given())
            with phase("evaluating", LOOPS):
                evaluation = evaluate(model, texts)
            on = f"texts of {sources.description(file_names(files))}"
            page = model_report(
                name,
                model.model,
                evaluation,
                model=model,
                texts=texts,
                on=on,
                chosen=False,
                command=how,
                toml=toml,
                seconds=seconds,
            )
        else:
            page = model_report(name, model.model, stored_evaluation(model.model.metrics), command=how, toml=toml)
    storage.write_atomic(path, page.encode("utf-8", "replace"))
    typer.echo(f"report: {path}")
