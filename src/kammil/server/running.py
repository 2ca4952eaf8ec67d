"""From settings to processes that answer."""

from __future__ import annotations

import uvicorn

from kammil.server.app import create
from kammil.server.settings import Serving


def run(settings: Serving) -> None:
    """Serve until told to stop."""
    uvicorn.run(create(settings), host=settings.host, port=settings.port, server_header=False)
