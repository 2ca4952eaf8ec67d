"""The models of a server: those named when it was started, and no other; opened when they are first asked for."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import logging
import math
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from kammil import model_folder as folders
from kammil.completion.completer import Completer, load
from kammil.completion.state_cache import StateCache
from kammil.errors import KammilError
from kammil.language_model import AdaptiveModel
from kammil.models.registry import FAMILIES
from kammil.server.api import schemas
from kammil.server.api.errors import ApiError
from kammil.server.learnt_texts import Taught
from kammil.server.scheduler import Call, Engine, Learning
from kammil.server.settings import Serving, name_of

SHARED = 64.0
"""Megabytes of states that all clients without a session share."""
EACH = 2.0
"""Megabytes of states of one session: the last 170 characters that were typed, with the bundled model."""
AGAIN = 30.0
"""Seconds after which a stopped model that could not be opened anew is tried again, if nobody asks for it sooner."""

Worked = Callable[["Served", Call[Any], int], None]

log = logging.getLogger("kammil.server")


class Served:
    """A model that is open, with its engine and what its clients have left.

    Args:
        name: what clients call it.
        model: nobody else may use it.
        settings: of the server.
        worked: is told of every call that the engine has answered, and how many tokens were read for it.
    """

    def __init__(self, name: str, model: Completer, settings: Serving, worked: Worked) -> None:
        """Start the engine."""
        self._worked = worked
        self.name, self.model = name, model
        model.prefixes = StateCache(model.language_model, SHARED)
        self.engine = Engine(model, rows=settings.rows)
        self.learns = settings.learns and isinstance(model.language_model, AdaptiveModel)
        self.taught = Taught(model)
        self._most = settings.sessions
        self._sessions: OrderedDict[str, StateCache] = OrderedDict()
        self.fingerprint = f"kammil-{version('kammil')}-{_digest(model)}"
        """Another one whenever the same seed may give another text."""
        self.users = 0
        self.retired = False
        model.character_classes  # noqa: B018  # made now, not by the first suggestion

    def prefixes(self, session: str | None) -> StateCache:
        """Where what a session typed is kept."""
        if session is None or not self._most:
            return self.model.prefixes
        found = self._sessions.pop(session, None)
        self._sessions[session] = found = StateCache(self.model.language_model, EACH) if found is None else found
        while len(self._sessions) > self._most:
            self._forget(self._sessions.popitem(last=False)[1])
        return found

    def _forget(self, prefixes: StateCache) -> None:
        """Free states that nobody will ask for again; on the engine's thread, which may be at work with them."""
        if not self.engine.alive:
            prefixes.clear()
            return
        self.engine.submit(Learning(math.inf, prefixes.clear))

    def worked(self, call: Call[Any], tokens: int) -> None:
        """Count a call that the engine has answered."""
        self._worked(self, call, tokens)

    def release(self) -> None:
        """End the engine of a model that was replaced, once nobody uses it."""
        if self.retired and not self.users:
            for prefixes in (self.model.prefixes, *self._sessions.values()):
                self._forget(prefixes)
            self.engine.close()


class Registry:
    """Opens, finds and replaces models.

    Args:
        settings: name the folders.
        worked: see `Served`.
    """

    def __init__(self, settings: Serving, worked: Worked = lambda _served, _call, _tokens: None) -> None:
        """Open nothing."""
        self._worked = worked
        self._settings = settings
        self._folders = {name_of(folder): folder for folder in settings.folders}
        self._open: dict[str, Served] = {}
        self._opening: dict[str, asyncio.Task[Served]] = {}
        self._revive_at = 0.0
        self._reloading = asyncio.Lock()
        self._stale = False
        """Whether somebody has asked for a reading of the folders that has not begun."""

    @property
    def names(self) -> list[str]:
        """Of all models; the first is the default."""
        return list(self._folders)

    @property
    def ready(self) -> bool:
        """Whether the first model is open, and the threads of all that are open run."""
        return self.names[0] in self._open and all(served.engine.alive for served in self.served)

    @property
    def served(self) -> list[Served]:
        """Models that are open."""
        return list(self._open.values())

    def entries(self) -> list[schemas.ModelEntry]:
        """What is known of all models, without opening them."""
        return [_entry(name, folder, self._settings) for name, folder in self._folders.items()]

    @asynccontextmanager
    async def use(self, name: str | None) -> AsyncGenerator[Served]:
        """A model, for as long as the block lasts; `ApiError` if there is none of that name."""
        served = await self.open(name)
        served.users += 1
        try:
            yield served
        finally:
            served.users -= 1
            served.release()

    async def open(self, name: str | None = None) -> Served:
        """Open a model, or find it open."""
        name = name or self.names[0]
        if name not in self._folders:
            known = ", ".join(self.names)
            raise ApiError(
                404, f"there is no model of that name; there is: {known}.", param="model", code="model_not_found"
            )
        if name in self._open and self._open[name].engine.alive:
            return self._open[name]
        if name not in self._opening:
            self._opening[name] = asyncio.create_task(self._begin(name))
        return await asyncio.shield(self._opening[name])

    async def revive(self) -> None:
        """Open models anew whose threads have ended; to be called now and then."""
        for name, served in list(self._open.items()):
            if served.engine.alive:
                continue
            served.engine.bury()
            if time.monotonic() < self._revive_at:
                continue
            try:
                await self.open(name)
                log.info("opened %s anew", name)
            except Exception as error:
                self._revive_at = time.monotonic() + AGAIN
                log.error("%s could not be opened anew: %s", name, error)

    async def reload(self) -> None:
        """Read the folders of all open models again; who is being answered keeps the old one until then.

        One reading at a time: two at once would both replace the same model. Who asks meanwhile gets one more, since
        the folders may have changed since they were read.
        """
        self._stale = True
        async with self._reloading:
            if not self._stale:  # they were read after this was asked for
                return
            self._stale = False
            for name in [*self._open, *self._opening]:
                await self._replace(name)

    def close(self) -> None:
        """End all engines."""
        for served in self.served:
            served.engine.close()

    async def _begin(self, name: str) -> Served:
        """Open a model for the first time, or in the place of one whose thread has ended."""
        try:
            stopped = self._open.get(name)
            served = await self._load(name)
            if stopped is not None:  # its thread has ended; what it was taught, the new one knows too
                await asyncio.to_thread(served.taught.restore, stopped.taught)
            self._open[name] = served
            if stopped is not None:
                stopped.retired = True
                stopped.release()
        finally:
            del self._opening[name]
        return served

    async def _replace(self, name: str) -> None:
        """Put what a folder holds now in the place of a model; what goes wrong leaves it as it was."""
        try:
            old = await self.open(name)
            self._open[name] = await self._load(name)
        except KammilError as error:
            log.error("%s stays as it was: %s", name, error)
        except Exception:
            log.exception("%s stays as it was", name)
        else:
            old.retired = True
            old.release()
            log.info("read %s again", name)

    async def _load(self, name: str) -> Served:
        """The model of a folder, with an engine of its own."""
        model = await asyncio.to_thread(load, self._folders[name])
        served = Served(name, model, self._settings, self._worked)
        # What lives as long as the server need not be looked through for garbage, 60 ms each time.
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        return served


def _entry(name: str, folder: Path, settings: Serving) -> schemas.ModelEntry:
    """What the small files of a folder say."""
    try:
        created = int((folders.locate(folder) / folders.MODEL).stat().st_mtime)
        description, metrics = folders.summary(folder)
    except (OSError, KammilError):  # it has gone since, or is being replaced
        created, description, metrics = 0, None, {}
    figures: dict[str, float | None] = {}
    model = metrics.get("validation", {}).get("model", {})
    for figure in ("bits_per_character", "top1", "target_top3"):
        figures[figure.removeprefix("target_")] = model.get(figure, {}).get("value")
    family = description.family if description is not None else ""
    learns = settings.learns and family in FAMILIES and FAMILIES[family].can(AdaptiveModel)
    card = schemas.Card(
        name=name,
        family=family,
        parameters=metrics.get("parameters"),
        licence=metrics.get("licence"),
        figures=figures,
        learns=learns,
        learning="shared" if learns else None,
    )
    return schemas.ModelEntry(id=name, created=created, card=card)


def _digest(model: Completer) -> str:
    """Of what a model was made of, as far as its folder says."""
    if model.model is None:
        return "none"
    return hashlib.sha256(model.model.description.model_dump_json().encode()).hexdigest()[:12]
