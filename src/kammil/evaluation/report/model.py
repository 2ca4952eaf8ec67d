"""The report of one model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from kammil.completion.completer import Completer
from kammil.data.audit import Audit, audit
from kammil.evaluation import counter_check, model_card
from kammil.evaluation.evaluate import Evaluation
from kammil.evaluation.metrics import Metrics
from kammil.evaluation.report.measurements import SECONDS, measure, within
from kammil.evaluation.report.page import Section, render
from kammil.evaluation.report.sections import figures, provenance, quotations, suggestions, training
from kammil.model_folder import ModelFiles, reading_records
from kammil.progress import phase

AUDITED, AUDITED_CHARACTERS = 20_000, 4_000_000
"""Most texts, and most characters, that are audited: three seconds of looking for near-duplicates."""


def model_report(
    name: str,
    files: ModelFiles,
    evaluation: Evaluation | None,
    *,
    model: Completer | None = None,
    texts: Sequence[str] = (),
    on: str = "validation texts",
    chosen: bool = True,
    trained_on: Sequence[str] = (),
    command: str = "",
    toml: str = "",
    seconds: float = SECONDS,
) -> str:
    """Measure what the report needs beyond the evaluation, and return the page.

    Args:
        name: of the model.
        files: the content of its folder.
        evaluation: its figures; None if there are none.
        model: the model itself, and
        texts: the texts of the evaluation; without them the page quotes none, and has no slices and no typing.
        on: what these texts are.
        chosen: whether the training chose by them what it kept.
        trained_on: its training texts as it sees them, to be audited.
        command, toml: what trains such a model, if that is known, and the file that the command names.
        seconds: how long the measuring may take, about.

    Raises: `FolderError` for a folder whose records are foreign.
    """
    with phase("writing the report"):
        measured = measure(model, texts, seconds=seconds) if model is not None and texts else None
        audited = audit(within(trained_on, AUDITED, AUDITED_CHARACTERS)) if trained_on else None
    with reading_records(name):
        found = _recorded(files, audited, len(trained_on))
        about_it = [provenance.settings(files.description.model_dump(), files.metrics)]
        about_it += filter(None, [provenance.environment(files.metrics.get("machine"), files.metrics.get("versions"))])
        if command:
            about_it.append(provenance.reproduce(command, data=files.description.training.get("data"), toml=toml))
        cautions = model_card.cautions(files)
    if evaluation is not None:
        found += [figures.figures(evaluation, name, on=on, chosen=chosen), figures.positions(evaluation)]
    if measured is not None:
        found += [
            suggestions.typing(measured.typing),
            suggestions.calibration(measured.typing, name),
            figures.by_slice(measured.slices, measured.sliced),
            quotations.completions(measured.samples),
            quotations.surprise(measured.explanations),
        ]
    in_words = model_card.quality({"validation": evaluation.to_dict()} if evaluation is not None else {}, on=on)
    quoted = 0 if measured is None else len(measured.samples)
    lines = [*in_words.splitlines(), *filter(None, [str(files.metrics.get("ending", ""))])]
    first = figures.summary(lines, cautions, quoted=quoted)
    return render(name, "report of a model", [first, *(section for section in found if section is not None), *about_it])


def _recorded(files: ModelFiles, audited: Audit | None, texts: int) -> list[Section | None]:
    """Return the sections on what a model has learnt from and how, from what its folder records and the audit."""
    description, metrics = files.description, files.metrics
    source = str(description.training.get("data", {}).get("source", "its texts"))
    counter = description.family == counter_check.FAMILY
    return [
        training.data(audited, texts=texts, source=source) if audited is not None else None,
        training.split(description.training),
        training.curves(metrics.get("history", ()), metrics.get("members", ()), counter=counter),
    ]


def stored_evaluation(metrics: Mapping[str, Any]) -> Evaluation | None:
    """Return the evaluation that `metrics.json` holds, without what older versions did not measure; None if foreign."""
    from pydantic import TypeAdapter, ValidationError

    absent = dict.fromkeys(field.name for field in fields(Metrics))
    try:
        stored: dict[str, Any] = {"by_position": ()} | metrics["validation"]
        baselines = {name: absent | baseline for name, baseline in stored["baselines"].items()}
        stored |= {"model": absent | stored["model"], "baselines": baselines}
        return TypeAdapter(Evaluation).validate_python(stored)
    except (ValidationError, KeyError, TypeError, AttributeError):
        return None
