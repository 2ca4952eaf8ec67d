"""The sections of a report, one function each; every one begins with a sentence that says how to read it.

Nothing is measured here. What a model or a comparison lacks has no section, or a sentence that says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from kammil.completion.explain.attribution import Explanation
from kammil.completion.explain.display import level
from kammil.data import sources
from kammil.data.audit import Audit
from kammil.data.bloom import RUN
from kammil.data.dialects import UNCLEAR
from kammil.evaluation import model_card
from kammil.evaluation.bootstrap import MIN_TEXTS, Interval
from kammil.evaluation.keystrokes import LOOK_AFTER, Savings, TypingReport
from kammil.evaluation.metrics import Evaluation, Metrics
from kammil.evaluation.model_card import show
from kammil.evaluation.plots.training_curves import history_columns
from kammil.evaluation.report import charts
from kammil.evaluation.report.page import Block, Charts, Code, HeatMap, Paragraph, Scale, Section, Table, Tables, Word
from kammil.evaluation.samples import Sample
from kammil.evaluation.slices import DIALECT, Slice
from kammil.text import words

MIN_DRAWN = 20
"""Fewest suggestions of a bin for a point of the reliability diagram: of fewer, the share that is right is chance."""
INTERVAL = "In brackets stand 95 % confidence intervals, by bootstrap over texts."
_NO_INTERVAL = f"There are no confidence intervals: fewer than {MIN_TEXTS} texts are too few for them."


def summary(sentences: Sequence[str], cautions: Sequence[str], *, quoted: int) -> Section:
    """Return the section that says in a few sentences what was found; `quoted`: texts of the data on the page."""
    blocks: list[Block] = [Paragraph(caution, warning=True) for caution in cautions]
    blocks += [Paragraph(sentence) for sentence in sentences]
    if quoted:
        number = "one text" if quoted == 1 else f"{quoted} texts"
        blocks.append(
            Paragraph(f"This page quotes {number} of the data: do not pass it on where the texts are private.")
        )
    return Section("summary", "In short", "The most important figures in words; the sections below say more.", blocks)


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
    if found.get("drawn"):
        drawn = " and ".join(f"{number:,}" for number in found["drawn"])
        rows.append(["texts and validation texts that there was time for", drawn])
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
                f"{epoch:.0f}{' (kept)' if kept else ''}",
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


def figures(evaluation: Evaluation, name: str, *, on: str, chosen: bool) -> Section:
    """Return the table of figures with the baselines; `on` names the texts, `chosen`: the model was chosen by them."""
    head, *rows = model_card.table(evaluation, name)
    known = f"{evaluation.seen_texts:,} of them stand in the training texts. " if evaluation.seen_texts else ""
    caution = "What was kept of the training was chosen by these texts: expect a little less on new ones. "
    return Section(
        "figures",
        "Figures and baselines",
        f"How well the model predicts {evaluation.texts:,} {on}, {evaluation.characters:,} characters, beside "
        "baselines that any model must beat: fewer bits per character and a lower perplexity are better, "
        "everything else is better when it is higher.",
        [
            Table(
                "Model and baselines",
                head,
                rows,
                INTERVAL if evaluation.texts >= MIN_TEXTS else _NO_INTERVAL,
                first=True,
            ),
            Table("What the words mean", ["term", "meaning"], _terms(evaluation), words=True),
            *([Paragraph(said)] if (said := known + (caution if chosen else "")) else []),
        ],
    )


def _terms(evaluation: Evaluation) -> list[list[str]]:
    """Return the words of the table and what they mean."""
    terms = {
        "target": f"the {evaluation.target} characters after the middle of each text",
        "bits per character": "how many yes/no questions a character costs on average (cross-entropy, base 2)",
        "perplexity": "2 to the power of the bits: among how many equally likely characters the model chooses",
        "chrF, BLEU": "how much of the greedy completion is in the truth, by runs of letters and by runs of words",
        "greedy completion": "the most probable character each time, compared with the truth place by place, so that "
        "one letter too many makes all after it wrong",
    }
    baselines = {
        "random": "an even choice among all characters",
        "most frequent": "always the commonest character",
        "unigram": "how often each character occurs, whatever stands before it",
        "3-gram": "counts of what followed the last two characters",
    }
    terms |= {f"baseline “{name}”": baselines[name] for name in evaluation.baselines if name in baselines}
    return [[term, meaning] for term, meaning in terms.items()]


def positions(evaluation: Evaluation) -> Section | None:
    """Return accuracy by position after the prompt; None for an evaluation of no position."""
    found = evaluation.by_position
    if not found:
        return None
    series = [
        ("teacher-forced", [(float(each.position), 100 * each.teacher_forced.value) for each in found]),
        ("free-running", [(float(each.position), 100 * each.free_running.value) for each in found]),
    ]
    chart = charts.lines(
        "Accuracy by position", series, x_label="characters after the prompt", y_label="right, %", integral=True
    )
    (_, *head), *rows = model_card.position_table(evaluation)
    table = Table("Some positions after the prompt", ["position", *head], rows, INTERVAL)
    return Section(
        "positions",
        "Accuracy by position",
        "How often the next character is right, by its distance from the prompt: teacher-forced, the model reads the "
        "true text before it; free-running, it reads what it wrote itself, and the gap is what its own errors cost "
        "(exposure bias).",
        [Charts([chart]), table],
    )


def typing(report: TypingReport | None) -> Section:
    """Return what a simulated writer saves with the help of the model."""
    title = "Typing"
    if report is None:
        return Section(
            "typing",
            title,
            f"It was left out: fewer than {MIN_TEXTS} texts could be typed in the time that a report takes; "
            "“kammil report” takes more.",
            [],
        )
    baseline = next(iter(report.baselines.items()), None)

    def row(name: str, each: Savings, other: Savings | None) -> list[str]:
        speeds = [show(each.speed[device], digits=1) for device in report.unaided]
        return [
            name,
            show(each.keystrokes, percent=True),
            show(each.precision, percent=True),
            *speeds,
            *([] if other is None else [show(other.keystrokes, percent=True)]),
        ]

    head = ["help", "keystrokes saved", "taken, of those shown", *(f"words a minute, {d}" for d in report.unaided)]
    blank = [] if baseline is None else [""]
    rows = [["none", "0 %", "", *(f"{rate:.1f}" for rate in report.unaided.values()), *blank]]
    for width, each in report.model.lists.items():
        name = "the most probable word" if width == 1 else f"the {width} most probable words"
        rows.append(row(name, each, None if baseline is None else baseline[1].lists[width]))
    for step, each in report.model.ghosts.items():
        rows.append(row(f"ghost text, {step}", each, None if baseline is None else baseline[1].ghosts[step]))
    rows.append(
        ["every word known before its first letter", show(report.ceiling, percent=True), *[""] * (len(head) - 2)]
    )
    rows[-1] += blank
    head += [] if baseline is None else [f"keystrokes saved, {baseline[0]}"]
    enough = report.texts >= MIN_TEXTS
    return Section(
        "typing",
        title,
        f"What somebody who types {report.texts:,} of the texts with the model's help would save: keystrokes are "
        "counted; words a minute come from a model of typing with published times, in which reading costs time, too, "
        "so help can slow a writer down.",
        [
            Table("Keystrokes and words a minute", head, rows, INTERVAL if enough else _NO_INTERVAL, first=True),
            Paragraph(
                "A word is five characters. Without help, people write as fast as the first row says (Palin et al. "
                "2019 on phones, Dhakal et al. 2018 on keyboards). A list is looked at once a word, after "
                f"{LOOK_AFTER} letters, when time is counted, and after every key when keystrokes are. Differences "
                "between rows are worth more than the figures themselves."
            ),
        ],
    )


def calibration(report: TypingReport | None, name: str) -> Section | None:
    """Return the reliability diagram of the first suggestion; None where nothing was typed or suggested."""
    if report is None or report.model.calibration.error is None:
        return None
    found = {name: report.model.calibration} | {n: each.calibration for n, each in report.baselines.items()}
    shown = {each: c for each, c in found.items() if c.error is not None}
    chart = charts.reliability(
        "Reliability diagram",
        [
            (
                "this model" if each == name else each,
                [(bin.probability, bin.right) for bin in c.bins if bin.suggestions >= MIN_DRAWN],
            )
            for each, c in shown.items()
        ],
    )
    rows = [[each, show(c.error, percent=True)] for each, c in shown.items()]
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
            Charts([chart]),
            Paragraph(f"Bins of fewer than {MIN_DRAWN} suggestions are not drawn."),
            Table("Expected calibration error", ["", "error, 0 % is best"], rows, INTERVAL),
            Table("Every bin of this model", ["mean probability", "right", "suggestions"], bins, folded=True),
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
            show(each.bits_per_character) if each.bits_per_character else "too few",
            _signed(each.difference),
            show(each.top1, percent=True) if each.top1 else "too few",
        ]
        for each in found
    ]
    measured = [(each, each.bits_per_character) for each in found if each.bits_per_character is not None]
    drawn = [
        (f"{each.criterion}: {each.name}", f"{bits.value:.2f}", bits.value, bits.low, bits.high)
        for each, bits in measured
        if bits.low is not None and bits.high is not None
    ]
    blocks: list[Block] = []
    if drawn:
        blocks.append(Charts([charts.intervals("Bits per character by slice", drawn, x_label="bits per character")]))
    note = f"“Too few” stands for fewer than {MIN_TEXTS} texts. {INTERVAL}"
    head = ["slice", "texts", "bits per character", "minus all other texts", "characters right"]
    blocks.append(Table("Slices", head, rows, note))
    if any(each.criterion == DIALECT for each in found):
        blocks.append(
            Paragraph(
                "The dialect is a guess from single words, and often wrong for one text: “kammil data check” says "
                "how often."
            )
        )
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
        blocks.append(Table(f"Text {number}", ["", "text", "seen or new"], rows, words=True))
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
    blocks: list[Block] = [Scale()]
    for number, explanation in enumerate(found, 1):
        bits = explanation.bits_per_character
        mean = "" if bits is None else f"{bits:.2f} bits a character on average"
        blocks.append(HeatMap(f"Text {number}", mean, _coloured(explanation)))
        rows = [
            [explanation.text[begin:end], f"{sum(p.bits for p in explanation.places[begin:end]):.1f}", f"{each:.2f}"]
            for (begin, end), each in zip(words(explanation.text), _word_bits(explanation), strict=True)
        ]
        blocks.append(
            Table(f"Words of text {number}", ["word", "bits", "bits per character"], rows, folded=True, printed=False)
        )
    return Section(
        "surprise",
        "Surprise",
        "How surprised the model was by each word of these texts, with everything before the word known: the stronger "
        "the colour, the more bits a character of the word cost; words without colour are those that it expected.",
        blocks,
    )


def _word_bits(explanation: Explanation) -> list[float]:
    """Return the mean bits of the characters of each word."""
    return [
        sum(place.bits for place in explanation.places[begin:end]) / (end - begin)
        for begin, end in words(explanation.text)
    ]


def _coloured(explanation: Explanation) -> list[Word]:
    """Return the words of a text and what stands between them; letters of one word are never parted."""
    text, done, pieces = explanation.text, 0, list[Word]()
    for (begin, end), bits in zip(words(text), _word_bits(explanation), strict=True):
        pieces += [Word(text[done:begin])] if begin > done else []
        pieces.append(Word(text[begin:end], level(bits), f"{bits:.2f} bits a character"))
        done = end
    return [*pieces, Word(text[done:])] if done < len(text) else pieces


def settings(description: Mapping[str, Any], metrics: Mapping[str, Any]) -> Section:
    """Return the settings of a model: its family's, those of its training, and its text rules.

    `description` is the content of `model.json`, `metrics` that of `metrics.json`.
    """
    training: Mapping[str, Any] = description["training"]
    recipe: Mapping[str, Any] = training.get("recipe", {})
    read = [[rule, _RULES.get(rule, "")] for rule, on in description["rules"].items() if on]
    rows = [["family", str(description["family"])]]
    if "parameters" in metrics:
        rows.append(["parameters", f"{metrics['parameters']:,}"])
    if "training_seconds" in metrics:
        rows.append(["training", f"{metrics['training_seconds']:.1f} s"])
    rows += [[name, _value(value)] for name, value in description["settings"].items() if value is not None]
    options = {
        k: v for k, v in recipe.items() if k not in ("settings", "training", "rules", "model", *_NAMES_OF_PLACES)
    }
    options |= dict(recipe.get("training", {})) | training.get("used", {})
    options |= {name: list(map(place_name, recipe[name])) for name in ("exclude",) if recipe.get(name)}
    more = [[name, _value(value)] for name, value in options.items() if value not in (None, False, {}, [], ())]
    return Section(
        "settings",
        "Settings",
        "All that was decided before the training, by you or by default; the names are those of options "
        "(kammil train --set NAME=VALUE).",
        [
            Table("Model", ["", "value"], rows, words=True),
            Table("Training and reading", ["option", "value"], more, words=True, folded=True),
            Table("What is done to a text before the model reads it", ["rule", "what it does"], read, words=True)
            if read
            else Paragraph("The model reads texts as they are: no text rule is applied."),
        ],
    )


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
_NAMES_OF_PLACES = ("base", "members", "exclude")
"""Options of a recipe that name files or folders, or whole recipes."""


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
        [Table("Versions and machine", ["", ""], rows, words=True)],
    )


def reproduce(command: str, *, data: Mapping[str, Any] | None = None, toml: str = "") -> Section:
    """Return how to make the same again: a command, the file that it names, if any, and the hash of the texts."""
    blocks: list[Block] = [Code(command, "Command")]
    if toml:
        blocks.append(Paragraph("FILE holds:"))
        blocks.append(Code(toml, "Recipe, in TOML"))
    if data is not None:
        rows = [["source", str(data["source"])], ["SHA-256 of the source", str(data["sha256"])]]
        blocks.append(Table("Texts", ["", ""], rows, words=True))
    return Section(
        "reproduce",
        "Reproduce it",
        "Run this where the texts are, with the same version; a training that ends by minutes ends elsewhere on "
        "another machine, one that ends by epochs does not.",
        blocks,
    )


def parsed(metrics: Mapping[str, Any]) -> Evaluation | None:
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


def _of(count: int, total: int) -> str:
    return f"{count:,} ({100 * count / max(1, total):.1f} %)"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share >= 0.0005 else "under 0.1 %"


def _signed(interval: Interval | None) -> str:
    if interval is None:
        return "too few"
    if interval.low is None or interval.high is None:
        return f"{interval.value:+.3f}"
    return f"{interval.value:+.3f} ({interval.low:+.3f}..{interval.high:+.3f})"


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_value(each)}" for name, each in value.items())
    return ", ".join(map(_value, value)) if isinstance(value, list | tuple) else str(value)


def place_name(source: str) -> str:
    """Return the name of a file without its folders, or the name of a data set."""
    return Path(source).name if Path(source).is_absolute() else sources.description(source)
