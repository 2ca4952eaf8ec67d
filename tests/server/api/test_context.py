"""Messages before a text count for the requests that send them, and leave nothing behind."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from tests.server.conftest import Running, serving

from kammil.completion.completer import Completer

SAID = ["رودي رجع من السفر مبارح", "بدنا نعزم رودي عالعشا"]


def words(server: Running, **fields: Any) -> list[str]:
    """The words suggested where the name may come."""
    body = {"prefix": "حكيت مع رو", "model": "levantine", **fields}
    return [one["text"] for one in server.ask("/v1/suggest", body).json["suggestions"]]


@pytest.mark.parametrize("session", [None, "somebody"])
def test_every_route_reads_the_context(server: Running, bundled: Completer, session: str | None) -> None:
    given = {"model": "levantine", "session": session, "context": SAID}
    wanted = bundled.suggest("حكيت مع رو", context=SAID)
    assert words(server, **given) == [one.text for one in wanted] and "رودي" in words(server, **given)
    scored = server.ask("/v1/score", {"text": "وين رودي", **given}).json
    assert [one["bits"] for one in scored["characters"]] == pytest.approx(
        bundled.score("وين رودي", context=SAID).bits, abs=1e-3
    )
    asked = {"prompt": "شو صار مع ", "max_tokens": 20, "seed": 3, **given}
    completed = server.ask("/v1/completions", asked).json["choices"][0]["text"]
    assert completed == bundled.complete("شو صار مع ", length=20, seed=3, temperature=1, context=SAID).text
    streamed = server.ask("/v1/completions", {**asked, "stream": True}).body.decode()
    assert streamed.endswith("data: [DONE]\n\n")
    assert "رودي" not in words(server, session=session, context=[]) and "رودي" not in words(server, context=None)


@pytest.mark.parametrize("context", ["رودي", [3], [None], {"a": "b"}])
def test_what_is_no_list_of_texts_is_refused(server: Running, context: Any) -> None:
    answer = server.ask("/v1/suggest", {"prefix": "شو", "context": context})
    assert answer.status in (400, 422) and "context" in answer.body.decode()


def test_models_say_whether_they_read_it(server: Running) -> None:
    (model, *_) = server.ask("/v1/models").json["data"]
    assert model["card"]["reads_context"] is True


def leaves_nothing(folder: Path, requests: int) -> None:
    """Send a word to one client's requests among others', and look for it everywhere."""
    canary, generator = "زمخشروت", random.Random(0)
    before = sorted(path for path in folder.rglob("*"))
    with serving(folder, "--learn", "--log-prompts", "--sessions", "4") as server:
        for number in range(requests):
            session = generator.choice([None, "a", "b", "c", "d", "e"])
            if session == "a":
                said = {"session": "a", "context": [f"شفت {canary} {number}"]}
                server.ask("/v1/suggest", {"prefix": "وين زمخشر", **said})
                continue
            kind = generator.choice(["suggest", "completions", "score"])
            body: dict[str, Any] = {"prefix": "وين زمخشر", "prompt": "وين زمخشر", "text": "وين", "max_tokens": 8}
            given = {"session": session, "seed": number, "context": generator.choice([[], ["شفت الجيران"]])}
            assert canary not in server.ask(f"/v1/{kind}", body | given).body.decode()
        assert server.ask("/v1/learn").json == {"learnt": 0}
        assert server.ask("/v1/learn?session=a", method="DELETE").json == {"forgotten": 0}
        assert canary not in server.ask("/metrics").body.decode()
        assert canary in str(server.ask("/v1/suggest", {"prefix": "وين زمخشر", "context": [f"شفت {canary}"] * 2}).json)
    assert canary not in (folder / "log").read_text("utf-8")
    for path in folder.rglob("*"):
        assert path in [*before, folder / "log"] or not path.is_file() or canary.encode() not in path.read_bytes()


def test_nothing_of_a_context_is_kept_or_shown_to_others(tmp_path: Path) -> None:
    leaves_nothing(tmp_path, 150)


@pytest.mark.long
def test_nothing_of_a_context_is_kept_in_thousands_of_requests(tmp_path: Path) -> None:
    leaves_nothing(tmp_path, 10_000)
