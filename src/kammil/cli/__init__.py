"""The command line: parse, call, print. stdout carries the result, stderr everything else."""

from __future__ import annotations

import io
import sys


def main() -> None:
    """Entry point of `kammil`: runs a command; an error of ours is one sentence on stderr and exit status 2."""
    from kammil.errors import KammilError

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="replace")  # no text, however odd, may crash a print
    try:
        from kammil.cli.app import app

        app()
    except KammilError as error:
        print(f"kammil: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("kammil: stopped.", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()  # the reader has gone; nothing is left to say
        sys.exit(141)
