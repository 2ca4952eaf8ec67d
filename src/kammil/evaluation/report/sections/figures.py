"""Figures of an evaluation: in short, beside baselines, by position, by kind of text."""

from __future__ import annotations

from collections.abc import Sequence

from kammil.evaluation import model_card
from kammil.evaluation.bootstrap import MIN_TEXTS
from kammil.evaluation.evaluate import Evaluation
from kammil.evaluation.model_card import show, show_difference
from kammil.evaluation.report import charts
from kammil.evaluation.report.page import Block, Charts, Paragraph, Section, Table
from kammil.evaluation.slices import DIALECT, Slice

INTERVAL = "In brackets stand 95 % confidence intervals, by bootstrap over texts."
NO_INTERVAL = f"There are no confidence intervals: fewer than {MIN_TEXTS} texts are too few for them."


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
                INTERVAL if evaluation.texts >= MIN_TEXTS else NO_INTERVAL,
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


def by_slice(found: Sequence[Slice], texts: int) -> Section | None:
    """Return the figures of kinds of texts; None without any."""
    if not found:
        return None
    rows = [
        [
            f"{each.criterion}: {each.name}",
            f"{each.texts:,}",
            show(each.bits_per_character) if each.bits_per_character else "too few",
            show_difference(each.difference) if each.difference else "too few",
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
