"""Commands that give models to other programs: what they are called with. What they need is imported when they run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A model folder, or a bundled model.")],
    *,
    format: Annotated[str, typer.Option(help="onnx: one file that ONNX Runtime runs by itself.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The file.  [default: FOLDER's name and the format's ending]")
    ] = None,
    part: Annotated[str, typer.Option(help="all, or network: of a blend, its networks without the counts.")] = "all",
    replace: Annotated[bool, typer.Option("--replace", help="Replace files of these names.")] = False,
) -> None:
    """Write a model in a format that other programs run, and beside it a short program that runs it."""
    from kammil.cli import exporting

    exporting.run(folder, format=format, out=out, part=part, replace=replace)


def serve(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FOLDER]...", help="Model folders, or bundled models.  [default: levantine]"),
    ] = None,
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.")] = 8000,
    workers: Annotated[int, typer.Option(help="Processes.")] = 1,
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
    rows: Annotated[int, typer.Option(help="Most texts computed in one batch; 1 switches batching off.")] = 64,
    queue: Annotated[int, typer.Option(help="Most requests at work or waiting; further ones get 429.")] = 256,
    timeout: Annotated[
        float, typer.Option(help="Seconds for one request; what is written by then is the answer.")
    ] = 30,
    max_tokens: Annotated[int, typer.Option(help="Most characters of one completion.")] = 2048,
    max_body: Annotated[int, typer.Option(help="Most bytes of one request; larger ones get 413.")] = 1 << 20,
    max_answer: Annotated[
        int, typer.Option(help="Tokens and alternatives of one answer at most: (prompt + max_tokens) x n x (1 + top).")
    ] = 500_000,
    sessions: Annotated[int, typer.Option(help="Clients per model whose typing state is kept.")] = 256,
    learn: Annotated[
        bool | None,
        typer.Option(
            "--learn/--no-learn", help="Allow clients to teach the model texts.  [default: yes on a loopback address]"
        ),
    ] = None,
    access_log: Annotated[
        bool, typer.Option("--access-log/--no-access-log", help="Log every request on stderr.")
    ] = True,
    log_prompts: Annotated[bool, typer.Option("--log-prompts", help="Write prompts into the log.")] = False,
) -> None:
    """Serve models: a page to type on, and an OpenAI-compatible API."""
    from kammil.cli import serving

    serving.run(
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
        learn=learn,
        access_log=access_log,
        log_prompts=log_prompts,
    )
