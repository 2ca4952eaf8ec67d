"""Earlier messages change what is expected of a text, as if they were learnt for it alone, and leave nothing behind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

import kammil
from kammil.completion import context as earlier
from kammil.completion.completer import Completer
from kammil.completion.context import KEPT, MAX_CHARACTERS, MAX_HEARD, MAX_MESSAGES, heard, recent
from kammil.completion.explain import explain
from kammil.data.blocklist import offensive_words
from kammil.errors import OptionError
from kammil.language_model import Ids
from kammil.models.blend.model import BlendModel
from kammil.vocabulary import BOS

FolderOf = Callable[[str], Path]
SAID = ["رودي رجع من السفر مبارح", "بدنا نعزم رودي عالعشا"]
MESSAGES = st.lists(st.sampled_from([*SAID, "كيفك اليوم", "وين كنت؟", "", "  ", "طيب!"]), max_size=5)


@pytest.fixture(scope="module")
def levantine() -> Completer:
    return kammil.load()


def kept(model: Completer) -> dict[tuple[str, ...], tuple[int, Completer]]:
    return model._contexts.of(model.state_cache)  # pyright: ignore[reportPrivateUsage]


def listed(model: Completer, text: str, context: Sequence[str] = ()) -> list[str]:
    return [suggestion.text for suggestion in model.suggest(text, context=context)]


def test_a_name_that_was_said_is_suggested_and_only_there(levantine: Completer) -> None:
    before = levantine.score("حكيت مع رودي").bits
    assert "رودي" not in listed(levantine, "حكيت مع رو")
    assert "رودي" in listed(levantine, "حكيت مع رو", SAID)
    assert "رودي" not in listed(levantine, "حكيت مع رو") and "رودي" not in listed(levantine, "حكيت مع رو", SAID[:0])
    assert levantine.score("حكيت مع رودي").bits == before
    assert sum(levantine.score("حكيت مع رودي", context=SAID).bits) < sum(before) - 3


def test_every_way_in_reads_the_context(levantine: Completer) -> None:
    inside, text = levantine.in_context(SAID), "حكيت مع رو"
    assert levantine.suggest(text, context=SAID) == inside.suggest(text)
    assert levantine.phrase(text, threshold=0.01, context=SAID) == inside.phrase(text, threshold=0.01)
    assert levantine.samples(text, 2, context=SAID, length=9) == inside.samples(text, 2, length=9)
    assert levantine.complete(text, context=SAID, length=9) == inside.complete(text, length=9)
    assert [*levantine.stream(text, context=SAID, length=9)] == [*inside.stream(text, length=9)]
    assert levantine.score(text, context=SAID) == inside.score(text) != levantine.score(text)
    assert explain(levantine, text, context=SAID) == explain(inside, text) != explain(levantine, text)


def test_a_session_goes_on_with_other_messages(levantine: Completer) -> None:
    session = levantine.session(context=SAID[:1])
    session.update("حكيت مع رو")
    assert session.suggest() == levantine.suggest("حكيت مع رو", context=SAID[:1])
    session.context = SAID
    assert session.suggest() == levantine.suggest("حكيت مع رو", context=SAID)
    session.context = ()
    assert session.suggest() == levantine.suggest("حكيت مع رو")


@settings(deadline=None, max_examples=15)
@given(contexts=st.lists(MESSAGES, min_size=1, max_size=4))
def test_what_was_read_of_others_before_changes_nothing(levantine: Completer, contexts: list[list[str]]) -> None:
    model = levantine.fork()
    for context in contexts:
        ids = np.array([[BOS, *model.vocabulary.encode("رودي شو عم تعمل")]])
        fresh, used = (one.in_context(context).language_model for one in (levantine.fork(), model))
        expected, found = (one.forward(ids, one.initial_state(1))[0] for one in (fresh, used))
        assert (found == expected).all()


@settings(deadline=None, max_examples=15)
@given(context=MESSAGES)
def test_steps_in_a_context_are_those_of_the_whole_text(levantine: Completer, context: list[str]) -> None:
    model = levantine.in_context(context).language_model
    ids = np.array([[BOS, *levantine.vocabulary.encode("وين رودي")]] * 2)
    whole, _ = model.forward(ids, model.initial_state(2))
    assert np.exp(whole).sum(axis=-1) == pytest.approx(1, abs=1e-4)
    state = model.initial_state(2)
    for t in range(ids.shape[1]):
        stepped, state = model.step(ids[:, t], state)
        assert stepped == pytest.approx(whole[:, t], abs=1e-4)


def test_the_last_messages_count(levantine: Completer) -> None:
    many = [f"رسالة {number}" for number in range(MAX_MESSAGES + 3)]
    assert recent(many, str.strip) == tuple(many[3:])
    long = ["a" * (MAX_CHARACTERS // 2)] * 3
    assert recent(long, str.strip) == tuple(long[:2])
    assert recent(["x" * 2 * MAX_CHARACTERS], str.strip) == ("x" * MAX_CHARACTERS,)
    assert recent([" ", ""], str.strip) == ()
    assert levantine.in_context([" ", ""]) is levantine
    assert levantine.suggest("وين", context=many) == levantine.suggest("وين", context=many[3:])


def test_networks_hear_the_end_of_messages_as_one_text() -> None:
    assert heard(["وين كنت؟", "بالبيت"]) == "وين كنت؟ بالبيت. "
    assert heard(["ا" * MAX_HEARD, "لا"]).endswith("ا. لا. ") and len(heard(["ا" * MAX_HEARD, "لا"])) == MAX_HEARD


@pytest.mark.parametrize("context", ["رودي", ["رودي", 3], [None]])
def test_what_is_no_list_of_texts_is_refused(levantine: Completer, context: Any) -> None:
    with pytest.raises(OptionError, match="context"):
        levantine.suggest("شو", context=context)


def test_a_model_that_cannot_learn_reads_no_context(folder_of: FolderOf) -> None:
    with pytest.raises(OptionError, match=r"context.*cannot learn"):
        kammil.load(folder_of("gru")).suggest("شو", context=SAID)


def test_an_offensive_word_in_a_context_frees_none(levantine: Completer) -> None:
    patterns = [entry.pattern for entry in offensive_words().entries[:200:20]]
    inside = levantine.in_context([f"يا {pattern} شو هاد" for pattern in patterns])
    assert inside.user_allowed_words == levantine.user_allowed_words == frozenset()
    assert inside.word_block() is levantine.word_block()


def test_what_is_learnt_meanwhile_counts_and_the_profile_holds_no_context(folder_of: FolderOf, tmp_path: Path) -> None:
    profile = tmp_path / "me.jsonl"
    model = kammil.load(folder_of("blend"), profile=profile)
    session = model.session(context=SAID)
    before = session.model.score("بنت خالتي صبا").bits
    model.learn("بنت خالتي صبا")
    assert sum(session.model.score("بنت خالتي صبا").bits) < sum(before) - 1
    assert "رودي" not in profile.read_text("utf-8")
    assert session.model.own_phrases is not None and [*session.model.own_phrases.messages()] == ["بنت خالتي صبا"]
    model.forget("بنت خالتي صبا")
    assert session.model.score("بنت خالتي صبا").bits == before


def test_few_contexts_are_kept(levantine: Completer) -> None:
    model = levantine.with_own_cache(8)
    for number in range(3 * KEPT):
        assert model.in_context([f"رقم {number}"]).state_cache.megabytes == pytest.approx(8 / KEPT)
    assert len(kept(model)) == KEPT and not kept(model.with_own_cache()) and not kept(model.fork())


SECRET, BEGUN = "وين زقفطلون يا معلم", "وين زق"


def test_what_is_forgotten_while_messages_are_read_stays_forgotten(
    levantine: Completer, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, after = levantine.fork(), BlendModel.after
    model.learn(SECRET)

    def meanwhile(self: BlendModel, end: Ids) -> BlendModel:
        forked = after(self, end)
        model.forget(SECRET)
        return forked

    with monkeypatch.context() as patch:
        patch.setattr(BlendModel, "after", meanwhile)
        model.suggest(BEGUN, context=SAID)
    assert model.suggest(BEGUN, context=SAID) == levantine.suggest(BEGUN, context=SAID)
    assert model.own_phrases is None is model.in_context(SAID).own_phrases


def test_threads_that_teach_and_forget_leave_no_word_in_a_context(levantine: Completer) -> None:
    model = levantine.fork()
    with ThreadPoolExecutor(1) as others:
        for number in range(12):
            context = [f"كيفك اليوم رقم {number}", *SAID]
            for _ in range(3):
                model.learn(SECRET)
            asked = others.submit(model.suggest, BEGUN, context=context)
            for _ in range(3):
                model.forget(SECRET)
            asked.result()
            assert "زقفطلون" not in listed(model, BEGUN, context)


def test_contexts_of_all_sessions_together_are_bounded(levantine: Completer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(earlier, "MAX_MEGABYTES", 1.0)
    model = levantine.with_own_cache(1)
    sessions = [model.session(megabytes=1, context=[f"رقم {number} " + "كلمة " * 300]) for number in range(8)]
    for session in sessions:
        session.update("وين")
    built = [len(kept(session._alone)) for session in sessions]  # pyright: ignore[reportPrivateUsage]
    assert built[-1] == 1 and built[0] == 0 < sum(built) < 8
    model.drop_contexts()
    assert not any(kept(session._alone) for session in sessions)  # pyright: ignore[reportPrivateUsage]


class Taught(RuleBasedStateMachine):
    """A model that was taught, and asked in contexts, says what a new one that knows as much says."""

    levantine: Completer

    def __init__(self) -> None:
        super().__init__()
        self.model, self.texts = self.levantine.fork(), Counter[str]()
        self.session = self.model.session()

    @rule(text=st.sampled_from([SECRET, *SAID]))
    def learn(self, text: str) -> None:
        self.model.learn(text)
        self.texts[text] += 1

    @precondition(lambda self: self.texts.total())
    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        text = data.draw(st.sampled_from(sorted(+self.texts)))
        self.model.forget(text)
        self.texts[text] -= 1

    @rule(messages=MESSAGES)
    def ask(self, messages: list[str]) -> None:
        fresh = self.levantine.fork()
        for text in (+self.texts).elements():
            fresh.learn(text)
        expected = fresh.in_context(messages).score(SECRET).bits
        self.session.context = messages
        assert self.model.in_context(messages).score(SECRET).bits == expected == self.session.model.score(SECRET).bits
        assert self.model.own_phrases == fresh.own_phrases or self.texts.total()
        assert (
            self.levantine.score(SECRET, context=messages).bits
            == self.levantine.fork().in_context(messages).score(SECRET).bits
        )


def test_whatever_is_learnt_forgotten_and_said_only_what_is_known_counts(levantine: Completer) -> None:
    Taught.levantine = levantine
    run_state_machine_as_test(  # pyright: ignore[reportUnknownMemberType]
        Taught, settings=settings(deadline=None, max_examples=8, stateful_step_count=12)
    )
