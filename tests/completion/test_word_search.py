"""The native search finds what the search in Python finds, step by step, in every build."""

from __future__ import annotations

import ctypes
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import needs
from tests.interrupts import interrupt
from tests.near_equals import assert_ranked_alike, near

from kammil.completion.completer import Completer
from kammil.completion.suggestions import Query, Suggestion, SuggestOptions
from kammil.completion.word_list import FoundWord
from kammil.completion.word_search import MAX_NATIVE, MAX_STATES, Root, SearchRoots, WordSearch
from kammil.data.blocklist import BlockedWord
from kammil.decoding import refusals
from kammil.engine import build as engine_build
from kammil.engine.native import NativeEngine
from kammil.models.blend import model as blend_model
from kammil.models.blend.experts import NgramExperts
from kammil.models.blend.model import BlendModel, BlendSettings
from kammil.models.blend.network import BlendNetwork, export
from kammil.models.gru import model as gru_model
from kammil.models.gru.model import GRUModel
from kammil.text import RAW
from kammil.vocabulary import CharacterVocabulary

LIBRARY = engine_build.load_native()
pytestmark = pytest.mark.skipif(LIBRARY is None, reason=needs.COMPILER)

TEXTS = [
    *("شو رأيك نطلع بكرا عالبحر؟", "قهوة أو قهوه يا إمي", "تغيير تغير كتييير كتير ههه", "مُحَمَّد ﷺ ﻻ لا إلى الى"),
    *("shu a5barak kifak el yom", "مدرسة مدرسه على علي", "لأ 12 ٣٤ شـو e\u0301 é ok"),
]  # fmt: skip
VOCABULARIES = [CharacterVocabulary.from_texts(TEXTS), CharacterVocabulary("أايىوكa ُ."), CharacterVocabulary("أاهةيb ")]
"""All that there is to letters; few letters, so that many words are the same but for a spelling or a doubled letter."""
MADE = [
    BlendSettings(embedding=8, hidden=16, networks=2, gate=8, kinds=("o1", "o2", "o4", "w", "w1"), history=("o2", "w")),
    BlendSettings(embedding=3, hidden=9, networks=1, gate=3, kinds=("o3", "o1"), history=()),
]
BLOCK = [BlockedWord("قهوة"), BlockedWord("بكر", form="stem"), BlockedWord("لا", form="word")]
PIECES = [
    *" اأإةهىيوشكرلتمبدن",
    *" أايوه",
    "اي",
    "ييي",
    "هه",
    "وو",
    " ال",
    "شو ",
    "kif",
    "shu a",
    "a5",
    " a5bar",
    "7",
    "ك؟",
    "مدرس",
    "قهو",
]


def codes() -> list[ctypes.CDLL]:
    assert LIBRARY is not None
    paths = [engine_build.build_path(level) for level in range(LIBRARY.kammil_best_level() + 1)]
    return [engine_build.open_build(path) for path in paths if path.is_file()]


@cache
def opened(number: int, level: int, certain: bool) -> Completer:
    """A model that was not trained: a blend, or, as the last one, a GRU; a certain one is of strong opinions, and
    has learnt two texts."""
    torch.manual_seed(number)
    code, spread = codes()[level], 0.5 if certain else 0.05
    vocabulary = VOCABULARIES[number]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blend_model, "load_native", lambda: code)
        patch.setattr(gru_model, "load_native", lambda: code)
        if number == len(MADE):
            shapes = gru_model.layer_shapes(vocabulary.size, 6, 12) | gru_model.output_shapes(vocabulary.size, 12)
            runner: Any = GRUModel({name: torch.randn(shape).numpy() * spread for name, shape in shapes.items()})
        else:
            encoded = [vocabulary.encode(text) for text in TEXTS]
            kin = list(range(len(TEXTS)))
            counted = NgramExperts(
                encoded, encoded[:1], kin=kin, background=encoded[2:4], vocabulary=vocabulary, settings=MADE[number]
            )
            sizes = vocabulary.size, counted.count, MADE[number]
            networks = [BlendNetwork(*sizes) for _ in range(MADE[number].networks)]
            for member in networks:
                torch.nn.init.normal_(member.gate_out.weight, std=spread)
                torch.nn.init.normal_(member.output.weight, std=spread)
            runner = BlendModel(MADE[number], {**export(networks).weights, **counted.arrays()})
            runner.learn_all(encoded[: 2 * certain])
    return Completer(runner, vocabulary, RAW, block=BLOCK, messages=number == 0)


def no_search(*given: object) -> None:
    """Return that the engine cannot."""


def searched(model: Completer, queries: list[Query], width: int, *, natively: bool) -> tuple[list[Any], WordSearch]:
    """Words after each prefix, each alone and all together, and the search."""
    options = queries[0].options
    with pytest.MonkeyPatch.context() as patch:
        if not natively:
            patch.setattr(NativeEngine, "search", no_search)
        search = WordSearch(
            *(model.language_model, model.character_classes, options.k, options.threshold, width),
            refusals=queries[0].refusals,
            openings=model.openings,
        )
        read = [model.after(query.text.seen) for query in queries]
        begun = [model.begun_word(query) for query in queries]
        asked = zip(queries, read, begun, strict=True)
        found = [search.run([query.text.seen], *after, [word]) for query, after, word in asked]
        shapes = [[array.shape for array in state] for _, state in read]
        alike = [i for i, shape in enumerate(shapes) if shape == shapes[0]]
        together = search.run(
            [queries[i].text.seen for i in alike],
            np.concatenate([read[i][0] for i in alike]),
            tuple(map(np.concatenate, zip(*(read[i][1] for i in alike), strict=True))),
            [begun[i] for i in alike],
        )
    return [words for lists in [*found, together] for words in lists], search


def agree(ours: list[list[FoundWord]], theirs: list[list[FoundWord]]) -> None:
    for one, other in zip(ours, theirs, strict=True):
        by_ids = [{(*word.ids.tolist(), word.replaced): word for word in words} for words in (one, other)]
        assert_ranked_alike(*([(ids, word.probability) for ids, word in words.items()] for words in by_ids))
        for ids in by_ids[0].keys() & by_ids[1].keys():
            assert by_ids[0][ids].best == near(by_ids[1][ids].best)


@pytest.mark.parametrize("number", range(len(MADE) + 1))
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_it_finds_what_the_search_in_python_finds(number: int, data: st.DataObject) -> None:
    model = opened(number, data.draw(st.integers(0, len(codes()) - 1)), data.draw(st.booleans()))
    assert isinstance(getattr(model.language_model, "engine", None), NativeEngine)
    prefixes = data.draw(st.lists(st.lists(st.sampled_from(PIECES), max_size=8).map("".join), min_size=1, max_size=3))
    options = SuggestOptions.of(
        k=data.draw(st.integers(1, 8)),
        threshold=data.draw(st.sampled_from([0.0, 1e-6, 0.001, 0.01, 0.1])),
        correct=data.draw(st.booleans()),
        forbid=data.draw(st.sampled_from([(), (), ("ا",), (" شو", "يي")])),
        allow_offensive=data.draw(st.booleans()),
    )
    learnt = data.draw(st.lists(st.sampled_from(TEXTS), max_size=2)) if number < len(MADE) else []
    model = model.fork() if learnt else model
    for text in learnt:
        model.learn(text)
    queries = [model.query(prefix, options) for prefix in prefixes]
    width = data.draw(st.sampled_from([1, 3, MAX_STATES, MAX_NATIVE]))
    ours, native = searched(model, queries, width, natively=True)
    theirs, reference = searched(model, queries, width, natively=False)
    agree(ours, theirs)
    assert (native.steps, native.optimal) == (reference.steps, reference.optimal)


@pytest.mark.parametrize("certain", [False, True])
@pytest.mark.parametrize("number", range(len(MADE) + 1))
def test_behind_a_letter_of_a_script_that_no_model_here_has(number: int, certain: bool) -> None:
    """It ends a word and begins no piece."""
    model = opened(number, len(codes()) - 1, certain)
    queries = [model.query("شو漢", SuggestOptions.of(k=8, threshold=0.0))]
    ours, theirs = (searched(model, queries, MAX_STATES, natively=natively)[0] for natively in (True, False))
    agree(ours, theirs)
    marks = model.character_classes.extends
    assert not any(marks[word.ids[0]] for words in theirs for word in words)


@pytest.mark.parametrize("number", range(len(MADE) + 1))
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_roots_may_be_any(number: int, data: st.DataObject) -> None:
    """Words behind any ids in place of any others, spelled with any care."""
    model = opened(number, len(codes()) - 1, data.draw(st.booleans()))
    runner, classes = model.language_model, model.character_classes
    letters = st.lists(st.sampled_from(np.flatnonzero(classes.words).tolist()), max_size=5).map(tuple)
    typed = data.draw(st.lists(letters, min_size=1, max_size=2))
    prefixes = data.draw(st.lists(st.integers(0, len(typed) - 1), max_size=5))
    roots = [
        Root(
            prefix,
            data.draw(st.sampled_from([1.0, 0.9, 0.3, 0.04, 0.002, 1e-9])),
            classes.continues | classes.begin * data.draw(st.booleans()),
            model.refusals(("اي",)).start(""),
            replacement=(ids := data.draw(letters) if i else ()),
            num_replaced=len(ids) and data.draw(st.integers(1, 9)),
        )
        for i, prefix in enumerate(sorted([*range(len(typed)), *prefixes]))
    ]
    read = np.random.default_rng(data.draw(st.integers(0, 99))).integers(1, runner.vocabulary_size, (len(roots), 4))
    log_probabilities, state = runner.forward(read, runner.initial_state(len(roots)), last=1)
    search = WordSearch(
        *(runner, classes, 3, data.draw(st.sampled_from([0.0, 0.0001, 0.003])), MAX_STATES, 6),
        refusals=model.refusals(("اي",)),
    )
    careful = [frozenset[int](data.draw(letters)) for _ in typed]
    asked = SearchRoots(roots, np.exp(log_probabilities[:, 0]), state), data.draw(st.integers(1, 12)), careful, typed
    theirs = search._search_levels(*asked)  # pyright: ignore[reportPrivateUsage]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WordSearch, "_search_levels", None)
        ours = search._search(*asked)  # pyright: ignore[reportPrivateUsage]
    agree(ours[0], theirs[0])
    assert ours[1].tolist() == theirs[1].tolist()


def test_refusals_that_need_too_much_room_are_left_to_python(monkeypatch: pytest.MonkeyPatch) -> None:
    model = opened(0, 0, True)
    queries = [model.query("شو ", SuggestOptions.of(forbid=("رأي", "بكرا"), threshold=0.0))]
    theirs, _ = searched(model, queries, MAX_STATES, natively=False)
    for room in (1, 2, 3, 5, 9):
        monkeypatch.setattr(refusals, "MAX_TABLE_STATES", room)
        monkeypatch.setattr(queries[0].refusals, "_table", None)
        agree(searched(model, queries, MAX_STATES, natively=True)[0], theirs)


def test_a_table_with_few_states_is_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    model = opened(0, 0, True)
    monkeypatch.setattr(refusals, "MAX_TABLE_CELLS", 900 * model.vocabulary.size)
    some = model.refusals(("بكرا شو",))
    assert some.table() is some.table()


def test_a_state_that_the_table_has_not_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = opened(0, len(codes()) - 1, True)
    for number in (refusals.MAX_TABLE_STATES, 1 << 20):
        with monkeypatch.context() as patch, pytest.raises(IndexError, match="state"):
            patch.setattr(refusals.RefusalTable, "number", MagicMock(return_value=number))
            model.suggest("شو ", forbid=(f"بكرا {number}",))


class Raising(refusals.Refusal[int]):
    """Refuses nothing, and raises once, behind some letters."""

    def __init__(self, wait: int, act: Any) -> None:
        self._wait, self._act = wait, act

    def start(self, text: str) -> int:
        return len(text)

    def after(self, state: int, character: str) -> int:
        self._wait -= 1
        if self._wait == 0:
            self._act()
        return state + len(character)

    def refused(self, state: int, room: int = 0) -> None:
        del state, room


def fail() -> None:
    raise ValueError("no letter more")


@pytest.mark.parametrize(
    ("act", "error"), [(fail, ValueError), (lambda: signal.raise_signal(signal.SIGINT), KeyboardInterrupt)]
)
def test_what_a_refusal_raises_ends_the_search_alone(act: Any, error: type[BaseException]) -> None:
    model = opened(0, len(codes()) - 1, True)
    query = model.query("شو ", SuggestOptions.of(threshold=0.0, correct=False))
    theirs, _ = searched(model, [query], MAX_STATES, natively=False)
    for wait in (1, 2, 9):
        raising = [*query.refusals.parts, Raising(wait, act)]
        asked = replace(query, refusals=refusals.Refusals(raising, model.vocabulary.writable_pieces))
        with pytest.raises(error):
            searched(model, [asked], MAX_STATES, natively=True)
        agree(searched(model, [asked], MAX_STATES, natively=True)[0], theirs)


def test_an_interrupt_at_any_line_is_raised_and_leaves_the_answers_as_they_were() -> None:
    model = opened(0, len(codes()) - 1, False)

    def fresh() -> Completer:  # which has searched nothing yet
        return Completer(model.language_model, model.vocabulary, RAW, block=BLOCK, messages=True)

    def suggest(completer: Completer) -> list[Suggestion]:
        return completer.suggest("شو رأيك نط", forbid=("شو شو",), threshold=0.001)

    wanted, known, modules = suggest(fresh()), fresh(), ("refusals.py", "native.py", "word_search.py")
    number = interrupt(lambda: suggest(known), None, *modules)
    for line in np.random.default_rng(1).integers(1, number, 20).tolist():
        completer = fresh()
        with pytest.raises(KeyboardInterrupt):
            interrupt(lambda: suggest(completer), line, *modules)  # noqa: B023
        assert suggest(completer) == wanted


def test_a_careful_spelling_in_place_of_what_was_typed_is_preferred() -> None:
    """Of words of the same letters, one whose stem is spelled with care."""
    model = opened(1, len(codes()) - 1, False)
    runner, classes, encode = model.language_model, model.character_classes, model.vocabulary.encode
    plain, careful = (tuple(encode(spelled).tolist()) for spelled in ("اك", "أك"))
    read = np.tile(encode("ك ا")[None], (3, 1))
    log_probabilities, state = runner.forward(read, runner.initial_state(3), last=1)
    typed = Root(0, 0.1, classes.continues, (), replacement=())
    meant = [Root(0, weight, classes.continues, (), replacement=ids, num_replaced=2)
             for weight, ids in ((0.5, plain), (0.4, careful))]  # fmt: skip
    asked = SearchRoots([typed, *meant], np.exp(log_probabilities[:, 0]), state), 3, [frozenset(careful[:1])], [plain]
    search = WordSearch(runner, classes, 3, 0.0)
    theirs = search._search_levels(*asked)  # pyright: ignore[reportPrivateUsage]
    ours = search._search(*asked)  # pyright: ignore[reportPrivateUsage]
    agree(ours[0], theirs[0])
    assert careful in {tuple(word.ids[:2].tolist()) for word in ours[0][0]}


@pytest.mark.parametrize("forbid", [("رأي", "ي"), ("بكرا",)])
def test_threads_may_fill_one_table_of_refusals(forbid: tuple[str, ...]) -> None:
    model = opened(0, 0, True)

    def suggested(fork: Completer, prefix: str) -> list[Suggestion]:
        return fork.suggest(prefix, threshold=0.0, forbid=forbid)

    prefixes = [text[:end] for text in TEXTS[:4] for end in range(0, len(text), 5)]
    with ThreadPoolExecutor(4) as pool:
        found = [*pool.map(suggested, [model.fork(learnt=True) for _ in prefixes], prefixes)]
    assert found == [suggested(model, prefix) for prefix in prefixes]
