"""`/v1/completions` of a real server process, used with OpenAI's own client and without it."""

from __future__ import annotations

import asyncio
import json
import math
import socket
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.server.conftest import Running, lasting_seed, until

from kammil.completion.completer import Completer, Prompt
from kammil.data.blocklist import is_offensive
from kammil.decoding.options import Options
from kammil.server.api.completions import ChoiceState, CompletionWork, PromptReader
from kammil.server.api.schemas import UNSUPPORTED, CompletionRequest
from kammil.server.metrics import Metrics
from kammil.server.model_pool import LoadedModel
from kammil.server.settings import ServerSettings
from kammil.server.workers import Workers
from kammil.vocabulary import BOS, EOS, PAD, UNK

openai = pytest.importorskip("openai")

PROMPTS = ["شو حلو", "مرحبا كيفك", "", "والله العظيم"]


def test_the_client_gets_the_text_of_the_model(client: Any, bundled: Completer) -> None:
    seed = lasting_seed(bundled, "شو حلو", 30, 0.7)
    got = client.completions.create(model="levantine", prompt="شو حلو", max_tokens=30, temperature=0.7, seed=seed)
    assert got.choices[0].text == bundled.complete("شو حلو", length=30, temperature=0.7, seed=seed).text
    assert got.object == "text_completion" and got.id.startswith("cmpl-") and got.model == "levantine"
    assert got.choices[0].finish_reason == "length"
    assert got.usage.model_dump(exclude_none=True) == {"prompt_tokens": 6, "completion_tokens": 30, "total_tokens": 36}


def test_openais_defaults(client: Any, bundled: Completer) -> None:
    got = client.completions.create(model="levantine", prompt="شو", seed=3)
    assert got.choices[0].text == bundled.complete("شو", length=16, temperature=1, seed=3).text


@pytest.mark.parametrize(
    ("prompt", "fields", "may_be_empty"),
    [
        ("مرحبا كيفك", {}, False),
        ("والله العظيم", {}, False),
        ("شو حلو؟", {}, True),
        ("والله العظيم", {"logit_bias": {str(EOS): 0}}, True),
    ],
)
def test_a_text_is_empty_only_where_the_prompt_ends_one(
    server: Running, bundled: Completer, prompt: str, fields: dict[str, Any], may_be_empty: bool
) -> None:
    """Where the model ends it at once another character is drawn, and the other texts are as they were."""
    drawn = [one.text for one in bundled.samples(prompt, 16, length=12, temperature=1, seed=2)]
    body = {"prompt": prompt, "max_tokens": 12, "n": 16, "seed": 2, **fields}
    texts = [choice["text"] for choice in server.ask("/v1/completions", body).json["choices"]]
    assert "" in drawn and ("" in texts) == may_be_empty
    assert [one for one, free in zip(texts, drawn, strict=True) if free or may_be_empty] == [
        one for one in drawn if one or may_be_empty
    ]
    streamed = [""] * 16
    for event in server.ask("/v1/completions", body | {"stream": True}).body.splitlines():
        for choice in json.loads(event[6:])["choices"] if event.startswith(b"data: {") else ():
            streamed[choice["index"]] += choice["text"]
    assert streamed == texts


def test_arabic_in_latin_letters_is_read_for_a_preset_only(client: Any, bundled: Completer) -> None:
    asked: dict[str, Any] = {"model": "levantine", "prompt": ["kifak shu", "كيفك شو"], "max_tokens": 12, "seed": 1}
    latin, arabic = client.completions.create(**asked, extra_body={"preset": "sensible"}).choices
    assert latin.text == arabic.text == bundled.complete("kifak shu", preset="sensible", length=12, seed=1).text
    assert [(one.reading, one.replaces) for one in (latin, arabic)] == [("كيفك شو", 9), ("", 0)]
    plain, _ = client.completions.create(**asked).choices
    assert (plain.reading, plain.replaces) == ("", 0)
    assert plain.text == bundled.complete("kifak shu", length=12, temperature=1, seed=1).text
    events = client.completions.create(**asked | {"prompt": "kifak shu"}, extra_body={"read_latin": True}, stream=True)
    parts = [event.choices[0] for event in events]
    assert {part.reading for part in parts} == {"كيفك شو"}
    wanted = bundled.complete("كيفك شو", length=12, temperature=1, seed=1).text
    assert "".join(part.text for part in parts) == wanted


def test_blocked_words_and_forbidden_strings_begin_in_the_prompt(client: Any, bundled: Completer) -> None:
    every: list[dict[str, Any]] = [{"allow_offensive": True}, {}, {"forbid": ["احي", "اس"]}]
    for fields in every:
        asked: dict[str, Any] = {"prompt": "نيغ", "max_tokens": 12, "temperature": 0}
        got = client.completions.create(model="levantine", **asked, extra_body=fields).choices[0].text
        assert got == bundled.complete("نيغ", length=12, temperature=0, **fields).text
        assert is_offensive("نيغ" + got) == ("allow_offensive" in fields)


@pytest.mark.parametrize("prompt", ["بدي انتح", "بدي انتحر ", "كس ا", "badde ente7er ", "nayyake "])
@pytest.mark.parametrize("asked", [{}, {"preset": "sensible"}, {"preset": "sensible", "best_of": 4, "echo": True}])
def test_nothing_is_written_after_self_harm_or_a_slur(server: Running, prompt: str, asked: dict[str, Any]) -> None:
    body = {"model": "levantine", "prompt": prompt, "read_latin": True, "seed": 1, **asked}
    (choice,) = server.ask("/v1/completions", body).json["choices"]
    typed = prompt * ("echo" in asked)
    assert (choice["text"], choice["reading"], choice["replaces"]) == (typed, "", 0)


def test_many_at_once_get_what_each_gets_alone(server: Running, bundled: Completer) -> None:
    async def main() -> list[str]:
        async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:

            async def one(i: int) -> str:
                asked: dict[str, Any] = {
                    "model": "levantine",
                    "prompt": PROMPTS[i % 4],
                    "max_tokens": 5 + i,
                    "seed": i,
                    "temperature": 0.8,
                }
                if i % 2:
                    return (await client.completions.create(**asked)).choices[0].text
                stream = await client.completions.create(**asked, stream=True)
                return "".join([chunk.choices[0].text async for chunk in stream])

            return await asyncio.gather(*(one(i) for i in range(16)))

    wanted = [bundled.complete(PROMPTS[i % 4], length=5 + i, seed=i, temperature=0.8).text for i in range(16)]
    assert asyncio.run(main()) == wanted


def test_stop_strings_and_penalties(client: Any, bundled: Completer) -> None:
    options: dict[str, Any] = {"presence_penalty": 1.5, "frequency_penalty": 0.5, "seed": 2}
    got = client.completions.create(model="levantine", prompt="شو", max_tokens=60, stop=[" ", "!"], **options)
    wanted = bundled.complete("شو", length=60, temperature=1, stop=(" ", "!"), **options)
    assert got.choices[0].text == wanted.text
    assert got.choices[0].finish_reason == "stop"


def test_more_fields(client: Any, bundled: Completer) -> None:
    extra = {"top_k": 4, "min_p": 0.02, "repetition_penalty": 1.2, "nobody": {"knows": "this"}}
    got = client.completions.create(model="levantine", prompt="شو", max_tokens=20, seed=4, extra_body=extra)
    wanted = bundled.complete("شو", length=20, temperature=1, seed=4, top_k=4, min_p=0.02, repetition_penalty=1.2)
    assert got.choices[0].text == wanted.text
    for preset in ("sensible", "predictive", "creative", "plain"):
        got = client.completions.create(
            model="levantine", prompt="شو", max_tokens=12, seed=4, extra_body={"preset": preset}
        )
        assert got.choices[0].text == bundled.complete("شو", length=12, seed=4, preset=preset).text


def test_the_best_of_several(client: Any, bundled: Completer) -> None:
    got = client.completions.create(model="levantine", prompt="شو", max_tokens=12, n=2, best_of=5, seed=1)
    wanted = bundled.samples("شو", 2, length=12, temperature=1, best_of=5, seed=1)
    assert [choice.text for choice in got.choices] == [one.text for one in wanted]


def test_a_preset_that_chooses(server: Running, client: Any, bundled: Completer) -> None:
    """Of many draws and stock phrases the best; streamed, each comes whole. What is sent wins over the preset."""
    body = {"prompt": "شو حلو", "max_tokens": 20, "seed": 3, "preset": "sensible"}
    for n, stock in ((1, False), (3, False), (1, True), (3, True)):
        body["stock_phrases"] = stock
        made = bundled.samples("شو حلو", n, length=20, seed=3, preset="sensible", stock_phrases=stock)
        wanted = [one.text for one in made]
        got = server.ask("/v1/completions", body | {"n": n})
        assert [choice["text"] for choice in got.json["choices"]] == wanted
        assert [choice["stock"] for choice in got.json["choices"]] == [one.stock for one in made]
        assert any(one.stock for one in made) == stock
        extra = {"preset": "sensible", "stock_phrases": stock}
        chunks = client.completions.create(
            model="levantine",
            prompt="شو حلو",
            max_tokens=20,
            seed=3,
            n=n,
            stream=True,
            stream_options={"include_usage": True},
            logprobs=0,
            extra_body=extra,
        )
        chunks = list(chunks)
        assert chunks[-1].usage.model_dump(exclude_none=True) == got.json["usage"]
        assert stock or got.json["usage"]["completion_tokens"] > 32 * 10  # of all draws
        sent = [choice for chunk in chunks for choice in chunk.choices]
        assert ["".join(c.text for c in sent if c.index == i) for i in range(n)] == wanted
        assert all("".join(c.logprobs.tokens).startswith(c.text) for c in sent)
    for more, asked in (
        ({"best_of": 1}, {"whole_words": True, "clause": True}),
        ({"best_of": 1, "whole_words": False}, {"clause": True}),
        ({"temperature": 0}, {"whole_words": True, "clause": True, "temperature": 0}),
        ({"preset": None, "whole_words": True, "temperature": 0.7}, {"whole_words": True}),
    ):
        got = server.ask("/v1/completions", body | more)
        wanted = bundled.complete("شو حلو", **cast(Options, {"length": 20, "seed": 3} | asked)).text
        assert got.json["choices"][0]["text"] == wanted, more


def test_bias_forces_and_forbids(client: Any, bundled: Completer) -> None:
    id = int(bundled.vocabulary.encode("ب")[0])
    got = client.completions.create(
        model="levantine", prompt="شو", max_tokens=4, temperature=0, logit_bias={str(id): 100}
    )
    assert got.choices[0].text == "بببب"
    got = client.completions.create(model="levantine", prompt="شو", max_tokens=60, n=4, logit_bias={str(id): -100})
    assert not any("ب" in choice.text for choice in got.choices)


def test_log_probabilities_are_those_of_the_model(client: Any, bundled: Completer) -> None:
    got = client.completions.create(model="levantine", prompt="شو حلو", max_tokens=12, seed=6, logprobs=3)
    choice, wanted = got.choices[0], bundled.complete("شو حلو", length=12, temperature=1, seed=6)
    assert "".join(choice.logprobs.tokens) == choice.text == wanted.text
    bits = [-value / math.log(2) for value in choice.logprobs.token_logprobs]
    assert bits == pytest.approx(list(wanted.bits), abs=1e-3)
    assert choice.logprobs.text_offset == list(range(12))
    for token, value, top in zip(
        choice.logprobs.tokens, choice.logprobs.token_logprobs, choice.logprobs.top_logprobs, strict=True
    ):
        assert top[token] == value
        assert len(top) in (3, 4)
        assert max(top.values()) <= 0


def test_echo_scores_the_prompt(client: Any, bundled: Completer) -> None:
    text = "شو حلو الشعور"
    got = client.completions.create(model="levantine", prompt=text, max_tokens=0, echo=True, logprobs=1)
    choice = got.choices[0]
    assert choice.text == text == "".join(choice.logprobs.tokens)
    assert choice.logprobs.token_logprobs[0] is None and choice.logprobs.top_logprobs[0] is None
    bits = [-value / math.log(2) for value in choice.logprobs.token_logprobs[1:]]
    assert bits == pytest.approx(list(bundled.score(text).bits[1:-1]), abs=1e-3)


def test_what_a_harness_asks_gives_the_bits_of_the_model(server: Running, bundled: Completer) -> None:
    """The requests of lm-eval's `local-completions`: tokens from the server, each text scored after its first token."""
    info = server.ask("/tokenizer_info").json
    assert {"eos_token", "bos_token", "eos_token_id", "bos_token_id"} <= info.keys()
    texts = ["شو حلو الشعور", "كيفك ☃ اليوم"]
    prompts = [
        [info["bos_token_id"], *server.ask("/tokenize", {"prompt": text, "add_special_tokens": False}).json["tokens"]]
        for text in texts
    ]
    asked = {"model": "levantine", "prompt": prompts, "temperature": 0, "max_tokens": 1, "logprobs": 1}
    got = server.ask("/v1/completions", asked | {"seed": 1234, "echo": True}).json
    for text, choice in zip(texts, got["choices"], strict=True):
        values = choice["logprobs"]["token_logprobs"][1:-1]
        assert len(values) == len(choice["logprobs"]["top_logprobs"][1:-1]) == len(text)
        assert -sum(values) / math.log(2) == pytest.approx(sum(bundled.score(text).bits[:-1]), abs=1e-2)
        for value, top in zip(values, choice["logprobs"]["top_logprobs"][1:-1], strict=True):
            assert value <= max(top.values())


def test_a_text_that_the_model_ends_has_a_token_for_its_end(server: Running, bundled: Completer) -> None:
    end = server.ask("/tokenizer_info").json
    asked = {"prompt": "شو", "max_tokens": 5, "logprobs": 0, "logit_bias": {str(end["eos_token_id"]): 100}}
    for echo, offset in ((False, 0), (True, 2)):
        got = server.ask("/v1/completions", asked | {"echo": echo}).json
        (choice,) = got["choices"]
        assert choice["finish_reason"] == "stop"
        assert choice["logprobs"]["tokens"][-1] == end["eos_token"]
        assert choice["logprobs"]["text_offset"][-1] == offset
        assert got["usage"]["completion_tokens"] == 1


def test_specials_within_a_prompt_of_tokens_are_unknown_characters(client: Any) -> None:
    def ask(prompt: list[int]) -> Any:
        asked: dict[str, Any] = {"model": "levantine", "prompt": prompt, "max_tokens": 8, "seed": 3}
        return client.completions.create(**asked, echo=True, logprobs=2)

    for special in (PAD, BOS, EOS):
        got, wanted = ask([60, special, 70]), ask([60, UNK, 70])
        assert got.choices == wanted.choices and got.usage == wanted.usage
        assert got.usage.prompt_tokens == 3
        assert got.choices[0].logprobs.tokens[1] == "<|unknown|>"
    for first in (PAD, EOS):
        assert ask([first, 70]).choices == ask([UNK, 70]).choices
    assert ask([BOS, 70]).choices[0].text == ask([70]).choices[0].text  # at the start, BOS is BOS


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": 10**9}, "max_tokens"),
        ({"temperature": 2.5}, "temperature"),
        ({"temperature": "warm"}, "temperature"),
        ({"top_p": 1.1}, "top_p"),
        ({"n": 0}, "n"),
        ({"n": 129}, "n"),
        ({"n": 128, "prompt": ["a", "b", "c"]}, "n"),
        ({"preset": "sensible", "prompt": ["a"] * 17}, "n"),
        ({"n": 3, "best_of": 2}, "best_of"),
        ({"best_of": 2, "stream": True}, "best_of"),
        ({"stop": ["a"] * 5}, "stop"),
        ({"logprobs": 21}, "logprobs"),
        ({"logit_bias": {"100000": 1}}, "logit_bias"),
        ({"logit_bias": {"5": 101}}, "logit_bias"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream_options": {}, "stream": False}, "stream_options"),
        ({"stream_options": {"include_usage": 5}, "stream": True}, "stream_options"),
        ({"use_beam_search": True}, "use_beam_search"),
        ({"prompt": [10**6]}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": {"a": 1}}, "prompt"),
        ({"prompt": "ا" * 100_001}, "prompt"),
        *(({name: {"type": "json_object"}}, name) for name in sorted(UNSUPPORTED)),
        ({"seed": 1.5}, "seed"),
        ({"stop": [""]}, "stop"),
        ({"preset": "nothing"}, "preset"),
    ],
)
def test_what_is_wrong_is_said(server: Running, change: dict[str, Any], param: str | None) -> None:
    got = server.ask("/v1/completions", {"model": "levantine", "prompt": "شو", "max_tokens": 4} | change)
    assert got.status == 400, got.body
    error = got.json["error"]
    assert error["type"] == "invalid_request_error" and error["param"] == param
    assert len(error["message"]) < 300


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"stop": ["a"] * 5}, "at most 4 items"),
        ({"stop": ["a", None]}, "stop[1]"),
        ({"prompt": [1, "a"]}, "prompt[1]"),
        ({"prompt": [[1, 2], ["a"]]}, "prompt[1][0]"),
        ({"prompt": [1, -1]}, "greater than or equal to 0"),
        ({"n": 1000}, "n is 1000"),
    ],
)
def test_of_a_field_of_several_types_what_fits_best_is_spoken_of(
    server: Running, change: dict[str, Any], said: str
) -> None:
    got = server.ask("/v1/completions", {"prompt": "شو", "max_tokens": 4} | change)
    assert got.status == 400 and said in got.json["error"]["message"]


def test_null_is_the_default(server: Running) -> None:
    nothing = dict.fromkeys(["prompt", "temperature", "top_p", "n", "best_of", "stop", "presence_penalty"])
    nothing |= dict.fromkeys(UNSUPPORTED) | {"response_format": {"type": "text"}, "tools": [], "min_tokens": 0}
    told = [server.ask("/v1/completions", {"seed": 1, "max_tokens": 20} | more) for more in ({}, nothing)]
    assert [got.status for got in told] == [200, 200]
    assert told[0].json["choices"] == told[1].json["choices"]


def test_a_model_that_is_not_there(client: Any) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.completions.create(model="gpt-4", prompt="شو")
    assert caught.value.code == "model_not_found" and "'gpt-4'" in caught.value.message


def test_models(client: Any) -> None:
    (model,) = client.models.list().data
    assert model.id == "levantine" and model.object == "model"
    assert client.models.retrieve("levantine").card["family"] == "blend"


def test_a_client_that_leaves_frees_its_rows(server: Running) -> None:
    body = json.dumps({"prompt": "شو", "max_tokens": 2000, "n": 16, "logit_bias": {"3": -100}}).encode()
    for extra in (b"", b"stream"):
        sent = body[:-1] + b',"stream":true}' if extra else body
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(
                b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n" % len(sent) + sent
            )
            until(lambda: server.figure("kammil_live_texts") == 16)
        until(lambda: server.figure("kammil_live_texts") == 0)


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
    for asks, last, each in (
        (None, False, False),
        ({}, False, False),
        ({"include_usage": None}, False, False),
        ({"include_usage": False, "continuous_usage_stats": True}, False, False),
        ({"include_usage": True}, True, False),
        ({"include_usage": True, "continuous_usage_stats": True}, True, True),
    ):
        events = list(client.completions.create(**asked, **({} if asks is None else {"stream_options": asks})))
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


@given(st.lists(st.tuples(st.sampled_from(["ا", "\u064e", "👍", "🏽", "x"]), st.booleans()), min_size=1, max_size=12))
@settings(deadline=None)
def test_parts_make_the_text_and_its_tokens(bundled: Completer, characters: list[tuple[str, bool]]) -> None:
    """Whole graphemes, none twice, wherever a stream looks; what a stop string cuts off is a token, too."""
    request = CompletionRequest(logprobs=0, stream=True)
    loaded = LoadedModel("levantine", bundled, ServerSettings.of(), Workers(1, Metrics(())), "")
    reader = PromptReader(CompletionWork(request, loaded), Prompt("", ""), np.array([BOS]))
    assert [*reader.read()] in ([None], [])  # it may have been read before
    constraints = bundled.constraints({"length": len(characters), "stop": ("xx",)}, 1)
    state, hypothesis, parts = ChoiceState(reader, 0), constraints.hypothesis(), list[Any]()
    for character, look in characters:
        if hypothesis.reason is None:
            hypothesis.add(character, 1.0)
        if (look or hypothesis.reason is not None) and (part := state.part(hypothesis)) is not None:
            parts.append(json.loads(part))
            assert hypothesis.text.startswith("".join(one["text"] for one in parts))
    assert state.part(hypothesis, ends=True) is None  # it has ended
    assert "".join(one["text"] for one in parts) == hypothesis.text
    assert [one["finish_reason"] for one in parts] == [None] * (len(parts) - 1) + [hypothesis.reason]
    tokens = [token for one in parts for token in one["logprobs"]["tokens"]]
    written = [character for character, _ in characters][: hypothesis.num_decisions]
    assert len(tokens) == len(written) and all(a in (b, "<|unknown|>") for a, b in zip(tokens, written, strict=True))
