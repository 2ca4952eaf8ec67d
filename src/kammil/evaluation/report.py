"""The report of a model: one HTML page that quotes a few texts. Each section says first how to read it."""

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
from kammil.evaluation.bootstrap import MIN_TEXTS
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
"""Name of the file in the folder of a model or of a comparison."""
_AUDITED, _AUDITED_CHARACTERS = 20_000, 4_000_000
"""Maximum number of texts, and of characters, that are audited: three seconds of looking for near-duplicates."""
_RULES = {
    "nfc": "letters and their marks are composed (Unicode NFC)",
    "invisible": "characters that nobody sees are removed",
    "tatweel": "the stroke that stretches Arabic words is removed",
    "urls": "a web address becomes one character, 🔗",
    "handles": "a handle or an e-mail address becomes one character, 👤",
    "spaces": "several spaces become one",
    "numbers": "a phone, card or account number becomes one character, 🔢",
}
"""Text rule (`kammil.text.TextRules`) -> what it does, in words."""
_BASELINES = {
    "random": "an even choice among all characters",
    "most frequent": "always the commonest character",
    "unigram": "how often each character occurs, whatever stands before it",
    "3-gram": "counts of what followed the last two characters",
}
_NAMES_OF_PLACES = ("base", "members", "exclude")
"""Options of a recipe that name files or folders, or whole recipes."""


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
        model, texts: the model and the texts of the evaluation; without them the page quotes none, and has no slices
            and no typing.
        on: what these texts are.
        chosen: whether the training chose by them what it kept.
        trained_on: its training texts as it sees them, to be audited.
        command, toml: what trains such a model, if that is known, and the file that the command names.
        seconds: how long the measuring may take, about.

    Raises: `FolderError` for a folder whose records are foreign.
    """
    description, metrics = files.description, files.metrics
    with phase("writing the report"):
        measured = measure(model, texts, seconds=seconds) if model is not None and texts else None
        audited = audited_texts(trained_on) if trained_on else None
    training = description.training
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


def audited_texts(texts: Sequence[str]) -> Audit:
    """Audit texts, or as many of them, evenly spread, as there is time for."""
    return audit(within(texts, _AUDITED, _AUDITED_CHARACTERS))


def drawn(*charts: plots.Chart) -> list[Block]:
    """Return figures beside one another; the sentence on what they need where matplotlib is missing."""
    try:
        return [Beside([Figure(chart.title, plots.svg(chart)) for chart in charts])]
    except MissingExtraError as error:
        return [Paragraph(f"No figure is drawn: {error}")]


def summary(sentences: Sequence[str], cautions: Sequence[str], *, quoted: int) -> Section:
    """Return the section that says in a few sentences what was found; `quoted`: number of texts on the page."""
    number = f"This page quotes {counted(quoted, 'text')} of the data: do not pass it on where the texts are private."
    blocks = [Paragraph(caution, warning=True) for caution in cautions]
    blocks += [Paragraph(sentence) for sentence in (*sentences, *[number] * bool(quoted))]
    return Section("summary", "In short", "The most important figures in words; the sections below say more.", blocks)


def data(audit: Audit, *, texts: int, source: str) -> Section:
    """Return the audit of the training texts; `texts` is how many there are, of which the audit may be of fewer."""
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
    return Section(
        "data",
        "Training data",
        f"What the model has learnt from, {source}, as it reads it: repeats teach nothing new, and a character that "
        f"stands in one text only cannot be learnt.{part}",
        [Beside(tables), *notes],
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
    for key, title in (
        ("excluded", "left out, since they resemble texts that must not be learnt"),
        ("repeated", "left out, since they resemble an earlier text"),
        ("validation_in_full", "texts that the validation texts were drawn from, by the seed"),
    ):
        if found.get(key):
            rows.append([title, f"{found[key]:,}"])
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
        [Table(["", "number"], rows, "The two parts")],
    )


def curves(
    history: Sequence[Mapping[str, Any]], members: Sequence[Sequence[Mapping[str, Any]]] = (), *, counter: bool = False
) -> Section:
    """Return the training curves of a model, or of the members of a merged one.

    `counter`: the model is one that counts, which was published in place of the one that was trained.
    """
    title = "Training curves"
    try:
        charts = plots.training_curves(history, "the model", members=members)
    except (KammilError, TypeError):
        why = "It has no training curves: a model that counts learns in one pass."
        return Section("curves", title, "Its training history cannot be read." if any((history, *members)) else why, [])
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
    return Section(
        "curves",
        title,
        "Each epoch is one pass over the training texts. The loss should fall; where that of the validation texts "
        "rises while that of the training texts goes on falling, the model learns by heart (overfitting), and the "
        "epoch before is kept. Training is measured with dropout and while the weights change, so it may look worse.",
        blocks,
    )


def figures(evaluation: Evaluation, name: str, *, on: str, chosen: bool) -> Section:
    """Return the table of figures with the baselines; `on` names the texts, `chosen`: the model was chosen by them."""
    known = f"{evaluation.seen_texts:,} of them stand in the training texts. " if evaluation.seen_texts else ""
    caution = "What was kept of the training was chosen by these texts: expect a little less on new ones. "
    terms = [[measure.title, measure.explained] for field, measure in MEASURES.items() if field in model_card.FIGURES]
    terms.insert(0, ["target", f"the {evaluation.target} characters after the middle of each text"])
    terms += [[f"baseline “{n}”", _BASELINES[n]] for n in evaluation.baselines if n in _BASELINES]
    said = known + (caution if chosen else "")
    return Section(
        "figures",
        "Figures and baselines",
        f"How well the model predicts {evaluation.texts:,} {on}, {evaluation.characters:,} characters, beside "
        "baselines that any model must beat: fewer bits per character and a lower perplexity are better, "
        "everything else is better when it is higher.",
        [
            model_card.table(evaluation, name),
            Table(["term", "meaning"], terms, "What the words mean", words=True),
            *([Paragraph(said)] if said else []),
        ],
    )


def positions(evaluation: Evaluation) -> Section | None:
    """Return accuracy by position after the prompt; None for an evaluation of no position."""
    if not evaluation.by_position:
        return None
    return Section(
        "positions",
        "Accuracy by position",
        "How often the next character is right, by its distance from the prompt: teacher-forced, the model reads the "
        "true text before it; free-running, it reads what it wrote itself, and the gap is what its own errors cost "
        "(exposure bias).",
        [*drawn(plots.accuracy_by_position(evaluation)), model_card.position_table(evaluation)],
    )


def measured_sections(measured: Measurements, name: str) -> list[Section | None]:
    """Return the sections of what was measured for the report."""
    return [
        typing(measured.typing),
        calibration(measured.typing, name),
        by_slice(measured.slices, measured.sliced),
        completions(measured.samples),
        surprise(measured.explanations),
    ]


def typing(report: TypingReport | None) -> Section:
    """Return what a simulated writer saves with the help of the model."""
    if report is None:
        lead = (
            f"It was left out: fewer than {MIN_TEXTS} texts could be typed in the time that a report takes; "
            "“kammil report” takes more."
        )
        return Section("typing", "Typing", lead, [])
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
    return Section(
        "typing",
        "Typing",
        f"What somebody who types {report.texts:,} of the texts with the model's help would save: keystrokes are "
        "counted; words a minute come from a model of typing with published times, in which reading costs time, too, "
        "so help can slow a writer down.",
        [
            Table(head, rows, "Keystrokes and words a minute", note, first=True),
            Paragraph(
                "A word is five characters. Without help, people write as fast as the first row says (Palin et al. "
                "2019 on phones, Dhakal et al. 2018 on keyboards). A list is looked at once a word, after "
                f"{LOOK_AFTER} letters, when time is counted, and after every key when keystrokes are. Differences "
                "between rows are worth more than the figures themselves. “Random” are words that are drawn from all "
                "words of these texts, whatever is typed."
            ),
        ],
    )


def calibration(report: TypingReport | None, name: str) -> Section | None:
    """Return the reliability diagram of the first suggestion; None where nothing was typed or suggested."""
    if report is None or report.model.calibration.error is None:
        return None
    others = {n: each.calibration for n, each in report.baselines.items()}
    found = {"this model": report.model.calibration, **others}
    named = [(name, report.model.calibration), *others.items()]
    rows = [[each, show(found.error, percent=True)] for each, found in named if found.error is not None]
    bins = [
        [f"{100 * bin.probability:.0f} %", f"{100 * bin.right:.0f} %", f"{bin.suggestions:,}"]
        for bin in report.model.calibration.bins
    ]
    return Section(
        "calibration",
        "Calibration",
        "Whether probabilities can be believed: of the suggestions that the model calls 30 % probable, 30 % should be "
        "right, so the line should lie on the dotted diagonal; below it, the model is too sure of itself.",
        [
            *drawn(*plots.reliability(found, name)),
            Paragraph(f"Bins of fewer than {plots.MIN_DRAWN} suggestions are not drawn on the left."),
            Table(["", "error, 0 % is best"], rows, "Expected calibration error", INTERVAL),
            Table(["mean probability", "right", "suggestions"], bins, "Every bin of this model", folded=True),
        ],
    )


def by_slice(found: Sequence[Slice], texts: int) -> Section | None:
    """Return the figures of kinds of texts; None without any."""
    if not found:
        return None
    rows = [
        [
            f"{each.criterion}: {each.name}",
            f"{each.texts:,}",
            show(each.bits_per_character) or "too few",
            show(each.difference, signed=True) or "too few",
            show(each.top1, percent=True) or "too few",
        ]
        for each in found
    ]
    measured = [(row[0], each.bits_per_character, 0) for row, each in zip(rows, found, strict=True)]
    shown = [(name, bits, colour) for name, bits, colour in measured if bits is not None and bits.low is not None]
    blocks = drawn(plots.intervals("Bits per character by slice", shown, "bits per character")) if shown else []
    note = f"“Too few” stands for fewer than {MIN_TEXTS} texts. {INTERVAL}"
    head = ["slice", "texts", "bits per character", "minus all other texts", "characters right"]
    blocks.append(Table(head, rows, "Slices", note))
    if any(each.criterion == DIALECT for each in found):
        guess = "The dialect is a guess from single words, and often wrong for one text"
        blocks.append(Paragraph(f"{guess}: “kammil data check” says how often."))
    return Section(
        "slices",
        "Slices",
        f"How well each kind of text is predicted, of {texts:,} texts: a slice whose interval in the column “minus all "
        "other texts” lies above 0 is predicted worse than the rest, one whose interval holds 0 may differ by chance.",
        blocks,
    )


def completions(found: Sequence[Sample]) -> Section | None:
    """Return completions of some texts beside what their writers wrote; None without any."""
    if not found:
        return None
    blocks: list[Block] = []
    for number, sample in enumerate(found, 1):
        rows = [["beginning, given to the model", sample.input, ""], ["what its writer wrote", sample.truth, ""]]
        for each in sample.written:
            how = "greedy" if each.temperature == 0 else f"temperature {each.temperature:g}"
            rows.append([how, each.text, each.novelty])
        blocks.append(Table(["", "text", "seen or new"], rows, f"Text {number}", words=True))
    return Section(
        "completions",
        "Completions",
        "What the model writes after the first half of a text, which may end inside a word, beside the truth: greedy "
        "takes the most probable character every time, and the higher the temperature, the more it dares. “Seen”: "
        f"every run of {RUN} letters stands in the training texts, so it may be copied; “new”: at least one does not.",
        blocks,
    )


def surprise(found: Sequence[Explanation]) -> Section | None:
    """Return heat maps of some texts; None without any."""
    if not found:
        return None
    blocks: list[Block] = []
    for number, explanation in enumerate(found, 1):
        blocks.append(HeatMap(f"Text {number}", explanation, scale=number == 1))
        rows = [
            [word, f"{bits * len(word):.1f}", f"{bits:.2f}"] for word, bits in explanation.words() if bits is not None
        ]
        head = ["word", "bits", "bits per character"]
        blocks.append(Table(head, rows, f"Words of text {number}", folded=True, printed=False))
    return Section(
        "surprise",
        "Surprise",
        "How surprised the model was by each word of these texts, with everything before the word known: the stronger "
        "the colour, the more bits a character of the word cost; words without colour are those that it expected.",
        blocks,
    )


def settings(description: Mapping[str, Any], metrics: Mapping[str, Any]) -> Section:
    """Return the settings of a model: its family's, those of its training, and its text rules, from the content of
    `model.json` and of `metrics.json`."""
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
    reads = "What is done to a text before the model reads it"
    return Section(
        "settings",
        "Settings",
        "All that was decided before the training, by you or by default; the names are those of options "
        "(kammil train --set NAME=VALUE).",
        [
            Table(["", "value"], rows, "Model", words=True),
            Table(["option", "value"], more, "Training and reading", words=True, folded=True),
            Table(["rule", "what it does"], read, reads, words=True)
            if read
            else Paragraph("The model reads texts as they are: no text rule is applied."),
        ],
    )


def environment(machine: Mapping[str, str] | None, versions: Mapping[str, str] | None) -> Section | None:
    """Return the machine and the software; None where the folder does not say."""
    rows = [[name, str(value)] for found in (versions, machine) if found for name, value in found.items()]
    if not rows:
        return None
    return Section(
        "machine",
        "Software and machine",
        "Where it was trained: times are of this machine, and figures of another one, or of another version, may "
        "differ in the last digits.",
        [Table(["", ""], rows, "Versions and machine", words=True)],
    )


def reproduce(command: str, *, data: Mapping[str, Any] | None = None, toml: str = "") -> Section:
    """Return how to make the same again: a command, the file that it names, if any, and the hash of the texts."""
    blocks: list[Block] = [Code(command, "Command")]
    if toml:
        blocks += [Paragraph("recipe.toml holds:"), Code(toml, "Recipe, in TOML")]
    if data is not None:
        rows = [["source", str(data["source"])], ["SHA-256 of the source", str(data["sha256"])]]
        blocks.append(Table(["", ""], rows, "Texts", words=True))
    return Section(
        "reproduce",
        "Reproduce it",
        "Run this where the texts are, with the same version; a training that ends by minutes ends elsewhere on "
        "another machine, one that ends by epochs does not.",
        blocks,
    )


def place_name(source: str) -> str:
    """Return the name of a file without its folders, or the name of a data set."""
    return Path(source).name if Path(source).is_absolute() else sources.description(source)


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_value(each)}" for name, each in value.items())
    return ", ".join(map(_value, value)) if isinstance(value, list | tuple) else str(value)


def _of(count: int, total: int) -> str:
    return f"{count:,} ({100 * count / max(1, total):.1f} %)"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share >= 0.0005 else "under 0.1 %"
