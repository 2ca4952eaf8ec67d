"""`kammil data`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from kammil.cli import flags
from kammil.cli._output import for_stdout, new_app, print_json, shown_progress, tell
from kammil.views.tables import Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kammil.data.audit import Audit

_MAX_GRAPHEMES = 100
"""Maximum length of an example, for two lines of a terminal."""
_ENDS = 20
"""Characters shown at each end of the vocabulary."""
_MAX_SOURCES, _MAX_KEYWORDS, _MAX_ROWS = 12, 5, 8

app = new_app("Get named data sets; look at, audit and split any texts.")


@app.command("list")
def list_(json: flags.Json = False) -> None:
    """List the named data sets, and whether they are on this machine."""
    from kammil.data.datasets import CATALOG, status

    if json:
        shown = ("name", "description", "licence", "citation", "files")
        print_json([{key: asdict(d)[key] for key in shown} | {"status": status(d.name)} for d in CATALOG.values()])
        return
    rows = [["sample", "embedded", "CC0-1.0", "Levantine short texts, written for Kammil"]]
    for d in CATALOG.values():
        states = set(status(d.name).values())
        rows.append([d.name, states.pop() if len(states) == 1 else "in part", d.licence, d.description])
    Table(["name", "here", "licence", "what it is"], rows, words=True).print()


@app.command()
def get(
    names: Annotated[list[str], Argument(metavar="NAME", help="Names that `kammil data list` shows.")],
) -> None:
    """Download data sets into the cache and print the files' paths. Files are verified; an interrupted download is
    resumed and leaves no half-written file."""
    from kammil.data.datasets import CATALOG, fetch

    for name in names:
        for path in fetch(name):
            typer.echo(path)
        tell(f"{name}: {CATALOG[name].licence}. Cite: {CATALOG[name].citation}")


@app.command(cls=flags.command(flags.READING))
def show(
    context: typer.Context,
    files: flags.TextFiles,
    *,
    n: Annotated[int, Option("-n", help="Number of texts to show, spread evenly.")] = 5,
    target: flags.Target = 30,
    min_length: flags.MinLength = 0,
    raw: flags.Raw = None,
    json: flags.Json = False,
) -> None:
    """Look at texts as a model does: some as prompt and target, and the first and last twenty characters of the
    vocabulary with their counts."""
    from kammil.evaluation.examples import examples
    from kammil.text import counted, visible, visible_label

    with shown_progress():
        found = examples(flags.file_names(files), n, target=target, min_length=min_length, raw=bool(raw), **context.obj)
    if json:
        print_json(asdict(found))
        return
    short = f"; {found.short_texts:,} of fewer than {min_length} left out" if found.short_texts else ""
    typer.echo(f"{counted(found.texts, 'text')}, {counted(found.characters, 'character')}{short}")
    for pair in found.pairs:  # lines in logical order: terminals order Arabic themselves
        typer.echo(f"\nprompt  [{visible(pair.prompt)}]\ntarget  [{visible(pair.target)}]")
    vocabulary = found.vocabulary
    size, last = counted(len(vocabulary), "character"), vocabulary[-1].id
    typer.echo(f"\nvocabulary: {size}, ids {vocabulary[0].id} to {last:,}, by code point;")
    typer.echo("ids before them: 0 pads, 1 is any other character, 2 begins a text, 3 ends it")
    rows = [  # characters last, since they would take numbers along from right to left
        [str(entry.id), f"{entry.count:,}", f"U+{ord(entry.character):04X}", entry.name, visible_label(entry.character)]
        for entry in vocabulary
    ]
    if len(rows) > 2 * _ENDS:
        rows[_ENDS:-_ENDS] = [["...", "", "", "", ""]]
    Table(["id", "count", "code point", "name", ""], rows, words=True).print()


@app.command(cls=flags.command(flags.READING))
def check(
    context: typer.Context,
    files: flags.TextFiles,
    *,
    against: Annotated[
        str | None, Option(metavar="FILE", help="Count the texts that are in this training file too.")
    ] = None,
    json: flags.Json = False,
) -> None:
    """Audit texts: repeats, near-duplicates, leaks, damage, lengths, personal data. Also shown are the shares of
    scripts, of likely dialects, and of sources, which are files or what a column `source` names."""
    from kammil.data.audit import audit
    from kammil.data.sources import remarks, rows

    options = context.obj
    checked = rows(flags.file_names(files), **options)
    texts = checked.texts
    training = None if against is None else [text for text in rows(against, **options).texts if text]
    result = audit(texts, training, sources=checked.sources)
    if json:
        print_json(asdict(result))
        return
    lines = [f"read             {remark}" for remark in remarks(checked)]
    if "where" in options:
        lines.append("rows             are numbered among those that --where selects")
    for line in [*lines, *_report(result, texts, against), "", _verdict(result, against)]:
        typer.echo(for_stdout(line))


@app.command(cls=flags.command(flags.READING))
def split(
    context: typer.Context,
    files: flags.TextFiles,
    *,
    out: Annotated[Path, Option(help="The new folder for train, validation and test files.")],
    validation: Annotated[float, Option(help="Share of the texts to validate with.")] = 0.0,
    test: Annotated[float, Option(help="Share of the texts to test on.")] = 0.1,
    seed: Annotated[int, Option(help="Random seed of the choice.")] = 0,
) -> None:
    """Split texts so that no near-duplicates are in two parts. Empty texts and repeats of held-out texts are left out,
    and a line break in a text is written as a space, as a model sees it. The new files' names are printed; the numbers
    of texts that they hold and that are left out go to stderr."""
    import re

    from kammil.data import splits
    from kammil.data.sources import rows
    from kammil.text import counted

    with shown_progress():
        read = rows(flags.file_names(files), **context.obj).texts
    lines = (filter(None, map(str.strip, re.split(r"[\r\n]", text))) for text in read)
    texts = [text for text in map(" ".join, lines) if text]
    parts = splits.split(texts, validation=validation, test=test, seed=seed)
    indices = {"train": parts.train, "validation": parts.validation, "test": parts.test}
    filled = {name: [texts[i] for i in part] for name, part in indices.items() if part}
    paths = splits.write(filled, out)
    held_out, repeats = " or ".join(list(filled)[1:]), len(texts) - sum(map(len, filled.values()))
    reasons = [
        f"{len(read) - len(texts):,} empty" if len(read) > len(texts) else "",
        f"{splits.alike_held_out(repeats)} for {held_out}" if repeats else "",
    ]
    sizes = ", ".join(f"{len(part):,} for {name}" for name, part in filled.items())
    tell(f"{counted(len(read), 'text')}: {sizes}; left out: {' and '.join(filter(None, reasons)) or 'none'}")
    for path in paths:
        typer.echo(path)


def _report(audit: Audit, texts: Sequence[str], against: str | None) -> list[str]:
    from kammil.data.audit import cautions
    from kammil.text import counted, shortened, visible, visible_label

    def share(n: int, rows: Sequence[int] = (), of: int = audit.texts) -> str:
        numbers = ", ".join(str(row + 1) for row in rows[:_MAX_ROWS]) + ", ..." * (len(rows) > _MAX_ROWS)
        return f"{n:,} ({100 * n / max(1, of):.1f} %)" + (f"  rows {numbers}" if rows else "")

    lengths, sources = audit.lengths, list((audit.sources or {}).items())
    lonely = counted(len(audit.lonely), "character stands", "characters stand")
    size = f"{audit.texts:,}, {counted(audit.characters, 'character')}, {audit.distinct_characters} different ones"
    spread = f"{lengths.min}-{lengths.max} characters, mean {lengths.mean:.1f}, median {lengths.median:.0f}"
    lines = [
        f"texts            {size}",
        f"empty            {share(audit.empty, audit.empty_rows)}",
        f"broken           {share(audit.broken, audit.broken_rows)}",
        f"exact repeats    {share(audit.exact_repeats)}",
        f"same letters     {share(audit.folded_repeats)}  of an earlier text, but for case, marks, links, punctuation",
        f"near-duplicates  {share(audit.near_repeats)}  of an earlier text",
        f"different texts  {audit.groups:,}, near-duplicates counted as one; largest group: {audit.largest_group:,}",
        f"lengths          {spread}",
        f"scripts          {_shares(audit.scripts)}",
        *_dialects(audit),
    ]
    if len(sources) > 1:
        more = f", and {len(sources) - _MAX_SOURCES} more" if len(sources) > _MAX_SOURCES else ""
        lines.append(f"sources          {_shares({n or 'no name': v for n, v in sources[:_MAX_SOURCES]})}{more}")
    for word in audit.keywords[:_MAX_KEYWORDS]:
        source = word.source or "texts without a source"
        lines.append(f"keyword          {word.word} stands in {100 * word.share:.0f} % of {source}")
    personal = ", ".join(f"{n:,} {kind}" for kind, n in audit.personal.items() if n)
    lines += [
        "most frequent    " + "  ".join(f"{visible_label(c.char)} {c.count:,}" for c in audit.inventory[:20]),
        f"rare             {lonely} in one text only, too seldom to be learnt",
        f"personal         {personal or 'nothing found'}",
    ]
    if against is None:
        lines += cautions(audit.groups, lengths.mean)
    if audit.examples:
        lines.append("near-duplicates, for example")
    for pair in audit.examples:
        lines += [f"  row {row + 1}: {shortened(visible(texts[row]), _MAX_GRAPHEMES)}" for row in pair]
    if (leaks := audit.leaks) is not None:
        near, exact = (
            share(n, of=leaks.total).replace(" (", f" of {leaks.total:,} (") for n in (leaks.near, leaks.exact)
        )
        lines += [f"in {against}", f"  same letters    {exact}", f"  near-duplicates {near}"]
    return lines


def _shares(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {100 * share:.1f} %" for name, share in shares.items() if share > 0)


def _dialects(audit: Audit) -> list[str]:
    """Return the shares of likely dialects and the error of the guess, if there are Arabic words."""
    from kammil.data.dialects import UNCLEAR, counts

    called = [name for name, share in audit.dialects.items() if share > 0 and name != UNCLEAR]
    if not called:
        return []
    main, errors = max(called, key=lambda name: audit.dialects[name]), counts()
    right, found = (round(100 * share[main]) for share in (errors.precision, errors.recall))
    return [
        f"likely dialects  {_shares(audit.dialects)}",
        f"                 of 100 texts called {main}, about {right} are; of 100 that are, about {found} are called so",
    ]


def _verdict(audit: Audit, against: str | None) -> str:
    """Return the conclusion: on texts for a test if there is a training file, else on texts to train on."""
    from kammil.data.audit import cautions
    from kammil.text import counted

    faults: list[str] = []
    if audit.broken:
        faults.append(f"{counted(audit.broken, 'broken text')}, so name the --encoding or mend what is broken")
    if audit.leaks is not None:
        if near := audit.leaks.near:
            are = "is a near-duplicate of a training text" if near == 1 else "are near-duplicates of training texts"
            count = f"{near:,} of {audit.leaks.total:,} {are}"
            faults.insert(0, f"{count}, so figures on them say little about new texts; `kammil data split` parts them")
        fair = f"not a fair test of what is trained on {against}: {'; '.join(faults)}."
        return f"verdict: {fair if faults else f'a fair test of what is trained on {against}: no leak.'}"
    if audit.near_repeats:
        near = counted(audit.near_repeats, "text is a near-duplicate", "texts are near-duplicates")
        faults.append(f"{near} of an earlier one, so make a test with `kammil data split`, which keeps such together")
    if audit.empty:
        faults.append(counted(audit.empty, "empty text, which is", "empty texts, which are") + " left out")
    if audit.keywords:
        first = audit.keywords[0]
        many = counted(first.texts, "text of one source holds", "texts of one source hold") + f" {first.word}"
        faults.append(f"{many}, which a model will write unasked; leave most of them out")
    if cautions(audit.groups, audit.lengths.mean):
        return "verdict: hardly fit to train on, for the reason above" + "".join(f"; {fault}" for fault in faults) + "."
    return f"verdict: fit to train on, but mind: {'; '.join(faults)}." if faults else "verdict: fit to train on."
