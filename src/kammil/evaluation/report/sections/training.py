"""How a model has learnt: the audit of its texts, their split, the curves of its training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kammil.data.audit import Audit
from kammil.data.dialects import UNCLEAR
from kammil.evaluation.plots.training_curves import history_columns
from kammil.evaluation.report import charts
from kammil.evaluation.report.page import Block, Charts, Paragraph, Section, Table, Tables


def data(audit: Audit, *, texts: int, source: str) -> Section:
    """Return the audit of the training texts; `texts` is how many there are, of which the audit may be of fewer."""
    part = "" if audit.texts == texts else f" It was made on {audit.texts:,} of the {texts:,} texts, evenly spread."
    lengths = audit.lengths
    rows = [
        ["texts", f"{audit.texts:,}"],
        ["characters", f"{audit.characters:,}"],
        ["distinct characters", f"{audit.distinct_characters:,}"],
        ["... of these, in one text only", f"{len(audit.lonely):,}"],
        ["exact repeats of an earlier text", _of(audit.exact_repeats, audit.texts)],
        ["near-duplicates of an earlier text", _of(audit.near_repeats, audit.texts)],
        ["texts in the largest group of near-duplicates", f"{audit.largest_group:,}"],
        ["damaged texts", _of(audit.broken, audit.texts)],
        *([kind, f"{count:,}"] for kind, count in audit.personal.items() if count),
    ]
    quantiles = [
        ["shortest", f"{lengths.min:,}"],
        ["5 % are no longer than", f"{lengths.low:,.0f}"],
        ["median", f"{lengths.median:,.0f}"],
        ["mean", f"{lengths.mean:,.1f}"],
        ["95 % are no longer than", f"{lengths.high:,.0f}"],
        ["longest", f"{lengths.max:,}"],
    ]
    scripts = [[name, _percent(share)] for name, share in audit.scripts.items() if share]
    tables = [
        Table("Size and repeats", ["", "number"], rows),
        Table("Length of the texts", ["", "characters"], quantiles),
        Table("Scripts", ["", "share of the characters"], sorted(scripts, key=lambda row: -audit.scripts[row[0]])),
    ]
    blocks: list[Block] = [Tables(tables)]
    if audit.scripts["Arabic"]:
        found = [[name, _percent(share)] for name, share in audit.dialects.items() if share]
        tables.append(Table("Likely dialects", ["", "share of the texts"], found))
        blocks.append(
            Paragraph(
                "Dialects are guessed from single words: about half of all short texts have none that tells "
                f"({UNCLEAR})."
            )
        )
    return Section(
        "data",
        "Training data",
        f"What the model has learnt from, {source}, as it reads it: repeats teach nothing new, and a character that "
        f"stands in one text only cannot be learnt.{part}",
        blocks,
    )


def split(training: Mapping[str, Any]) -> Section | None:
    """Return how the texts were divided, from the record of a training; None where it has no texts."""
    found: Mapping[str, Any] | None = training.get("data")
    if found is None:
        return None
    leaks: Mapping[str, Any] = found["validation_leaks"]
    rows = [
        ["training texts", f"{found['texts']:,}"],
        ["training characters", f"{found['characters']:,}"],
        ["validation texts", f"{found['validation_texts']:,}"],
        ["validation texts that stand in the training part", f"{leaks['exact']:,}"],
        ["validation texts that are near-duplicates of a training text", f"{leaks['near']:,}"],
    ]
    if found.get("excluded"):
        rows.append(["left out, since they resemble texts that must not be learnt", f"{found['excluded']:,}"])
    if found.get("repeated"):
        rows.append(["left out, since they resemble an earlier text", f"{found['repeated']:,}"])
    if found.get("validation_in_full"):
        rows.append(
            ["texts that the validation texts were drawn from, by the seed", f"{found['validation_in_full']:,}"]
        )
    base, depth = found.get("base"), 0
    while base is not None and depth < 8:
        rows.append([f"texts of the model that it goes on from, {base['source']}", f"{base['texts']:,}"])
        base, depth = base.get("base"), depth + 1
    return Section(
        "split",
        "Split",
        "The model learns from the training texts and is judged by the validation texts; a validation text that "
        "resembles a training text (30 % of the 15-letter runs of the shorter one) would make it look better than it "
        "is, so both numbers should be near 0.",
        [Table("The two parts", ["", "number"], rows)],
    )


def curves(
    history: Sequence[Mapping[str, Any]],
    members: Sequence[Sequence[Mapping[str, Any]]] = (),
    *,
    counter: bool = False,
) -> Section:
    """Return the training curves of a model, or of the members of a merged one.

    `counter`: the model is one that counts, which was published in place of the one that was trained.
    """
    title = "Training curves"
    histories: list[Sequence[Mapping[str, Any]]] = []
    try:
        histories = [epochs for epochs in (history, *members) if epochs]
        columns = [history_columns(epochs) for epochs in histories]
    except (KeyError, TypeError, ValueError, OverflowError):
        columns = []
    if not columns:
        why = "It has no training curves: a model that counts learns in one pass."
        return Section("curves", title, why if not histories else "Its training history cannot be read.", [])

    def series(field: str, scale: float) -> list[tuple[str, list[tuple[float, float]]]]:
        named: list[tuple[str, list[tuple[float, float]]]] = []
        for number, found in enumerate(columns, 1):
            member = f", member {number}" if len(columns) > 1 else ""
            for part, name in (("train", "training"), ("validation", "validation")):
                values = [scale * value for value in found[f"{part}_{field}"]]
                named.append((f"{name}{member}", list(zip(found["epoch"], values, strict=True))))
        return named

    drawn = [
        charts.lines("Loss", series("bits", 1), x_label="epoch", y_label="bits per character", integral=True),
        charts.lines(
            "Accuracy", series("accuracy", 100), x_label="epoch", y_label="characters right, %", integral=True
        ),
    ]
    blocks: list[Block] = [Charts(drawn)]
    if counter:
        blocks.insert(
            0,
            Paragraph(
                "These are the curves of a network that was trained and then left: a model that counts was better "
                "after so short a time, and is what this report is about. More minutes help.",
                warning=True,
            ),
        )
    for number, found in enumerate(columns, 1):
        member = f", member {number}" if len(columns) > 1 else ""
        rows = [
            [
                f"{epoch:.1f}".removesuffix(".0") + f"{' (kept)' if kept else ''}",
                f"{train:.3f}",
                f"{validation:.3f}",
                f"{100 * train_right:.1f} %",
                f"{100 * right:.1f} %",
            ]
            for epoch, train, validation, train_right, right, kept in zip(
                *(found[name] for name in ("epoch", "train_bits", "validation_bits", "train_accuracy")),
                found["validation_accuracy"],
                _kept(found),
                strict=True,
            )
        ]
        head = ["epoch", "bits, training", "bits, validation", "right, training", "right, validation"]
        blocks.append(Table(f"Every epoch{member}", head, rows, folded=True))
    return Section(
        "curves",
        title,
        "Each epoch is one pass over the training texts. The loss should fall; where that of the validation texts "
        "rises while that of the training texts goes on falling, the model learns by heart (overfitting), and the "
        "epoch before is kept. Training is measured with dropout and while the weights change, so it may look worse.",
        blocks,
    )


def _kept(columns: Mapping[str, Sequence[float]]) -> list[bool]:
    """Return for each epoch whether its weights were kept: the last one that was best."""
    last = max((i for i, best in enumerate(columns["best"]) if best), default=len(columns["best"]) - 1)
    return [i == last for i in range(len(columns["best"]))]


def _of(count: int, total: int) -> str:
    return f"{count:,} ({100 * count / max(1, total):.1f} %)"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share >= 0.0005 else "under 0.1 %"
