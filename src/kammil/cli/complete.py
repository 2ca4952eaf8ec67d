"""Commands that continue a text, and servers that do."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from kammil.cli import flags
from kammil.cli._output import for_stdout, new_app, print_json, tell

if TYPE_CHECKING:
    from kammil.completion.completer import Completer
    from kammil.completion.explain import Explanation
    from kammil.completion.ghost_text import Phrase
    from kammil.completion.suggestions import Suggestion

DEFAULT_PRESET = "sensible"
"""People want a text that makes sense, not one draw."""
_SEEDS = 10_000
"""Number of seeds, short enough to type again."""
_SUGGESTIONS = "kammil.completion.suggestions:SuggestOptions"

app = new_app()


def suggest_rows() -> flags.Rows:
    """Return the flags of suggestions."""
    rows = flags.rows_of(_SUGGESTIONS, "words")
    kind, _, _ = rows["ghost"]
    return {**rows, "ghost": (kind, "Print ghost text in place of a list, as readily as this.", None)}


@app.command(cls=flags.command(suggest_rows))
def suggest(
    context: typer.Context,
    text: Annotated[
        str | None, Argument(metavar="TEXT", help="The text so far; else each line of stdin is one.")
    ] = None,
    *,
    model: flags.Model = flags.BUNDLED,
    earlier: flags.ContextFile = None,
    block: flags.BlockFile = None,
    profile: flags.ProfileFile = None,
    json: flags.Json = False,
) -> None:
    """Print the most probable next words, or ends of a begun word. One suggestion a line, the best first, on a terminal
    with its probability; ends of a begun word come first, or last if it is more probably complete. Nothing is printed
    where no suggestion reaches the threshold; an empty line parts the suggestions for two lines of stdin. With --ghost
    one line is printed for each text, the words that would stand grey behind the caret: empty unless worth reading."""
    from kammil.completion.completer import load
    from kammil.completion.suggestions import SuggestOptions

    asked: dict[str, Any] = context.obj
    SuggestOptions.of(**asked)  # before the model is opened
    said = flags.read_context(earlier, text)
    completer = load(model, profile=profile and flags.open_profile(profile), block=block).in_context(said)
    of_ghost_text = {name: value for name, value in asked.items() if name not in ("k", "correct")}
    for i, prefix in enumerate(_prompts(completer, text)):
        if "ghost" in asked:
            phrase = completer.phrase(prefix, **of_ghost_text)
            if json:
                print_json(asdict(phrase), indent=None)
            else:
                typer.echo(for_stdout(phrase.added))
            continue
        suggestions = completer.suggest(prefix, **asked)
        if json:
            print_json([asdict(suggestion) for suggestion in suggestions], indent=None)
            continue
        if i:
            typer.echo("")
        if not suggestions and sys.stderr.isatty():
            tell("nothing sure enough")
        for suggestion in suggestions:
            probability = f"{suggestion.probability:6.1%}  " if sys.stdout.isatty() else ""
            typer.echo(probability + for_stdout(suggestion.added if suggestion.replaces else suggestion.text))


def decoding_rows() -> flags.Rows:
    """Return the flags of decoding, with the defaults of the preset."""
    from kammil.decoding.options import PRESET, PRESETS

    defaults = PRESETS[DEFAULT_PRESET]
    rows = {
        name: (kind, text, defaults.get(name, default))
        for name, (kind, text, default) in flags.rows_of("kammil.decoding.options:DecodingOptions").items()
    }
    kind, text, seed = rows["seed"]
    rows["seed"] = (kind, f"{text}  [default: {seed}; on a terminal another one each time]", None)
    return {"preset": (str, PRESET, DEFAULT_PRESET), **rows}


@app.command(cls=flags.command(decoding_rows))
def complete(
    context: typer.Context,
    text: Annotated[str | None, Argument(metavar="TEXT", help="The prompt; else each line of stdin is one.")] = None,
    *,
    model: flags.Model = flags.BUNDLED,
    n: Annotated[int, Option("-n", help="Number of completions, 1,000 at most.")] = 1,
    earlier: flags.ContextFile = None,
    profile: flags.ProfileFile = None,
    block: flags.BlockFile = None,
    show_probabilities: Annotated[
        bool, Option("--show-probabilities", help="Explain each on stderr (with --json, in it).")
    ] = False,
    json: flags.Json = False,
) -> None:
    """Continue a text by chance, up to 30 characters: of many draws the most probable one, cut after its last whole
    word; --preset plain is a single draw. It reads like the training texts and seldom says what you meant: for help
    while you type there are `kammil suggest` and `kammil serve`. The continuation is printed; on a terminal, the whole
    text, drawn with another seed at each call unless one is given. A text that ends in Arabic in Latin letters goes on
    from their Arabic reading, which is printed too."""
    from kammil.completion.completer import load
    from kammil.decoding.options import DecodingOptions, nth_seed
    from kammil.views.heatmap import print_explanation

    decoding: dict[str, Any] = {"preset": DEFAULT_PRESET} | context.obj
    drawn = None
    if "seed" not in decoding and not json and sys.stdout.isatty():  # programs want repeatable output
        options = DecodingOptions.of(**decoding)
        if options.temperature:
            decoding["seed"] = drawn = secrets.randbelow(_SEEDS)
    said, seed = flags.read_context(earlier, text), decoding.get("seed", 0)
    completer = load(model, profile=profile and flags.open_profile(profile), block=block).in_context(said)
    _tell_if_behind(completer)
    for number, prompt in enumerate(_prompts(completer, text)):
        decoding["seed"] = nth_seed(seed, number)
        if json:
            answers = [asdict(answer) for answer in completer.samples(prompt, n, **decoding)]
            if show_probabilities:
                for answer in answers:
                    read = answer["prompt"][: len(answer["prompt"]) - answer["replaces"]] + answer["reading"]
                    answer["places"] = asdict(_explain(completer, read, answer["text"]))["places"]
            print_json(answers, indent=None)
            continue
        options = DecodingOptions.for_texts(n, decoding)
        refusals = completer.refusals(allow_offensive=options.allow_offensive)
        reading, replaces = completer.reading(prompt, refusals=refusals) if options.read_latin else ("", 0)
        before = prompt[: len(prompt) - replaces]
        # A terminal gets the whole text, since Arabic letters join across the seam only then.
        shown = before * sys.stdout.isatty() + reading
        if n == 1:
            written = [_stream(completer, prompt, decoding, shown)]
        else:
            written = [answer.text for answer in completer.samples(prompt, n, **decoding)]
        for completion in written:
            if n != 1:
                typer.echo(for_stdout(shown + completion))
            if show_probabilities:
                print_explanation(_explain(completer, before + reading, completion), stderr=True)
    if drawn is not None:
        tell(f"drawn with --seed {drawn}")


def _tell_if_behind(completer: Completer) -> None:
    """Say whether a model guesses worse than counts of a few letters did."""
    from kammil.model_folder import target_bits

    bits = target_bits(completer.model.metrics) if completer.model is not None else {}
    counted = next((bits[name] for name in bits if name.endswith("-gram")), None)
    if counted is not None and (own := bits.get("model", 0.0)) > counted:
        figures = f"a character of texts kept aside cost it {own:.2f} bits in place of {counted:.2f}"
        more = "train it for longer, or on more texts"
        tell(f"kammil: {completer.name} guesses worse than counts of three letters do: {figures}; {more}")


def _prompts(completer: Completer, text: str | None) -> Iterator[str]:
    """Yield the text, or the lines of stdin, and say of which no letter is known."""
    from kammil.text import shortened

    for prompt in flags.texts_or_stdin(None if text is None else [text]):
        if not completer.character_classes.knows(completer.normalise(prompt)):
            tell(f"kammil: no letter of {shortened(prompt)!r} is known to the model; its training texts had none")
        yield prompt


def _stream(completer: Completer, prompt: str, decoding: dict[str, Any], shown: str) -> str:
    """Print a completion while it is written, and return it."""
    pieces = completer.stream(prompt, **decoding)  # refuses wrong options before anything is printed
    sys.stdout.write(shown)
    written = ""
    for piece in pieces:
        sys.stdout.write(for_stdout(piece))
        sys.stdout.flush()
        written += piece
    typer.echo("")
    return written


def _explain(completer: Completer, prompt: str, completion: str) -> Explanation:
    from kammil.completion.explain import explain_written  # most calls do without

    return explain_written(completer, prompt, completion)


_TYPE = partial(flags.rows_of, _SUGGESTIONS, "k", "threshold", "correct", "words", "forbid")


@app.command("type", cls=flags.command(_TYPE))
def type_(
    context: typer.Context,
    *,
    model: flags.Model = flags.BUNDLED,
    learn: Annotated[
        bool, Option("--learn", help="Learn each finished text, into the profile if one is given.")
    ] = False,
    block: flags.BlockFile = None,
    profile: flags.ProfileFile = None,
) -> None:
    """Type on the terminal, with ghost text behind the caret and three suggestions below. Tab or the right arrow takes
    a word of the ghost text, End all of it. 1 to 3 takes a suggestion (Backspace then types the digit), F1 to F3 where
    a digit is a letter, Tab the first where there is no ghost text. Enter ends a text, Esc leaves; in the end it says
    which words it learnt. On a pipe every line of stdin is a text, and its ghost text is printed. The texts before are
    the context of the next, as in a chat, where the model can read one."""
    from kammil.completion.completer import load
    from kammil.completion.context import MAX_MESSAGES
    from kammil.completion.learning import CANNOT_LEARN
    from kammil.completion.own_words import learnt_words, told
    from kammil.errors import MissingExtraError, OptionError
    from kammil.language_model import AdaptiveModel

    terminal: Any = None
    if _interactive():  # first, to report a missing library at once
        try:
            from kammil.cli import _terminal as terminal
        except ModuleNotFoundError as error:
            raise MissingExtraError("typing on a terminal needs prompt_toolkit", "type") from error
    completer = load(model, profile=profile and flags.open_profile(profile, new=learn), block=block)
    adaptive = isinstance(completer.language_model, AdaptiveModel)
    if learn and not adaptive:
        raise OptionError(CANNOT_LEARN)
    asked: dict[str, Any] = context.obj
    session, refusing = completer.session(), {name: value for name, value in asked.items() if name != "ghost"}

    def after(text: str) -> Phrase:
        session.update(text)
        return session.phrase(**asked)

    def offer(text: str) -> tuple[str, list[Suggestion], str]:
        found, suggestions = after(text), session.suggest(**refusing)
        return for_stdout(found.sure if found.stock else found.added), suggestions, for_stdout(found.added)

    def ended(text: str) -> None:
        if learn and text.strip():
            completer.learn(text)
        elif adaptive and not learn:  # what is learnt need not be read again
            session.context = [*session.context, text][-MAX_MESSAGES:]

    if terminal is None:
        for text in flags.texts_or_stdin(None):
            typer.echo(for_stdout(after(text).added))
            ended(text)
    else:
        typer.echo(terminal.HELP, err=True)
        line = terminal.Typing(offer)
        while (text := line.read()) is not None:
            ended(text)
    if learn and (used := learnt_words(completer)):
        tell(f"kammil: {told(used)}.")


@app.command(cls=flags.command(partial(flags.rows_of, "kammil.completion.suggestions:EditorOptions")))
def lsp(
    context: typer.Context,
    *,
    model: flags.Model = flags.BUNDLED,
    block: flags.BlockFile = None,
    profile: flags.ProfileFile = None,
) -> None:
    """Serve an editor that speaks the Language Server Protocol, over standard input and output: suggestions, and ghost
    text where the editor has inline completion. The line up to the cursor is the text, the lines above are its
    context. The editor starts it."""
    from kammil.completion.completer import load
    from kammil.completion.suggestions import EditorOptions
    from kammil.errors import MissingExtraError

    try:
        from kammil.lsp import Server
    except ModuleNotFoundError as error:
        raise MissingExtraError("the language server needs pygls", "lsp") from error
    options, opened = EditorOptions.of(**context.obj), profile and flags.open_profile(profile)
    Server(load(model, profile=opened, block=block), options, opened).start()


@app.command(cls=flags.command(partial(flags.rows_of, "kammil.server.settings:ServerSettings")))
def serve(
    context: typer.Context,
    folders: Annotated[list[Path] | None, Argument(metavar="FOLDER", help="Models.  [default: levantine]")] = None,
    *,
    api_key: Annotated[
        str | None,
        Option(envvar="KAMMIL_API_KEY", help="Require this API key of every request (better set as KAMMIL_API_KEY)."),
    ] = None,
    block: flags.BlockFile = None,
    profile: Annotated[
        Path | None, Option(metavar="FILE", help="Serve what a profile says, to all who reach the server.")
    ] = None,
) -> None:
    """Serve models: a page to type on, and an OpenAI-compatible API."""
    from importlib.util import find_spec

    from kammil.errors import MissingExtraError, OptionError

    missing = [name for name in ("fastapi", "uvicorn", "prometheus_client") if find_spec(name) is None]
    if missing:
        raise MissingExtraError(f"serving needs {missing[0]}", "serve")
    from kammil import model_folder
    from kammil.language_model import AdaptiveModel
    from kammil.models.family import family
    from kammil.server import run
    from kammil.server.settings import ServerSettings

    own = {"folders": folders or None, "api_key": api_key, "block": block, "profile": profile}
    settings = ServerSettings.of(**own, **context.obj)
    opened = profile and flags.open_profile(profile)
    if opened:
        opened.refresh()
    for folder in settings.folders:  # refuse a damaged one before anything starts
        description, _ = model_folder.summary(folder)
        if opened and not family(description.family).can(AdaptiveModel):
            raise OptionError(
                f"{folder} cannot learn while it runs, as a profile needs; serve blends, or leave out --profile."
            )
    run.run(settings)


def _interactive() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
