"""Record and compare: see the package."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from pathlib import Path
from typing import cast

from tests.records import bits, commands, counts, readers, servers, store, suggestions, trainings

RECORDERS = (readers, suggestions, servers, bits, commands, trainings)
KINDS = {recorder.__name__.rpartition(".")[2]: recorder.entries for recorder in RECORDERS}
_SHOWN, _LISTED = 1_000, 12
"""Maximum number of characters of a value that are shown, and of places in one result."""


def main() -> int:
    """Run a command; 1 for a difference that nobody expects."""
    parser = argparse.ArgumentParser("python -m tests.records", description="Record behaviour, and compare with it.")
    parsers = parser.add_subparsers(dest="command", required=True)
    for name in ("record", "compare"):
        command = parsers.add_parser(name)
        command.add_argument("folder", type=Path, help="outside the repository")
        command.add_argument("kinds", nargs="*", default=["all"], choices=[*KINDS, "all"])
    parsers.choices["compare"].add_argument("--expected", type=Path, help="TOML file of differences that are meant")
    root = Path(__file__).parents[2]
    parsers.add_parser("counts").add_argument("root", nargs="?", type=Path, default=root, help="of the repository")
    given = parser.parse_args()
    if given.command == "counts":
        print(counts.table(given.root))
        return 0
    if not os.environ.get("KAMMIL_DATA_DIR"):
        sys.exit("KAMMIL_DATA_DIR must name the folder of the real corpora: nothing is downloaded for a record")
    kinds = list(KINDS) if "all" in given.kinds else given.kinds
    if given.command == "record":
        for kind in kinds:
            begun = time.monotonic()
            number = store.write(given.folder / f"{kind}.jsonl", KINDS[kind]())
            print(f"{kind}: {number:,} recorded in {time.monotonic() - begun:.0f} s")
        return 0
    return sum(_compare(given.folder, kind, store.expected(given.expected)) for kind in kinds) > 0


def _compare(folder: Path, kind: str, allowed: list[store.Allowed]) -> int:
    """Print what differs from a record; returns the number of differences that are not meant."""
    begun, met, unexpected = time.monotonic(), Counter[store.Allowed](), 0
    for was, now in store.differences(store.read(folder / f"{kind}.jsonl"), KINDS[kind]()):
        meant = next((each for each in allowed if each.covers(kind, was, now)), None)
        if meant is not None:
            met[meant] += 1
            continue
        unexpected += 1
        _print(kind, was, now)
    for each in allowed:
        if each.kind == kind:
            print(f"{kind} {each.id}: {met[each]:,} differences are meant ({each.reason})")
    print(f"{kind}: {unexpected:,} differences that are not meant, in {time.monotonic() - begun:.0f} s")
    return unexpected


def _print(kind: str, was: store.Entry | None, now: store.Entry | None) -> None:
    """Print what an input was, and where its result differs."""
    one = now or was
    assert one is not None
    print(f"{kind} {one.id}\n  given {_shown(one.given)}")
    if was is None or now is None:
        print(f"  {'not recorded' if was is None else 'no longer made'}: {_shown(one.found)}")
        return
    if any(store.changes(was.given, now.given)):
        print(f"  another input before: {_shown(was.given)}")
    found = list(store.changes(was.found, now.found))
    for path, before, after in found[:_LISTED]:
        print(f"  {path or 'result'}: {_shown(before)} -> {_shown(after)}")
    if len(found) > _LISTED:
        print(f"  and in {len(found) - _LISTED:,} more places")
    for name, each in (("was", was.found), ("now", now.found)):
        if isinstance(each, dict) and "said" in each:
            print(f"  {name} said: {_shown(cast(dict[str, object], each)['said'])}")


def _shown(value: object) -> str:
    """Return a value on one line that any terminal can show."""
    text = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace").decode()
    return text if len(text) <= _SHOWN else text[:_SHOWN] + " ..."


if __name__ == "__main__":
    sys.exit(main())
