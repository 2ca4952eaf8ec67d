"""What a keystroke waits for: completions cold and in a session, stepping on several engines, start and memory.

Everything is measured in one run on one core; the engines take turns, so that a busy machine is busy for all of them.
Models take turns of twenty, so that each is measured as somebody meets it who uses no other; single steps take turns of
one, and find the caches full of the others' weights: by itself the smallest one is faster than the table says.
Wall time is what a person waits; where others use the core as well, the processor's own time says what it would be on a
quiet one, so both are given: medians and 99th percentiles. The roofline of a step is the bytes of its weights over the
bandwidth of memory, measured on an array that no cache holds; an engine beats it when a cache holds the weights.

Run: `taskset -c 1 python benchmarks/latency.py` (needs the extra `dev`; 3 minutes). With KAMMIL_DATA_DIR set, texts of
lev30/validation are typed, and the bits that rounding costs are measured on them. Writes latency.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

import kammil
from kammil import model_folder
from kammil.completion.completer import Completer
from kammil.completion.scoring import score_texts
from kammil.engine import build as engine_build
from kammil.engine import native, reference
from kammil.engine.weights import GRUWeights
from kammil.language_model import select_rows
from kammil.models.family import NetworkLearner, export, family, load_model
from kammil.text import RAW
from kammil.vocabulary import CharacterVocabulary
from notebook import TARGET, NotebookRNN

Floats = NDArray[np.float32]
Made = TypeVar("Made")
PROMPT = 70
"""Characters of the longer prompts; those of the notebook have 65."""
RUNS = 100
WARM = 5
"""Runs before these, which are not counted."""
MANY = 20
"""Texts that are typed from end to end."""
BATCHES = (1, 4, 16, 64)
LEARNT = 100
"""Texts that the model of somebody who taught it has learnt."""


def main() -> None:
    """Measure, print, write."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    torch.set_num_threads(1)
    model, slower, taught = kammil.load(), portable(kammil.load), kammil.load()
    for text in kammil_sample()[:LEARNT]:
        taught.learn(text)
    prompts = [text[:PROMPT] for text in _texts(model) if len(text) >= PROMPT]
    bandwidth = measured_bandwidth()
    result: dict[str, Any] = {
        "how": "taskset -c 1 python benchmarks/latency.py; other programs used the core as well, see the load average",
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "cores_used": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "load_average": os.getloadavg()[0],
            "numpy": np.__version__,
            "torch": torch.__version__,
            "memory_gb_per_s": bandwidth,
        },
        "compiled": engine_build.load_native() is not None,
        **completions({"bundled": model, "portable": slower, "taught": taught}, prompts),
        "texts_taught": LEARNT,
        "users": users({"": model, "portable, ": slower}, prompts[0]),
        "gru_256": against_notebook(),
        "engines": {str(hidden): engines(hidden, model.vocabulary.size, bandwidth) for hidden in (256, _hidden(model))},
        "process": process(),
        "process, portable": process(portable=True),
    }
    if os.environ.get("KAMMIL_DATA_DIR"):
        result["typing"] = typing(model)
        result["bits"] = bits(model)
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    print_tables(result)


def portable(make: Callable[[], Made]) -> Made:
    """What is made without compiled code."""
    os.environ[engine_build.PORTABLE] = "1"
    engine_build.load_native.cache_clear()
    try:
        return make()
    finally:
        del os.environ[engine_build.PORTABLE]
        engine_build.load_native.cache_clear()


def completions(models: Mapping[str, Completer], prompts: Sequence[str]) -> dict[str, dict[str, Any]]:
    """By model: 30 characters after 70, cold and with the prefix known; a keystroke alone, and with three
    suggestions."""
    calls: dict[str, Callable[[int], object]] = {}
    prepared: dict[str, Callable[[int], object]] = {}
    for engine, model in models.items():
        for name, (call, before) in _asked(model, prompts).items():
            calls[f"{engine}: {name}"], prepared[f"{engine}: {name}"] = call, before
    measured = in_turn(calls, RUNS, lambda name, i: prepared[name](i), block=20)
    return {
        engine: {name.removeprefix(f"{engine}: "): row for name, row in measured.items() if name.startswith(engine)}
        for engine in models
    }


def _asked(
    model: Completer, prompts: Sequence[str]
) -> dict[str, tuple[Callable[[int], object], Callable[[int], object]]]:
    """What is measured, and what comes before it."""
    session, typed, helped = model.session(), model.session(), model.session()

    def cold(i: int) -> bool:
        fresh = model.with_own_cache()
        return len(fresh.complete(prompts[i % len(prompts)], length=TARGET, seed=i).text) == TARGET

    def known(i: int) -> bool:
        return len(session.complete(length=TARGET, seed=i).text) == TARGET

    def begun(i: int) -> str:
        return prompts[i // PROMPT % len(prompts)][: i % PROMPT + 1]

    def suggested(i: int) -> None:
        helped.update(begun(i))
        helped.suggest(k=3)

    def nothing(_: int) -> None:
        pass

    return {
        "cold": (cold, nothing),
        "session": (known, lambda i: session.update(prompts[i % len(prompts)])),
        "keystroke": (lambda i: typed.update(begun(i)), nothing),
        "keystroke and 3 suggestions": (suggested, nothing),
    }


def typing(model: Completer) -> dict[str, Any]:
    """Texts of lev30/validation typed from end to end in sessions of their own: three suggestions and ghost text after
    every keystroke, as on the page."""
    from kammil.data import sources

    every = sources.texts("lev30/validation")
    texts = [model.normalise(text) for text in every[:: len(every) // MANY][:MANY]]
    keys = [(session, text[:end]) for text in texts for session in [model.session()] for end in range(len(text))]

    def ghost(i: int) -> bool:
        session, typed = keys[i]
        session.update(typed)
        session.suggest(3)
        session.phrase()
        return True

    return in_turn({"keystroke, 3 suggestions and ghost text": ghost}, len(keys) - WARM)


def users(models: Mapping[str, Completer], prompt: str) -> dict[str, Any]:
    """One step for many texts at once, by engine."""
    calls: dict[str, Callable[[int], object]] = {}
    for engine, model in models.items():
        _, state = model.after(prompt)
        ids = model.vocabulary.encode("ع")
        for batch in BATCHES:
            many, there = ids.repeat(batch), select_rows(state, np.zeros(batch, np.int64))
            calls[f"{engine}{batch}"] = lambda _, m=model, many=many, there=there: m.language_model.step(many, there)
    measured = in_turn(calls, RUNS)
    for name, row in measured.items():
        row["us_per_row"] = 1000 * row["cpu_median"] / int(name.split(", ")[-1])
    return measured


def against_notebook() -> dict[str, Any]:
    """The GRU family at the notebook's size beside the notebook's `generate`: 30 characters after 65."""
    texts = [f"{text:<65}"[:65] for text in (kammil_sample()[:20])]
    vocabulary = CharacterVocabulary.from_texts(texts)
    gru = family("gru").learner()
    assert isinstance(gru, NetworkLearner)
    torch.manual_seed(0)
    artifacts = export(gru.build(vocabulary.size, gru.settings()))
    model = Completer(load_model("gru", gru.settings().model_dump(), artifacts), vocabulary, RAW)
    notebook = NotebookRNN(vocabulary.size).eval()
    ids = [torch.from_numpy(vocabulary.encode(text))[None] for text in texts]
    session = model.session()
    calls: dict[str, Callable[[int], object]] = {
        "notebook": lambda i: notebook.generate(ids[i % len(ids)], 1.0),
        "cold": lambda i: (
            len(model.with_own_cache().complete(texts[i % len(ids)], temperature=1.0, seed=i).text) == TARGET
        ),
        "session": lambda i: len(session.complete(temperature=1.0, seed=i).text) == TARGET,
    }

    def prepare(name: str, i: int) -> None:
        if name == "session":
            session.update(texts[i % len(ids)])

    # In turns of one the notebook empties the caches before every completion of ours.
    table = {"": in_turn(calls, RUNS, prepare, block=20), "one by one, ": in_turn(calls, RUNS, prepare)}
    made: dict[str, Any] = {}
    for title, measured in table.items():
        for name, row in measured.items():
            faster = measured["notebook"]["cpu_median"] / row["cpu_median"]
            made[title + name] = {**row, "times_faster": faster}
    return made


def engines(hidden: int, size: int, bandwidth: float) -> dict[str, Any]:
    """A step of a GRU and its scores on each engine, by batch, with the roofline of each precision."""
    generator = np.random.default_rng(0)

    def drawn(*shape: int) -> Floats:
        return generator.normal(0, 0.1, shape).astype(np.float32)

    layer = GRUWeights(drawn(size, 3 * hidden), drawn(hidden, 3 * hidden), drawn(3 * hidden), drawn(hidden, size))
    bias = drawn(size)
    weights = layer.recurrent.size + layer.output.size
    steps: dict[str, tuple[int, Callable[[NDArray[np.int64], Floats], object]]] = {
        "numpy fp32": (4, lambda ids, h: numpy_step(layer, bias, ids, h)),
        "torch fp32": (4, torch_step(layer, bias, torch.float32)),
        "torch bf16": (2, torch_step(layer, bias, torch.bfloat16)),
        "numpy int8": (4, reference_step(layer)),
    }
    if code := engine_build.load_native():
        kernel = native.NativeEngine(code, [layer], bias, size)
        rest = {batch: kernel.initial_state(batch) for batch in BATCHES}
        steps["compiled int8"] = 1, lambda ids, h: kernel.forward(ids[:, None], (h, *rest[len(ids)]), 1)
    table: dict[str, Any] = {}
    for batch in BATCHES:
        ids, h = generator.integers(0, size, batch), drawn(batch, hidden)
        calls = {name: _bound(step, ids, h) for name, (_, step) in steps.items()}
        for name, measured in in_turn(calls, RUNS).items():
            table.setdefault(name, {"weights_mb": weights * steps[name][0] / 1e6, "batch": {}})["batch"][batch] = (
                measured
            )
    for row in table.values():
        row["roofline_us"] = row["weights_mb"] / bandwidth * 1000
    return table


def _bound(
    step: Callable[[NDArray[np.int64], Floats], object], ids: NDArray[np.int64], h: Floats
) -> Callable[[int], object]:
    return lambda _: step(ids, h)


def numpy_step(
    layer: GRUWeights, bias: Floats, ids: NDArray[np.int64], h: Floats
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """The same step with NumPy's matrix products."""
    width = h.shape[1]
    x, g = layer.input[ids], h @ layer.recurrent + layer.bias
    gates = 1 / (1 + np.exp(-(x[:, : 2 * width] + g[:, : 2 * width])))
    new = np.tanh(x[:, 2 * width :] + gates[:, :width] * g[:, 2 * width :])
    after = new + gates[:, width:] * (h - new)
    return after, after @ layer.output + bias


def torch_step(layer: GRUWeights, bias: Floats, kind: torch.dtype) -> Callable[[NDArray[np.int64], Floats], object]:
    """The same step with PyTorch."""
    inward, recurrent, added, outward, last = (
        torch.from_numpy(a).to(kind) for a in (layer.input, layer.recurrent, layer.bias, layer.output, bias)
    )

    @torch.inference_mode()
    def step(ids: NDArray[np.int64], state: Floats) -> object:
        h = torch.from_numpy(state).to(kind)
        width = h.shape[1]
        x, g = inward[torch.from_numpy(ids)], torch.addmm(added, h, recurrent)
        gates = torch.sigmoid(x[:, : 2 * width] + g[:, : 2 * width])
        new = torch.tanh(x[:, 2 * width :] + gates[:, :width] * g[:, 2 * width :])
        after = torch.lerp(new, h, gates[:, width:])
        return after, torch.addmm(last, after, outward)

    return step


def reference_step(layer: GRUWeights) -> Callable[[NDArray[np.int64], Floats], object]:
    """The same step in whole numbers, which stand there as floats."""
    gru = reference.QuantizedGRUs([layer])
    return lambda ids, h: gru.forward(ids[:, None], h, 1)


_RESIDENT = """
import re, kammil
kammil.load().complete("شو حلو الشعور لما")
print(int(re.search(r"VmRSS:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024 / 1e6)
"""
"""A program that completes once, and says how much memory it holds then."""


def process(*, portable: bool = False) -> dict[str, Any]:
    """A whole `kammil complete`: seconds and resident memory, by subprocess."""
    command = [sys.executable, "-m", "kammil", "complete", "شو حلو الشعور لما"]
    measure = (
        "import resource, subprocess, sys, time; began = time.perf_counter(); "
        "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); took = time.perf_counter() - began; "
        "u = resource.getrusage(resource.RUSAGE_CHILDREN); print(took, u.ru_utime + u.ru_stime, u.ru_maxrss)"
    )
    installed = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}  # as pip leaves a program
    installed |= {engine_build.PORTABLE: "1"} if portable else {}
    runs: list[list[float]] = []
    for _ in range(10):
        done = subprocess.run(
            [sys.executable, "-c", measure, *command], check=True, capture_output=True, text=True, env=installed
        )
        runs.append([float(figure) for figure in done.stdout.split()])
    resident = subprocess.run([sys.executable, "-c", _RESIDENT], check=True, capture_output=True, env=installed)
    wall, cpu, peak = np.array(runs[1:]).T  # the first one warms the disk cache
    return {
        "seconds_median": float(np.median(wall)),
        "cpu_seconds_median": float(np.median(cpu)),
        "resident_mb": float(resident.stdout),
        "resident_mb_peak": float(peak.max()) * (1 if sys.platform == "darwin" else 1024) / 1e6,
    }


class Product(reference.QuantizedProduct):
    """The product in single precision."""

    def __init__(self, weights: Sequence[Floats]) -> None:
        """Keep the weights."""
        self.matrices = np.stack(weights)

    def __call__(self, x: Floats) -> Floats:
        """(M, B, H) to (M, B, N)."""
        return np.matmul(x, self.matrices)


def bits(model: Completer) -> dict[str, float]:
    """Bits a character on lev30/validation, ends of texts excluded: as the model ships, and in single precision."""
    from kammil.data import sources

    texts = [model.normalise(text) for text in sources.texts("lev30/validation")]
    assert model.model is not None
    description = model.model.description
    made = {"int8": model.language_model}
    if description.family == "blend":
        artifacts, rounded = model_folder.read(Path("levantine")).artifacts, reference.QuantizedProduct
        reference.QuantizedProduct = Product
        made["fp32"] = portable(lambda: load_model("blend", description.settings, artifacts))
        reference.QuantizedProduct = rounded
    return {
        name: float(sum(t.bits[:-1].sum() for t in score_texts(runner, model.vocabulary, texts)) / sum(map(len, texts)))
        for name, runner in made.items()
    }


def in_turn(
    calls: Mapping[str, Callable[[int], object]],
    runs: int,
    prepare: Callable[[str, int], object] = lambda _name, _i: None,
    *,
    block: int = 1,
) -> dict[str, dict[str, float]]:
    """Milliseconds of some calls that take turns, so many runs each; a call that gives False is not counted."""
    wall: dict[str, list[float]] = {name: [] for name in calls}
    cpu: dict[str, list[float]] = {name: [] for name in calls}
    for begin in range(0, runs + WARM, block):
        for name, call in calls.items():
            for i in range(begin, min(begin + block, runs + WARM)):
                prepare(name, i)
                began, used = time.perf_counter(), time.thread_time()
                counts = call(i) is not False
                used, took = time.thread_time() - used, time.perf_counter() - began
                if counts and i >= WARM:
                    wall[name].append(1000 * took)
                    cpu[name].append(1000 * used)
    return {
        name: {
            "median": float(np.median(wall[name])),
            "p99": float(np.quantile(wall[name], 0.99)),
            "cpu_median": float(np.median(cpu[name])),
            "cpu_p99": float(np.quantile(cpu[name], 0.99)),
            "least": min(wall[name]),
            "runs": len(wall[name]),
        }
        for name in calls
    }


def measured_bandwidth() -> float:
    """Gigabytes a second that one core reads of an array far larger than its own caches; the best of ten."""
    array = np.ones(1 << 26, np.float32)
    seconds: list[float] = []
    for _ in range(10):
        used = time.thread_time()
        array.max()  # vectorised further than a sum, so that memory decides
        seconds.append(time.thread_time() - used)
    return array.nbytes / min(seconds) / 1e9


def kammil_sample() -> list[str]:
    """The embedded corpus."""
    from kammil.data import sources

    return sources.sample()


def _texts(model: Completer) -> list[str]:
    return [model.normalise(a + " " + b) for a, b in zip(kammil_sample(), kammil_sample()[1:], strict=False)][:100]


def _hidden(model: Completer) -> int:
    return int(model.model.description.settings["hidden"]) if model.model is not None else 512


def print_tables(result: Mapping[str, Any]) -> None:
    """Milliseconds: wall median, wall p99, processor's own time median."""
    for title in ("bundled", "portable", "taught", "typing", "users", "gru_256"):
        if title not in result:
            continue
        print(f"\n{title:<32}{'median':>9}{'p99':>9}{'cpu':>9}  ms")
        for name, row in result[title].items():
            faster = f"{row['times_faster']:>9.1f} times" if "times_faster" in row else ""
            print(f"{name:<32}{row['median']:>9.2f}{row['p99']:>9.2f}{row['cpu_median']:>9.2f}{faster}")
    for hidden, table in result["engines"].items():
        print(
            f"\nhidden {hidden:<25}{'roofline':>9}" + "".join(f"{b:>9}" for b in BATCHES) + "  us, cpu median, by batch"
        )
        for name, row in table.items():
            cells = "".join(f"{1000 * row['batch'][b]['cpu_median']:>9.0f}" for b in BATCHES)
            print(f"{name:<32}{row['roofline_us']:>9.0f}{cells}")
    figures = {
        **result["process"],
        **{f"{name}, portable": value for name, value in result["process, portable"].items()},
        **{f"bits {name}": value for name, value in result.get("bits", {}).items()},
    }
    print("\n" + "\n".join(f"{name:<32}{value:.4f}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
