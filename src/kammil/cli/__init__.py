"""The command line: parse, call, print. Results go to stdout, everything else to stderr."""

from __future__ import annotations

import gc
import io
import os
import sys
import warnings
from contextlib import suppress

_LONG = {"serve", "train", "compare", "curve", "type", "lsp"}  # commands whose garbage must not wait
_STOPPED = 130  # exit status after Ctrl-C: 128 + SIGINT


def _one_line(message: Warning | str, *_: object, **__: object) -> str:
    return f"kammil: {message}\n"


def main() -> None:
    """Run a command; a `KammilError` becomes one sentence on stderr and exit status 2."""
    # A short command spends half of its time on imports, which make many objects, no garbage, and need no plug-in.
    if not _LONG & {*sys.argv[1:2]}:
        gc.set_threshold(50_000)
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from kammil import distributed
    from kammil.errors import KammilError

    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed by the caller, as in `kammil info model >&-`
            setattr(sys, name, io.TextIOWrapper(io.FileIO(os.devnull, mode)))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="replace")  # no text, however odd, may crash a print
    warnings.formatwarning = _one_line
    try:
        from kammil.cli.app import app

        app()
    except (KammilError, MemoryError) as error:
        from kammil.cli._output import tell

        if distributed.is_first():  # the others end for the same reason
            tell(f"kammil: {str(error) or 'there is not enough memory; give fewer texts, or end other programs.'}")
        sys.exit(2)
    except SystemExit as end:
        if end.code == _STOPPED and distributed.is_first():  # typer's silent end after Ctrl-C
            print("kammil: stopped.", file=sys.stderr)
        raise
    except KeyboardInterrupt:  # before typer was imported
        print("kammil: stopped.", file=sys.stderr)
        sys.exit(_STOPPED)
    except OSError as error:  # a full disk behind stdout, a name that is too long
        from kammil.cli._output import tell

        if not isinstance(error, BrokenPipeError):
            where = f"{error.filename}: " if error.filename else ""
            tell(f"kammil: {where}{error.strerror}; free some space or name another place.")
        with suppress(OSError):  # else Python writes the rest again at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141 if isinstance(error, BrokenPipeError) else 2)
