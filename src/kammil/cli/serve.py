"""`kammil serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from kammil.cli._output import new_app
from kammil.cli.flags import BlockFile, Rows, command, open_profile, rows_of

app = new_app()


def _settings() -> Rows:
    from kammil.server.settings import ServerSettings

    return rows_of(ServerSettings)


@app.command(cls=command(_settings))
def serve(
    context: typer.Context,
    folders: Annotated[list[Path] | None, Argument(metavar="FOLDER", help="Models.  [default: levantine]")] = None,
    *,
    api_key: Annotated[
        str | None,
        Option(envvar="KAMMIL_API_KEY", help="Require this API key of every request (better set as KAMMIL_API_KEY)."),
    ] = None,
    block: BlockFile = None,
    profile: Annotated[
        Path | None, Option(metavar="FILE", help="Serve what a profile says, to all who reach the server.")
    ] = None,
) -> None:
    """Serve models: a page to type on, and an OpenAI-compatible API."""
    from importlib.util import find_spec

    from kammil.errors import MissingExtraError, OptionError

    missing = [name for name in ("fastapi", "uvicorn", "prometheus_client") if find_spec(name) is None]
    if missing:
        raise MissingExtraError(f"serving needs {missing[0]}", "serve")
    from kammil import model_folder
    from kammil.language_model import AdaptiveModel
    from kammil.models.family import family
    from kammil.server import run
    from kammil.server.settings import ServerSettings

    own = {"folders": folders or None, "api_key": api_key, "block": block, "profile": profile}
    settings = ServerSettings.of(**own, **context.obj)
    if (opened := open_profile(profile)) is not None:
        opened.refresh()
    for folder in settings.folders:  # refuse a damaged one before anything starts
        description, _ = model_folder.summary(folder)
        if opened is not None and not family(description.family).can(AdaptiveModel):
            raise OptionError(
                f"{folder} cannot learn while it runs, as a profile needs; serve blends, or leave out --profile."
            )
    run.run(settings)
