"""The list of learnt texts agrees with the model, whichever request is cancelled, and is bounded."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from tests.server.asgi import ask

import kammil
from kammil.completion.completer import Completer
from kammil.data.blocklist import BlockedWord, Blocklist, is_offensive, offensive_words
from kammil.decoding.refusals import WordBlock
from kammil.server import learnt_texts, model_pool
from kammil.server.api.responses import ApiError
from kammil.server.app import create
from kammil.server.learnt_texts import LearntTexts
from kammil.server.model_pool import LoadedModel
from kammil.server.settings import ServerSettings
from kammil.server.workers import Workers

TEXT = "قطايف بالجوز والقشطة"
SESSIONS = st.sampled_from(["a", "b", None])


@pytest.fixture(scope="module")
def model(folder_of: Callable[[str], Path]) -> Completer:
    return kammil.load(folder_of("blend"))


def offensive_end(bundled: Completer) -> str:
    """Return the likeliest word of the offensive list that the bundled model ends "اباح" with."""
    return next(one.text for one in bundled.suggest("اباح", 20, allow_offensive=True) if is_offensive(one.text))


def bits(model: Completer) -> tuple[float, ...]:
    return model.score(TEXT).bits


def test_the_model_knows_what_is_listed(model: Completer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learnt_texts, "MAX_TEXTS", 4)
    monkeypatch.setattr(learnt_texts, "MAX_TOTAL_CHARACTERS", 30)
    never = bits(model)
    words = TEXT.split()

    class Clients(RuleBasedStateMachine):
        """Sessions that teach one model, and the texts of each."""

        def __init__(self) -> None:
            super().__init__()
            self.taught, self.known = LearntTexts(model), dict[str | None, deque[str]]()

        @rule(session=SESSIONS, text=st.sampled_from([*words, TEXT, " شـو "]))
        def learn(self, session: str | None, text: str) -> None:
            there = [one for texts in self.known.values() for one in texts]
            if len(there) == 4 or sum(len(model.normalise(one)) for one in [*there, text]) > 30:
                with pytest.raises(ApiError, match="forget some first") as refused:
                    self.taught.learn(session, text)
                assert refused.value.status == 400
                return
            self.known.setdefault(session, deque()).append(text)
            assert self.taught.learn(session, text) == len(self.known[session])

        @rule(session=SESSIONS)
        def forget_the_oldest(self, session: str | None) -> None:
            texts = self.known.get(session, deque())
            assert self.taught.forget(session) == bool(texts)
            if texts:
                texts.popleft()

        @invariant()
        def counted(self) -> None:
            assert self.taught.counts() == {session: len(texts) for session, texts in self.known.items() if texts}

        def teardown(self) -> None:
            fresh = model.score(TEXT)
            alone = LearntTexts(model)
            for session, n in self.taught.counts().items():
                for _ in range(n):
                    assert self.taught.forget(session)
            assert bits(model) == never
            for texts in self.known.values():
                for text in texts:
                    alone.learn(None, text)
            assert model.score(TEXT) == fresh  # the same texts, learnt in another order
            while alone.forget(None):
                pass

    run_state_machine_as_test(Clients, settings=settings(max_examples=20, stateful_step_count=30))


# ---- over HTTP


@asynccontextmanager
async def application(folder: Path, **options: object) -> AsyncGenerator[FastAPI]:
    """An application whose model is open."""
    app = create(ServerSettings.of(folders=[folder], **options))
    async with app.router.lifespan_context(app):
        while (await ask(app, "GET", "/health")).status != 200:
            await asyncio.sleep(0.01)
        yield app


def served(folder: Path, work: Callable[[FastAPI], Awaitable[None]], **options: object) -> None:
    async def main() -> None:
        async with asyncio.timeout(60), application(folder, **options) as app:
            await work(app)

    asyncio.run(main())


async def surprise(app: FastAPI, session: str | None = None) -> float:
    return (await ask(app, "POST", "/v1/score", {"text": TEXT, "session": session})).json["bits_per_character"]


class Held:
    """Makes learning wait until it is let go on, so that nobody else can teach."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self._go_on = threading.Event(), threading.Event()
        learn = Completer.learn

        def slow(model: Completer, text: str) -> None:
            self.begun.set()
            assert self._go_on.wait(30)
            learn(model, text)

        monkeypatch.setattr(Completer, "learn", slow)

    async def at_it(self) -> None:
        assert await asyncio.to_thread(self.begun.wait, 30)

    def let_go(self) -> None:
        self._go_on.set()


async def cut_off(task: asyncio.Task[object]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_a_text_whose_request_was_cancelled_can_be_forgotten(
    folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(app: FastAPI) -> None:
        never = await surprise(app)
        held = Held(monkeypatch)
        teaching = asyncio.create_task(ask(app, "POST", "/v1/learn", {"text": TEXT, "session": "a"}))
        await held.at_it()
        await cut_off(teaching)
        held.let_go()
        while await surprise(app) == never:
            await asyncio.sleep(0.01)
        assert (await ask(app, "DELETE", "/v1/learn?session=a")).json == {"forgotten": 1}
        assert await surprise(app) == never

    served(folder_of("blend"), work)


def test_a_cancelled_request_to_forget_is_carried_out(
    folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(app: FastAPI) -> None:
        never = await surprise(app)
        for _ in range(3):
            await ask(app, "POST", "/v1/learn", {"text": TEXT, "session": "a"})
        assert await surprise(app) < never
        held = Held(monkeypatch)
        other = asyncio.create_task(ask(app, "POST", "/v1/learn", {"text": "سؤال", "session": "b"}))
        await held.at_it()
        asked, run = asyncio.Event(), Workers.run

        def heard(workers: Workers, *given: Any) -> Any:
            asked.set()
            return run(workers, *given)

        monkeypatch.setattr(Workers, "run", heard)
        forgetting = asyncio.create_task(ask(app, "DELETE", "/v1/learn?session=a"))
        await asked.wait()  # it is queued behind the slow update
        await cut_off(forgetting)
        held.let_go()
        assert (await other).json == {"learnt": 1}
        assert (await ask(app, "DELETE", "/v1/learn?session=b")).json == {"forgotten": 1}
        while await surprise(app) != never:
            await asyncio.sleep(0.01)
        assert (await ask(app, "DELETE", "/v1/learn?session=a")).json == {"forgotten": 0}

    served(folder_of("blend"), work)


def test_a_text_is_forgotten_once(folder_of: Callable[[str], Path]) -> None:
    async def work(app: FastAPI) -> None:
        never = await surprise(app)
        for session in ("a", "b", None):
            body = {"text": TEXT, "session": session}
            assert (await ask(app, "POST", "/v1/learn", body)).json == {"learnt": 1}
        assert (await ask(app, "DELETE", "/v1/learn?session=a")).json == {"forgotten": 1}
        assert (await ask(app, "DELETE", "/v1/learn?session=a")).json == {"forgotten": 0}
        assert (await ask(app, "DELETE", "/v1/learn")).json == {"forgotten": 2}  # the texts of all sessions
        assert (await ask(app, "DELETE", "/v1/learn")).json == {"forgotten": 0}
        assert await surprise(app) == never

    served(folder_of("blend"), work)


def test_texts_and_characters_are_bounded(folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    async def taught_so_far(app: FastAPI, text: str, times: int) -> list[int]:
        return [(await ask(app, "POST", "/v1/learn", {"text": text})).status for _ in range(times)]

    async def work(app: FastAPI) -> None:
        assert await taught_so_far(app, "ش" * 4_001, 1) == [400]
        assert await taught_so_far(app, "ش" * 4_000, 3) == [200, 200, 400]
        assert await taught_so_far(app, "شو", 1) == [200]  # a short one still fits
        await ask(app, "DELETE", "/v1/learn")
        assert await taught_so_far(app, "شو", 4) == [200, 200, 200, 400]

    monkeypatch.setattr(learnt_texts, "MAX_TEXTS", 3)
    monkeypatch.setattr(learnt_texts, "MAX_TOTAL_CHARACTERS", 8_100)
    served(folder_of("blend"), work)


def test_what_a_session_teaches_for_itself_stays_apart(folder_of: Callable[[str], Path]) -> None:
    async def work(app: FastAPI) -> None:
        never = await surprise(app)
        body = {"text": TEXT, "session": "a", "private": True}
        assert [(await ask(app, "POST", "/v1/learn", body)).json["learnt"] for _ in range(2)] == [1, 2]
        knows = await surprise(app, "a")
        assert knows < never
        assert await surprise(app, "b") == await surprise(app, None) == never
        asked: dict[str, Any]
        for path, asked in (
            ("/v1/completions", {"prompt": TEXT[:9], "temperature": 0, "max_tokens": 8}),
            ("/v1/suggest", {"prefix": TEXT[:9], "k": 1, "threshold": 0}),
        ):
            answers = [(await ask(app, "POST", path, asked | {"session": s})).json for s in ("a", "b")]
            said = [answer.get("suggestions") or answer["choices"][0]["text"] for answer in answers]
            assert said[0] != said[1]
        # What all share is another thing.
        assert (await ask(app, "POST", "/v1/learn", {"text": TEXT, "session": "b"})).json == {"learnt": 1}
        counted = {
            query: (await ask(app, "GET", f"/v1/learn{query}")).json for query in ("?session=a", "?session=b", "")
        }
        assert counted == {"?session=a": {"learnt": 2}, "?session=b": {"learnt": 1}, "": {"learnt": 0}}
        assert await surprise(app, "b") < never and await surprise(app, "a") == knows
        assert (await ask(app, "DELETE", "/v1/learn?session=a")).json == {"forgotten": 2}
        assert (await ask(app, "DELETE", "/v1/learn?session=a")).json == {"forgotten": 0}
        assert await surprise(app, "a") == await surprise(app, "b")
        await ask(app, "POST", "/v1/learn", body)
        assert (await ask(app, "DELETE", "/v1/learn")).json == {"forgotten": 2}
        assert await surprise(app, "a") == await surprise(app, "b") == never
        assert (await ask(app, "POST", "/v1/learn", {"text": TEXT, "private": True})).status == 400

    served(folder_of("blend"), work)


def test_private_copies_are_few_and_share_the_bounds(
    folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def taught(app: FastAPI, session: str | None) -> int:
        body = {"text": TEXT, "session": session, "private": session is not None}
        return (await ask(app, "POST", "/v1/learn", body)).status

    async def work(app: FastAPI) -> None:
        assert [await taught(app, session) for session in ("a", "b")] == [200, 200]
        (loaded,) = app.state.pool.loaded
        full = await ask(app, "POST", "/v1/learn", {"text": TEXT, "session": "c", "private": True})
        assert full.status == 503 and full.json["error"]["code"] == "no_room"
        assert list(loaded.private) == ["a", "b"]  # neither went for the third
        assert [await taught(app, session) for session in (None, "a", "b", None)] == [200, 400, 400, 400]
        assert (await ask(app, "DELETE", "/v1/learn?session=a")).json == {"forgotten": 1}
        assert await taught(app, "c") == 200 and [*loaded.private] == ["b", "c"]

    monkeypatch.setattr(model_pool, "MAX_PRIVATE", 2)
    monkeypatch.setattr(learnt_texts, "MAX_TEXTS", 3)
    served(folder_of("blend"), work)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/suggest", {"prefix": "شو"}),
        ("/v1/completions", {"prompt": "شو"}),
        ("/v1/completions", {"prompt": "شو", "stream": True}),
        ("/v1/score", {"text": "شو"}),
        ("/v1/learn", {"text": "شو"}),
        ("/v1/learn", {"text": "شو", "private": True}),
    ],
)
def test_every_route_tells_a_session_that_has_expired(
    folder_of: Callable[[str], Path], path: str, body: dict[str, Any]
) -> None:
    async def work(app: FastAPI) -> None:
        taught = {"text": TEXT, "session": "a", "private": True}
        assert (await ask(app, "POST", "/v1/learn", taught)).status == 200
        await app.state.pool.reload()
        for session, status in (("a", 410), ("b", 200)):
            assert (await ask(app, "POST", path, body | {"session": session})).status == status
        assert (await ask(app, "GET", "/v1/learn?session=a")).status == 410
        assert (await ask(app, "DELETE", "/v1/learn?session=a")).json == {"forgotten": 0}  # the session knows
        assert (await ask(app, "POST", path, body | {"session": "a"})).status == 200

    served(folder_of("blend"), work)


def test_a_lesson_that_fails_late_takes_no_place(
    folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(app: FastAPI) -> None:
        (loaded,), body = app.state.pool.loaded, {"text": TEXT, "session": "a", "private": True}
        with monkeypatch.context() as patched:
            patched.setattr(LearntTexts, "learn", fail)
            assert (await ask(app, "POST", "/v1/learn", body)).status == 503
        assert loaded.private == {}
        assert (await ask(app, "POST", "/v1/learn", body)).status == 200
        assert [*loaded.private] == ["a"]

    def fail(*_: object) -> int:
        raise MemoryError

    served(folder_of("blend"), work)


@pytest.mark.parametrize(
    ("text", "bound", "status"),
    [
        ("ش" * 4_001, 9, 400),
        (" ", 9, 400),
        ("شو", 1, 400),
        ("ش" * 70_000, 9, 413),
    ],
)
def test_a_refused_private_text_changes_nothing(
    folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, text: str, bound: int, status: int
) -> None:
    """A copy that was made for it would not know what the session taught the model that all share."""

    async def work(app: FastAPI) -> None:
        taught = {"text": TEXT, "session": "a"}
        assert (await ask(app, "POST", "/v1/learn", taught)).status == 200
        knows = await surprise(app, "a")
        monkeypatch.setattr(LoadedModel, "_copy", None)  # none is made
        for session in ("a", "b"):
            body = {"text": text, "session": session, "private": True}
            assert (await ask(app, "POST", "/v1/learn", body)).status == status
        assert [model.private for model in app.state.pool.loaded] == [{}]
        assert await surprise(app, "a") == knows

    monkeypatch.setattr(learnt_texts, "MAX_TEXTS", bound)
    served(folder_of("blend"), work, max_body=65_536)


def test_a_request_that_is_cut_off_leaves_the_copy_to_another(
    folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(app: FastAPI) -> None:
        held, body = Held(monkeypatch), {"text": TEXT, "session": "a", "private": True}
        teaching = asyncio.create_task(ask(app, "POST", "/v1/learn", body))
        await held.at_it()
        left = asyncio.create_task(ask(app, "POST", "/v1/learn", body))
        (loaded,) = app.state.pool.loaded
        while loaded.private["a"].num_users < 2:
            await asyncio.sleep(0)
        await cut_off(left)
        held.let_go()
        assert (await teaching).json == {"learnt": 1}
        assert (await ask(app, "GET", "/v1/learn?session=a")).json == {"learnt": 1}

    served(folder_of("blend"), work)


def test_texts_that_come_at_once_share_the_bounds(
    folder_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(app: FastAPI) -> None:
        body = {"text": TEXT, "session": "a", "private": True}
        assert (await ask(app, "POST", "/v1/learn", {"text": TEXT})).status == 200
        held, (loaded,) = Held(monkeypatch), app.state.pool.loaded
        tasks = [asyncio.create_task(ask(app, "POST", "/v1/learn", body)) for _ in range(2)]
        while "a" not in loaded.private or loaded.private["a"].num_users < 2:
            await asyncio.sleep(0)
        held.let_go()
        assert [answer.status for answer in await asyncio.gather(*tasks)] == [200, 400]

    monkeypatch.setattr(learnt_texts, "MAX_TEXTS", 2)
    served(folder_of("blend"), work)


def test_a_model_that_cannot_learn_has_no_copies(folder_of: Callable[[str], Path]) -> None:
    async def work(app: FastAPI) -> None:
        body = {"text": TEXT, "session": "a", "private": True}
        assert (await ask(app, "POST", "/v1/learn", body)).status == 400
        assert [model.private for model in app.state.pool.loaded] == [{}]

    served(folder_of("ngram"), work)


def test_an_offensive_word_is_exempt_for_the_session_that_taught_it_alone() -> None:
    model = kammil.load()
    word = offensive_end(model)
    other = LearntTexts(model)
    other.learn("a", "شو حلو")
    other.learn("a", f"قال {word} هون")
    other.learn(None, f"قال {word} هون")
    assert (
        other.user_allowed_words("a") == other.user_allowed_words(None) != frozenset() == other.user_allowed_words("b")
    )
    assert other.forget("a") and other.user_allowed_words("a")
    assert other.forget("a") and not other.user_allowed_words("a") and other.user_allowed_words(None)


def test_offensive_words_are_looked_for_once_in_each_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a client that teaches texts with one would hold up all others, longer with each text."""
    model, searched = kammil.load(), list[str]()
    word = offensive_end(model)

    class Recorded:
        def entries_in(self, text: str) -> set[BlockedWord]:
            searched.append(text)
            return offensive_words().entries_in(text)

    monkeypatch.setattr(learnt_texts, "offensive_words", Recorded)
    taught = LearntTexts(model)
    texts = [f"قال {word} {n}" for n in range(4)]
    for text in texts:
        taught.learn("a", text)
    while taught.forget("a"):
        pass
    assert searched == texts


def test_other_clients_are_not_shown_an_offensive_word_that_one_taught() -> None:
    bundled = kammil.load()
    word = offensive_end(bundled)

    async def work(app: FastAPI) -> None:
        async def suggested(session: str | None) -> bool:
            fields = {} if session is None else {"session": session}
            got = (await ask(app, "POST", "/v1/suggest", {"prefix": "اباح", "k": 5, "phrase": 3, **fields})).json
            return word in [one["text"] for one in got["suggestions"]]

        async def completed(session: str) -> bool:
            fields = {"prompt": "قال اباح", "temperature": 0, "max_tokens": 12, "session": session}
            got = (await ask(app, "POST", "/v1/completions", fields)).json
            return ("اباح" + got["choices"][0]["text"]).startswith(word)

        taught = {"text": f"قال {word} هون", "session": "a"}
        assert [(await ask(app, "POST", "/v1/learn", taught)).status for _ in range(3)] == [200] * 3
        assert [await suggested(session) for session in ("a", "b", None)] == [True, False, False]
        assert [await completed(session) for session in ("a", "b")] == [True, False]
        assert (await ask(app, "POST", "/v1/learn", taught | {"session": "c", "private": True})).status == 200
        assert [await suggested(session) for session in ("a", "b", "c")] == [True, False, True]
        assert (await ask(app, "DELETE", "/v1/learn?session=a")).status == 200
        assert [await suggested(session) for session in ("a", "b", "c")] == [False, False, True]

    served(Path("levantine"), work)


def test_no_request_makes_the_list_of_offensive_words_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """The event loop would make it, and every other request would wait meanwhile."""
    word, made = offensive_end(kammil.load()), list[str]()

    def recorded(kind: type) -> Any:
        original = kind.__init__

        def init(self: object, *args: Any) -> None:
            made.append(kind.__name__)
            original(self, *args)

        return init

    async def work(app: FastAPI) -> None:
        for kind in (Blocklist, WordBlock):
            monkeypatch.setattr(kind, "__init__", recorded(kind))
        for session, fields in (("a", {}), ("b", {"private": True})):
            taught = {"text": f"قال {word} هون", "session": session, **fields}
            assert (await ask(app, "POST", "/v1/learn", taught)).status == 200
            got = (await ask(app, "POST", "/v1/suggest", {"prefix": "اباح", "k": 5, "session": session})).json
            assert word in [one["text"] for one in got["suggestions"]]
            for allowed in (False, True):
                completion = {"prompt": "قال اباح", "max_tokens": 3, "session": session, "allow_offensive": allowed}
                assert (await ask(app, "POST", "/v1/completions", completion)).status == 200

    served(Path("levantine"), work)
    assert not made


def test_every_session_knows_the_profile(folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    """Private copies know it too, nothing that clients do changes it, and a reload reads it again."""
    profile = kammil.Profile(tmp_path / "me.jsonl")
    profile.learn(TEXT, TEXT, "   قطايف   ")
    before = profile.path.read_bytes()
    known = sum(kammil.load(folder_of("blend"), profile=profile).score(TEXT).bits[:-1]) / len(TEXT)

    async def work(app: FastAPI) -> None:
        async def bits_of(session: str) -> float:
            answer = await ask(app, "POST", "/v1/score", {"text": TEXT, "session": session})
            return answer.json["bits_per_character"]

        assert await bits_of("a") == pytest.approx(known, abs=1e-6)
        other = {"text": "كيفك اليوم", "session": "b", "private": True}
        assert (await ask(app, "POST", "/v1/learn", other)).json["learnt"] == 1
        assert await bits_of("b") < known + 0.1
        assert (await ask(app, "POST", "/v1/learn", {"text": TEXT})).json["learnt"] == 1
        assert await bits_of("a") < known
        assert (await ask(app, "DELETE", "/v1/learn")).json["forgotten"] == 2
        assert await bits_of("a") == pytest.approx(known, abs=1e-6)
        assert profile.path.read_bytes() == before
        fingerprint = (await app.state.pool.open()).fingerprint
        profile.wipe()
        await app.state.pool.reload()
        assert await bits_of("a") > known + 0.5
        assert (await app.state.pool.open()).fingerprint != fingerprint

    served(folder_of("blend"), work, profile=profile.path)


def test_every_session_may_be_shown_the_words_of_the_profile(tmp_path: Path) -> None:
    word = offensive_end(kammil.load())
    kammil.Profile(tmp_path / "me.jsonl").learn(f"قال {word} هون")

    async def work(app: FastAPI) -> None:
        loaded = await app.state.pool.open()
        known = loaded.learnt_texts
        assert known.user_allowed_words("a") == known.user_allowed_words(None) != frozenset()
        body = {"text": "كيفك اليوم", "session": "b", "private": True}
        assert (await ask(app, "POST", "/v1/learn", body)).status == 200
        assert loaded.private["b"].learnt_texts.user_allowed_words("b") == known.user_allowed_words("a")

    served(Path("levantine"), work, profile=tmp_path / "me.jsonl")
