"""What a key waits for where the engine runs as WebAssembly (`kammil export --format web`), beside the compiled one.

Texts are typed letter by letter, each key with three suggestions and ghost text, without stock phrases, in Node and in
Python in turns, so that a busy machine is busy for both. Median and 99th percentile, in milliseconds, of wall time,
and of the processor's own, which is what the time would be on a quiet machine. Latin: `recipes/arabizi.tsv`.

Run: `python benchmarks/web.py` (needs Node; 1 minute). Writes web.json.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import kammil
from kammil.completion.completer import Session
from kammil.completion.ghost_text import MAX_WORDS
from kammil.evaluation.suggestion_hits import with_slips

ROOT = Path(__file__).resolve().parent.parent
NUMBER = 20
"""Texts of a kind."""
WARM = 100
"""Keys before these, which are not counted: Node compiles what it runs often."""
DRIVER = """
import { createInterface } from "node:readline";
const { load } = await import(process.argv[1]);
const session = (await load()).session();
for await (const line of createInterface({ input: process.stdin })) {
  const [text, words] = JSON.parse(line), used = process.cpuUsage(), begin = performance.now();
  const found = [session.update(text).suggest(), session.phrase({ words })];
  const wall = performance.now() - begin, { user, system } = process.cpuUsage(used);
  console.log(JSON.stringify([wall, (user + system) / 1000, found]));
}
"""
Times = tuple[float, float]


def main() -> None:
    """Measure, print, write."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    prompts = (ROOT / "benchmarks" / "prompts.txt").read_text("utf-8").splitlines()[:NUMBER]
    pairs = (ROOT / "recipes" / "arabizi.tsv").read_text("utf-8").splitlines()[1:]
    texts = {
        "Arabic": prompts,
        "with slips": with_slips(prompts, 0.05),
        "Latin": [line.split("\t")[2] for line in pairs[:: len(pairs) // NUMBER][:NUMBER]],
    }
    session = kammil.load().session()
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder) / "site"
        kammil.export("levantine", "web", site)
        command = ["node", "--input-type=module", "-e", DRIVER, (site / "kammil.js").as_uri()]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as node:

            def in_node(text: str) -> Times:
                assert node.stdin and node.stdout
                print(json.dumps([text, MAX_WORDS - 1]), file=node.stdin, flush=True)
                wall, processor, _ = json.loads(node.stdout.readline())
                return wall, processor

            def in_python(text: str) -> Times:
                return timed(session, text)

            engines: dict[str, Callable[[str], Times]] = {"node": in_node, "python": in_python}
            typed = [text[:n] for text in prompts for n in range(1, len(text) + 1)][:WARM]
            for ask in engines.values():
                for text in typed:
                    ask(text)
            results = {kind: measured(engines, some) for kind, some in texts.items()}
            assert node.stdin
            node.stdin.close()
    about = {"machine": platform.machine(), "node": subprocess.getoutput("node --version")}
    Path(__file__).with_suffix(".json").write_text(json.dumps({**about, "keys": results}, indent=2) + "\n", "utf-8")
    for kind, figures in results.items():
        print(kind, json.dumps(figures))


def timed(session: Session, text: str) -> Times:
    """Return wall and processor milliseconds of a key."""
    wall, processor = time.perf_counter(), time.process_time()
    session.update(text)
    session.suggest()
    session.phrase(words=MAX_WORDS - 1)
    return 1e3 * (time.perf_counter() - wall), 1e3 * (time.process_time() - processor)


def measured(engines: dict[str, Callable[[str], Times]], texts: list[str]) -> dict[str, dict[str, list[float]]]:
    """Type texts on all engines in turns; return median and 99th percentile, wall and processor."""
    keys = [text[:n] for text in texts for n in range(1, len(text) + 1)]
    times = [[ask(key) for ask in engines.values()] for key in keys]
    quantiles = np.quantile(np.array(times), [0.5, 0.99], axis=0).round(2)  # (2, engines, 2)
    names = ("wall", "processor")
    return {
        engine: {name: quantiles[:, i, j].tolist() for j, name in enumerate(names)} for i, engine in enumerate(engines)
    }


if __name__ == "__main__":
    main()
