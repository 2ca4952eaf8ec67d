"""The report of a model: one HTML page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from kammil.completion.completer import Completer
from kammil.completion.explain import Explanation
from kammil.data import sources
from kammil.data.audit import Audit, audit
from kammil.data.bloom import RUN
from kammil.data.dialects import UNCLEAR
from kammil.errors import KammilError, MissingExtraError
from kammil.evaluation import counter_check, model_card, plots
from kammil.evaluation.bootstrap import MIN_TEXTS, Interval
from kammil.evaluation.evaluate import Evaluation
from kammil.evaluation.examples import Sample
from kammil.evaluation.keystrokes import LOOK_AFTER
from kammil.evaluation.measurements import SECONDS, Measurements, measure, within
from kammil.evaluation.measures import MEASURES, show
from kammil.evaluation.metrics import RANDOM, Metrics
from kammil.evaluation.model_card import INTERVAL, NO_INTERVAL
from kammil.evaluation.slices import DIALECT, Slice
from kammil.evaluation.typing_report import Savings, TypingReport
from kammil.model_folder import ModelFiles, reading_records
from kammil.progress import phase
from kammil.text import counted
from kammil.views.heatmap import HeatMap
from kammil.views.page import Beside, Block, Code, Figure, Paragraph, Section, report
from kammil.views.tables import Table

REPORT = "report.html"
"""File name in the folder of a comparison, and ending of that beside the folder of a model."""
_AUDITED, _AUDITED_CHARACTERS = 20_000, 4_000_000
"""Maximum number of texts, and of characters, audited: three seconds."""
_RULES = {
    "nfc": "letters and their marks are composed (Unicode NFC)",
    "invisible": "characters that nobody sees are removed",
    "tatweel": "the stroke that stretches Arabic words is removed",
    "urls": "a web address becomes one character, 🔗",
    "handles": "a handle or an e-mail address becomes one character, 👤",
    "spaces": "several spaces become one",
    "numbers": "a phone, card or account number becomes one character, 🔢",
}
_BASELINES = {
    "random": "an even choice among all characters",
    "most frequent": "always the commonest character",
    "unigram": "how often each character occurs, whatever stands before it",
    "3-gram": "counts of what followed the last two characters",
}
_NAMES_OF_PLACES = ("base", "members", "exclude")
_SECTIONS = {
    "summary": "In short: The most important figures in words; the sections below say more.",
    "data": "Training data: What the model has learnt from, {source}, as it reads it: repeats teach nothing new, and "
    "a character that stands in one text only cannot be learnt.{part}",
    "split": "Split: The model learns from the training texts and is judged by the validation texts; a validation "
    "text that resembles a training text (30 % of the 15-letter runs of the shorter one) would make it look better "
    "than it is, so both numbers should be near 0.",
    "curves": "Training curves: Each epoch is one pass over the training texts. The loss should fall; where that of "
    "the validation texts rises while that of the training texts goes on falling, the model learns by heart "
    "(overfitting), and the epoch before is kept. Training is measured with dropout and while the weights change, so "
    "it may look worse.",
    "figures": "Figures and baselines: How well the model predicts {texts:,} {on}, {characters:,} characters, beside "
    "baselines that any model must beat: fewer bits per character and a lower perplexity are better, everything else "
    "is better when it is higher.",
    "positions": "Accuracy by position: How often the next character is right, by its distance from the prompt: "
    "teacher-forced, the model reads the true text before it; free-running, it reads what it wrote itself, and the "
    "gap is what its own errors cost (exposure bias).",
    "typing": "Typing: What somebody who types {texts:,} of the texts with the model's help would save: keystrokes "
    "are counted; words a minute come from a model of typing with published times, in which reading costs time, too, "
    "so help can slow a writer down.",
    "calibration": "Calibration: Whether probabilities can be believed: of the suggestions that the model calls 30 % "
    "probable, 30 % should be right, so the line should lie on the dotted diagonal; below it, the model is too sure "
    "of itself.",
    "slices": "Slices: How well each kind of text is predicted, of {texts:,} texts: a slice whose interval in the "
    "column “minus all other texts” lies above 0 is predicted worse than the rest, one whose interval holds 0 may "
    "differ by chance.",
    "completions": "Completions: What the model writes after the first half of a text, which may end inside a word, "
    "beside the truth: greedy takes the most probable character every time, and the higher the temperature, the more "
    "it dares. “Seen”: every run of {run} letters stands in the training texts, so it may be copied; “new”: at least "
    "one does not.",
    "surprise": "Surprise: How surprised the model was by each word of these texts, with everything before the word "
    "known: the stronger the colour, the more bits a character of the word cost; words without colour are those that "
    "it expected.",
    "settings": "Settings: All that was decided before the training, by you or by default; the names are those of "
    "options (kammil train --set NAME=VALUE).",
    "machine": "Software and machine: Where it was trained: times are of this machine, and figures of another one, "
    "or of another version, may differ in the last digits.",
    "reproduce": "Reproduce it: Run this where the texts are, with the same version; a training that ends by minutes "
    "ends elsewhere on another machine, one that ends by epochs does not.",
}
"""Section -> title: how to read it."""


def beside(folder: Path) -> Path:
    """Return the path of a model's report: it quotes texts, and the folder may be given away."""
    folder = folder if folder.name else folder.resolve()
    return folder.with_name(f"{folder.name}-{REPORT}")


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
        model, texts: those of the evaluation; without them the page quotes no text.
        on: name of these texts.
        chosen: whether the training chose by them what it kept.
        trained_on: normalised training texts.
        command, toml: command that trains such a model, and its recipe.
        seconds: about how long the measuring may take.

    Raises: `FolderError` for a folder whose records are foreign.
    """
    description, metrics, training = files.description, files.metrics, files.description.training
    with phase("writing the report"):
        measured = measure(model, texts, seconds=seconds) if model is not None and texts else None
        audited = audited_texts(trained_on) if trained_on else None
    with reading_records(name):
        cautions = model_card.cautions(files)
        source = str(training.get("data", {}).get("source", "its texts"))
        counter = description.family == counter_check.FAMILY
        found = [
            data(audited, texts=len(trained_on), source=source) if audited is not None else None,
            split(training),
            curves(metrics.get("history", ()), metrics.get("members", ()), counter=counter),
            *([figures(evaluation, name, on=on, chosen=chosen), positions(evaluation)] if evaluation else []),
            *(measured_sections(measured, name) if measured is not None else []),
            settings(description.model_dump(), metrics),
            environment(metrics.get("machine"), metrics.get("versions")),
            reproduce(command, data=training.get("data"), toml=toml) if command else None,
        ]
    in_words = model_card.quality({"validation": evaluation.to_dict()} if evaluation is not None else {}, on=on)
    lines = [*in_words.splitlines(), *filter(None, [str(metrics.get("ending", ""))])]
    first = summary(lines, cautions, quoted=0 if measured is None else len(measured.samples))
    return report(name, "report of a model", [first, *filter(None, found)])


def stored_evaluation(metrics: Mapping[str, Any]) -> Evaluation | None:
    """Return the evaluation of `metrics.json`, even an older one; None if foreign."""
    from pydantic import TypeAdapter, ValidationError

    absent = dict.fromkeys(field.name for field in fields(Metrics))
    try:
        stored: dict[str, Any] = {"by_position": ()} | metrics["validation"]
        baselines = {name: absent | baseline for name, baseline in stored["baselines"].items()}
        stored |= {"model": absent | stored["model"], "baselines": baselines}
        return TypeAdapter(Evaluation).validate_python(stored)
    except (ValidationError, KeyError, TypeError, AttributeError):
        return None


def audited_texts(texts: Sequence[str]) -> Audit:
    """Audit texts, or an evenly spread part of many."""
    return audit(within(texts, _AUDITED, _AUDITED_CHARACTERS))


def drawn(*charts: plots.Chart) -> list[Block]:
    """Return figures side by side; a sentence without matplotlib."""
    try:
        return [Beside([Figure(chart.title, plots.svg(chart)) for chart in charts])]
    except MissingExtraError as error:
        return [Paragraph(f"No figure is drawn: {error}")]


def _section(id: str, *blocks: Block, **said: object) -> Section:
    title, _, lead = _SECTIONS[id].partition(": ")
    return Section(id, title, lead.format(**said), [*blocks])


def summary(sentences: Sequence[str], cautions: Sequence[str], *, quoted: int) -> Section:
    """Summarise; `quoted`: number of texts on the page."""
    number = f"This page quotes {counted(quoted, 'text')} of the data: do not pass it on where the texts are private."
    warnings = (Paragraph(caution, warning=True) for caution in cautions)
    return _section("summary", *warnings, *map(Paragraph, (*sentences, *[number] * bool(quoted))))


def data(audit: Audit, *, texts: int, source: str) -> Section:
    """Show the audit of the training texts, or of some of `texts`."""
    part = "" if audit.texts == texts else f" It was made on {audit.texts:,} of the {texts:,} texts, evenly spread."
    lengths = audit.lengths
    sizes = [
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
    scripts = sorted(audit.scripts.items(), key=lambda item: -item[1])
    tables = [
        Table(["", "number"], sizes, "Size and repeats"),
        Table(["", "characters"], quantiles, "Length of the texts"),
        Table(["", "share of the characters"], [[n, _percent(s)] for n, s in scripts if s], "Scripts"),
    ]
    notes: list[Block] = []
    if audit.scripts["Arabic"]:
        found = [[name, _percent(share)] for name, share in audit.dialects.items() if share]
        tables.append(Table(["", "share of the texts"], found, "Likely dialects"))
        guessed = "Dialects are guessed from single words: about half of all short texts have none that tells"
        notes.append(Paragraph(f"{guessed} ({UNCLEAR})."))
    return _section("data", Beside(tables), *notes, source=source, part=part)


def split(training: Mapping[str, Any]) -> Section | None:
    """Show the split in the record of a training, if any."""
    found: Mapping[str, Any] | None = training.get("data")
    if found is None:
        return None
    numbers = {
        "training texts": found["texts"],
        "training characters": found["characters"],
        "validation texts": found["validation_texts"],
        "validation texts that stand in the training part": found["validation_leaks"]["exact"],
        "validation texts that are near-duplicates of a training text": found["validation_leaks"]["near"],
    }
    for key, title in (
        ("excluded", "left out, since they resemble texts that must not be learnt"),
        ("repeated", "left out, since they resemble an earlier text"),
        ("validation_in_full", "texts that the validation texts were drawn from, by the seed"),
    ):
        if found.get(key):
            numbers[title] = found[key]
    rows = [[title, f"{number:,}"] for title, number in numbers.items()]
    base, depth = found.get("base"), 0
    while base is not None and depth < 8:
        rows.append([f"texts of the model that it goes on from, {base['source']}", f"{base['texts']:,}"])
        base, depth = base.get("base"), depth + 1
    return _section("split", Table(["", "number"], rows, "The two parts"))


def curves(
    history: Sequence[Mapping[str, Any]], members: Sequence[Sequence[Mapping[str, Any]]] = (), *, counter: bool = False
) -> Section:
    """Show training curves, also of merged members; `counter`: an n-gram model was published instead."""
    try:
        charts = plots.training_curves(history, "the model", members=members)
    except (KammilError, TypeError):
        why = "It has no training curves: a model that counts learns in one pass."
        why = "Its training history cannot be read." if any((history, *members)) else why
        return Section("curves", "Training curves", why, [])
    warning = Paragraph(
        "These are the curves of a network that was trained and then left: a model that counts was better after so "
        "short a time, and is what this report is about. More minutes help.",
        warning=True,
    )
    blocks: list[Block] = [*[warning] * counter, *drawn(*charts)]
    histories = [plots.history_columns(epochs) for epochs in (history, *members) if epochs]
    for number, found in enumerate(histories, 1):
        kept = plots.best_epoch(found)
        columns = [[f"{epoch:.1f}".removesuffix(".0") + " (kept)" * (epoch == kept) for epoch in found["epoch"]]]
        columns += [[f"{bits:.3f}" for bits in found[f"{part}_bits"]] for part in ("train", "validation")]
        columns += [[f"{100 * n:.1f} %" for n in found[f"{part}_accuracy"]] for part in ("train", "validation")]
        head = ["epoch", "bits, training", "bits, validation", "right, training", "right, validation"]
        caption = "Every epoch" + (f", member {number}" if len(histories) > 1 else "")
        blocks.append(Table(head, [*map(list, zip(*columns, strict=True))], caption, folded=True))
    return _section("curves", *blocks)


def figures(evaluation: Evaluation, name: str, *, on: str, chosen: bool) -> Section:
    """Tabulate figures and baselines on texts that `on` names; `chosen` as in `model_report`."""
    known = f"{evaluation.seen_texts:,} of them stand in the training texts. " if evaluation.seen_texts else ""
    caution = "What was kept of the training was chosen by these texts: expect a little less on new ones. "
    terms = [["target", f"the {evaluation.target} characters after the middle of each text"]]
    terms += [[measure.title, measure.explained] for field, measure in MEASURES.items() if field in model_card.FIGURES]
    terms += [[f"baseline “{n}”", _BASELINES[n]] for n in evaluation.baselines if n in _BASELINES]
    said = known + caution * chosen
    return _section(
        "figures",
        model_card.table(evaluation, name),
        Table(["term", "meaning"], terms, "What the words mean", words=True),
        *([Paragraph(said)] if said else []),
        texts=evaluation.texts,
        on=on,
        characters=evaluation.characters,
    )


def positions(evaluation: Evaluation) -> Section | None:
    """Show accuracy by position, if any."""
    if not evaluation.by_position:
        return None
    chart = plots.accuracy_by_position(evaluation)
    return _section("positions", *drawn(chart), model_card.position_table(evaluation))


def measured_sections(measured: Measurements, name: str) -> list[Section | None]:
    """Return the sections of measurements."""
    return [
        typing(measured.typing),
        calibration(measured.typing, name),
        by_slice(measured.slices, measured.sliced),
        completions(measured.samples),
        surprise(measured.explanations),
    ]


def typing(report: TypingReport | None) -> Section:
    """Show what a simulated writer saves."""
    if report is None:
        few = f"fewer than {MIN_TEXTS} texts could be typed in the time that a report takes"
        return Section("typing", "Typing", f"It was left out: {few}; “kammil report” takes more.", [])
    names = {width: f"the {width} most probable words" for width in report.model.lists} | {1: "the most probable word"}
    names |= {step: f"ghost text, {step}" for step in report.model.ghosts}
    others: dict[str, dict[int | str, Savings]] = {n: each.lists | each.ghosts for n, each in report.baselines.items()}
    others[RANDOM] = {**report.random}
    head = ["help", "keystrokes saved", "taken, of those shown", *(f"words a minute, {d}" for d in report.unaided)]
    head += [f"keystrokes saved, {name}" for name in others]
    rows = [["none", "0 %", "", *(f"{rate:.1f}" for rate in report.unaided.values())]]
    for help, each in (report.model.lists | report.model.ghosts).items():
        saved = [show(other[help].keystrokes, percent=True) if help in other else "" for other in others.values()]
        speeds = [show(each.speed[device], digits=1) for device in report.unaided]
        taken = [show(share, percent=True) for share in (each.keystrokes, each.precision)]
        rows.append([names[help], *taken, *speeds, *saved])
    rows.append(["every word known before its first letter", show(report.ceiling, percent=True)])
    rows = [[*cells, *[""] * (len(head) - len(cells))] for cells in rows]
    note = INTERVAL if report.texts >= MIN_TEXTS else NO_INTERVAL
    explained = Paragraph(
        "A word is five characters. Without help, people write as fast as the first row says (Palin et al. 2019 on "
        "phones, Dhakal et al. 2018 on keyboards). A list is looked at once a word, after "
        f"{LOOK_AFTER} letters, when time is counted, and after every key when keystrokes are. Differences between "
        "rows are worth more than the figures themselves. “Random” are words that are drawn from all words of these "
        "texts, whatever is typed."
    )
    table = Table(head, rows, "Keystrokes and words a minute", note, first=True)
    return _section("typing", table, explained, texts=report.texts)


def calibration(report: TypingReport | None, name: str) -> Section | None:
    """Show the reliability of the first suggestion, if any."""
    if report is None or report.model.calibration.error is None:
        return None
    others = {n: each.calibration for n, each in report.baselines.items()}
    named = [(name, report.model.calibration), *others.items()]
    rows = [[each, show(found.error, percent=True)] for each, found in named if found.error is not None]
    bins = [
        [f"{100 * bin.probability:.0f} %", f"{100 * bin.right:.0f} %", f"{bin.suggestions:,}"]
        for bin in report.model.calibration.bins
    ]
    return _section(
        "calibration",
        *drawn(*plots.reliability({"this model": report.model.calibration, **others}, name)),
        Paragraph(f"Bins of fewer than {plots.MIN_DRAWN} suggestions are not drawn on the left."),
        Table(["", "error, 0 % is best"], rows, "Expected calibration error", INTERVAL),
        Table(["mean probability", "right", "suggestions"], bins, "Every bin of this model", folded=True),
    )


def by_slice(found: Sequence[Slice], texts: int) -> Section | None:
    """Tabulate slices, if any."""
    if not found:
        return None
    rows: list[list[str]] = []
    drawable: list[tuple[str, Interval, int | None]] = []
    for each in found:
        bits, name = each.bits_per_character, f"{each.criterion}: {each.name}"
        shown = (show(bits), show(each.difference, signed=True), show(each.top1, percent=True))
        rows.append([name, f"{each.texts:,}", *(figure or "too few" for figure in shown)])
        if bits is not None and bits.low is not None:
            drawable.append((name, bits, 0))
    chart = plots.intervals("Bits per character by slice", drawable, "bits per character")
    head = ["slice", "texts", "bits per character", "minus all other texts", "characters right"]
    table = Table(head, rows, "Slices", f"“Too few” stands for fewer than {MIN_TEXTS} texts. {INTERVAL}")
    guess = Paragraph(
        "The dialect is a guess from single words, and often wrong for one text: “kammil data check” says how often."
    )
    guesses = [guess] if any(each.criterion == DIALECT for each in found) else []
    return _section("slices", *(drawn(chart) if drawable else []), table, *guesses, texts=texts)


def completions(found: Sequence[Sample]) -> Section | None:
    """Show completions beside the truth, if any."""
    tables: list[Block] = []
    for number, sample in enumerate(found, 1):
        rows = [["beginning, given to the model", sample.input, ""], ["what its writer wrote", sample.truth, ""]]
        for each in sample.written:
            how = "greedy" if each.temperature == 0 else f"temperature {each.temperature:g}"
            rows.append([how, each.text, each.novelty])
        tables.append(Table(["", "text", "seen or new"], rows, f"Text {number}", words=True))
    return _section("completions", *tables, run=RUN) if tables else None


def surprise(found: Sequence[Explanation]) -> Section | None:
    """Show heat maps, if any."""
    blocks: list[Block] = []
    for number, explanation in enumerate(found, 1):
        words = [(word, bits) for word, bits in explanation.words() if bits is not None]
        rows = [[word, f"{bits * len(word):.1f}", f"{bits:.2f}"] for word, bits in words]
        head, caption = ["word", "bits", "bits per character"], f"Words of text {number}"
        blocks += [
            HeatMap(f"Text {number}", explanation, scale=number == 1),
            Table(head, rows, caption, folded=True, printed=False),
        ]
    return _section("surprise", *blocks) if blocks else None


def settings(description: Mapping[str, Any], metrics: Mapping[str, Any]) -> Section:
    """Show settings and text rules, from `model.json` and `metrics.json`."""
    training: Mapping[str, Any] = description["training"]
    recipe: Mapping[str, Any] = training.get("recipe", {})
    read = [[rule, _RULES.get(rule, "")] for rule, on in description["rules"].items() if on]
    rows = [["family", str(description["family"])]]
    if "parameters" in metrics:
        rows.append(["parameters", f"{metrics['parameters']:,}"])
    if "training_seconds" in metrics:
        rows.append(["training", f"{metrics['training_seconds']:.1f} s"])
    rows += [[name, _value(value)] for name, value in description["settings"].items() if value is not None]
    left_out = ("settings", "training", "rules", "model", *_NAMES_OF_PLACES)
    options = {name: value for name, value in recipe.items() if name not in left_out}
    options |= dict(recipe.get("training", {})) | training.get("used", {})
    options |= {name: list(map(place_name, recipe[name])) for name in ("exclude",) if recipe.get(name)}
    more = [[name, _value(value)] for name, value in options.items() if value not in (None, False, {}, [], ())]
    rules = Table(["rule", "what it does"], read, "What is done to a text before the model reads it", words=True)
    return _section(
        "settings",
        Table(["", "value"], rows, "Model", words=True),
        Table(["option", "value"], more, "Training and reading", words=True, folded=True),
        rules if read else Paragraph("The model reads texts as they are: no text rule is applied."),
    )


def environment(machine: Mapping[str, str] | None, versions: Mapping[str, str] | None) -> Section | None:
    """Show machine and software, if known."""
    rows = [[name, str(value)] for found in (versions, machine) if found for name, value in found.items()]
    return _section("machine", Table(["", ""], rows, "Versions and machine", words=True)) if rows else None


def reproduce(command: str, *, data: Mapping[str, Any] | None = None, toml: str = "") -> Section:
    """Show command, recipe, and hash of the texts."""
    blocks: list[Block] = [Code(command, "Command")]
    if toml:
        blocks += [Paragraph("recipe.toml holds:"), Code(toml, "Recipe, in TOML")]
    if data is not None:
        rows = [["source", str(data["source"])], ["SHA-256 of the source", str(data["sha256"])]]
        blocks.append(Table(["", ""], rows, "Texts", words=True))
    return _section("reproduce", *blocks)


def place_name(source: str) -> str:
    """Return a file name without folders, or the name of a data set."""
    return Path(source).name if Path(source).is_absolute() else sources.description(source)


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_value(each)}" for name, each in value.items())
    return ", ".join(map(_value, value)) if isinstance(value, list | tuple) else str(value)


def _of(count: int, total: int) -> str:
    return f"{count:,} ({100 * count / max(1, total):.1f} %)"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share >= 0.0005 else "under 0.1 %"
