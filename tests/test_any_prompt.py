"""Whatever is typed, the bundled model answers; `benchmarks/fuzz.py` asks a hundred thousand times more."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import kammil
from kammil.completion.completer import Completer
from kammil.completion.explain import explain

KINDS = (
    "\ud800\udbff\udc00\udfff",  # lone surrogates
    "\0\x07\x1b\x7f\x85",
    "\u064e\u0651\u0301\u0323\u0f73\u20dd\u3099\ufe0f",  # marks alone
    "اب\u0640\u064e\u0650\u0651",
    "ا1a \u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069",
    "👨👩👧🏳🌈🏽❤\u200d\ufe0f🇱🇧",
    "كلم",  # one long word
    " \t\n\r\u00a0\u2003\u2028\u2029\u3000",
    "\ue000\uf8ff\U000f0000\U0010fffd",
    "\ufdd0\ufffe\uffff\U0001fffe\U0010ffff",
    "aZאבαЖकिกำ漢か한ܐ𐤀𞤀 ",
    "@a.+-_:/# www",
    "\u200c\u200dاक",
)
SHORT = st.sampled_from(KINDS).flatmap(lambda kind: st.text(st.sampled_from(kind), max_size=40))
LONG = st.builds(str.__mul__, SHORT, st.integers(2, 20))
PROMPTS = st.text(st.characters(codec=None), max_size=60) | SHORT | LONG | st.builds(str.__add__, SHORT, SHORT)


@pytest.fixture(scope="module")
def bundled() -> Completer:
    return kammil.load()


@settings(max_examples=200)
@given(prompt=PROMPTS, seed=st.integers(0, 1000), temperature=st.sampled_from([0.0, 0.7, 2.0]))
@example(prompt="W ", seed=0, temperature=0.0)
def test_any_prompt_is_answered(bundled: Completer, prompt: str, seed: int, temperature: float) -> None:
    done = bundled.complete(prompt, length=10, temperature=temperature, seed=seed)
    done.text.encode()
    assert done.prompt == prompt and len(done.bits) == len(done.text) <= 10 and all(map(math.isfinite, done.bits))
    for word in bundled.suggest(prompt):
        word.text.encode()
        added = word.added.strip()
        assert 0 < word.probability <= 1 and added
        # A suggestion may write the Latin letters before its word in Arabic, too ("W ": و الله).
        assert word.text.endswith(added) or (word.replaces and added.endswith(word.text))
    phrase = bundled.phrase(prompt)
    phrase.added.encode()
    assert 0 < phrase.probability <= 1.0001 and phrase.added == phrase.added.rstrip(" ")
    score, explanation = bundled.score(prompt), explain(bundled, prompt)
    score.text.encode()
    assert all(map(math.isfinite, score.bits))
    assert [place.text for place in explanation.places] == [*score.text, ""]
    assert [place.bits for place in explanation.places] == pytest.approx(score.bits, abs=1e-3)
    "".join(alternative.text for place in explanation.places for alternative in place.alternatives).encode()


def test_a_long_prompt_is_answered(bundled: Completer) -> None:
    prompt = "شو حلو الشعور لما @x " * 250
    assert len(prompt) > 5_000
    assert len(explain(bundled, prompt).places) == len(bundled.score(prompt).bits)
    assert bundled.complete(prompt, length=5).text
