"""Write the generated pages: docs/commands.md from the program, the tables of other pages from the benchmarks' results.

`python docs/refresh.py` writes them, `--check` says whether they are fresh (part of `make check`).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = (
    "train",
    "complete",
    "suggest",
    "explain",
    "serve",
    "evaluate",
    "compare",
    "report",
    "export",
    "plot",
    "info",
    "data",
    "data list",
    "data get",
    "data check",
    "data split",
    "profile",
    "profile learn",
    "profile forget",
    "profile show",
    "profile wipe",
)


LEV30 = {
    **{name: f"`--model {name}`" for name in ("ngram", "gru", "words", "subwords", "attention", "transformer")},
    "blend": "`--model blend`, the default",
    "blend-2": "`--model blend --set networks=2`, two members",
    "blend-normalised": "`--model blend` on normalised tweets, as `levantine` reads them",
}
"""Names of the models in the table of the benchmark, from top to bottom."""
FINISHED = {"tweets": "`recipes/tweets.toml`, the first release's `levantine`"}


def commands() -> str:
    """Every command's own help."""
    pages = ["# Commands", "", "Written by the program itself: `python docs/refresh.py`.", ""]
    environment = os.environ | {"COLUMNS": "100", "TERM": "dumb", "NO_COLOR": "1"}
    for command in ("", *COMMANDS):
        arguments = [sys.executable, "-m", "kammil", *command.split(), "--help"]
        done = subprocess.run(arguments, capture_output=True, check=True, env=environment, encoding="utf-8")
        text = "\n".join(
            line.rstrip() for line in done.stdout.strip().replace("python -m kammil", "kammil").split("\n")
        )
        pages += [f"## kammil {command}".rstrip(), "", "```", text, "```", ""]
    return "\n".join(pages)


def filled(text: str) -> str:
    """A page with its tables filled in."""
    for name, table in (("notebook", notebook), ("lev30", lev30), ("latency", latency), ("load", load)):
        text = re.sub(
            rf"(<!-- {name}: .*? -->\n).*?(<!-- /{name} -->)",
            lambda match, table=table: match[1] + table() + "\n" + match[2],
            text,
            flags=re.DOTALL,
        )
    return text


def notebook() -> str:
    """The notebook beside Kammil."""
    r = result("notebook")
    n, k, s = r["notebook"], r["kammil"], r["always_a_space"]
    never = "never" if n["seconds_to_plateau"] is None else f"{n['seconds_to_plateau']:.1f} s"
    return markdown(
        [
            ["", "always a space", "the notebook", "`kammil train`"],
            ["right, all 200 test tweets", share(s["all"]), share(n["all_accuracy"]), share(k["all_accuracy"])],
            [
                "right, those not also in training",
                share(s["clean"]),
                share(n["clean_accuracy"]),
                share(k["clean_accuracy"]),
            ],
            ["bits per character, those", "", f"{n['clean_bits']:.2f}", f"{k['clean_bits']:.2f}"],
            ["training", "", f"{n['training_seconds']:.0f} s", f"{k['training_seconds']:.0f} s"],
            ["... until 18.3 % are right", "", never, f"{k['seconds_to_plateau']:.1f} s"],
            ["one completion, one core", "", f"{n['completion_ms']:.1f} ms", f"{k['completion_ms']:.1f} ms"],
        ]
    )


def lev30() -> str:
    """The fixed benchmark."""
    r = result("lev30")
    columns = {
        "target_bits_per_character": ("bits per character, target", False),
        "bits_per_character_with_end": ("whole texts with their ends", False),
        "target_top1": ("target characters right", True),
        "target_top5": ("... among the 5 best", True),
    }
    rows = [["", *(title for title, _ in columns.values()), "training"]]

    def add(name: str, figures: dict[str, list[float]], seconds: str) -> None:
        rows.append([name, *(interval(figures[field], percent=p) for field, (_, p) in columns.items()), seconds])

    for name, title in (("unigram", "character frequencies"), ("3-gram", "3-gram")):
        add(title, r["baselines"][name], "")
    for name, title in LEV30.items():
        if name in r:
            add(title, r[name]["test"], f"{r[name]['training_seconds']:.0f} s")
            if "online" in r[name]:
                add("the same, allowed to remember each test text after its score was taken", r[name]["online"], "")
    for name in r.get("finished", {}):
        add(FINISHED.get(name, f"`{name}`, bundled"), r["finished"][name]["test"], "")
    return markdown(rows)


def latency() -> str:
    """How fast the bundled model is."""
    r = result("latency")
    rows = [["bundled model, one core", "median", "99 % within", "without a C compiler", "99 % within"]]
    for name, title in (
        ("cold", "30 characters after a prompt of 70"),
        ("session", "... whose state is known"),
        ("keystroke", "one more character of a prompt"),
        ("keystroke and 3 suggestions", "... and three suggestions"),
    ):
        cells = [r[engine][name][which] for engine in ("bundled", "portable") for which in ("median", "p99")]
        rows.append([title, *(f"{cell:.1f} ms" for cell in cells)])
    taught = [f"{r['taught']['session'][which]:.1f} ms" for which in ("median", "p99")]
    rows.insert(3, [f"... and {r['texts_taught']} texts were learnt", *taught, "", ""])
    if "typing" in r:  # where the tweets were at hand
        typed = r["typing"]["keystroke, 3 suggestions and ghost text"]
        title = "a text typed in a session: three suggestions and ghost text after every keystroke"
        rows.append([title, *(f"{typed[which]:.1f} ms" for which in ("median", "p99")), "", ""])
    starts, sizes = (
        [f"{r[process][name]:{form}}" for process in ("process", "process, portable")]
        for name, form in (("seconds_median", ".2f"), ("resident_mb", ".0f"))
    )
    rows.append(["`kammil complete`, from the start of the program", f"{starts[0]} s", "", f"{starts[1]} s", ""])
    rows.append(["memory of a process that has completed once", f"{sizes[0]} MB", "", f"{sizes[1]} MB", ""])
    return markdown(rows)


def load() -> str:
    """What a server bears."""
    r = result("load")
    heads = [f"{name}: a second | p50 | p90 | p99" for name in r["closed"]]
    rows = [["clients at once", *" | ".join(heads).split(" | ")]]
    for clients in next(iter(r["closed"].values())):
        cells = [clients]
        for loads in r["closed"].values():
            one = loads[clients]
            cells += [f"{one['per_second']:.0f}", *(f"{one[f'{p}_ms']:.0f} ms" for p in ("p50", "p90", "p99"))]
        rows.append(cells)
    cells = [f"{r['people']} people typing"]
    for name in r["closed"]:
        one = r["typing"][name]
        cells += [f"{one['per_second']:.0f}", *(f"{one[f'{p}_ms']:.0f} ms" for p in ("p50", "p90", "p99"))]
    return markdown([*rows, cells])


def result(name: str) -> dict[str, Any]:
    """What a benchmark wrote."""
    return json.loads((ROOT / "benchmarks" / f"{name}.json").read_text("utf-8"))


def interval(figure: list[float], *, percent: bool) -> str:
    """Value and 95 % interval."""
    value, low, high = figure
    if percent:
        return f"{100 * value:.1f} % ({100 * low:.1f}-{100 * high:.1f})"
    return f"{value:.2f} ({low:.2f}-{high:.2f})"


def share(value: float) -> str:
    """A share in per cent."""
    return f"{100 * value:.1f} %"


def markdown(rows: list[list[str]]) -> str:
    """Rows as a table, the first being the heading."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def main() -> None:
    """Write or check."""
    pages = {
        ROOT / "docs" / "commands.md": commands(),
        **{page: filled(page.read_text("utf-8")) for page in (ROOT / "README.md", ROOT / "docs" / "serving.md")},
    }
    stale = [path for path, text in pages.items() if not path.exists() or path.read_text("utf-8") != text]
    if "--check" in sys.argv[1:]:
        for path in stale:
            sys.stderr.write(f"{path.relative_to(ROOT)} is stale; run: python docs/refresh.py\n")
        sys.exit(1 if stale else 0)
    for path in stale:
        path.write_text(pages[path], "utf-8")


if __name__ == "__main__":
    main()
