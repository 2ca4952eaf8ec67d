"""`kammil profile`."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Unpack

import typer
from typer import Argument

from kammil.cli._output import new_app, print_json, shown_progress, tell
from kammil.cli.flags import BUNDLED, READING, Json, Model, ask_for_lines, command, open_profile
from kammil.views.tables import Table

if TYPE_CHECKING:
    from kammil.completion.learning import Profile
    from kammil.data.files import ReadKeywords
    from kammil.evaluation.prequential import Effects

app = new_app(
    "Keep texts of your own, which --profile makes a model know. Nothing is trained, and the file stays on this "
    "machine."
)

File = Annotated[Path, Argument(metavar="FILE", help="The profile; `learn` creates it.")]
LIKE_A_FILE = re.compile(r"\S+\.(?:csv|tsv|txt|jsonl?|xlsx|parquet)")
Texts = Annotated[list[str] | None, Argument(metavar="TEXT", help="Texts; without any, those of stdin are read.")]


@app.command(cls=command(READING))
def learn(context: typer.Context, file: File, texts: Texts = None) -> None:
    """Add texts, or those of a file named in place of a text; a text added twice counts twice. Beyond 2,000 texts, or
    400,000 characters, the oldest are removed."""
    from kammil.completion.learning import MAX_TEXTS, MAX_TOTAL_CHARACTERS, Profile
    from kammil.data import sources
    from kammil.errors import OptionError

    profile, new, flags = Profile(file), list[str](), context.obj
    files = [text for text in texts or () if os.path.isfile(text)]  # noqa: PTH113  # false for a name too long
    if texts and not files:
        _refuse(flags, "no text names one")
    for text in texts or ():
        if text not in files and (LIKE_A_FILE.fullmatch(text) or (os.sep in text and os.path.isdir(text))):  # noqa: PTH112
            raise OptionError(f"there is no file {text}; name another, or give a text.")
    if not texts:
        ask_for_lines()
        new = _read(sources.STDIN, **flags)
    for text in texts or ():
        read = _read([Path(text)], **flags) if text in files else [text]
        if text in files:
            tell(f"kammil: {text} is a file, of which {len(read):,} texts are added.")
        new += read
    if removed := profile.learn(*new):
        most = f"{MAX_TEXTS:,} texts of {MAX_TOTAL_CHARACTERS:,} characters in all"
        tell(f"kammil: a profile keeps {most} at most, so the {removed:,} oldest went.")
    _print_size(profile)


@app.command()
def forget(file: File, texts: Texts = None) -> None:
    """Remove texts, of each the copy added last. If one of them is not in the profile, none is removed."""
    from kammil.data import sources

    profile = open_profile(file)
    if not texts:
        ask_for_lines()
    profile.forget(*(texts or sources.texts(sources.STDIN)))
    _print_size(profile)


@app.command()
def show(file: File, model: Model = BUNDLED, json: Json = False) -> None:
    """List the texts, oldest first, and how often each was added; then the words that a model learnt of them."""
    from collections import Counter

    from kammil.text import visible

    opened = open_profile(file)
    counts = Counter(opened.texts)
    if json:
        print_json([{"text": text, "learnt": n} for text, n in counts.items()])
        return
    for text, n in counts.items():
        typer.echo(f"{n:>4}  {visible(text)}")
    from kammil.completion.completer import load
    from kammil.completion.own_words import learnt_words, told

    if used := learnt_words(load(model, profile=opened)):
        typer.echo(told(used))


@app.command(cls=command(READING))
def report(
    context: typer.Context,
    file: Annotated[Path, Argument(metavar="FILE", help="A profile, or a file of texts, oldest first.")],
    model: Model = BUNDLED,
    json: Json = False,
) -> None:
    """Say whether learning helped: each text is predicted and typed before it is learnt, by a model that learnt the
    earlier ones and by one that learnt none, and which words were learnt. "Not yet known" while the difference may be
    chance."""
    from kammil.completion.completer import load
    from kammil.completion.learning import is_profile
    from kammil.evaluation.prequential import learning_report
    from kammil.text import counted

    if is_profile(file):
        _refuse(context.obj, f"{file} is a profile")
        texts = open_profile(file).texts
    else:
        texts = _read([file], **context.obj)
    with shown_progress():
        found = learning_report(load(model), texts)
    if json:
        print_json(found.to_dict())
        return
    left_out = counted(found.repeats, "left out, which repeats", "left out, which repeat")
    size = f"{counted(found.texts, 'text')}, {counted(found.characters, 'character')}"
    repeats = f"; {left_out} an earlier one" if found.repeats else ""
    typer.echo(f"{size}, each predicted before it was learnt{repeats}")
    rows = [
        row
        for part, name in ((found.first, "first"), (found.last, "last"), (found, "all"))
        for row in _rows(part, f"{name} {part.texts:,}: ")
    ]
    note = "95 % intervals in brackets: bootstrap over texts, paired"
    Table(["", "without learning", "with what was learnt before", "difference"], rows, note=note).print()
    if words := [
        [word.word, f"{word.used:,}", f"{len(word.offered):,}", f"{word.offered[0]:,}"]
        for word in found.words
        if word.offered
    ]:
        note = f"and {len(words) - _MOST_WORDS:,} more, which --json lists" if len(words) > _MOST_WORDS else ""
        Table(["learnt word", "used", "suggested", "first at use"], words[:_MOST_WORDS], note=note).print()
    typer.echo(f"{_VERDICTS[found.verdict]}.")


def _rows(part: Effects, prefix: str) -> list[list[str]]:
    from kammil.evaluation.measures import show as show_figure

    rows: list[list[str]] = []
    for title, effect, percent in (
        ("bits per character", part.bits, False),
        ("characters right", part.right, True),
        ("keystrokes saved, 3 suggestions", part.keystrokes, True),
    ):
        figures = [show_figure(each, percent=percent) for each in (effect.without, effect.learnt)]
        rows.append([prefix + title, *figures, show_figure(effect.difference, percent=percent, signed=True)])
    return rows


_MOST_WORDS = 20
_VERDICTS = {
    "helped": "Learning helped",
    "harmed": "Learning did harm: the texts of this profile mislead the model",
    "mixed": "Mixed: bits and right guesses say the opposite of one another, so see what you use",
    "not yet known": "Not yet known: the difference may be chance; more texts will tell",
}


@app.command()
def wipe(file: File) -> None:
    """Delete the profile: the file, and with it all texts."""
    open_profile(file).wipe()
    typer.echo(f"{file}: wiped")


def _refuse(flags: Mapping[str, object], why: str) -> None:
    from kammil.errors import OptionError

    if flags:
        raise OptionError(f"--{next(iter(flags)).replace('sender', 'from')} is about a file of texts, and {why}.")


def _read(source: str | list[Path], **flags: Unpack[ReadKeywords]) -> list[str]:
    """Read the texts of one writer."""
    from kammil.data import sources
    from kammil.errors import OptionError

    read = sources.rows(source, **flags)
    if read.chats and "sender" not in flags:
        raise OptionError(f"a profile holds the texts of one person; say by --from NAME who you are ({read.chats[0]}).")
    return [text for text in read.texts if text]


def _print_size(profile: Profile) -> None:
    from kammil.text import counted

    typer.echo(f"{profile.path}: {counted(len(profile.texts), 'text')}")
