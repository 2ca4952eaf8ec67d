"""Streamed completions, received by OpenAI's own client."""

from __future__ import annotations

from typing import Any

import pytest
from tests.server.conftest import lasting_seed

from kammil.completion.completer import Completer
from kammil.vocabulary import BOS


@pytest.mark.parametrize("n", [1, 3])
def test_a_stream_is_the_same_text(client: Any, n: int) -> None:
    asked: dict[str, Any] = {
        "model": "levantine",
        "prompt": ["شو حلو", "مرحبا كيفك"],
        "max_tokens": 25,
        "n": n,
        "seed": 7,
    }
    whole = client.completions.create(**asked)
    texts, reasons, usage = [""] * (2 * n), [None] * (2 * n), None
    for chunk in client.completions.create(**asked, stream=True, stream_options={"include_usage": True}):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            texts[choice.index] += choice.text
            reasons[choice.index] = choice.finish_reason or reasons[choice.index]
    assert texts == [choice.text for choice in whole.choices]
    assert reasons == [choice.finish_reason for choice in whole.choices]
    assert usage == whole.usage


def test_streamed_tokens_are_those_of_the_whole(client: Any) -> None:
    asked: dict[str, Any] = {"model": "levantine", "prompt": [[70, 60], [BOS, 60, 70]], "max_tokens": 9, "seed": 7}
    asked |= {"echo": True, "logprobs": 2, "stop": ["ا"], "n": 2}
    whole = client.completions.create(**asked)
    made: list[dict[str, list[Any]]] = [{} for _ in whole.choices]
    for chunk in client.completions.create(**asked, stream=True):
        for choice in chunk.choices:
            for name, values in choice.logprobs.model_dump().items():
                made[choice.index].setdefault(name, []).extend(values)
    for streamed, choice in zip(made, whole.choices, strict=True):
        wanted = choice.logprobs.model_dump()
        assert streamed["tokens"] == wanted["tokens"]
        assert streamed["text_offset"] == wanted["text_offset"]
        # A row of a batch is summed in another order than a row alone: the last bit may differ.
        assert streamed["token_logprobs"][0] == wanted["token_logprobs"][0]
        assert streamed["token_logprobs"][1:] == pytest.approx(wanted["token_logprobs"][1:], abs=1e-5)
        for top, other in zip(streamed["top_logprobs"], wanted["top_logprobs"], strict=True):
            assert (top is None) == (other is None)
            assert top is None or top == pytest.approx(other, abs=1e-5)


def test_usage_comes_with_the_last_event_or_with_every_one(client: Any, bundled: Completer) -> None:
    seed = lasting_seed(bundled, "شو حلو", 30, 1)
    asked: dict[str, Any] = {"model": "levantine", "prompt": "شو حلو", "max_tokens": 30, "seed": seed, "stream": True}
    for given, last, each in (
        (None, False, False),
        ({}, False, False),
        ({"include_usage": None}, False, False),
        ({"include_usage": False, "continuous_usage_stats": True}, False, False),
        ({"include_usage": True}, True, False),
        ({"include_usage": True, "continuous_usage_stats": True}, True, True),
    ):
        events = list(client.completions.create(**asked, **({} if given is None else {"stream_options": given})))
        told = [event.usage for event in events if event.choices]
        assert [usage is not None for usage in told] == [each] * len(told)
        assert (not events[-1].choices) == last
        if last:
            usage = events[-1].usage
            assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (6, 30, 36)
        if each:
            written = [usage.completion_tokens for usage in told]
            assert written == sorted(written) and written[0] > 0 and written[-1] == 30
            assert all(usage.total_tokens == 6 + usage.completion_tokens for usage in told)
