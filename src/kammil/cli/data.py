"""`kammil data`: named data sets, and the audit of any file or split."""

from __future__ import annotations

import json as json_
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kammil.cli import _options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kammil.data.audit import Audit

SHOWN = 100
"""Graphemes of an example: what two lines of a terminal hold."""

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def common() -> None:
    """Named data sets, and the audit of any file or split."""


@app.command("list")
def list_(json: _options.Json = False) -> None:
    """The data sets that Kammil knows by name, and whether they are on this machine."""
    from kammil.cli._tables import print_table
    from kammil.data.datasets import CATALOG, status

    if json:
        entries = [
            {
                "name": d.name,
                "description": d.description,
                "licence": d.licence,
                "citation": d.citation,
                "files": [{"path": f.path, "url": f.url, "sha256": f.sha256} for f in d.files],
                "status": status(d.name),
            }
            for d in CATALOG.values()
        ]
        typer.echo(json_.dumps(entries, ensure_ascii=False, indent=2))
        return
    rows = [["name", "here", "licence", "what it is"]]
    for d in CATALOG.values():
        states = set(status(d.name).values())
        rows.append([d.name, states.pop() if len(states) == 1 else "in part", d.licence, d.description])
    print_table(rows)


@app.command()
def get(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Names that `kammil data list` shows.")],
) -> None:
    """Download data sets into the cache: verified, resumable, never half-written. Prints where the files are."""
    from kammil.data.datasets import CATALOG, fetch

    for name in names:
        for path in fetch(name):
            typer.echo(path)
        print(f"{name}: {CATALOG[name].licence}. Cite: {CATALOG[name].citation}", file=sys.stderr)


@app.command()
def check(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A file of texts, or a data set's name.")],
    against: Annotated[
        str | None, typer.Option(metavar="FILE", help="Count what FILE shares with these training texts.")
    ] = None,
    column: _options.Column = None,
    where: _options.Where = None,
    encoding: _options.Encoding = "utf-8",
    json: _options.Json = False,
) -> None:
    """Audit texts: repeats, near-duplicates, leaks, damage, characters, lengths."""
    from kammil.data.audit import audit
    from kammil.data.sources import rows

    texts = rows(file, column=column, where=where, encoding=encoding).texts
    training = None
    if against is not None:
        read = rows(against, column=column, where=where, encoding=encoding)
        training = [text for text in read.texts if text]
    result = audit(texts, training)
    if json:
        typer.echo(json_.dumps(result.to_dict(), ensure_ascii=False, indent=2))
    else:
        for line in report(result, texts, against):
            typer.echo(line)


@app.command()
def split(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A file of texts, or a data set's name.")],
    *,
    out: Annotated[Path, typer.Option(help="The new folder for train, validation and test files.")],
    validation: Annotated[float, typer.Option(help="Share of the texts to validate with.")] = 0.0,
    test: Annotated[float, typer.Option(help="Share of the texts to test on.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Random seed of the choice.")] = 0,
    column: _options.Column = None,
    where: _options.Where = None,
    encoding: _options.Encoding = "utf-8",
) -> None:
    """Divide texts so that near-duplicates are never in two parts; repeats of held-out texts are dropped."""
    from kammil.data import splits
    from kammil.data.sources import texts as read

    texts = read(file, column=column, where=where, encoding=encoding)
    parts = splits.split(texts, validation=validation, test=test, seed=seed)
    chosen = {"train": parts.train, "validation": parts.validation, "test": parts.test}
    for path in splits.write({name: [texts[i] for i in part] for name, part in chosen.items() if part}, out):
        typer.echo(path)


def report(audit: Audit, texts: Sequence[str], against: str | None) -> list[str]:
    """The audit in lines, for people."""

    def share(n: int) -> str:
        return f"{n:,} ({100 * n / audit.texts:.1f} %)"

    from kammil.data.audit import cautions
    from kammil.text import shortened, visible

    lengths, middle = audit.lengths, audit.lengths.median
    lines = [
        f"texts            {audit.texts:,}, {audit.characters:,} characters, {audit.distinct_characters} different",
        f"empty            {share(audit.empty)}{_rows(audit.empty_rows)}",
        f"broken           {share(audit.broken)}{_rows(audit.broken_rows)}",
        f"exact repeats    {share(audit.exact_repeats)}",
        f"same letters     {share(audit.folded_repeats)}  of an earlier text, but for case, marks, links, punctuation",
        f"near-duplicates  {share(audit.near_repeats)}  of an earlier text",
        f"groups           {audit.groups:,} different texts; the largest group has {audit.largest_group:,}",
        f"lengths          {lengths.min}-{lengths.max} characters, mean {lengths.mean:.1f}, median {middle:.0f}",
        "scripts          " + ", ".join(f"{n} {100 * v:.1f} %" for n, v in audit.scripts.items() if v > 0),
        "most frequent    " + "  ".join(f"{_visible(c.char)} {c.count:,}" for c in audit.inventory[:20]),
        f"in one text only {len(audit.lonely)} characters",
    ]
    if against is None:
        lines += cautions(audit.groups, lengths.mean)
    for one, other in audit.examples:
        lines += [
            "near-duplicates, for example",
            f"  row {one + 1}: {shortened(visible(texts[one]), SHOWN)}",
            f"  row {other + 1}: {shortened(visible(texts[other]), SHOWN)}",
        ]
    if audit.leaks is not None:
        leaks = audit.leaks
        lines += [
            f"in {against}",
            f"  same letters    {leaks.exact:,} of {leaks.total:,} ({100 * leaks.exact / max(1, leaks.total):.1f} %)",
            f"  near-duplicates {leaks.near:,} of {leaks.total:,} ({100 * leaks.near / max(1, leaks.total):.1f} %)",
        ]
        verdict = "this part says nothing about new texts" if leaks.near else "no leak"
        lines.append(f"  {verdict}")
    return lines


def _rows(rows: Sequence[int]) -> str:
    """The first rows concerned, counted from 1."""
    if not rows:
        return ""
    return "  rows " + ", ".join(str(row + 1) for row in rows[:8]) + (", ..." if len(rows) > 8 else "")


def _visible(character: str) -> str:
    """A character, or its code point where nothing would be seen."""
    return character if character.isprintable() and not character.isspace() else f"U+{ord(character):04X}"
