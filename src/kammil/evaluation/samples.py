"""Sample completions beside the truth, as in the notebook: greedy and at three temperatures, each memorised or new."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from kammil.completion.completer import Completer
from kammil.data.bloom import BloomFilter, Novelty
from kammil.evaluation.metrics import TARGET, half, normalised_texts, spread
from kammil.progress import tracked

TEMPERATURES = (0.0, 0.5, 1.0, 1.5)
"""Temperatures of the completions: 0 is greedy, the others are the notebook's."""


@dataclass(frozen=True)
class SampledText:
    """One completion at one temperature."""

    temperature: float
    text: str
    novelty: Novelty
    """`seen` if its letters occur in the training texts in one piece."""


@dataclass(frozen=True)
class Sample:
    """A held-out text, and completions of its first half."""

    input: str
    truth: str
    written: tuple[SampledText, ...]

    def to_dict(self) -> dict[str, Any]:
        """Convert to builtins, for JSON."""
        return asdict(self)


def samples(
    model: Completer, texts: Sequence[str], n: int, *, seed: int = 0, target: int = TARGET, min_length: int = 0
) -> list[Sample]:
    """Complete `n` texts spread evenly over `texts`, or all if there are fewer.

    At most `target` characters are written; texts of fewer than `min_length` characters are left out.
    """
    seen = BloomFilter(model.model.seen) if model.model is not None else None
    normalised = [text for text in normalised_texts(model, texts) if len(text) >= min_length]
    completed: list[Sample] = []
    for text in tracked(spread(normalised, n), "completing samples"):
        prompt = text[: half(text)]
        written: list[SampledText] = []
        for temperature in TEMPERATURES:
            answer = model.complete(prompt, length=target, temperature=temperature, seed=seed).text
            written.append(SampledText(temperature, answer, seen.novelty(answer, prompt) if seen else "new"))
        completed.append(Sample(prompt, text[half(text) :][:target], tuple(written)))
    return completed
