"""Completions beside the truth, as the notebook shows them: greedy and at three temperatures, each seen or new."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from kammil.completion.completer import Completer
from kammil.data.bloom import BloomFilter, Novelty
from kammil.evaluation.metrics import TARGET, half
from kammil.progress import tracked

TEMPERATURES = (0.0, 0.5, 1.0, 1.5)
"""Greedy, and the notebook's three."""


@dataclass(frozen=True)
class SampledText:
    """One completion of a sample."""

    temperature: float
    text: str
    novelty: Novelty
    """`seen` if its letters stand in the training texts in one piece."""


@dataclass(frozen=True)
class Sample:
    """A held-out text, its first half completed."""

    input: str
    truth: str
    written: tuple[SampledText, ...]

    def to_dict(self) -> dict[str, Any]:
        """Builtins only, for JSON."""
        return asdict(self)


def samples(model: Completer, texts: Sequence[str], n: int, *, seed: int = 0) -> list[Sample]:
    """`n` texts spread evenly over the file, fewer if it has fewer, each with its completions."""
    seen = BloomFilter(model.model.seen) if model.model is not None else None
    some = [text for text in (model.normalise(text).rstrip() for text in texts) if text]
    n = min(n, len(some))
    chosen = [some[i * len(some) // n] for i in range(n)]
    made: list[Sample] = []
    for text in tracked(chosen, "completing samples"):
        prompt = text[: half(text)]
        written: list[SampledText] = []
        for temperature in TEMPERATURES:
            answer = model.complete(prompt, length=TARGET, temperature=temperature, seed=seed).text
            written.append(SampledText(temperature, answer, seen.novelty(answer, prompt) if seen else "new"))
        made.append(Sample(prompt, text[half(text) :][:TARGET], tuple(written)))
    return made
