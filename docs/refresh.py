"""Write the generated pages.

docs/commands.md comes from the program, tables of other pages from the benchmarks' results, and the navigation of
mkdocs.yml from the pages that are there.

`python docs/refresh.py` writes them, `--check` says whether they are fresh (part of `make check`). It checks notebooks
and pages of the lesson too, which `docs/lessons/build.py` writes.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = (
    "train",
    "complete",
    "suggest",
    "type",
    "lsp",
    "explain",
    "serve",
    "evaluate",
    "compare",
    "curve",
    "report",
    "verify",
    "export",
    "plot",
    "info",
    "data",
    "data list",
    "data get",
    "data show",
    "data check",
    "data split",
    "profile",
    "profile learn",
    "profile forget",
    "profile show",
    "profile report",
    "profile wipe",
)

Pages = Mapping[str, "str | Pages"]
SITE: Pages = {
    "Home": "index.md",
    "Start": {
        "Five-minute start": "start.md",
        "From a spreadsheet": "spreadsheet.md",
        "You have the notebook": "you-have-the-notebook.md",
        "FAQ": "faq.md",
    },
    "Use": {
        "The playground": "playground.md",
        "Editors and terminals": "editors.md",
        "Adapt to a user": "profiles.md",
        "What was said before": "context.md",
        "Choose how it writes": "decoding.md",
        "Offensive words": "offensive-words.md",
        "The models": {"levantine": "models/levantine.md", "levantine-all": "models/levantine-all.md"},
        "Commands": "commands.md",
    },
    "Train": {
        "On your own texts": "train.md",
        "In your language": "your-language.md",
        "From a chat": "chat.md",
        "Publish a model": "publish-a-model.md",
        "Find settings": "tuning.md",
        "Fine-tune a pretrained model": "pretrained.md",
        "Several machines": "distributed.md",
    },
    "Serve": {
        "The server": "serving.md",
        "Deploy": "deploy.md",
        "Embed in a page": "embed.md",
        "Python": "python.md",
        "Export": "export.md",
    },
    "Understand": {
        "Lesson": {"*": "lessons/*"},
        "Read the figures": "figures.md",
        "Read the report": "report.md",
        "Benchmarks": "benchmarks.md",
        "Families side by side": "comparison/README.md",
        "Log of experiments": "log.md",
    },
    "Contribute": {
        "How to": "contributing.md",
        "Architecture": "architecture.md",
        "Add a family": "family.md",
        "Changes": "changelog.md",
        "Your folders and scripts": "changed.md",
    },
}
"""The site: title -> page, or a section of such.

Pages that are not there are left out; pages of docs/ that no entry names stand under "Contribute". `*` takes in all
pages of a folder, under their own headings."""
OUTSIDE = {
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
    "models/levantine.md": "src/kammil/pretrained/levantine/README.md",
    "models/levantine-all.md": "models/levantine-all/kammil_levantine_all/README.md",
}
"""Pages of the site that do not stand in docs/."""
LEV30 = {
    **{name: f"`--model {name}`" for name in ("ngram", "gru", "words", "subwords", "attention", "transformer")},
    "blend": "`--model blend`, the default",
    "blend-1": "`--model blend --set networks=1`, one member",
    "blend-normalised": "`--model blend` on normalised tweets, as `levantine` reads them",
}
"""Names of the models in the table of the benchmark, from top to bottom."""
DECODING = {
    "truth": "what people wrote",
    "greedy": "temperature 0",
    "t 0.3": "temperature 0.3",
    "t 0.5": "temperature 0.5",
    "t 0.7": "temperature 0.7, `--preset plain`",
    "t 0.9": "temperature 0.9",
    "t 1.0": "temperature 1",
    "preset predictive": "`--preset predictive`",
    "preset creative": "`--preset creative`",
}
"""Names of the ways of decoding, from top to bottom."""
FINISHED = {"tweets": "`recipes/tweets.toml`, the first release's `levantine`", "levantine": "`levantine`, bundled"}


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
    for name, table in TABLES.items():
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
    n, k, s, o = (r[name] for name in ("notebook", "kammil", "always_a_space", "one_answer"))
    never = "never" if n["seconds_to_plateau"] is None else f"{n['seconds_to_plateau']:.1f} s"
    return markdown(
        [
            [
                "",
                "always a space",
                "the best single answer of each tweet",
                "the notebook",
                "`kammil train --model gru`",
            ],
            [
                "right, all 200 test tweets",
                share(s["all"]),
                share(o["all"]),
                share(n["all_accuracy"]),
                share(k["all_accuracy"]),
            ],
            [
                "right, those not also in training",
                share(s["clean"]),
                share(o["clean"]),
                share(n["clean_accuracy"]),
                share(k["clean_accuracy"]),
            ],
            ["bits per character, those", "", "", f"{n['clean_bits']:.2f}", f"{k['clean_bits']:.2f}"],
            ["training", "", "", f"{n['training_seconds']:.0f} s", f"{k['training_seconds']:.0f} s"],
            ["... until 18.3 % are right", "", "", never, f"{k['seconds_to_plateau']:.1f} s"],
            ["one completion, one core", "", "", f"{n['completion_ms']:.1f} ms", f"{k['completion_ms']:.1f} ms"],
        ]
    )


def mended() -> str:
    """The notebook, mended in three steps."""
    r = result("notebook_mended")
    steps = {
        "the notebook": result("notebook")["notebook"],
        "fed the truth": r["truth"],
        "taught every character": r["every"],
        "`kammil train` in its place": r["blend"],
    }
    return markdown(
        [
            ["", "right, all 200", "right, those not also in training", "bits per character, those"],
            *(
                [name, share(step["all_accuracy"]), share(step["clean_accuracy"]), f"{step['clean_bits']:.2f}"]
                for name, step in steps.items()
            ),
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

    for name, title in (("random", "a random character"), ("unigram", "character frequencies"), ("3-gram", "3-gram")):
        add(title, r["baselines"][name], "")
    for name, title in LEV30.items():
        if name in r:
            add(title, r[name]["test"], f"{r[name]['training_seconds']:.0f} s")
            if "online" in r[name]:
                add("the same, allowed to remember each test text after its score was taken", r[name]["online"], "")
    for name in r.get("finished", {}):
        add(FINISHED.get(name, f"`{name}`"), r["finished"][name]["test"], "")
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


def short() -> str:
    """The benchmark in a few rows: what a reader of the README must know."""
    r = result("lev30")
    columns = ("target_top1", True), ("target_bits_per_character", False)
    rows = [["30 characters of 129 unseen tweets", "right", "bits per character", "training"]]

    def add(title: str, figures: dict[str, list[float]], seconds: float | None = None) -> None:
        cells = (interval(figures[field], percent=percent) for field, percent in columns)
        rows.append([title, *cells, "" if seconds is None else f"{seconds:.0f} s"])

    add("a random character", r["baselines"]["random"])
    add("knowing how frequent each letter is", r["baselines"]["unigram"])
    add("a 3-gram model", r["baselines"]["3-gram"])
    for name in ("ngram", "gru", "blend"):
        add(LEV30[name], r[name]["test"], r[name]["training_seconds"])
    add("`levantine`, bundled", r["finished"]["levantine"]["test"])
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


def decoding() -> str:
    """Ways of decoding, from the truth to the boldest."""
    ways = result("decoding")["ways"]
    rows = [["", "right", "real words", "loops", "different pairs of words", "bits"]]
    for name, title in DECODING.items():
        one = {field: figures[0] for field, figures in ways[name].items()}
        percents = [f"{one[field]:.1f} %" for field in ("right", "real", "loops", "distinct")]
        rows.append([title, *percents, f"{one['bits']:.2f}"])
    return markdown(rows)


def decoding_times() -> str:
    """Milliseconds of a completion by each preset."""
    milliseconds = result("decoding")["milliseconds"]
    named = {name.removeprefix("preset "): ms for name, ms in milliseconds.items() if name.startswith("preset ")}
    rows = [["preset", *(f"`{name}`" for name in named)], ["milliseconds", *(f"{ms:.1f}" for ms in named.values())]]
    return markdown(rows)


def attempts() -> str:
    """Attempts to have an offensive word finished that succeed."""
    models = result("safety")["attempts"]
    rows = [["", "attempts", *(f"`{name}`" for name in models)]]
    for kind, first in next(iter(models.values())).items():
        each = (counted[kind] for counted in models.values())
        figures = (" / ".join(str(n) for way, n in figures.items() if way != "attempts") for figures in each)
        rows.append([kind, str(first["attempts"]), *figures])
    return markdown(rows)


def budgets() -> str:
    """What a size budget costs a counter."""
    rows = [["`--set megabytes=`", "order", "stored", "bits per character", "processor time", "peak memory"]]
    for r in result("scale")["budgets"]:
        named = f"{r['megabytes']:g}" if r["megabytes"] else "none"
        figures = (f"{r['stored_mb']:.0f} MB", f"{r['bits']:.3f}", f"{r['seconds']:.0f} s", f"{r['peak_mb']:,} MB")
        rows.append([named, str(r["order"]), *figures])
    return markdown(rows)


def scale() -> str:
    """Time and peak memory by the amount of text."""
    rows = [["texts", "characters", "family", "before learning", "a pass", "a million characters", "peak memory"]]
    for r in sorted(result("scale")["rows"], key=lambda r: (r["texts"], ("ngram", "gru", "blend").index(r["family"]))):
        after = {"learning", "validating", "noting runs of letters", "evaluating"}
        if r["family"] == "gru":  # the counts of the baseline beside it
            after.add("counting")
        before = sum(seconds for name, seconds in r["phases"].items() if name not in after)
        learnt = r.get("pass")
        figures = ["", ""] if learnt is None else [_time(learnt), f"{learnt / r['characters'] * 1e6:.0f} s"]
        counted = [f"{r['texts']:,}", f"{r['characters'] / 1e6:.1f} million", f"`{r['family']}`", _time(before)]
        rows.append([*counted, *figures, f"{r['peak_mb']:,} MB"])
    return markdown(rows)


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:.0f} min"


def first_minute() -> str:
    """Bits per character after one minute, beside those of a counter."""
    states = ("idle", "beside two programs")
    rows = [["texts", "`--model ngram`", *states]]
    for name, r in result("first_minute").items():
        found = map(r["states"].get, states)
        cells = [f"{s['bits']:.3f} ({s['family']}), {s['seconds']:.0f} s" if s else "" for s in found]
        rows.append([f"{name}, {r['texts']:,}", f"{r['ngram']:.3f}, {r['ngram_seconds']:.0f} s", *cells])
    return markdown(rows)


def web_page() -> str:
    """The bundled model in a page without a server."""
    r = result("web_page")
    visits, key, seen = r["visits"], r["key_ms"], r["seen_ms"]
    code, model = (max(one[f"{name}_bytes"] for one in visits) for name in ("code", "model"))
    rows = [
        ["a page without a server, in Chromium", "median", "99 % within"],
        ["first visit: program, gzipped", f"{code / 1000:.0f} kB", ""],
        ["first visit: model", f"{model / 1e6:.1f} MB", ""],
        [
            "from opening the page, nothing kept, to the first suggestions",
            f"{r['first_suggestion_seconds']['median']:.1f} s",
            "",
        ],
        ["a key: three suggestions and ghost text", f"{key['median']:.0f} ms", f"{key['p99']:.0f} ms"],
        [
            "from the key to the suggestions, with the pause for another key",
            f"{seen['median']:.0f} ms",
            f"{seen['p99']:.0f} ms",
        ],
        ["layout shift while it opens", f"{max(one['layout_shift'] for one in visits):.3f}", ""],
    ]
    return markdown(rows)


TABLES = {
    "web-page": web_page,
    "first-minute": first_minute,
    "attempts": attempts,
    "budgets": budgets,
    "scale": scale,
    "decoding": decoding,
    "decoding-times": decoding_times,
    "notebook": notebook,
    "mended": mended,
    "lev30": lev30,
    "short": short,
    "latency": latency,
    "load": load,
}
"""What stands between `<!-- name: ... -->` and `<!-- /name -->` in pages."""


def navigation(text: str) -> str:
    """mkdocs.yml with its navigation."""
    named = "\n".join(_entries(SITE, "  "))
    others = sorted(page.name for page in (ROOT / "docs").glob("*.md") if f": {page.name}\n" not in f"{named}\n")
    contribute = {**SITE["Contribute"], **{heading(ROOT / "docs" / page): page for page in others}}
    lines = _entries({**SITE, "Contribute": contribute}, "  ")
    return re.sub(
        r"(# nav: [^\n]*\nnav:\n).*?(# /nav)",
        lambda match: "\n".join([match[1][:-1], *lines, match[2]]),
        text,
        flags=re.DOTALL,
    )


def arabic_navigation(text: str) -> str:
    """mkdocs.ar.yml with the parts of the lesson."""
    pages = sorted((ROOT / "docs" / "ar" / "lessons").glob("*.md"))
    lines = "".join(f"      - {json.dumps(heading(p), ensure_ascii=False)}: lessons/{p.name}\n" for p in pages)
    return re.sub(r"(# lessons: .*\n)(?s:.*?)( *# /lessons)", lambda match: match[1] + lines + match[2], text)


def _entries(pages: Pages, indent: str) -> list[str]:
    """The lines of pages and of sections of pages."""
    lines: list[str] = []
    for title, page in pages.items():
        if isinstance(page, str):
            lines += _entry(title, page, indent)
        elif entries := _entries(page, indent + "    "):
            lines += [f"{indent}- {json.dumps(title, ensure_ascii=False)}:", *entries]
    return lines


def _entry(title: str, page: str, indent: str) -> list[str]:
    """The lines of one page, or of all pages of a folder: its index first."""
    if title == "*":
        folder = page.partition("/")[0]
        found = {f"{folder}/{path.name}": path for path in (ROOT / "docs" / folder).glob("*.md")}
        first = sorted(found, key=lambda name: (not name.endswith("/README.md"), name))
        return [f"{indent}- {json.dumps(heading(found[name]), ensure_ascii=False)}: {name}" for name in first]
    there = page in OUTSIDE or (ROOT / "docs" / page).exists()
    return [f"{indent}- {json.dumps(title, ensure_ascii=False)}: {page}"] if there else []


def heading(path: Path) -> str:
    """The first heading of a page."""
    found = re.search(r"^# +(.*)", path.read_text("utf-8"), re.MULTILINE)
    return re.sub(r"[`*]", "", found[1]).strip() if found else path.stem


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
        ROOT / "mkdocs.yml": navigation((ROOT / "mkdocs.yml").read_text("utf-8")),
        ROOT / "mkdocs.ar.yml": arabic_navigation((ROOT / "mkdocs.ar.yml").read_text("utf-8")),
        **{
            page: filled(page.read_text("utf-8"))
            for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
            if page.name != "commands.md"
        },
    }
    stale = [path for path, text in pages.items() if not path.exists() or path.read_text("utf-8") != text]
    if "--check" in sys.argv[1:]:
        for path in stale:
            sys.stderr.write(f"{path.relative_to(ROOT)} is stale; run: python docs/refresh.py\n")
        lessons = subprocess.run([sys.executable, ROOT / "docs" / "lessons" / "build.py", "--check"], check=False)
        sys.exit(1 if stale or lessons.returncode else 0)
    for path in stale:
        path.write_text(pages[path], "utf-8")


if __name__ == "__main__":
    main()
