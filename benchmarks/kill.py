"""Kill programs (SIGKILL) at random moments, and check what they leave.

Each trial runs one kind of work in a process of its own and kills it: every second time after a random share of the
time that the work takes, else at a random one of its steps on the file system (opening, renaming, removing, ...), where
half of something could stand. Then it holds:

- what stands under the final name is whole: the model opens and completes, the profile has every text that was said to
  be learnt, the file of a data set has its checksum;
- the same work, done again (a training with `resume`), ends well, and leaves nothing but what it makes: no draft, lock
  or part, nor anything in the folder of temporary files;
- what it makes is what a run makes that was never killed: of one process to the bit; of two within `TOLERANCE`.

Run: `python benchmarks/kill.py [--trials N] [--seed S] [--only WORK]`. Writes kill.json, and the same as one line on
stdout; exits with 1 if anything failed. It needs `fork`, so it does not run on Windows.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import http.server
import importlib
import json
import os
import random
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

import kammil
from kammil import model_folder as folders
from kammil import storage
from kammil.completion.learning import Profile
from kammil.data import datasets, sources
from kammil.data.datasets import fetch
from kammil.errors import KammilError

TOLERANCE = 1e-5
"""Largest difference of the weights that two processes learn, from run to run: gloo may add in another order."""
STEPS = frozenset(
    {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.utime", "os.chmod", "os.truncate"}
    | {"shutil.rmtree", "shutil.move", "tempfile.mkdtemp", "tempfile.mkstemp"}
)
"""Audit events (PEP 578) that touch the file system."""
LONGEST = 120.0
"""Seconds after which a process that should have ended is said to hang."""
TEXTS = sources.sample()[:24]
GRU: dict[str, Any] = {
    **{"model": "gru", "hidden": 8, "embedding": 8, "epochs": 4, "batch_size": 8, "device": "cpu", "threads": 1},
    **{"precision": "float32"},
}


@dataclass(frozen=True)
class Work:
    """One kind of work in the folder `place`."""

    do: Callable[[Path], None]
    """Does it; called again after a kill."""
    left: frozenset[str]
    """Names that it leaves in the folder."""
    whole: Callable[[Path], None]
    """Raises if something stands under a final name that is not whole."""
    result: Callable[[Path], Any]
    """Result of the work, which must be the same however often it was killed."""
    share: float
    """Share of the trials."""
    before: Callable[[Path], None] = lambda _: None
    """Prepares the folder."""
    processes: int = 1


def train(place: Path, options: dict[str, Any] = GRU) -> None:
    """Train, going on from what is left: also where only the end of the training folder was cut off."""
    kammil.train(TEXTS, out=place / "model", resume=True, replace=True, report=False, **options)


def retrain(place: Path) -> None:
    """Train a model over another one."""
    kammil.train(TEXTS, out=place / "model", replace=True, model="ngram", order=2, report=False)


def opens(place: Path) -> None:
    """Check that a model that is there opens and completes."""
    if (place / "model").exists():
        kammil.load(place / "model").complete("شو", length=3, seed=1)


def opens_always(place: Path) -> None:
    """Check that there is a model, and that it opens."""
    assert kammil.load(place / "model").complete("شو", length=3, seed=1).text


def weights(place: Path) -> dict[str, Any]:
    """Return the arrays of the model."""
    return dict(load_file(place / "model" / "weights.safetensors"))


def old_model(place: Path) -> None:
    """Put a model where another one will stand."""
    shutil.copytree(SHARED["models"] / "model", place / "model")


def save(place: Path) -> None:
    """Write a model folder: its arrays, figures and card."""
    source = folders.read(SHARED["models"] / "model")
    with storage.new_folder(place / "model", lambda: None) as draft:
        folders.write(draft, source)
        folders.write_metrics(draft, source.metrics)


def save_again(place: Path) -> None:
    """The same as a training does: with the lock, which clears what was left."""
    from kammil.storage import run_lock

    with run_lock(place / "model"):
        save(place)


def export(place: Path) -> None:
    """Write a model as one ONNX file, and the program beside it."""
    kammil.export(SHARED["models"] / "model", out=place / "model.onnx", replace=True)


def runs(place: Path) -> None:
    """Check that an exported graph is one, and the program can be compiled."""
    import onnx

    if (place / "model.onnx").exists():
        onnx.checker.check_model(str(place / "model.onnx"))
    if (place / "model.py").exists():
        compile((place / "model.py").read_text("utf-8"), "model.py", "exec")


def exported(place: Path) -> list[str]:
    return [hashlib.sha256((place / name).read_bytes()).hexdigest() for name in ("model.onnx", "model.py")]


def download(place: Path) -> None:
    """Fetch a data set from the server of this program."""
    fetch("local", folder=place)


def is_right(place: Path) -> None:
    """Check that a file that is there is the one of the catalog."""
    if (place / "local.tsv").exists():
        assert hashlib.sha256((place / "local.tsv").read_bytes()).hexdigest() == SHARED["sha256"]


def learn(place: Path) -> None:
    """Learn and forget texts, saying in a file of its own (not written by Kammil) what was done."""
    profile = Profile(place / "me.jsonl")
    with (place / "said").open("a", encoding="utf-8", buffering=1) as said:
        done = len((place / "said").read_text("utf-8").splitlines())
        for number in range(done, 12):
            if f"نص رقم {number}" not in profile.texts:
                profile.learn(f"نص رقم {number}")
            if number % 3 == 2 and f"نص رقم {number - 1}" in profile.texts:
                profile.forget(f"نص رقم {number - 1}")
            said.write(f"{number}\n")


def remembers(place: Path) -> None:
    """Check that a profile has the texts that were said to be learnt, and none that was forgotten."""
    done = len((place / "said").read_text("utf-8").splitlines()) if (place / "said").exists() else 0
    texts = set(Profile(place / "me.jsonl").texts)
    for number in range(done):
        known, in_doubt = f"نص رقم {number}" in texts, number % 3 == 1 and number == done - 1
        assert in_doubt or known == (number % 3 != 1), (number, done, texts)


def learnt(place: Path) -> set[str]:
    return set(Profile(place / "me.jsonl").texts)


SHARED: dict[str, Any] = {}
"""The folder of a trained model (`models`), and the checksum of the file that is downloaded (`sha256`)."""
MODEL, PROFILE = frozenset({"model"}), frozenset({"me.jsonl", "said", ".me.jsonl.lock"})
WORKS: dict[str, Work] = {
    "counting": Work(functools.partial(train, options={"model": "ngram"}), MODEL, opens, weights, 0.15),
    "saving": Work(save_again, MODEL, opens, weights, 0.1),
    "replacing": Work(save_again, MODEL, opens_always, weights, 0.1, before=old_model),
    "training over a model": Work(retrain, MODEL, opens_always, weights, 0.05, before=old_model),
    "exporting": Work(export, frozenset({"model.onnx", "model.py"}), runs, exported, 0.06),
    "downloading": Work(download, frozenset({"local.tsv"}), is_right, lambda _: None, 0.07),
    "writing a profile": Work(learn, PROFILE, remembers, learnt, 0.07),
    "training": Work(train, MODEL, opens, weights, 0.25),
    "training in the minutes": Work(
        functools.partial(train, options={**GRU, "minutes": 1.0, "epochs": 1}), MODEL, opens, lambda _: None, 0.03
    ),
    "training, two processes": Work(train, MODEL, opens, weights, 0.12, processes=2),
}


def main() -> None:
    """Kill, then say what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=list(WORKS))
    named = parser.parse_args()
    began = time.monotonic()
    works = {name: work for name, work in WORKS.items() if named.only in (None, name)}
    with tempfile.TemporaryDirectory() as root, file_server(Path(root)):
        SHARED["models"] = Path(root) / "models"
        warm_up(SHARED["models"])
        rows: dict[str, Any] = {}
        failures: list[dict[str, Any]] = []
        for name, work in works.items():
            trials = max(1, round(named.trials * (work.share if named.only is None else 1)))
            rows[name] = trial_all(name, work, trials, named.seed, Path(root), failures)
            print(f"{time.monotonic() - began:.0f} s {name}: {json.dumps(rows[name])}", file=sys.stderr, flush=True)
    result = {
        "kills": sum(row["kills"] for row in rows.values()),
        "failures": len(failures),
        "seed": named.seed,
        "works": rows,
        "failed": failures,
        "processor_seconds": round(sum(os.times()[:4])),
        "seconds": round(time.monotonic() - began),
    }
    if named.only is None:
        Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", "utf-8")
    print(json.dumps(result, ensure_ascii=False))
    sys.exit(1 if failures else 0)


def warm_up(place: Path) -> None:
    """Make the model that is saved and exported, and import what the works import, which the children share."""
    import torch

    for name in ("evaluation.counter_check", "models.graph", "training.loop", "training.run"):
        importlib.import_module(f"kammil.{name}")
    torch.set_num_threads(1)
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(place.parent)  # a folder that PyTorch makes, not we
    torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))])  # imports for seconds
    place.mkdir()
    temporary(place).mkdir()
    do(WORKS["training"], place)  # in a child: autograd must not have run where one is forked


def trial_all(
    name: str, work: Work, trials: int, seed: int, root: Path, failures: list[dict[str, Any]]
) -> dict[str, Any]:
    """Kill one kind of work as often as asked, and say what was seen."""
    place = new_place(root)
    started = time.monotonic()
    work.before(place)
    steps = do(work, place, count=True)
    seconds, expected = time.monotonic() - started, work.result(place)
    assert left_over(place, work) == [], left_over(place, work)
    kills, at, stood = 0, Counter[str](), 0
    for number in range(trials * 3):
        if kills == trials:
            break
        chance = random.Random(f"{seed} {name} {number}")
        place = new_place(root)
        work.before(place)
        before = hashes(place)
        by_step = number % 2 == 1
        moment = chance.randrange(steps) if by_step else chance.random() * seconds
        victims = chance.choice([(0,), (1,), (0, 1)]) if work.processes > 1 else (0,)
        told: dict[str, Any] = {"work": name, "trial": number, "step" if by_step else "seconds": moment}
        try:
            where = do(work, place, step=moment) if by_step else do(work, place, after=moment, victims=victims)
            if where is None:
                continue  # it had ended before
            kills += 1
            at[where] += 1
            stood += hashes(place) != before
            work.whole(place)
            do(work, place)
            if (left := left_over(place, work)) != []:
                raise AssertionError(f"left behind: {left}")
            work.whole(place)
            if not equal(work.result(place), expected, TOLERANCE if work.processes > 1 else 0.0):
                raise AssertionError("the result is another one")
        except Exception as error:  # whatever it is, it is what this looks for
            failures.append(told | {"error": f"{type(error).__name__}: {error}"[:600]})
            print(json.dumps(failures[-1], ensure_ascii=False), file=sys.stderr, flush=True)
        shutil.rmtree(place, ignore_errors=True)
        shutil.rmtree(temporary(place), ignore_errors=True)
    return {
        "kills": kills,
        "steps on the file system": steps,
        "killed at": dict(at),
        "something stood there": stood,
    }


def do(
    work: Work,
    place: Path,
    *,
    count: bool = False,
    step: float | None = None,
    after: float | None = None,
    victims: tuple[int, ...] = (0,),
) -> Any:
    """Do some work in processes of its own.

    Returns: with `count`, how many steps on the file system it takes; with `step` or `after`, how it was killed, or
    None if it ended first. Raises `AssertionError` where it fails although it was not killed, or hangs.
    """
    log = place.with_name(f"{place.name}.log")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children: list[int] = []
    for rank in range(work.processes):
        pid = os.fork()
        if not pid:
            child(work, place, log, rank, port, count=count, step=step)
        children.append(pid)
    if after is not None:
        time.sleep(after)
        for victim in victims:
            os.kill(children[victim], signal.SIGKILL)  # a child that has ended is there until it is waited for
    codes = wait_for(children, log)
    said = log.read_text("utf-8") if log.exists() else ""
    log.unlink(missing_ok=True)
    if count:
        assert not any(codes), said
        steps = int((place.with_name(f"{place.name}.steps")).read_text())
        place.with_name(f"{place.name}.steps").unlink()
        return steps
    if step is None and after is None:
        assert not any(codes), f"the next run failed: {said[-400:]}"
        return None
    if -signal.SIGKILL not in codes:
        assert not any(codes), said[-400:]
        return None
    others = [code for code in codes if code not in (0, -signal.SIGKILL)]
    assert all(code == 2 for code in others), f"another process ended with {others}: {said[-400:]}"
    return "a step" if step is not None else "a moment"


def wait_for(children: list[int], log: Path) -> list[int]:
    """Return the exit codes of all children; kill them and raise `AssertionError` where one does not end."""
    codes: list[int] = []
    limit = time.monotonic() + LONGEST
    for pid in children:
        while not (found := os.waitpid(pid, os.WNOHANG))[0]:
            if time.monotonic() > limit:
                for other in children[len(codes) :]:
                    os.kill(other, signal.SIGKILL)
                    os.waitpid(other, 0)
                raise AssertionError(f"hangs; {log.read_text('utf-8')[-300:]}")
            time.sleep(0.002)
        codes.append(os.waitstatus_to_exitcode(found[1]))
    return codes


def child(work: Work, place: Path, log: Path, rank: int, port: int, *, count: bool, step: float | None) -> None:
    """Do the work; ends this process: with 0, with 2 for a `KammilError`, with 1 for any other."""
    code = 1
    try:
        own = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(own, 1)
        os.dup2(own, 2)
        tempfile.tempdir = str(temporary(place))
        if work.processes > 1:
            meeting = {"WORLD_SIZE": str(work.processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
            os.environ.update(meeting | {"RANK": str(rank), "LOCAL_RANK": str(rank), "OMP_NUM_THREADS": "1"})
        taken = [0]
        if (step is not None or count) and rank == 0:

            def heard(event: str, arguments: tuple[Any, ...]) -> None:
                if event in STEPS and str(place.name) in repr(arguments):
                    if step is not None and taken[0] == step:
                        os.kill(os.getpid(), signal.SIGKILL)
                    taken[0] += 1

            sys.addaudithook(heard)
        work.do(place)
        code = 0
        if count and rank == 0:
            made = taken[0]
            place.with_name(f"{place.name}.steps").write_text(str(made))
    except KammilError as error:
        os.write(2, f"{error}\n".encode())
        code = 2
    except BaseException:
        os.write(2, traceback.format_exc().encode())
    os._exit(code)


def equal(one: Any, other: Any, tolerance: float) -> bool:
    """Whether two results are the same: arrays to the bit, or within a tolerance."""
    if not isinstance(one, dict):
        return one == other
    same = one.keys() == other.keys() and all(one[name].shape == other[name].shape for name in one)
    if not same or not tolerance:
        return same and all(one[name].tobytes() == other[name].tobytes() for name in one)
    return all(float(np.abs(one[name] - other[name]).max(initial=0.0)) <= tolerance for name in one)


def new_place(root: Path) -> Path:
    """An empty folder, and one beside it for temporary files."""
    place = Path(tempfile.mkdtemp(prefix="trial-", dir=root))
    temporary(place).mkdir()
    return place


def temporary(place: Path) -> Path:
    """The folder of temporary files."""
    return place.with_name(f"{place.name}-temporary")


def left_over(place: Path, work: Work) -> list[str]:
    """Names that should not be there."""
    inside = [path.name for path in place.iterdir() if path.name not in work.left]
    hidden = [str(path.relative_to(place)) for path in place.rglob(".*.draft")]
    return sorted({*inside, *hidden, *(f"temporary: {path.name}" for path in temporary(place).iterdir())})


def hashes(place: Path) -> dict[str, str]:
    """Hashes of all files in a folder."""
    return {
        str(path.relative_to(place)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(place.rglob("*"))
        if path.is_file()
    }


class file_server:  # noqa: N801 (a context manager)
    """Serves a data set on 127.0.0.1, slowly, and enters it in the catalog."""

    def __init__(self, root: Path) -> None:
        """Write the file."""
        self.place = root / "served"
        self.place.mkdir()
        content = "".join(f"{number}\t{text}\n" for number, text in enumerate(sources.sample() * 8)).encode()
        (self.place / "local.tsv").write_bytes(content)
        SHARED["sha256"] = hashlib.sha256(content).hexdigest()

    def __enter__(self) -> None:
        """Start a process that serves: the children of this one must not inherit its thread."""
        ready, say = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            handler = functools.partial(Slow, directory=str(self.place))
            with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
                os.write(say, str(server.server_address[1]).encode())
                threading.Thread(target=server.serve_forever, daemon=True).start()
                signal.pause()
        port = int(os.read(ready, 16))
        example = next(iter(datasets.CATALOG.values()))
        address = f"http://127.0.0.1:{port}/local.tsv"
        files = (datasets.DatasetFile("local.tsv", address, SHARED["sha256"]),)
        datasets.CATALOG["local"] = replace(example, name="local", files=files)
        for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "KAMMIL_DATA_DIR"):
            os.environ.pop(variable, None)

    def __exit__(self, *_: object) -> None:
        """End it."""
        os.kill(self.pid, signal.SIGTERM)
        os.waitpid(self.pid, 0)


class Slow(http.server.SimpleHTTPRequestHandler):
    """Sends a file in pieces, and what is missing of it where that is asked for."""

    def do_GET(self) -> None:
        """Answer."""
        content = Path(self.translate_path(self.path)).read_bytes()
        begin = int(self.headers["Range"].removeprefix("bytes=").split("-")[0]) if "Range" in self.headers else 0
        if begin >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(content) - begin))
        self.end_headers()
        for at in range(begin, len(content), 1 << 16):
            self.wfile.write(content[at : at + (1 << 16)])
            time.sleep(0.005)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    main()
