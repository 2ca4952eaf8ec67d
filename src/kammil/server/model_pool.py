"""Models of a server, opened when first used."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import logging
import math
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Generator, Iterable
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from kammil import model_folder as folders
from kammil.completion.completer import Completer, load
from kammil.completion.learning import Profile
from kammil.completion.state_cache import StateCache
from kammil.errors import KammilError
from kammil.language_model import AdaptiveModel
from kammil.models.family import FAMILIES
from kammil.server.api import schemas
from kammil.server.api.responses import ApiError
from kammil.server.learnt_texts import LearntTexts
from kammil.server.scheduler.requests import EngineRequest, ModelUpdate
from kammil.server.scheduler.scheduler import Scheduler, SchedulerStats
from kammil.server.settings import ServerSettings, model_name
from kammil.text import shortened

SHARED_MEGABYTES = 64.0
"""State cache of all clients without a session."""
SESSION_MEGABYTES = 2.0
"""One session's state cache: 170 characters with the bundled model."""
MAX_PRIVATE = 32
"""Private copies of a model, each with a thread."""
IDLE_SECONDS = 3600.0
"""Time without a request after which a private copy gives way to another."""
MAX_EXPIRED = 10_000
"""Expired sessions that are remembered: where 32 expire in each hour, those of 13 days."""
RETRY_SECONDS = 30.0
"""Delay after a failed reopening, unless a request comes first."""

OnAnswered = Callable[[str, EngineRequest[Any], int], None]
"""Takes the model's name, the answered request, and its number of prompt tokens."""
Answer = TypeVar("Answer")

log = logging.getLogger("kammil.server")


class LoadedModel:
    """An open model, which no other code may use, with its scheduler, sessions and learnt texts.

    OpenAI's `system_fingerprint` changes whenever the same seed could give another text.
    """

    def __init__(
        self, name: str, completer: Completer, settings: ServerSettings, on_answered: OnAnswered, fingerprint: str
    ) -> None:
        self.name, self.completer, self.settings, self.fingerprint = name, completer, settings, fingerprint
        self._on_answered, self.count_answered = on_answered, partial(on_answered, name)
        completer.state_cache = StateCache(completer.language_model, SHARED_MEGABYTES)
        self.scheduler = Scheduler(completer, max_batch=settings.rows)
        self.can_learn = settings.learning_allowed and isinstance(completer.language_model, AdaptiveModel)
        self._as_opened = completer.fork(learnt=True) if self.can_learn else None
        """The model as no client has taught it."""
        self.private: dict[str, LoadedModel] = {}
        """Copies by session, which share the weights."""
        self.expired: dict[str, None] = {}
        """Sessions that have lost their copy and have not confirmed it, oldest first."""
        self.learnt_texts = LearntTexts(completer, self._all_learnt)
        self._sessions: OrderedDict[str, StateCache] = OrderedDict()
        self.num_users, self.used_at, self.replaced = 0, time.monotonic(), False
        completer.character_classes  # noqa: B018 # computed before the first request

    def deadline(self) -> float:
        """Return the deadline of a request that begins now."""
        return time.monotonic() + self.settings.timeout

    async def update(self, action: Callable[[], Answer]) -> Answer:
        """Call an action on the scheduler's thread."""
        return await self.scheduler.run(ModelUpdate(self.deadline(), action))

    def log_prompt(self, prompt: object) -> None:
        """Log a prompt if the settings ask for it."""
        if self.settings.log_prompts:
            log.info("prompt: %r", prompt)

    def _all_learnt(self) -> list[LearntTexts]:
        return [self.learnt_texts, *(own.learnt_texts for own in list(self.private.values()))]

    def of(self, session: str | None) -> LoadedModel:
        """Return the session's private copy, or else this model; `ApiError` if the session has expired."""
        if session in self.expired:
            why = "others needed the room, or the models were read again"
            out = "confirm it by DELETE /v1/learn?session=NAME, or take another name, and teach again"
            message = f"what this session taught privately is forgotten: {why}; {out}."
            raise ApiError(410, message, param="session", code="session_expired")
        return self.private.get(session, self) if session is not None else self

    @contextmanager
    def used(self) -> Generator[LoadedModel]:
        """Keep the model open for a block."""
        self.num_users += 1
        try:
            yield self
        finally:
            self.num_users, self.used_at = self.num_users - 1, time.monotonic()
            self.close_if_unused()

    @contextmanager
    def private_copy(self, session: str) -> Generator[LoadedModel]:
        """Keep a session's private copy open for a block, and drop it if it learnt nothing; `ApiError` if the session
        has expired, or there is no room."""
        own = self.of(session)
        if own is self:
            if len(self.private) >= MAX_PRIVATE:
                self._evict()
            own = self.private[session] = self._copy()
        try:
            with own.used():
                yield own
        finally:
            if self.private.get(session) is own and not own.num_users and not own.learnt_texts.size[0]:
                self.drop_private(session)

    def _evict(self) -> None:
        """Drop the private copy that has been idle longest; `ApiError` if that is not long enough."""
        session, own = min(self.private.items(), key=lambda item: (item[1].num_users > 0, item[1].used_at))
        wait = IDLE_SECONDS if own.num_users else own.used_at + IDLE_SECONDS - time.monotonic()
        if wait > 0:
            full = f"this server keeps private texts of {MAX_PRIVATE} sessions, and all were used within the hour"
            message, headers = f"{full}; try again later.", {"Retry-After": str(math.ceil(wait))}
            raise ApiError(503, message, param="private", code="no_room", headers=headers)
        self.drop_private(session)
        self.expire([session])

    def expire(self, sessions: Iterable[str]) -> None:
        """Remember sessions that have lost their copies."""
        self.expired |= dict.fromkeys(sessions)
        for session in [*self.expired][:-MAX_EXPIRED]:
            del self.expired[session]

    def _copy(self) -> LoadedModel:
        assert self._as_opened is not None, "a model that cannot learn has no private copies"
        copied, fingerprint = self._as_opened.fork(learnt=True), f"{self.fingerprint}-private"
        own = LoadedModel(self.name, copied, self.settings, self._on_answered, fingerprint)
        own.completer.state_cache = StateCache(own.completer.language_model, SESSION_MEGABYTES)
        own.learnt_texts.siblings = self._all_learnt
        return own

    async def take_over(self, stopped: LoadedModel) -> None:
        """Take over a stopped model's learnt texts and private copies."""
        await asyncio.to_thread(self.learnt_texts.restore, stopped.learnt_texts)
        kept = {session: own for session, own in stopped.private.items() if own.num_users or own.learnt_texts.size[0]}
        self.private, stopped.private, self.expired = kept, {}, stopped.expired
        for own in self.private.values():
            own.learnt_texts.siblings = self._all_learnt

    async def reopen_private(self) -> None:
        """Replace private copies whose threads have ended, and teach them the same texts."""
        for session, stopped in list(self.private.items()):
            if stopped.scheduler.alive:
                continue
            left = own = self._copy()
            try:
                await asyncio.to_thread(own.learnt_texts.restore, stopped.learnt_texts)
                if self.private.get(session) is stopped and not self.replaced:  # not forgotten meanwhile
                    self.private[session], left = own, stopped
            finally:
                left.retire()

    def drop_private(self, session: str) -> None:
        """Drop a session's private copy once no request uses it."""
        self.private.pop(session).retire()

    def retire(self) -> None:
        """Close the model and its copies once no request uses them."""
        for model in (self, *self.private.values()):
            model.replaced = True
            model.close_if_unused()

    def state_cache(self, session: str | None) -> StateCache:
        """Return a session's state cache; the longest unused gives way."""
        if session is None or not self.settings.sessions:
            return self.completer.state_cache
        cache = self._sessions.pop(session, None)
        if cache is None:
            cache = StateCache(self.completer.language_model, SESSION_MEGABYTES)
        self._sessions[session] = cache
        while len(self._sessions) > self.settings.sessions:
            self._clear_later(self._sessions.popitem(last=False)[1])
        return cache

    def _clear_later(self, state_cache: StateCache) -> None:
        if self.scheduler.alive:  # whose thread may be working with the cache
            self.scheduler.submit(ModelUpdate(math.inf, state_cache.clear))
        else:
            state_cache.clear()

    def close_if_unused(self) -> None:
        """Close the scheduler if the model is replaced and unused."""
        if self.replaced and not self.num_users:
            for state_cache in (self.completer.state_cache, *self._sessions.values()):
                self._clear_later(state_cache)
            self.scheduler.close()


class ModelPool:
    """Opens, finds and replaces models."""

    def __init__(self, settings: ServerSettings, on_answered: OnAnswered = lambda _name, _call, _tokens: None) -> None:
        self._settings, self._on_answered = settings, on_answered
        self._folders = {model_name(folder): folder for folder in settings.folders}
        self._loaded: dict[str, LoadedModel] = {}
        self._loading: dict[str, asyncio.Task[LoadedModel]] = {}
        self._retry_at = 0.0
        self._reload_lock = asyncio.Lock()
        self._reload_requested = False

    @property
    def names(self) -> list[str]:
        """Names of all models, the default first."""
        return list(self._folders)

    @property
    def ready(self) -> bool:
        """Whether the default model is open, and the threads of all open models run."""
        return self.names[0] in self._loaded and all(model.scheduler.alive for model in self.running)

    @property
    def loaded(self) -> list[LoadedModel]:
        """The open models."""
        return list(self._loaded.values())

    @property
    def running(self) -> list[LoadedModel]:
        """The open models and their private copies."""
        return [model for loaded in self.loaded for model in (loaded, *loaded.private.values())]

    @property
    def stats(self) -> list[SchedulerStats]:
        """All schedulers' numbers."""
        return [model.scheduler.stats for model in self.running]

    def entries(self) -> list[schemas.ModelEntry]:
        """Describe all models without opening them."""
        return [_entry(name, folder, self._settings) for name, folder in self._folders.items()]

    @asynccontextmanager
    async def use(self, name: str | None, session: str | None = None) -> AsyncGenerator[LoadedModel]:
        """Keep a model, or a session's private copy, open for a block; `ApiError` for an unknown name."""
        with (await self.open(name)).of(session).used() as loaded:
            yield loaded

    def unknown(self, name: str) -> ApiError:
        """Return the error for an unknown name."""
        message = f"there is no model {shortened(name)!r}; there is: {', '.join(self.names)}."
        return ApiError(404, message, param="model", code="model_not_found")

    async def open(self, name: str | None = None) -> LoadedModel:
        """Return a model, opened if necessary; `ApiError` for an unknown name."""
        name = name or self.names[0]
        if name not in self._folders:
            raise self.unknown(name)
        if name in self._loaded and self._loaded[name].scheduler.alive:
            return self._loaded[name]
        if name not in self._loading:
            self._loading[name] = asyncio.create_task(self._open_new(name))
        return await asyncio.shield(self._loading[name])

    async def reopen_stopped(self) -> None:
        """Reopen models and private copies whose threads have ended."""
        for name, loaded in list(self._loaded.items()):
            stopped = [model for model in (loaded, *loaded.private.values()) if not model.scheduler.alive]
            for model in stopped:
                model.scheduler.fail_remaining()
            if not stopped or time.monotonic() < self._retry_at:
                continue
            try:
                await (await self.open(name)).reopen_private()
                log.info("reopened %s", name)
            except Exception as error:
                self._retry_at = time.monotonic() + RETRY_SECONDS
                log.error("%s could not be reopened: %s", name, error)

    async def reload(self) -> None:
        """Read the folders of open models again, one reload at a time; requests at work keep the old model."""
        self._reload_requested = True
        async with self._reload_lock:
            if not self._reload_requested:  # another reload has served this call
                return
            self._reload_requested = False
            for name in [*self._loaded, *self._loading]:
                await self._replace(name)

    def close(self) -> None:
        """Close all schedulers."""
        for model in self.running:
            model.scheduler.close()

    async def _open_new(self, name: str) -> LoadedModel:
        try:
            stopped, loaded = self._loaded.get(name), await self._load(name)
            if stopped is not None:
                await loaded.take_over(stopped)
            self._loaded[name] = loaded
            if stopped is not None:
                stopped.retire()
        finally:
            del self._loading[name]
        return loaded

    async def _replace(self, name: str) -> None:
        try:
            old = await self.open(name)
            new = await self._load(name)
            new.expire([*old.expired, *old.private])
            self._loaded[name] = new
        except KammilError as error:
            log.error("%s stays as it was: %s", name, error)
        except Exception:
            log.exception("%s stays as it was", name)
        else:
            old.retire()
            log.info("read %s again", name)

    async def _load(self, name: str) -> LoadedModel:
        model, fingerprint = await asyncio.to_thread(_open, self._folders[name], self._settings)
        loaded = LoadedModel(name, model, self._settings, self._on_answered, fingerprint)
        # A garbage collection through the long-lived model would take 60 ms.
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        return loaded


def _open(folder: Path, settings: ServerSettings) -> tuple[Completer, str]:
    """Return the model and its fingerprint: a hash of all that decides what it writes."""
    profile = Profile(settings.profile) if settings.profile is not None else None
    completer = load(folder, profile=profile, block=settings.block)
    described = "" if completer.model is None else completer.model.description.model_dump_json()
    described += "".join(map(repr, completer.own_blocked_words))
    if profile is not None:
        described += "".join(map(repr, profile.texts))
        completer = completer.fork(learnt=True)  # the fork writes nothing into the profile
    completer.fix_own_phrases()  # clients would get each other's whole sentences
    for allowed in (False, True):  # make their lists of blocked words now
        completer.word_block(allow_offensive=allowed)
        completer.constraints({"allow_offensive": allowed}, 1)
    return completer, f"kammil-{version('kammil')}-{hashlib.sha256(described.encode()).hexdigest()[:12]}"


def _entry(name: str, folder: Path, settings: ServerSettings) -> schemas.ModelEntry:
    about: dict[str, Any] = {"family": "", "parameters": None, "licence": None, "figures": {}}
    about |= {"characters": "", "faults": None}
    try:
        created, about = int((folders.locate(folder) / folders.MODEL).stat().st_mtime), folders.about(folder)
    except (OSError, KammilError):  # removed, or being replaced
        created = 0
    family = about["family"]
    learns = settings.learning_allowed and family in FAMILIES and FAMILIES[family].can(AdaptiveModel)
    card = schemas.Card(name=name, **about, learns=learns, learning="shared" if learns else None)
    return schemas.ModelEntry(id=name, created=created, card=card)
