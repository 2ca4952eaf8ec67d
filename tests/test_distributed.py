"""What processes tell one another: everybody gets the same, in the order of ranks; one process needs no PyTorch."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from kammil import distributed
from kammil.errors import ProcessError

Launch = Callable[..., "list[subprocess.CompletedProcess[str]]"]

SAY = """
import json, os, sys
from dataclasses import dataclass
from pathlib import Path
from kammil import distributed as group

@dataclass(frozen=True)
class Inner:
    numbers: tuple[float, ...]

@dataclass(frozen=True)
class Made:
    text: str
    place: Path
    inner: Inner
    by: int

rank = int(os.environ["RANK"])
said = {"before": [group.size(), group.rank(), group.is_first()]}
for again in range(2):  # a program may train twice
    with group.joined():
        inner = Inner((0.1, float("inf")))
        made = group.made_by_first(Made, lambda: Made("\\ud83d شو", Path("a/b"), inner, group.size()))
        with group.alone():
            alone = [group.size(), group.rank()]
        said |= {
            "inside": [group.size(), group.rank(), group.is_first()],
            "alone": alone,
            "made": [made.text, str(made.place), made.inner.numbers[0], made.inner.numbers[1] > 1e300, made.by],
            "bytes": group.bytes_of_first(lambda: bytes([rank] * 3)).hex(),
            "empty": group.bytes_of_first(lambda: b"").hex(),
            "number": group.number_of_first(0.1 + rank),
            "totals": group.totals([1e16 if rank == 0 else 1.0, 0.1 * (rank + 1)]),
            "gather": [content.decode() for content in group.gather(str(rank).encode())],
        }
print(json.dumps(said))
"""


@pytest.mark.long
def test_every_process_gets_the_same(tmp_path: Path, launch: Launch) -> None:
    done = launch(SAY, 3, tmp_path)
    assert [process.returncode for process in done] == [0, 0, 0], done
    said = [json.loads(process.stdout) for process in done]
    assert [one.pop("before") for one in said] == [[1, 0, True], [1, 0, False], [1, 0, False]]
    assert [one.pop("inside") for one in said] == [[3, 0, True], [3, 1, False], [3, 2, False]]
    assert said[1] == said[0] and said[2] == said[0]
    assert said[0] == {
        "alone": [1, 0],
        "made": ["\ud83d شو", str(Path("a/b")), 0.1, True, 1],
        "bytes": "000000",
        "empty": "",
        "number": 0.1,
        "totals": [1e16 + 1.0 + 1.0, 0.1 + 0.2 + 0.1 * 3],
        "gather": ["0", "1", "2"],
    }


FAIL = """
import os, signal, sys, time
from kammil import distributed as group
from kammil.errors import KammilError
try:
    with group.joined():
        group.totals([1.0])
        if os.environ["RANK"] == "1":
            os.kill(os.getpid(), signal.SIGKILL)
        group.totals([1.0])
except KammilError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.long
def test_a_process_that_dies_ends_the_others_with_one_sentence(tmp_path: Path, launch: Launch) -> None:
    first, killed = launch(FAIL, 2, tmp_path)
    assert killed.returncode == -9
    assert first.returncode == 0, first.stderr
    assert first.stdout == (
        "ProcessError a process of this run has ended, so the others end too; start them again with --resume.\n"
    )


def test_a_launcher_that_ends_a_process_is_heard(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    code = FAIL.replace("os.kill(os.getpid(), signal.SIGKILL)", "pass").replace(
        "group.totals([1.0])\n        if", "os.kill(os.getpid(), signal.SIGTERM); signal.pause()\n        if"
    )
    environment = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    code = code.replace("with group.joined", "group.is_launched = lambda: True\n    with group.joined", 1)
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("ProcessError a process of this run has ended"), done.stderr


def test_one_process_is_all(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Made:
        number: int

    with distributed.joined():
        assert not distributed.is_joined()
        assert (distributed.size(), distributed.rank(), distributed.is_first()) == (1, 0, True)
        made = Made(3)
        assert distributed.made_by_first(Made, lambda: made) is made
        assert distributed.bytes_of_first(lambda: b"x") == b"x"
        assert distributed.number_of_first(0.5) == 0.5
        assert distributed.totals([0.5, 2]) == [0.5, 2]
        assert distributed.gather(b"x") == [b"x"]
    code = "import sys; from kammil import distributed as g; g.totals([g.size()]); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_without_a_place_to_meet_it_says_how_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    said = r"did not find one another .*MASTER_ADDR.*; start them with torchrun"
    with pytest.raises(ProcessError, match=said), distributed.joined():
        raise AssertionError("the block is not entered")
    assert not distributed.is_joined()
