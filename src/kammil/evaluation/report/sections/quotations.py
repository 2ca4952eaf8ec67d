"""Some texts of the data, quoted: how the model completes them, and how surprised it is by their words."""

from __future__ import annotations

from collections.abc import Sequence

from kammil.completion.explain import Explanation
from kammil.data.bloom import RUN
from kammil.evaluation.report.page import Block, HeatMap, Scale, Section, Table, Word
from kammil.evaluation.samples import Sample
from kammil.views.heatmap import level


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
            [word, f"{each * len(word):.1f}", f"{each:.2f}"] for word, each in explanation.words() if each is not None
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


def _coloured(explanation: Explanation) -> list[Word]:
    """Return the words of a text and what stands between them; letters of one word are never parted."""
    return [
        Word(text) if bits is None else Word(text, level(bits), f"{bits:.2f} bits a character")
        for text, bits in explanation.words()
    ]
