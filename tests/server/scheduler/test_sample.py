"""The ids that many texts get together are those that each would get by itself."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from tests.server.scheduler.conftest import generate_call

from kammil.completion.completer import Completer
from kammil.decoding.options import Options
from kammil.server.scheduler import Generation
from kammil.server.scheduler.sample import sample_next

OPTIONS: list[Options] = [
    {},
    {"temperature": 0.7},
    {"temperature": 0.7, "seed": 5},
    {"temperature": 0.7, "top_k": 3},
    {"temperature": 0.7, "top_p": 0.5},
    {"temperature": 0.7, "min_p": 0.2},
    {"temperature": 0.7, "typical_p": 0.3},
    {"temperature": 0.0},
    {"forbid": ("ا",)},
]
"""Each pair differs in one thing that decides what is sampled."""


def generations(model: Completer) -> list[Generation]:
    return [generate_call(model, "شو", options, 1 + i % 3, num_top=2) for i, options in enumerate(OPTIONS)]


def test_together_is_one_by_one(bundled: Completer) -> None:
    async def main() -> None:
        together, single = generations(bundled), generations(bundled)
        rng = np.random.default_rng(0)
        rows = sum(len(call.live) for call in together)
        for _ in range(5):
            scores: Any = np.log(rng.dirichlet(np.full(bundled.vocabulary.size, 0.1), rows)).astype(np.float32)
            ids, failed = sample_next(together, scores)
            begin, wanted = 0, []
            for call in single:
                some, _ = sample_next([call], scores[begin : begin + len(call.live)])
                begin += len(call.live)
                wanted.extend(some.tolist())
            assert not failed and ids.tolist() == wanted
        for one, other in zip(together, single, strict=True):
            assert [text.tokens for text in one.sequences] == [text.tokens for text in other.sequences]

    asyncio.run(main())


@pytest.mark.parametrize("broken", [0, 1, 8])
def test_a_row_without_probabilities_fails_its_generation_alone(bundled: Completer, broken: int) -> None:
    async def main() -> None:
        some, rows = generations(bundled), [len(call.live) for call in generations(bundled)]
        scores = np.full((sum(rows), bundled.vocabulary.size), -8.0, np.float32)
        begin = sum(rows[:broken])
        scores[begin : begin + rows[broken]] = np.nan
        _, failed = sample_next(some, scores)
        assert list(failed) == [some[broken]]
        assert [call.sequences[0].num_decisions for call in some] == [int(i != broken) for i in range(len(some))]

    asyncio.run(main())
