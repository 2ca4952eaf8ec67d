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
from copy import copy
from functools import partial
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar
from weakref import WeakSet

from kammil import model_folder as folders
from kammil.completion.completer import Completer, load
from kammil.completion.learning import Profile
from kammil.errors import KammilError
from kammil.language_model import AdaptiveModel
from kammil.models.family import FAMILIES
from kammil.server.api import schemas
from kammil.server.api.responses import ApiError
from kammil.server.learnt_texts import LearntTexts
from kammil.server.metrics import Metrics
from kammil.server.settings import ServerSettings, model_name
from kammil.server.workers import Work, Workers
from kammil.text import shortened

SHARED_MEGABYTES = 64.0
"""State cache of all clients without a session."""
SESSION_MEGABYTES = 2.0
"""One session's state cache: 170 characters with the bundled model."""
MAX_PRIVATE = 32
"""Private copies of a model."""
IDLE_SECONDS = 3600.0
"""Time without a request after which a private copy gives way to another."""
MAX_EXPIRED = 10_000
"""Expired sessions that are remembered: where 32 expire in each hour, those of 13 days."""

Answer = TypeVar("Answer")

log = logging.getLogger("kammil.server")


class LoadedModel:
    """An open model, which all threads share, with its sessions and learnt texts.

    OpenAI's `system_fingerprint` changes whenever the same seed could give another text.
    """

    def __init__(
        self, name: str, completer: Completer, settings: ServerSettings, workers: Workers, fingerprint: str
    ) -> None:
        self.name, self.completer, self.settings, self.fingerprint = name, completer, settings, fingerprint
        self.workers = workers
        self.can_learn = settings.learning_allowed and isinstance(completer.language_model, AdaptiveModel)
        self._as_opened = completer.fork(learnt=True) if self.can_learn else None
        """The model as no client has taught it."""
        self._lock = Lock()  # of whoever teaches the model or a copy
        self._taught = WeakSet[LearntTexts]()  # of the model and its copies
        self.learnt_texts = self._new_texts(self.completer)
        self.private: dict[str, LoadedModel] = {}
        """Copies by session, which share the weights."""
        self.expired: dict[str, None] = {}
        """Sessions that have lost their copy and have not confirmed it, oldest first."""
        self._sessions: OrderedDict[str, Completer] = OrderedDict()
        self.num_users, self.used_at = 0, time.monotonic()

    def _new_texts(self, completer: Completer) -> LearntTexts:
        texts = LearntTexts(completer, partial(list[LearntTexts], self._taught))
        self._taught.add(texts)
        return texts

    async def run(self, work: Work[Answer]) -> Answer:
        """Do the work of a request in a thread."""
        return await self.workers.run(work, self.name, self.settings.timeout)

    def stream(self, work: Work[Any]) -> AsyncGenerator[bytes]:
        """Do the work in a thread, and yield its parts."""
        return self.workers.stream(work, self.name, self.settings.timeout)

    async def update(self, action: Callable[[], Answer]) -> Answer:
        """Call an action in a thread while nobody else teaches the model."""

        def alone() -> Work[Answer]:
            while not self._lock.acquire(timeout=0.01):
                yield
            try:
                yield  # the client may have left meanwhile
                return action()
            finally:
                self._lock.release()

        return await self.run(alone())

    def log_prompt(self, prompt: object) -> None:
        """Log a prompt if the settings ask for it."""
        if self.settings.log_prompts:
            log.info("prompt: %r", prompt)

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
        """Count a block as a use of the model."""
        self.num_users += 1
        try:
            yield self
        finally:
            self.num_users, self.used_at = self.num_users - 1, time.monotonic()

    @contextmanager
    def private_copy(self, session: str) -> Generator[LoadedModel]:
        """Use a session's private copy for a block, and drop it if it learnt nothing; `ApiError` if the session has
        expired, or there is no room."""
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
                del self.private[session]

    def _evict(self) -> None:
        """Drop the private copy that has been idle longest; `ApiError` if that is not long enough."""
        session, own = min(self.private.items(), key=lambda item: (item[1].num_users > 0, item[1].used_at))
        wait = IDLE_SECONDS if own.num_users else own.used_at + IDLE_SECONDS - time.monotonic()
        if wait > 0:
            full = f"this server keeps private texts of {MAX_PRIVATE} sessions, and all were used within the hour"
            message, headers = f"{full}; try again later.", {"Retry-After": str(math.ceil(wait))}
            raise ApiError(503, message, param="private", code="no_room", headers=headers)
        del self.private[session]
        self.expire([session])

    def expire(self, sessions: Iterable[str]) -> None:
        """Remember sessions that have lost their copies."""
        self.expired |= dict.fromkeys(sessions)
        for session in [*self.expired][:-MAX_EXPIRED]:
            del self.expired[session]

    def _copy(self) -> LoadedModel:
        """Return a fork with counts of its own, which shares threads, lock and bounds."""
        assert self._as_opened is not None, "a model that cannot learn has no private copies"
        own, completer = copy(self), self._as_opened.fork(learnt=True)
        own.completer, own.fingerprint = completer.with_own_cache(SESSION_MEGABYTES), f"{self.fingerprint}-private"
        own.learnt_texts, own.private, own._sessions = self._new_texts(own.completer), {}, OrderedDict()
        own.num_users, own.used_at = 0, time.monotonic()
        return own

    def completer_of(self, session: str | None) -> Completer:
        """Return the model with the session's state cache; the longest unused gives way."""
        if session is None or not self.settings.sessions:
            return self.completer
        own = self._sessions.pop(session, None) or self.completer.with_own_cache(SESSION_MEGABYTES)
        self._sessions[session] = own
        while len(self._sessions) > self.settings.sessions:
            self._sessions.popitem(last=False)
        return own

    def drop_contexts(self) -> None:
        """Forget the messages before the texts of all sessions."""
        self.completer.drop_contexts()


class ModelPool:
    """Opens, finds and replaces models."""

    def __init__(self, settings: ServerSettings, metrics: Metrics) -> None:
        self._settings, self.workers = settings, Workers(settings.num_threads, metrics)
        self._folders = {model_name(folder): folder for folder in settings.folders}
        self._loaded: dict[str, LoadedModel] = {}
        self._loading: dict[str, asyncio.Task[LoadedModel]] = {}
        self._reload_lock = asyncio.Lock()
        self._reload_requested = False

    @property
    def names(self) -> list[str]:
        """Names of all models, the default first."""
        return list(self._folders)

    @property
    def ready(self) -> bool:
        """Whether the default model is open, and no thread hangs."""
        return self.names[0] in self._loaded and not self.workers.hung

    @property
    def loaded(self) -> list[LoadedModel]:
        """The open models."""
        return list(self._loaded.values())

    def entries(self) -> list[schemas.ModelEntry]:
        """Describe all models without opening them."""
        return [_entry(name, folder, self._settings) for name, folder in self._folders.items()]

    @asynccontextmanager
    async def use(self, name: str | None, session: str | None = None) -> AsyncGenerator[LoadedModel]:
        """Use a model, or a session's private copy, for a block; `ApiError` for an unknown name."""
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
        if name in self._loaded:
            return self._loaded[name]
        if name not in self._loading:
            self._loading[name] = asyncio.create_task(self._open_new(name))
        return await asyncio.shield(self._loading[name])

    async def reload(self) -> None:
        """Read the folders of open models again, one reload at a time; requests at work keep the old model."""
        self._reload_requested = True
        async with self._reload_lock:
            if not self._reload_requested:  # another reload has served this call
                return
            self._reload_requested = False
            for name in [*self._loaded, *self._loading]:
                await self._replace(name)

    async def _open_new(self, name: str) -> LoadedModel:
        try:
            self._loaded[name] = loaded = await self._load(name)
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
            log.info("read %s again", name)

    async def _load(self, name: str) -> LoadedModel:
        model, fingerprint = await asyncio.to_thread(_open, self._folders[name], self._settings)
        loaded = LoadedModel(name, model, self._settings, self.workers, fingerprint)
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
    completer = completer.with_own_cache(SHARED_MEGABYTES)
    return completer, f"kammil-{version('kammil')}-{hashlib.sha256(described.encode()).hexdigest()[:12]}"


def _entry(name: str, folder: Path, settings: ServerSettings) -> schemas.ModelEntry:
    about: dict[str, Any] = {"family": "", "parameters": None, "licence": None, "figures": {}}
    about |= {"characters": "", "faults": None}
    try:
        created, about = int((folders.locate(folder) / folders.MODEL).stat().st_mtime), folders.about(folder)
    except (OSError, KammilError):  # removed, or being replaced
        created = 0
    family = about["family"]
    reads = family in FAMILIES and FAMILIES[family].can(AdaptiveModel)
    learns = settings.learning_allowed and reads
    card = schemas.Card(name=name, **about, reads_context=reads, learns=learns, learning="shared" if learns else None)
    return schemas.ModelEntry(id=name, created=created, card=card)
