"""`kammil serve`."""

from __future__ import annotations

from importlib.util import find_spec

from kammil.errors import MissingExtraError


def run(**options: object) -> None:
    """Serve until told to stop; `MissingExtraError` where the extra is not installed."""
    missing = [name for name in ("fastapi", "uvicorn", "prometheus_client") if find_spec(name) is None]
    if missing:
        raise MissingExtraError(f"serving needs {missing[0]}; install it with: pip install 'kammil[serve]'")
    from kammil import model_folder as folders
    from kammil.server import run as server_run
    from kammil.server.settings import ServerSettings

    settings = ServerSettings.of(**options)
    for folder in settings.folders:
        folders.summary(folder)  # what is wrong with a folder is said before anything starts
    server_run.run(settings)
