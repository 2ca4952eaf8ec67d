"""`kammil data`: named data sets, and the audit of any file or split."""

from __future__ import annotations

import typer

app = typer.Typer(name="data", help="Named data sets, and the audit of any file or split.", no_args_is_help=True)


@app.callback()
def common() -> None:
    """Named data sets, and the audit of any file or split."""
