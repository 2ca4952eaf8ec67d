"""What clients are told when the server fails; and large responses: the JSON that pydantic writes, built off the event
loop, and bounded."""

from __future__ import annotations

import asyncio
import json
import logging
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.server.conftest import Running, until

from kammil.decoding.sampling import SequenceGroup
from kammil.server.api import completions, responses
from kammil.server.api.schemas import Choice, CompletionResponse, Logprobs
from kammil.server.app import create
from kammil.server.settings import ServerSettings
from kammil.text import TextRules
from kammil.vocabulary import EOS

pytest.importorskip("openai")  # it installs httpx, which TestClient needs
from starlette.testclient import TestClient


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/chat/completions"),
        ("POST", "/v1/embeddings"),
        ("POST", "/v1/responses"),
        ("POST", "/v1/messages"),
        ("POST", "/api/generate"),
        ("GET", "/api/tags"),
        ("POST", "/completion"),
    ],
)
def test_the_routes_of_other_servers_say_what_this_one_speaks(server: Running, method: str, path: str) -> None:
    got = server.ask(path, {"model": "levantine"} if method == "POST" else None, method=method)
    error = got.json["error"]
    assert got.status == 404 and error["type"] == "invalid_request_error" and error.keys() >= {"param", "code"}
    assert "POST /v1/completions" in error["message"]


def test_another_method_says_which_a_route_takes(server: Running) -> None:
    got = server.ask("/v1/completions")
    assert got.status == 405 and got.headers["allow"] == "POST" and "POST" in got.json["error"]["message"]


@pytest.mark.parametrize(
    ("error", "status", "code", "retry", "news"),
    [
        (MemoryError(), 503, "out_of_memory", "1", True),
        (TimeoutError(), 503, "timeout", None, False),
        (ZeroDivisionError(), 500, "internal_error", None, True),
    ],
)
def test_a_failure_of_ours_is_one_sentence_and_a_word(
    caplog: pytest.LogCaptureFixture, error: Exception, status: int, code: str, retry: str | None, news: bool
) -> None:
    with caplog.at_level(logging.ERROR, "kammil.server"):
        told = responses.logged(error, "this")
    assert (told.status, told.code, (told.headers or {}).get("Retry-After")) == (status, code, retry)
    assert told.message.endswith(".") and len(told.message) < 120
    assert bool(caplog.records) == news


@pytest.mark.parametrize(
    ("error", "code"),
    [(MemoryError, "out_of_memory"), (ArithmeticError, "internal_error"), (SystemExit, "internal_error")],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_request_that_fails_is_told_and_logged_once_and_the_others_go_on(
    folder_of: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: type[BaseException],
    code: str,
    stream: bool,
) -> None:
    """Whatever it raises, in the midst of a text: the thread works on."""
    application = create(ServerSettings.of(folders=(folder_of("ngram"),), threads=1))
    asked: dict[str, Any] = {"prompt": ["شو", "مرحبا"], "max_tokens": 20, "seed": 1, "stream": stream}
    asked["logit_bias"] = {str(EOS): -100}
    with TestClient(application, base_url="http://127.0.0.1") as client:
        until(lambda: client.get("/health").status_code == 200)
        before = client.post("/v1/completions", json=asked | {"stream": False}).json()["choices"]
        real = SequenceGroup.append
        with caplog.at_level(logging.ERROR, "kammil.server"), monkeypatch.context() as patched:

            def fail(group: SequenceGroup, *given: Any) -> None:
                real(group, *given)
                if len(group.live[0].text) == 9:
                    raise error

            patched.setattr(SequenceGroup, "append", fail)
            got = client.post("/v1/completions", json=asked)
        if stream:
            *events, failed, done, _ = got.text.split("\n\n")
            assert done == "data: [DONE]" and events
            told = json.loads(failed.removeprefix("data: "))
        else:
            told = got.json()
        assert told["error"]["code"] == code
        assert client.get("/health").status_code == 200
        assert client.post("/v1/completions", json=asked | {"stream": False}).json()["choices"] == before
    assert len([record for record in caplog.records if record.exc_info]) == 1


NUMBERS = st.floats(allow_nan=True, allow_infinity=True)
TEXTS = st.text() | st.sampled_from(['"logprobs":null', '\\"choices":[]', '"tokens":[]', '{"a": []}', "شو\u2028\x00"])
TOKENS = st.lists(
    st.tuples(TEXTS, NUMBERS | st.none(), st.dictionaries(TEXTS, NUMBERS) | st.none(), st.integers(0)), max_size=6
)


def logprobs(tokens: Sequence[tuple[str, float | None, dict[str, float] | None, int]]) -> Logprobs:
    names, values, tops, offsets = ([token[i] for token in tokens] for i in range(4))
    return Logprobs.model_construct(tokens=names, token_logprobs=values, top_logprobs=tops, text_offset=offsets)


@given(st.lists(st.tuples(TEXTS, TOKENS | st.none()), max_size=3), TEXTS, st.integers(1, 3))
def test_chunks_make_the_json_that_pydantic_writes(texts: list[tuple[str, Any]], name: str, chunk: int) -> None:
    choices = [Choice(text=text, index=i) for i, (text, _) in enumerate(texts)]
    found = [None if tokens is None else logprobs(tokens) for _, tokens in texts]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(responses, "CHUNK", chunk)
        made = [completions.choice_json(*pair) for pair in zip(choices, found, strict=True)]
    whole = CompletionResponse(id=name, created=1, model=name, system_fingerprint="a", choices=[])
    got = responses.insert_json(whole, "choices", b"[%s]" % b",".join(made))
    for choice, tokens in zip(choices, found, strict=True):
        choice.logprobs = tokens
    whole.choices = choices
    assert got == whole.model_dump_json().encode()


def test_a_long_list_is_written_whole() -> None:
    many = [("ا", -1.5, {"ا": -1.5, "ب": -math.inf}, i) for i in range(3 * responses.CHUNK + 1)]
    got = json.loads(completions.choice_json(Choice(text="", index=0), logprobs(many)))["logprobs"]
    assert got["text_offset"] == list(range(len(many)))
    assert got["top_logprobs"] == [{"ا": -1.5, "ب": None}] * len(many)


def test_the_event_loop_neither_reads_nor_writes_what_is_large(
    folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    on_the_loop: list[str] = []

    def watched(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any) -> Any:
            try:
                asyncio.get_running_loop()
                on_the_loop.append(name)
            except RuntimeError:
                calls.add(name)
            return real(*given)

        return call

    calls: set[str] = set()
    application = create(ServerSettings.of(folders=(folder_of("ngram"),)))
    with TestClient(application, base_url="http://127.0.0.1") as client:
        until(lambda: client.get("/health").status_code == 200)
        monkeypatch.setattr(TextRules, "normalise", watched("normalise", TextRules.normalise))
        for room, name in ((completions, "choice_json"), (completions, "items_json"), (responses, "items_json")):
            monkeypatch.setattr(room, name, watched(name, getattr(room, name)))
        text = "شو حلو " * 800
        asked = {"prompt": text, "echo": True, "logprobs": 5, "max_tokens": 0, "n": 2}
        asks: list[tuple[str, dict[str, Any]]] = [
            ("/v1/completions", asked),
            ("/v1/completions", asked | {"stream": True}),
            ("/v1/completions", asked | {"prompt": [text[:3000], text[:3000]]}),
            ("/v1/suggest", {"prefix": text}),
            ("/v1/score", {"text": text}),
            ("/tokenize", {"prompt": text}),
        ]
        for path, body in asks:
            assert client.post(path, json=body).status_code == 200
    assert not on_the_loop and calls == {"normalise", "choice_json", "items_json"}


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/v1/completions", {"prompt": "ا" * 3000, "echo": True, "logprobs": 20, "n": 32}, "logprobs"),
        ("/v1/completions", {"prompt": ["ا" * 1500] * 2, "echo": True, "logprobs": 20, "n": 32}, "logprobs"),
        ("/v1/completions", {"prompt": "ا" * 3000, "echo": True, "logprobs": 20, "best_of": 32}, "logprobs"),
        ("/v1/completions", {"prompt": "ا" * 3000, "echo": True, "logprobs": 20, "n": 32, "stream": True}, "logprobs"),
        ("/v1/completions", {"prompt": "ا", "logprobs": 20, "n": 128, "max_tokens": 2000}, "logprobs"),
        ("/v1/completions", {"prompt": "ا" * 5000, "echo": True, "n": 128}, "n"),
        ("/v1/score", {"text": "ا" * 20_000, "given": "ا" * 4000, "top": 20}, "top"),
        # The bound counts characters before normalisation, which would shorten these.
        ("/v1/completions", {"prompt": "ـ" * 100_001}, "prompt"),
        ("/v1/completions", {"prompt": ["ـ" * 50_000, "ـ" * 50_001]}, "prompt"),
        ("/tokenize", {"prompt": "ـ" * 100_001}, "prompt"),
        ("/tokenize", {"content": "ـ" * 100_001}, "content"),
    ],
)
def test_what_would_be_too_large_is_refused(server: Running, path: str, body: dict[str, Any], param: str) -> None:
    got = server.ask(path, body)
    assert got.status == 400
    assert got.json["error"]["param"] == param
    assert "at most 500000 are allowed" in got.json["error"]["message"] or "100000" in got.json["error"]["message"]


def test_what_is_just_small_enough_is_answered() -> None:
    application = create(ServerSettings.of(max_answer=1000))
    with TestClient(application, base_url="http://127.0.0.1") as client:
        until(lambda: client.get("/health").status_code == 200)
        asked = {"prompt": "ا" * 90, "echo": True, "logprobs": 4, "n": 2, "max_tokens": 10, "logit_bias": {"3": -100}}
        got = client.post("/v1/completions", json=asked)
        assert got.status_code == 200
        assert len(got.json()["choices"][0]["logprobs"]["tokens"]) == 100
        assert client.post("/v1/completions", json=asked | {"max_tokens": 11}).status_code == 400
        # Without log-probabilities, max_tokens bounds the texts already.
        assert client.post("/v1/completions", json={"prompt": "ا", "n": 101, "max_tokens": 10}).status_code == 200
        assert client.post("/v1/score", json={"text": "ا" * 200, "top": 4}).status_code == 200
        assert client.post("/v1/score", json={"text": "ا" * 201, "top": 4}).status_code == 400
