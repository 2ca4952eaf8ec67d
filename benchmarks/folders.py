"""A hostile or damaged model folder is refused with one sentence: mutated folders of every family are opened and used.

Each folder is a small trained model with one to three random changes: files cut off, overwritten, swapped, missing, or
a link, a folder or a pickle in their place; values of the JSON files replaced by hostile ones; arrays of the
safetensors files with other numbers, shapes, types, names or headers. Then it is opened, described, and completes,
suggests and scores. Held against each: nothing but a `KammilError` of one line is raised (a change that does no harm
may leave a model that works), it takes at most `LIMIT` seconds of processor time and `MEMORY` more memory, and it
starts no program and reads no pickle (audit events, PEP 578).

Run: `python benchmarks/folders.py [--folders N] [--seed S] [--family NAME]`. Writes folders.json, of which the rows of
other families stay where one is named, and the same as one line on stdout; exits with 1 if anything failed. It needs
`fork` and limits of memory, so it runs on Linux.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, cast

import numpy as np
from safetensors.numpy import load_file, save

import kammil
from kammil import model_folder as folders
from kammil.data import sources
from kammil.errors import KammilError
from kammil.models.family import FAMILIES, family

LIMIT = 10
"""Seconds of processor time that one folder may take."""
MEMORY = 1 << 30
"""Bytes that a process may need beyond what it has when it begins."""
FORBIDDEN = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "pickle.find_class", "os.fork")
"""Audit events of code that a folder must not bring about."""
SIZES: dict[str, dict[str, Any]] = {
    "gru": {"embedding": 8, "hidden": 16},
    "words": {"embedding": 8, "hidden": 16},
    "subwords": {"embedding": 8, "hidden": 16, "subwords": 120},
    "attention": {"embedding": 8, "hidden": 16, "attention": 8},
    "transformer": {"width": 16, "layers": 2, "heads": 2},
    "blend": {"embedding": 8, "hidden": 16},
}
SMALL_LLAMA = {
    **{"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2},
    **{"num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 64},
}
NUMBERS = (-1, 0, 1, 2, 7, 255, 65_535, 2**31 - 1, 2**31, 2**32, 2**63, -(2**63), 10**30, 0.5, 1e308, float("nan"))
VALUES: tuple[Any, ...] = (
    *NUMBERS,
    None,
    True,
    "",
    "x",
    "\0",
    "../..",
    "م" * 300_000,
    [],
    {},
    [[]],
    [1] * 5000,
    float("inf"),
)


TRIED = list(FAMILIES)
"""All families; a pretrained model starts from a small one with random weights."""
_BEGUN = [0]
"""Most kilobytes that this process had when it began."""


class Code:
    """Object whose pickle makes a folder where it is read, which shows that code ran."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        """Make a folder."""
        return (os.mkdir, ("EXECUTED",))


def main() -> None:
    """Mutate, then say what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folders", type=int, default=1000, help="folders of each family")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--family", choices=TRIED)
    named = parser.parse_args()
    file = Path(__file__).with_suffix(".json").resolve()
    kept: dict[str, Any] = json.loads(file.read_text("utf-8")) if named.family is not None and file.exists() else {}
    if kept and kept["seed"] != named.seed:
        parser.error(f"{file.name} is of seed {kept['seed']}; give the same, or no family")
    began, rows = time.monotonic(), dict[str, Any](kept.get("families", {}))
    failures = [failed for failed in kept.get("failed", []) if failed["family"] != named.family]
    os.environ["OMP_NUM_THREADS"] = "1"  # threads of PyTorch do not outlive a fork
    with tempfile.TemporaryDirectory() as root:
        os.chdir(root)
        trained = {name: train(Path(root), name) for name in TRIED}
        for name in TRIED if named.family is None else [named.family]:
            found = in_a_child(trained, name, named.folders, named.seed)
            failures += found.pop("failures")
            rows[name] = found
            print(f"{time.monotonic() - began:.0f} s {name}: {json.dumps(found)}", file=sys.stderr, flush=True)
        executed = Path("EXECUTED").exists()
    times = os.times()
    result = {
        "folders": sum(row["folders"] for row in rows.values()),
        "failures": len(failures) + executed,
        "seed": named.seed,
        "families": rows,
        "failed": failures,
        "processor_seconds": round(sum(times[:4])) + kept.get("processor_seconds", 0),
    }
    file.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    print(json.dumps(result))
    sys.exit(1 if result["failures"] else 0)


def train(root: Path, name: str) -> Path:
    """Train a small model of a family."""
    short: dict[str, Any] = {"epochs": 1, "batch_size": 32, "device": "cpu", "threads": 1} if name != "ngram" else {}
    if family(name).needs_base:
        from pretrained import write_base

        write_base(root / "base", sources.sample()[:60], tokens=300, **SMALL_LLAMA)
        short["base"] = str(root / "base")
    kammil.train(
        sources.sample()[:60], out=root / name, model=cast(Any, name), report=False, **SIZES.get(name, {}), **short
    )
    return root / name


def in_a_child(trained: dict[str, Path], name: str, number: int, seed: int) -> dict[str, Any]:
    """Try folders of one family in a process that may not take much memory; go on in a new one where it dies."""
    found: dict[str, Any] = {
        "folders": 0,
        "refused": 0,
        "worked": 0,
        "failures": [],
        "slowest_seconds": 0.0,
        "most_more_mb": 0,
    }
    changes: Counter[str] = Counter()
    while found["folders"] < number:
        readable, writable = os.pipe()
        pid = os.fork()
        if not pid:
            code = 1
            try:
                with os.fdopen(writable, "w", buffering=1) as said:
                    limit()
                    for one in range(found["folders"], number):
                        said.write(json.dumps(trial(trained, name, one, seed)) + "\n")
                code = 0
            finally:
                os._exit(code)
        os.close(writable)
        with os.fdopen(readable) as lines:
            for line in lines:
                one = json.loads(line)
                found["folders"] += 1
                changes.update(one["changes"])
                found["slowest_seconds"] = max(found["slowest_seconds"], one["seconds"])
                found["most_more_mb"] = max(found["most_more_mb"], one["mb"])
                if one["error"]:
                    found["failures"].append({key: one[key] for key in ("family", "folder", "changes", "error")})
                else:
                    found["refused" if one["refused"] else "worked"] += 1
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if status:
            found["failures"].append(
                {"family": name, "folder": found["folders"], "error": f"the process ended: {status}"}
            )
            found["folders"] += 1
    return found | {"changes": dict(sorted(changes.items()))}


def limit() -> None:
    """Bound the memory of this process, and see what it starts."""
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))

    def heard(event: str, _: tuple[Any, ...]) -> None:
        if event in FORBIDDEN:
            raise AssertionError(f"{event}: a folder started a program")

    sys.addaudithook(heard)
    signal.signal(signal.SIGVTALRM, _too_slow)
    _BEGUN[0] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _too_slow(*_: object) -> None:
    raise AssertionError(f"took more than {LIMIT} s")


def trial(trained: dict[str, Path], name: str, number: int, seed: int) -> dict[str, Any]:
    """Mutate a folder, use it, and say how that went."""
    chance = random.Random(f"{seed} {name} {number}")
    place = Path("mutated")
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(trained[name], place)
    changes = [mutate(place, trained, name, chance) for _ in range(chance.choice((1, 1, 2, 3)))]
    said: dict[str, Any] = {"family": name, "folder": number, "changes": changes, "refused": False, "error": ""}
    began = time.process_time()
    signal.setitimer(signal.ITIMER_VIRTUAL, LIMIT)
    try:
        use(place)
    except KammilError as error:
        said["refused"] = True
        if "\n" in str(error) or not 10 < len(str(error)) < 1500:
            said["error"] = f"no sentence: {error}"[:400]
    except BaseException as error:  # whatever it is, it is what this looks for
        said["error"] = f"{type(error).__name__}: {error}"[:400]
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    return said | {
        "seconds": round(time.process_time() - began, 3),
        "mb": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - _BEGUN[0]) >> 10,
    }


def use(place: Path) -> None:
    """Do with a folder what people do."""
    folders.summary(place)
    folders.about(place)
    model = kammil.load(place)
    assert len(model.complete("شو", length=4, temperature=0.7, seed=1).text) <= 4
    model.suggest("شو حل", k=3)
    model.score("مرحبا كيفك")


def mutate(place: Path, trained: dict[str, Path], name: str, chance: random.Random) -> str:
    """Change one thing of a folder in place, and name the change."""
    files = sorted(path for path in place.iterdir() if path.is_file() and not path.is_symlink())
    if not files:
        return "nothing is left"
    file = chance.choice(files)
    if chance.random() < 0.5:  # the rarer files are the ones that matter
        file = chance.choice([path for path in files if path.suffix in (".json", ".safetensors")] or files)
    if file.suffix == ".json" and chance.random() < 0.7:
        return _json(file, chance)
    if file.suffix == ".safetensors" and chance.random() < 0.8:
        return _arrays(file, chance)
    return _file(file, trained, name, chance)


def _file(file: Path, trained: dict[str, Path], name: str, chance: random.Random) -> str:
    """Change the bytes of a file, or put something else in its place."""
    content = file.read_bytes()
    kind = chance.choice(("cut", "bytes", "empty", "missing", "swapped", "pickle", "link", "folder", "longer"))
    if kind in ("missing", "link", "folder"):
        file.unlink()
        if kind == "link":
            file.symlink_to(chance.choice(("/etc/passwd", "nowhere", file.name, "/dev/zero")))
        elif kind == "folder":
            file.mkdir()
        return kind
    changed = bytearray(content)
    if kind == "cut":
        del changed[chance.randrange(len(content) + 1) :]
    elif kind == "bytes":
        for _ in range(chance.choice((1, 4, 64)) if content else 0):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
    elif kind == "swapped":
        other = trained[chance.choice([other for other in trained if other != name])] / file.name
        changed[:] = other.read_bytes() if other.exists() else b"{}"
    else:
        changed[:] = {"empty": b"", "pickle": pickle.dumps(Code()), "longer": content + content}[kind]
    file.write_bytes(changed)
    return kind


def _json(file: Path, chance: random.Random) -> str:
    """Replace a value of a JSON file, or take one out, or nest it deeply."""
    try:
        value = json.loads(file.read_text("utf-8"))
    except (ValueError, RecursionError):
        return "JSON: damaged before"
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        pairs = (
            node.items()
            if isinstance(node, dict)
            else enumerate(cast(list[Any], node))
            if isinstance(node, list)
            else ()
        )
        for key, child in list(cast(Any, pairs)):
            places.append((node, key))
            walk(child)

    walk(value)
    if not places:
        return "JSON: empty before"
    node, key = chance.choice(places)
    kind = chance.choice(("value", "value", "value", "gone", "number", "deep"))
    if kind == "gone":
        del node[key]
    elif kind == "number" and isinstance(node[key], int | float):
        node[key] = (
            node[key] + chance.choice((-1, 1)) if chance.random() < 0.5 else node[key] * chance.choice((-1, 2, 1000))
        )
    else:
        node[key] = chance.choice(VALUES)
    text = json.dumps(value)
    if kind == "deep":
        text = text.replace("null", "[" * 100_000 + "]" * 100_000, 1)
    file.write_text(text, "utf-8")
    return f"JSON: {kind}"


def _arrays(file: Path, chance: random.Random) -> str:
    """Change an array of a safetensors file, or the file's header."""
    try:
        arrays = load_file(file)
    except Exception:  # it was damaged before
        return "arrays: damaged before"
    if not arrays:
        return "arrays: none before"
    name = chance.choice(sorted(arrays))
    array = arrays[name]
    kind = chance.choice(
        ("numbers", "numbers", "shape", "type", "gone", "renamed", "more", "cut", "shuffled", "header")
    )
    if kind == "header":
        content = bytearray(file.read_bytes())
        at = chance.randrange(min(len(content), 8 + int.from_bytes(content[:8], "little")))
        content[at] = chance.randrange(256)
        file.write_bytes(bytes(content))
        return "arrays: header"
    flat = array.reshape(-1).copy()
    if kind == "numbers" and flat.size:
        extreme = _extreme(array.dtype, chance)
        chosen = [chance.randrange(flat.size) for _ in range(chance.choice((1, 1, 8, flat.size)))]
        flat[chosen] = extreme
        arrays[name] = flat.reshape(array.shape)
    elif kind == "shape":
        arrays[name] = chance.choice((flat, array[None], flat[:0], flat[: max(1, flat.size // 2)], array.T))
    elif kind == "type":
        with np.errstate(all="ignore"):
            arrays[name] = array.astype(chance.choice((np.float64, np.float16, np.int8, np.uint64, np.int64, np.bool_)))
    elif kind == "gone":
        del arrays[name]
    elif kind == "renamed":
        other = chance.choice(("x", f"{name}.whole", sorted(arrays)[0]))
        arrays[other] = arrays.pop(name)
    elif kind == "more":
        arrays[name] = np.concatenate([flat, flat])
    elif kind == "cut":
        arrays[name] = flat[: chance.randrange(flat.size + 1)]
    elif kind == "shuffled":
        arrays[name] = flat[np.array(chance.sample(range(flat.size), flat.size), np.int64)].reshape(array.shape)
    file.write_bytes(save({key: np.ascontiguousarray(value) for key, value in arrays.items()}))
    return f"arrays: {kind}"


def _extreme(dtype: np.dtype[Any], chance: random.Random) -> Any:
    """A number at the edge of a type."""
    if dtype.kind == "f":
        return chance.choice((np.nan, np.inf, -np.inf, np.finfo(dtype).max, -np.finfo(dtype).max, 0.0))
    if dtype.kind == "b":
        return chance.choice((True, False))
    info = np.iinfo(dtype)
    return chance.choice((info.min, info.max, 0, 1, info.max // 2))


if __name__ == "__main__":
    main()
