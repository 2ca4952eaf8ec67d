"""`kammil export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

import typer

from kammil.cli._options import Folder
from kammil.cli._output import tell


def export(
    folder: Folder,
    *,
    format: Annotated[
        str,
        typer.Option(
            help="onnx: one file that ONNX Runtime runs by itself. hf: a folder that Hugging Face's transformers "
            "loads, of a transformer or a fine-tuned pretrained model."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="The file or folder.  [default: FOLDER's name and the format's ending]"),
    ] = None,
    part: Annotated[str, typer.Option(help="all, or network: of a blend, its networks without the counts.")] = "all",
    replace: Annotated[bool, typer.Option("--replace", help="Replace files of these names, or the folder.")] = False,
) -> None:
    """Write a model as other programs run it: ONNX Runtime, Hugging Face's transformers."""
    from kammil import exporting

    exported = exporting.export(folder, format, out, part=cast(exporting.Part, part), replace=replace)
    if exported.warning is not None:
        tell(f"kammil: {exported.warning}")
    typer.echo(exported.file)
    if exported.example is not None:
        typer.echo(exported.example)
