"""The model card, and what is read from it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any, Literal

from kammil.data import audit
from kammil.data.bloom import RUN, BloomFilter
from kammil.evaluation.baselines import ORDER
from kammil.evaluation.bootstrap import MIN_TEXTS
from kammil.evaluation.evaluate import Evaluation
from kammil.evaluation.measures import MEASURES, show
from kammil.evaluation.metrics import Metrics
from kammil.model_folder import ModelFiles, reading_records, section, target_bits
from kammil.views.tables import Table

INTERVAL = "In brackets stand 95 % confidence intervals, by bootstrap over texts."
NO_INTERVAL = f"There are no confidence intervals: fewer than {MIN_TEXTS} texts are too few for them."

SHA256 = "sha256"
"""Entry of a training record: option -> SHA-256 of a model folder."""
LEARNT_BY_BASE = "learnt_by_base"
"""Entry of `metrics.json`: validation texts that the base had learnt."""
FIGURES = tuple(field.name for field in fields(Metrics))
SHOWN_POSITIONS = (1, 2, 3, 5, 7, 10, 15, 20, 25, 30)


def table(evaluation: Evaluation, name: str, measures: Collection[str] = FIGURES) -> Table:
    """Tabulate measures of a model, with intervals, and of its baselines."""
    rows = [
        [
            measure.title,
            *(
                measure.show(getattr(metrics, field), bounds=metrics is evaluation.model) or measure.missing
                for metrics in (evaluation.model, *evaluation.baselines.values())
            ),
        ]
        for field, measure in MEASURES.items()
        if field in measures
    ]
    note = INTERVAL if evaluation.texts >= MIN_TEXTS else NO_INTERVAL
    return Table(["", name, *evaluation.baselines], rows, "Model and baselines", note, first=True)


def position_table(evaluation: Evaluation) -> Table:
    """Tabulate accuracy at some positions after the prompt."""
    rows = [
        [
            str(place.position),
            f"{place.texts:,}",
            *(show(share, percent=True) for share in (place.teacher_forced, place.free_running)),
            show(place.difference, percent=True, signed=True),
        ]
        for place in evaluation.by_position
        if place.position in {*SHOWN_POSITIONS, len(evaluation.by_position)}
    ]
    head = ["characters right, by position after the prompt", "texts", "teacher-forced", "free-running", "difference"]
    return Table(head, rows, "Some positions after the prompt", INTERVAL)


@reading_records("the folder")
def cautions(model: ModelFiles) -> list[str]:
    """List what limits the meaning of a model's metrics."""
    description = model.description
    data: dict[str, Any] | None = description.training.get("data")
    if data is None:
        return []
    texts = int(data["texts"])
    mean = int(data["characters"]) / max(1, texts)
    sentences = [*audit.cautions(texts, mean, has_base=data.get("base") is not None)]
    if pretrained := description.settings.get("base"):
        sha256 = description.training.get(SHA256, {}).get("base")
        known = "" if sha256 is None else f" (SHA-256 `{sha256}`)"
        sentences.append(
            f"It was fine-tuned from {pretrained}{known}, whose licence and faults are its own too; what that had "
            "learnt is not known here, so its figures may be those of texts that it has seen."
        )
    if learnt := model.metrics.get(LEARNT_BY_BASE):
        sentences.append(
            f"What it started from had learnt {learnt:,} of the {data['validation_texts']:,} validation texts, exactly "
            "or nearly, so figures on these measure recall; evaluate it on texts that are new to both."
        )
    return sentences


@reading_records("the folder")
def overview(name: str, model: ModelFiles) -> str:
    """Summarise a model before its card."""
    parts = [
        ("What it is for", section(model.card, "Intended use") or section(model.card, "Use and limits")),
        ("How good it is", quality(model.metrics)),
        ("Known faults", section(model.card, "Known faults")),
    ]
    size = f", {model.metrics['parameters']:,} parameters" if "parameters" in model.metrics else ""
    first = f"{name}: family {model.description.family}{size}"
    return "\n\n".join([first, *(f"{title}\n{text}" for title, text in parts if text)])


def reproducing(card: str, language: Literal["", "toml"]) -> str:
    """Return the training command of a model card, or its recipe in TOML; empty without one."""
    _, found, after = section(card, "Reproduce").partition(f"```{language}\n")
    return after.partition("\n```")[0] if found else ""


def quality(metrics: Mapping[str, Any], *, on: str = "texts that chose its settings") -> str:
    """Describe the figures on the validation texts, named `on`, in lines; empty without figures."""
    validation: dict[str, Any] = metrics.get("validation") or {}
    names = ("target_top1", "target_top3")
    right, among = (((validation.get("model") or {}).get(name) or {}).get("value") for name in names)
    bits = target_bits(metrics)
    lines: list[str] = []
    if right is not None:
        also = "" if among is None else f", and {100 * among:.0f} are among its first three guesses"
        lines.append(f"Of 100 next characters its first guess is right for {100 * right:.0f}{also}.")
    if own := bits.get("model"):
        counter = bits.get(f"{ORDER}-gram")
        beside = "" if counter is None else f"; counting three letters at a time needs {counter:.2f}"
        lines.append(f"A character costs it {own:.2f} bits, yes/no questions on average (fewer is better){beside}.")
    if lines:
        lines.append(f"Measured on {validation['texts']:,} {on}; on new texts expect a little less.")
    return "\n".join(lines)


def model_card(name: str, model: ModelFiles, evaluation: Evaluation, *, command: str, toml: str) -> str:
    """Write the `README.md` of a model folder; `command` and the recipe `toml` train such a model."""
    training = model.description.training
    data: dict[str, Any] = training["data"]
    recipe: dict[str, Any] = training["recipe"]
    leaks: dict[str, Any] = data["validation_leaks"]
    rules = [rule for rule, on in model.description.rules.items() if on]
    settings = ", ".join(f"{k} {v}" for k, v in model.description.settings.items() if v is not None)
    used = "".join(f", {name} {value}" for name, value in training.get("used", {}).items())
    figures = table(evaluation, name).markdown()
    warnings = "".join(f"**{caution}**\n\n" for caution in cautions(model))
    base = (
        _base_line(data["base"], recipe.get("base"), model.metrics.get("licence_of_base")) if data.get("base") else ""
    )
    ending = f"\nTraining: {model.metrics['ending']}." if model.metrics.get("ending") else ""
    learnt = model.metrics.get(LEARNT_BY_BASE)
    recalled = "" if learnt is None else f" The base had learnt {learnt:,} of them, exactly or nearly."
    known = 100 * BloomFilter(model.seen).false_positives
    in_full = data.get("validation_in_full")
    drawn = f", drawn from {in_full:,} at random by the seed" if in_full else ""
    bounds = (
        "with 95 % bootstrap intervals over texts" if evaluation.texts >= MIN_TEXTS else "too few texts for intervals"
    )
    return f"""# {name}

A text-completion model made with Kammil {training["kammil"]}: family **{model.description.family}** ({settings}),
{model.metrics["parameters"]:,} parameters, {_training_time(model.metrics, based=data.get("base") is not None)}.{ending}

## Data

- Training: {data["texts"]:,} texts, {data["characters"]:,} characters, from `{data["source"]}`
  (SHA-256 `{data["sha256"]}`). The licence of the texts governs what may be done with a model of them.
{base}- Validation: {data["validation"]} ({data["validation_texts"]:,} texts{drawn}).
- Audit: of the validation texts, {leaks["exact"]} stand in the training part and {leaks["near"]} are near-duplicates of
  a training text (they share 30 % of the shorter text's 15-letter runs).{recalled}
- Copies are told by runs of {RUN} letters: of runs that no training text has, {known:.1f} % are taken for copied.
- What the model sees: {", ".join(rules) if rules else "the raw text, no rule applied"}.

## Figures

On the validation texts, measured on the running side in this folder, {bounds}. What was
kept of the training was chosen on these very texts, so expect a little less on new ones: `kammil evaluate {name} FILE`
tells. The target is the 30 characters after the middle of each text; an unknown character costs
what it takes to name it among all others.

{warnings}{figures}

## Use and limits

For completing short texts like those it was trained on. It repeats what is frequent there, also what is wrong or
unkind; it knows no facts; do not publish what it writes as somebody's words.

## Reproduce

Where the texts are, with Kammil {training["kammil"]}{used}:

```
{command}
```

`recipe.toml` holds:

```toml
{toml.rstrip()}
```
"""


def _training_time(metrics: Mapping[str, Any], *, based: bool) -> str:
    seconds = float(metrics["training_seconds"])
    if not based:
        return f"trained in {seconds:.1f} s"
    earlier = float(metrics.get("training_seconds_in_all", seconds)) - seconds
    after = f", after {earlier:.1f} s for what it goes on from" if earlier > 0 else ""
    return f"the last stage of its training took {seconds:.1f} s{after}"


def _base_line(data: Mapping[str, Any], base: object, licence: str | None) -> str:
    named = f"`{base}`, " if isinstance(base, str) else ""
    terms = f" What it may be used for limits this model too: {licence}." if licence else ""
    return (
        f"- Base: goes on from {named}a model of {data['texts']:,} texts, {data['characters']:,} characters, from "
        f"`{data['source']}` (SHA-256 `{data['sha256']}`), whose training took its own time.{terms}\n"
    )
