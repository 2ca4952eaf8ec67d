"""The numbers in memory at once are bounded, whatever the size of a vocabulary or of a state."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kammil import language_model
from kammil.language_model import (
    CONFIG,
    Artifacts,
    Ids,
    LanguageModel,
    LogProbabilities,
    State,
    forward_in_pieces,
    max_positions,
    max_rows,
)


class Echo(LanguageModel):
    """A model whose output is, at each position, the id and the number of ids before it."""

    def __init__(self, size: int, width: int = 1) -> None:
        self.vocabulary_size, self.width, self.max_positions, self.max_rows = size, width, 0, 0

    def initial_state(self, batch: int) -> State:
        return (np.zeros((batch, self.width)),)

    def forward(self, ids: Ids, state: State, *, last: int | None = None) -> tuple[LogProbabilities, State]:
        self.max_positions, self.max_rows = max(self.max_positions, ids.size), max(self.max_rows, len(ids))
        before = state[0].astype(np.int64)[:, :1] + np.arange(ids.shape[1])
        output = np.stack([ids, before], axis=2).astype(np.float32)
        return output, (state[0].astype(np.int64) + ids.shape[1],)


@given(
    st.integers(0, 9), st.integers(1, 40), st.integers(2, 3000), st.integers(1, 500), st.sampled_from([64, 1000, 9999])
)
def test_whole_texts_are_read_once_and_in_order(batch: int, time: int, size: int, width: int, bound: int) -> None:
    model, ids = Echo(size, width), np.random.default_rng(0).integers(0, 99, (batch, time))
    output, reads = np.zeros((batch, time, 2)), np.zeros((batch, time), np.int64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(language_model, "MAX_SCORES", bound)
        patch.setattr(language_model, "MAX_STATE_NUMBERS", bound)
        for rows, positions, piece in forward_in_pieces(model, ids):
            output[rows, positions] = piece
            reads[rows, positions] += 1
    assert (reads == 1).all()
    assert (output[..., 0] == ids).all()
    assert (output[..., 1] == np.arange(time)).all()
    if batch:
        assert model.max_positions <= max(1, bound // size)
        assert model.max_rows <= max(1, bound // width)


def test_as_many_as_fit_are_read_together() -> None:
    model = Echo(100, 10)
    assert max_rows(model, 64, 5) == 64
    assert max_rows(model, 1 << 20, 5) == 4096
    assert max_rows(model, 4000, 5, each=100) == language_model.MAX_SCORES // (100 * 100)
    assert max_rows(Echo(10, 1 << 20), 64, 5) == 16
    assert max_positions(7, language_model.MAX_SCORES // 3) == 3
    assert max_positions(7, language_model.MAX_SCORES * 2) == 1
    assert max_positions(0, 5) == 1
    list(forward_in_pieces(model, np.zeros((64, 200), np.int64)))
    assert model.max_positions == 4096 and model.max_rows == 64


@given(
    st.dictionaries(
        st.text(max_size=3),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(),
            lambda child: st.lists(child, max_size=3) | st.dictionaries(st.text(max_size=3), child, max_size=3),
        ),
    )
)
def test_a_document_is_what_was_written(value: dict[str, object]) -> None:
    assert Artifacts({}, {CONFIG: json.dumps(value)}).document(CONFIG) == value


@pytest.mark.parametrize(("begin", "end"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
def test_a_document_is_walked_through_in_bounded_depth(begin: str, end: str) -> None:
    each = begin.count("[") + begin.count("{")

    def nested(levels: int) -> Artifacts:
        times = levels // each
        return Artifacts({}, {CONFIG: '{"x":' + begin * times + "1" + end * times + "}"})

    assert nested(98).document(CONFIG)
    for levels in (100, 500, 900, 2000, 200_000):
        with pytest.raises(ValueError, match=r"^config\.json is nested too deeply$"):
            nested(levels).document(CONFIG)


@pytest.mark.parametrize("content", ["[]", "1", "null", '"a"'])
def test_a_document_is_an_object(content: str) -> None:
    with pytest.raises(ValueError, match=r"^config\.json holds no JSON object$"):
        Artifacts({}, {CONFIG: content}).document(CONFIG)
