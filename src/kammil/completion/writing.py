"""The texts of one call while they are written: drawn, or chosen among draws and stock phrases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from kammil.completion.stock_phrases import are_enough, choose
from kammil.decoding.constraints import Constraints
from kammil.decoding.hypothesis import Hypothesis
from kammil.decoding.sampling import Step, generate
from kammil.language_model import LanguageModel, LogProbabilities, State


class Writing:
    """Texts that are being written: each iteration goes on by a step, and `texts` may be taken at any time.

    Args:
        constraints: after the prompt.
        log_probabilities: (1, V), of what follows it.
        state: the model's state there, one row.
        find_stock: finds stock phrases that may follow.
        step: see `generate`.
    """

    def __init__(
        self,
        model: LanguageModel,
        constraints: Constraints,
        log_probabilities: LogProbabilities,
        state: State,
        find_stock: Callable[[Constraints, LogProbabilities, State], list[Hypothesis]],
        step: Step | None = None,
    ) -> None:
        options, after = constraints.options, (log_probabilities, state)
        self._constraints, self._options = constraints, options
        self.drawn = [constraints.hypothesis() for _ in range(max(constraints.n, options.best_of))]
        """All texts so far."""
        self._stock: list[Hypothesis] = []
        self._find_stock = partial(find_stock, constraints, *after)
        self._generate = partial(generate, model, constraints, *after, len(self.drawn), step=step)

    @property
    def chooses(self) -> bool:
        """Return whether it is known only at the end which texts are given."""
        return self._options.best_of > 1

    def __iter__(self) -> Iterator[None]:
        """Write on; yield after every step."""
        if self._options.best_of > 1:
            self._stock = self._find_stock()
            if are_enough(self._stock, self._constraints):
                self.drawn = []
                return
        for drawn in self._generate():
            self.drawn = drawn
            yield

    def texts(self) -> list[Hypothesis]:
        """Return the texts so far, or the best of them."""
        return choose(self.drawn, self._stock, self._constraints) if self._options.best_of > 1 else self.drawn
