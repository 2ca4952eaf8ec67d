"""What commands print for programs, what they write, and how they end."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.records.store import Entry

FIXTURES = Path(__file__).parents[1] / "fixtures"
TABLE = (
    "Tweet\tCountry\tn\nشو في اليوم\tlebanon\t3\nما في شي\tjordan\t5\n"
    "شو في اليوم\tsyria\t7\nرقمي 0791234567\tlebanon\t9\n"
)
PLAIN = ("complete", "suggest", "data split", "profile learn", "profile forget")
"""Commands whose output is a result as it stands; that of others is for people, if it is no JSON."""
COMMANDS = """
complete 'شو حلو' --seed 1
complete 'شو حلو' -n 3 --preset plain --seed 2 --length 15 --json
complete 'شو حلو' --model blend --temperature 0 --json
complete 'شو' --model ngram --length -1
complete 'شو' --model nothing
complete 'شو' --preset nothing
complete 'kifak el' --seed 4 --json
complete 'دوار' --profile profile.jsonl --seed 1
complete 'شو' --model gru --profile profile.jsonl
complete 'شو' --block block.txt --seed 3 --forbid ا
suggest 'شو حل'
suggest 'شو حل' -k 5 --json
suggest 'shu a5b' --json
suggest 'دوار اليا' --profile profile.jsonl --json
suggest 'شو' -k 0
suggest 'شو' --threshold 2
suggest 'شو' --model levantine --json
explain 'شو حلو' --json
explain 'حلو' --given 'شو ' -k 1 --json --model blend
explain 'شو حلو' --model words --json
explain 'شو حلو' --html page.html
info blend --json
info levantine-all --json
info words
info nothing
info texts.txt
evaluate blend texts.txt --json --samples 2
evaluate ngram texts.txt --json --target 10 --min-length 20 --samples 0
evaluate blend texts.txt --json --typing --slips 0.03 --samples 0
evaluate transformer table.tsv --column Tweet --where "Country = 'lebanon'" --json
evaluate blend table.tsv --column Twet
evaluate blend texts.txt --target 0
verify gru texts.txt --json
verify gru table.tsv --json
verify blend texts.txt
data list --json
data show texts.txt -n 2 --json
data show table.tsv --column Tweet --json --raw
data show sample -n 3 --target 10 --min-length 30 --json
data check sample --json
data check texts.txt --against sample --json
data check table.tsv --column Tweet --json
data check lev30/validation --against lev30/train --json
data check nothing
data check empty.txt
data check table.tsv --column 1 --where 'n > 4' --json
data split sample --out parts --test 0.1 --validation 0.2 --seed 3
data split table.tsv --column Tweet --out parts2 --test 0.5
data split sample --out parts
data split sample --out parts3 --test 1.5
data split lev30/train --out parts4 --test 0.2
profile learn mine.jsonl 'شو حلو' 'شو حلو' 'كيفك'
profile learn mine.jsonl texts.txt
profile learn mine.jsonl ''
profile show mine.jsonl --json
profile forget mine.jsonl 'شو حلو'
profile forget mine.jsonl 'مش موجود'
profile show mine.jsonl --json
profile report mine.jsonl --model blend --json
profile report mine.jsonl --model gru
profile show texts.txt
profile wipe mine.jsonl
profile show mine.jsonl --json
curve texts.txt --model ngram --out curve --shares 1/2,1 --json
curve texts.txt --model ngram --out curve --shares 1/2,1 --json
compare texts.txt --minutes 0.05 --families ngram --out both --no-report --set order=3 --json
compare texts.txt --minutes 0.05 --families nothing --out both2
train texts.txt --model ngram --out made --no-report --set order=3
train texts.txt --model ngram --out made --no-report
train texts.txt --model ngram --out made --no-report --replace --set order=2
train texts.txt --model nothing --out made2
train texts.txt --set hiden=3
train texts.txt --set hidden=0
train empty.txt
train table.tsv --column Tweet --where "n > 100"
info made --json
report made texts.txt --seconds 1 --out made.html
report nothing
export gru --format onnx --out gru.onnx
export words --format onnx --out words.onnx
export gru --format nothing
serve nothing
serve --port 99999
suggest
nonsense
--version
"""
NOISE = {
    *(
        "curve",
        "folder_bytes",
        "training_seconds",
        "training_seconds_in_all",
        "completion_seconds",
        "seconds",
        "elapsed",
    ),
    *("created", "machine", "versions", "time", "when"),
}
"""What differs from run to run."""


def entries() -> Iterator[Entry]:
    """Run all commands in one folder, one after the other."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for path in (FIXTURES / "folders").iterdir():
            if (path / "model.json").exists():
                shutil.copytree(path, place / path.name)
        shutil.copy(FIXTURES / "texts.txt", place)
        shutil.copy(FIXTURES / "profile.jsonl", place)
        (place / "table.tsv").write_text(TABLE, "utf-8")
        (place / "block.txt").write_text("قهوة\nبكرا\n", "utf-8")
        (place / "empty.txt").write_bytes(b"")
        for number, line in enumerate(COMMANDS.strip().splitlines()):
            yield Entry(f"{number:02} {line}", None, _run(place, line))


def _run(folder: Path, line: str) -> dict[str, Any]:
    before = _files(folder)
    command = [sys.executable, "-m", "kammil", *shlex.split(line)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "120", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        command, cwd=folder, capture_output=True, check=False, stdin=subprocess.DEVNULL, env=environment
    )
    out = done.stdout.decode()
    written = {name: _digest(folder / name) for name in sorted(_files(folder) - before)}
    result: dict[str, Any] = {"status": done.returncode, "files": written, "said": done.stderr.decode()[-300:]}
    try:
        result["out"] = _plain(json.loads(out))
    except ValueError:
        result["out"] = out if line.startswith(PLAIN) else bool(out)
    return result


def _files(folder: Path) -> set[str]:
    hidden = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return {name for name in hidden if not any(part.startswith(".") for part in name.split("/"))}


def _digest(path: Path) -> str:
    """Return what is compared of a file: texts whole, of anything else that it is there."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.suffix == ".txt" else ""


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items() if key not in NOISE}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return round(value, 6) if isinstance(value, float) else value
