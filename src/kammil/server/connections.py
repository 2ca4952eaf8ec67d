"""Connections over which nothing comes are closed: a head that never ends costs a client nothing, us a descriptor."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.auto import AutoHTTPProtocol

HEAD = 20.0
"""Seconds from the opening of a connection to the end of its first request's head."""

_Uvicorn = cast(Any, AutoHTTPProtocol)


class Patient(_Uvicorn):
    """Uvicorn's protocol, which waits only so long for the first request."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Begin to wait."""
        super().connection_made(transport)
        self._waiting = self.loop.call_later(HEAD, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing to wait for any more."""
        self._waiting.cancel()
        super().connection_lost(exc)

    def _give_up(self) -> None:
        if self.cycle is None and not self.transport.is_closing():
            self.transport.close()
