"""Gather a large corpus from clones of repositories, folders of texts and named data sets, as one table.

Run: `python recipes/gather.py --clones CLONES --folder FOLDER ... --dataset NAME ... --out corpus.tsv`. The table has
the columns source, terms, dialect and text. Texts are cleaned by the rules of their source; those that resemble a
held-out text, or an earlier text, are left out, and most of those that hold the keyword by which their source was
collected. The same input gives the same table.
"""

from __future__ import annotations

import argparse
import csv
import io
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import regex

import frames
from corpora import FRAMES, SOURCES, Source, described
from kammil.data import sources
from kammil.data.audit import WORD, keywords
from kammil.data.blocklist import is_offensive
from kammil.data.datasets import CATALOG
from kammil.data.near_duplicates import groups, resembling
from kammil.errors import DataError, KammilError
from kammil.text import TextRules

HELD_OUT = ("lev30/validation", "lev30/test")
"""Texts that a corpus must not resemble, by default: the held-out parts of the benchmark."""
TEST_POSTS = 200
"""Posts at the end of the embedded corpus that no bundled model learns: the lesson tests on them."""
LENGTHS = (4, 600)
"""Characters of a text, at least and at most."""
ENDS = 6
"""Ends of each beginning of a frame. A blend counts every text, so all combinations would fill its tables of counts."""
KEYWORDS_KEPT = 1 / 100
"""Share of a source's texts that hold a keyword when `thinned` is done."""
COLUMNS = ("source", "terms", "dialect", "text")
NAMED = (*CATALOG, sources.SAMPLE)
"""What `--dataset` takes: the data sets of the catalog and the embedded corpus."""
_ARABIC = regex.compile(r"\p{Script=Arabic}")


@dataclass(frozen=True)
class Text:
    """A cleaned text and the name of its source."""

    source: str
    text: str


# ---- reading


def from_clones(clones: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield name and texts of each source whose repository OWNER/NAME is cloned at `clones`/NAME."""
    for name, source in SOURCES.items():
        clone = clones / source.repository.rpartition("/")[2]
        if source.repository and source.parse is not None and clone.exists():
            yield name, [text for path, data in _files(clone, source) for text in source.parse(path, data)]


def _files(clone: Path, source: Source) -> Iterator[tuple[str, bytes]]:
    """Yield path and bytes of the files of a source, as its commit has them, whatever is checked out."""
    command = ["git", "-C", str(clone), "archive", "--format=tar", source.commit, "--", *source.paths]
    result = subprocess.run(command, capture_output=True, check=False)
    if result.returncode:
        problem = result.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise DataError(f"{clone} does not give {', '.join(source.paths)} of the commit {source.commit}: {problem}")
    with tarfile.open(fileobj=io.BytesIO(result.stdout)) as archived:
        for member in archived:
            if (file := archived.extractfile(member)) is not None:
                yield member.name, file.read()


def from_folder(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield name and texts of each .txt file of a folder, which has one text a line."""
    for path in sorted(folder.glob("*.txt")):
        yield path.stem, list(sources.rows(path).texts)


def cleaned(named: Iterable[tuple[str, list[str]]], terms: frozenset[str]) -> Iterator[Text]:
    """Yield the texts of each source once, cleaned by its rules and by the text rules, if its terms are wanted."""
    normalise = TextRules().normalise
    seen: set[str] = set()
    for name, texts in named:
        source = described(name)
        if name in seen or source.terms not in terms:
            continue
        seen.add(name)
        for raw in texts:
            # Handles become one sign in the first pass; the rules then see their runs.
            text = normalise(source.cleaning.clean(normalise(source.cleaning.clean(raw)))).strip()
            if LENGTHS[0] <= len(text) <= LENGTHS[1] and _ARABIC.search(text):
                yield Text(name, text)


def distinct(texts: Sequence[Text], held_out: Sequence[str]) -> list[Text]:
    """Return the texts that resemble no held-out text, the first of each group of near-duplicates.

    Those of frames, which have their halves in common, are no near-duplicates of each other.
    """
    if held_out:
        similar = resembling([text.text for text in texts], held_out)
        texts = [text for text, drop in zip(texts, similar, strict=True) if not drop]
    written = [text for text in texts if text.source != FRAMES]
    _, first = np.unique(groups([text.text for text in written]), return_index=True)
    return [written[i] for i in sorted(first.tolist())] + [text for text in texts if text.source == FRAMES]


def thinned(texts: Sequence[str], sources: Sequence[str]) -> list[int]:
    """Return the indices of the texts that stay: about `KEYWORDS_KEPT` of those with a keyword, evenly spread.

    A text with several keywords counts for the one of the largest share.
    """
    every: dict[tuple[str, str], int] = {}
    for one in keywords(texts, sources):
        every[one.source, one.word] = max(1, round(one.share / KEYWORDS_KEPT))
    seen, kept = Counter[tuple[str, str]](), list[int]()
    for i, (text, source) in enumerate(zip(texts, sources, strict=True)):
        own = [(source, word) for word in sorted(set(WORD.findall(text))) if (source, word) in every]
        if own:
            keyword = max(own, key=lambda one: every[one])
            seen[keyword] += 1
            if seen[keyword] % every[keyword]:
                continue
        kept.append(i)
    return kept


def halved(texts: Iterable[Text], names: Sequence[str]) -> list[Text]:
    """Return the texts, of the sources of these names only every second one."""
    seen: Counter[str] = Counter()
    kept: list[Text] = []
    for text in texts:
        seen[text.source] += 1
        if text.source not in names or seen[text.source] % 2 == 0:
            kept.append(text)
    return kept


def without_words(texts: Iterable[Text], words: Sequence[str]) -> list[Text]:
    """Return the texts that have none of the words, alone or after the particles that Arabic joins to a word."""
    if not words:
        return list(texts)
    listed = "|".join(map(regex.escape, words))
    found = regex.compile(rf"(?<!\w)[وفبلع]?(?:ال|ل)?(?:{listed})(?!\w)")
    return [text for text in texts if not found.search(text.text)]


def write(texts: Iterable[Text], out: Path) -> None:
    """Write the table."""
    with out.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, delimiter="\t", lineterminator="\n")
        rows.writerow(COLUMNS)
        rows.writerows((t.source, (source := described(t.source)).terms, source.dialect, t.text) for t in texts)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read, clean, leave out, write, and say how much of each source was kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clones", type=Path, help="folder of clones, each under the name of its repository")
    parser.add_argument("--folder", type=Path, action="append", default=[], help="folder of .txt files; repeatable")
    parser.add_argument("--frames", type=Path, help="folder of beginnings and ends, as recipes/frames.py reads them")
    parser.add_argument("--dataset", action="append", default=[], choices=NAMED, help="repeatable")
    parser.add_argument("--skip", nargs="*", default=[], metavar="SOURCE", help="sources to leave out")
    parser.add_argument(
        "--half", nargs="*", default=[], metavar="SOURCE", help="sources of which every second text is kept"
    )
    parser.add_argument("--decent", action="store_true", help="leave out texts that hold an offensive word")
    parser.add_argument("--terms", choices=("open", "all"), default="all", help="open: only openly licensed sources")
    parser.add_argument("--exclude", nargs="*", help=f"files or data sets of held-out texts; {' '.join(HELD_OUT)}")
    parser.add_argument("--without", type=Path, help="file of words, one a line: texts that have one are left out")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    terms = frozenset({"open"} if given.terms == "open" else {"open", "research", "unstated"})

    def named() -> Iterator[tuple[str, list[str]]]:
        if given.clones is not None:
            yield from from_clones(given.clones)
        for folder in given.folder:
            yield from from_folder(folder)
        if given.frames is not None:
            yield FRAMES, frames.from_folder(given.frames, ENDS)
        for name in given.dataset:
            texts = sources.texts(name)
            yield name, texts[:-TEST_POSTS] if name == sources.SAMPLE else texts

    try:
        held_out = [text for name in _exclusions(given.exclude) for text in sources.texts(name)]
        words = list(sources.rows(given.without).texts) if given.without is not None else []
        read = [text for text in cleaned(named(), terms) if text.source not in given.skip]
        if not read:
            raise DataError("there is no text; name --clones, --folder, --frames or --dataset that hold some")
        kept = halved(distinct(without_words(read, [word for word in words if word]), held_out), given.half)
        kept = [text for text in kept if not (given.decent and is_offensive(text.text))]
        kept = [kept[i] for i in thinned([text.text for text in kept], [text.source for text in kept])]
    except KammilError as error:
        sys.exit(str(error))
    write(kept, given.out)
    before, after = (Counter(text.source for text in texts) for texts in (read, kept))
    for name, count in before.items():
        print(f"{name:24} {count:>8,} texts, {after[name]:>8,} kept")
    print(f"{len(kept):,} texts, {sum(len(t.text) for t in kept):,} characters in {given.out}")


def _exclusions(given: Sequence[str] | None) -> Sequence[str]:
    """Return what is named, or the held-out parts of the benchmark where its data set can be read."""
    if given is not None:
        return given
    try:
        sources.rows(HELD_OUT[0])
    except DataError as error:
        print(f"the benchmark's held-out texts are not left out: {error}", file=sys.stderr)
        return ()
    return HELD_OUT


if __name__ == "__main__":
    main()
