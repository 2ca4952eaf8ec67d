"""Scores of tokens do not depend on the pieces in which a text is read, and are those of the whole text."""

from __future__ import annotations

import math
from itertools import chain, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kammil
from kammil.completion import scoring
from kammil.completion.completer import Completer
from kammil.completion.scoring import TokenScorer, top_ids
from kammil.errors import FolderError
from kammil.vocabulary import BOS, EOS

TEXT = "شو حلو هالنهار يا زلمة ☃"


@pytest.fixture(scope="module")
def bundled() -> Completer:
    return kammil.load()


def scorer(model: Completer, num_top: int) -> TokenScorer:
    after = model.state_cache.decoder(np.array([BOS])).result
    return TokenScorer(model.language_model, model.vocabulary, *after, num_top)


@given(st.lists(st.integers(0, 9), min_size=1), st.integers(1, 30))
def test_pieces_change_no_score(bundled: Completer, sizes: list[int], piece: int) -> None:
    ids, reader = np.append(bundled.vocabulary.encode(bundled.normalise(TEXT)), EOS), scorer(bundled, 2)
    places = [min(place, len(ids)) for place in np.cumsum([0, *sizes]).tolist()] + [len(ids)]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(scoring, "_PIECE", piece)
        read = [reader.read(ids[begin:end]) for begin, end in pairwise(places)]
        tokens = [*chain.from_iterable(chain.from_iterable(read))]
    assert [token.id for token in tokens] == ids.tolist()
    bits = [-token.log_probability / math.log(2) for token in tokens]
    assert bits == pytest.approx(list(bundled.score(TEXT).bits), abs=1e-3)
    assert all(len(token.top) == 2 and token.top[0][1] >= token.top[1][1] for token in tokens)


def test_a_model_without_probabilities_is_refused(bundled: Completer) -> None:
    ruined = np.full((1, bundled.vocabulary.size), np.nan, np.float32)
    reader = TokenScorer(bundled.language_model, bundled.vocabulary, ruined, bundled.after("")[1], 0)
    with pytest.raises(FolderError, match="no probabilities"):
        next(reader.read(np.array([BOS])))


def test_ids_that_are_equally_probable_keep_their_order() -> None:
    rows = np.log(np.array([[0.0, 0.0, 0.0, 0.2, 0.4, 0.4], [0.0, 0.0, 0.0, 0.5, 0.3, 0.2]]) + 1e-30)
    assert [[id for id, _ in row] for row in top_ids(rows.astype(np.float32), 2)] == [[4, 5], [3, 4]]
    assert top_ids(rows.astype(np.float32), 0) == [(), ()]


def test_what_is_never_written_is_no_alternative() -> None:
    rows = np.log(np.array([[0.1, 0.5, 0.1, 0.1, 0.15, 0.05]], np.float32))
    assert [id for id, _ in top_ids(rows, 2)[0]] == [4, 3]
    assert [id for id, _ in top_ids(rows, 9)[0]] == [4, 3, 5]
