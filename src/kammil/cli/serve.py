"""`kammil serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kammil.cli._options import BlockFile, open_profile


def serve(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FOLDER", help="Model folders, or bundled models.  [default: levantine]"),
    ] = None,
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.")] = 8000,
    api_key: Annotated[
        str | None,
        typer.Option(
            envvar="KAMMIL_API_KEY", help="Require this API key of every request (better set as KAMMIL_API_KEY)."
        ),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(metavar="ORIGIN", help="Allow requests from pages of this origin (CORS). Repeatable."),
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Accept requests for this host name too. Repeatable.")
    ] = None,
    block: BlockFile = None,
    profile: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Serve what a profile's texts say, to everybody who can reach the server."),
    ] = None,
    learn: Annotated[
        bool | None,
        typer.Option(
            "--learn/--no-learn", help="Allow clients to teach the model texts.  [default: yes on a loopback address]"
        ),
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes.")] = 1,
    rows: Annotated[int, typer.Option(help="Most texts computed in one batch; 1 switches batching off.")] = 64,
    queue: Annotated[int, typer.Option(help="Most requests at work or waiting; further ones get 429.")] = 256,
    timeout: Annotated[
        float, typer.Option(help="Seconds for one request; what is written by then is the answer.")
    ] = 30,
    max_tokens: Annotated[int, typer.Option(help="Most characters of one completion.")] = 2048,
    max_body: Annotated[int, typer.Option(help="Most bytes of one request; larger ones get 413.")] = 1 << 20,
    max_answer: Annotated[
        int, typer.Option(help="Most tokens and alternatives of one answer: (prompt + max_tokens) x n x (1 + top).")
    ] = 500_000,
    sessions: Annotated[int, typer.Option(help="Most clients per model whose typing state is kept.")] = 256,
    access_log: Annotated[
        bool, typer.Option("--access-log/--no-access-log", help="Log every request on stderr.")
    ] = True,
    log_prompts: Annotated[bool, typer.Option("--log-prompts", help="Write prompts into the log.")] = False,
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

    settings = ServerSettings.of(
        folders=folders or None,
        host=host,
        port=port,
        workers=workers,
        api_key=api_key,
        origins=allow_origin,
        hosts=allow_host,
        rows=rows,
        queue=queue,
        timeout=timeout,
        max_tokens=max_tokens,
        max_body=max_body,
        max_answer=max_answer,
        sessions=sessions,
        block=block,
        profile=profile,
        learn=learn,
        access_log=access_log,
        log_prompts=log_prompts,
    )
    opened = open_profile(profile)
    if opened is not None:
        opened.refresh()
    for folder in settings.folders:  # what is damaged, or cannot be, is refused before anything starts
        description, _ = model_folder.summary(folder)
        if opened is not None and not family(description.family).can(AdaptiveModel):
            raise OptionError(
                f"{folder} cannot learn while it runs, as a profile needs; serve blends, or leave out --profile."
            )
    run.run(settings)
