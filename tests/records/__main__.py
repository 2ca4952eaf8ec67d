"""Record and compare: see the package."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path

from tests.records import bits, counts, readers, servers, store, suggestions

KINDS = {
    "readers": readers.entries,
    "suggestions": suggestions.entries,
    "servers": servers.entries,
    "bits": bits.entries,
}
_SHOWN = 2_000
"""Maximum number of characters of an input or a result that are shown."""


def main() -> int:
    """Run a command; 1 for a difference that nobody expects."""
    parser = argparse.ArgumentParser("python -m tests.records", description="Record behaviour, and compare with it.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("record", "compare"):
        command = commands.add_parser(name)
        command.add_argument("folder", type=Path, help="outside the repository")
        command.add_argument("kinds", nargs="*", default=["all"], choices=[*KINDS, "all"])
    commands.choices["compare"].add_argument("--expected", type=Path, help="TOML file of differences that are meant")
    root = Path(__file__).parents[2]
    commands.add_parser("counts").add_argument("root", nargs="?", type=Path, default=root, help="of the repository")
    given = parser.parse_args()
    if given.command == "counts":
        print(counts.table(given.root))
        return 0
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
        one = was or now
        assert one is not None
        print(f"{kind} {one.id}\n  given  {_shown(one.given)}")
        print(f"  was    {_shown(was and was.found)}\n  now    {_shown(now and now.found)}")
    for each in allowed:
        if each.kind == kind:
            print(f"{kind} {each.id}: {met[each]:,} differences are meant ({each.reason})")
    print(f"{kind}: {unexpected:,} differences that are not meant, in {time.monotonic() - begun:.0f} s")
    return unexpected


def _shown(value: object) -> str:
    """Return a value on one line that any terminal can show."""
    text = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace").decode()
    return text if len(text) <= _SHOWN else text[:_SHOWN] + " ..."


if __name__ == "__main__":
    sys.exit(main())
