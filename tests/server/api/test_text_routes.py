"""Suggestions, scores, learning and tokens, over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from tests.server.conftest import Running

from kammil.completion.completer import Completer
from kammil.completion.ghost_text import GhostLevel
from kammil.data.blocklist import is_offensive


def test_suggestions_are_those_of_the_model(server: Running, bundled: Completer) -> None:
    for session in (None, "somebody"):
        for prefix in ("شو حل", "شو ", ""):
            got = server.ask("/v1/suggest", {"prefix": prefix, "k": 4, "session": session, "model": "levantine"}).json
            wanted = bundled.suggest(prefix, 4)
            assert [(one["text"], one["completion"]) for one in got["suggestions"]] == [
                (one.text, one.added) for one in wanted
            ]
            assert [one["probability"] for one in got["suggestions"]] == pytest.approx(
                [one.probability for one in wanted], rel=1e-4
            )


@pytest.mark.parametrize(
    ("prefix", "replaced", "taken"),
    [
        ("شو اخباؤ", 5, "شو اخبارك"),
        ("el bet", 6, "البيت"),
        ("saba7 el 5er", 12, "صباح الخير"),
        ("saba7 ", 6, "صباح الخير"),
    ],
)
def test_a_suggestion_says_what_it_replaces(
    server: Running, bundled: Completer, prefix: str, replaced: int, taken: str
) -> None:
    given: tuple[dict[str, Any], ...] = ({}, {"correct": False})
    for fields in given:
        got = server.ask("/v1/suggest", {"prefix": prefix, "model": "levantine", **fields}).json["suggestions"]
        wanted = bundled.suggest(prefix, 3, **fields)
        assert [(one["text"], one["completion"], one["replaces"]) for one in got] == [
            (one.text, one.added, one.replaces) for one in wanted
        ]
        assert any(one["replaces"] == replaced for one in got) == (not fields)
        assert (taken in [one.appended_to(prefix) for one in wanted]) == (not fields)


def test_what_the_model_does_not_see_is_not_replaced(server: Running) -> None:
    got = server.ask("/v1/suggest", {"prefix": "شو اخبـاؤ", "model": "levantine"}).json["suggestions"]
    assert not any(one["replaces"] for one in got)  # with a stretching stroke


def test_offensive_words_are_suggested_only_where_a_request_allows_them(server: Running, bundled: Completer) -> None:
    every: list[dict[str, Any]] = [{}, {"allow_offensive": True}, {"forbid": ["كسمت"]}]
    for fields in every:
        got = server.ask("/v1/suggest", {"prefix": "كسم", "k": 3, "phrase": 3, **fields}).json
        wanted = bundled.suggest("كسم", 3, **fields)
        assert [one["text"] for one in got["suggestions"]] == [one.text for one in wanted]
        assert got["phrase"]["completion"] == bundled.phrase("كسم", words=3, **fields).added
        assert any(is_offensive(one["text"]) for one in got["suggestions"]) == (fields == {"allow_offensive": True})


@pytest.mark.parametrize("prefix", ["بدي انتح", "بدي انتحر ", "كس ا", "badde ente7er ", "nayyake "])
def test_nothing_is_suggested_after_self_harm_or_a_slur(server: Running, prefix: str) -> None:
    got = server.ask("/v1/suggest", {"prefix": prefix, "k": 3, "phrase": 8, "threshold": 0}).json
    assert (got["suggestions"], got["phrase"]["completion"]) == ([], "")


def test_scores_are_those_of_the_model(server: Running, bundled: Completer) -> None:
    got = server.ask("/v1/score", {"text": "حلو الشعور☃", "given": "شو ", "top": 2}).json
    wanted = bundled.score("حلو الشعور☃", "شو ")
    assert "".join(one["character"] for one in got["characters"]) == got["text"] == wanted.text
    assert [one["bits"] for one in got["characters"]] == pytest.approx(list(wanted.bits), abs=1e-3)
    assert got["bits_per_character"] == pytest.approx(wanted.bits_per_character, abs=1e-3)
    for one in got["characters"]:
        assert one["probability"] == pytest.approx(2 ** -one["bits"])
        assert len(one["alternatives"]) == 2
        assert one["alternatives"][0]["probability"] >= one["alternatives"][1]["probability"]


def test_an_empty_text_has_an_end_alone(server: Running) -> None:
    got = server.ask("/v1/score", {"text": ""}).json
    assert got["bits_per_character"] is None
    assert [one["character"] for one in got["characters"]] == [""]


def test_tokens_there_and_back(server: Running, bundled: Completer) -> None:
    for name in ("prompt", "content"):
        got = server.ask("/tokenize", {name: "شـو  حلو"}).json
        assert got["tokens"] == bundled.vocabulary.encode("شو حلو").tolist()  # after normalisation
        assert got["count"] == 6
    assert server.ask("/detokenize", {"tokens": got["tokens"]}).json["prompt"] == "شو حلو"
    assert server.ask("/tokenize", {}).status == 400
    assert server.ask("/detokenize", {"tokens": [10**7]}).status == 400


def test_names_of_special_tokens_are_tokens_by_themselves_alone(server: Running) -> None:
    info = server.ask("/tokenizer_info").json
    for kind in ("bos", "eos", "unk", "pad"):
        name = info[f"{kind}_token"]
        assert server.ask("/tokenize", {"prompt": name}).json["tokens"] == [info[f"{kind}_token_id"]]
        assert len(server.ask("/tokenize", {"prompt": f"{name}ا"}).json["tokens"]) == len(name) + 1


@pytest.mark.parametrize("level", ["quiet", "balanced", "eager"])
def test_ghost_text_is_as_ready_as_asked_for(server: Running, bundled: Completer, level: GhostLevel) -> None:
    for prefix in ("صباح الخي", "شو رأيك نطل", "كيف حا"):
        asked = {"prefix": prefix, "phrase": 3, "ghost": level, "model": "levantine"}
        wanted = bundled.phrase(prefix, words=3, ghost=level)
        assert server.ask("/v1/suggest", asked).json["phrase"]["completion"] == wanted.added
    default = server.ask("/v1/suggest", {"prefix": "كيف حا", "phrase": 8, "model": "levantine"}).json["phrase"]
    assert default["completion"] == bundled.phrase("كيف حا").added


def test_a_stock_phrase_says_which_of_its_words_are_sure(server: Running, bundled: Completer) -> None:
    text, stock = "صباح الخير يا جيراننا الحلوين", list[str]()
    for prefix in (text[:i] for i in range(4, len(text))):
        asked = {"prefix": prefix, "phrase": 8, "ghost": "eager", "model": "levantine"}
        got = server.ask("/v1/suggest", asked).json["phrase"]
        wanted = bundled.phrase(prefix, ghost="eager")
        assert (got["completion"], got["stock"], got["sure"]) == (wanted.added, wanted.stock, wanted.sure)
        if got["stock"]:
            without = server.ask("/v1/suggest", asked | {"phrase": 7}).json["phrase"]  # too few words for a phrase
            assert not without["stock"]
            assert got["completion"].startswith(got["sure"]) and got["sure"] == without["completion"]
            stock.append(got["sure"])
        else:
            assert got["sure"] == ""
    assert stock


def test_a_step_that_the_dial_does_not_have(server: Running) -> None:
    answer = server.ask("/v1/suggest", {"prefix": "شو", "phrase": 3, "ghost": "loud"})
    assert answer.status == 400 and "quiet" in answer.json["error"]["message"]


def test_what_was_learnt_is_suggested_until_it_is_forgotten(server: Running) -> None:
    asked = {"prefix": "زرنا مطعم بر", "k": 5, "threshold": 0.0}

    def probability() -> float:
        found = server.ask("/v1/suggest", asked).json["suggestions"]
        return next((one["probability"] for one in found if one["text"] == "برطوشة"), 0.0)

    before = probability()
    for i in range(3):
        got = server.ask("/v1/learn", {"text": "زرنا مطعم برطوشة", "session": "a"})
        assert got.json == {"learnt": i + 1}
    assert probability() > before
    assert server.ask("/v1/learn?session=b", method="DELETE").json == {"forgotten": 0}
    assert server.ask("/v1/learn?session=a", method="DELETE").json == {"forgotten": 3}
    assert probability() == before
    assert server.ask("/v1/learn", {"text": "  "}).status == 400
