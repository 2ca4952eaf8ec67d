"""Whatever is typed, the bundled model answers: random prompts of all kinds of Unicode, through every door.

Each prompt goes through `complete`, `suggest`, `phrase`, `score` and `explain`. Held against each: it raises nothing,
writes valid UTF-8, keeps its own promises (`promises`), and takes no more than `LIMIT` seconds of processor time.
Memory must stay where it was after a tenth of the prompts.

Run: `python benchmarks/fuzz.py [--prompts N] [--seed S]` (100,000: an hour of one core). Writes fuzz.json, and the same
as one line on stdout; exits with 1 if anything failed. `--only I` repeats prompt number I alone and writes nothing.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import math
import random
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kammil
from kammil.completion.completer import Completer
from kammil.data import sources
from kammil.text import open_word

LONGEST = 10_000
"""Characters of a prompt at most."""
SHORT = 100
"""Most prompts have so many at most, log-uniform; one in `RARE` has up to `LONGEST`, every 1,000th exactly so many."""
RARE = 40
LIMIT = 5.0
"""Seconds of processor time that a call may take."""
HANG = 900.0
"""Wall-clock seconds without an answer after which the run gives up, saying where it stood."""

ARABIC = "ءآأؤإئابةتثجحخدذرزسشصضطظعغفقكلمنهويىپچڤگ"
POINTS = "\u064b\u064c\u064d\u064e\u064f\u0650\u0651\u0652\u0670"
MARKS = POINTS + "\u0300\u0301\u0323\u0327\u0308\u0344\u0591\u05b0\u093c\u094d\u0f71\u0f73\u20dd\ufe0f\u3099\U0001d165"
BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
SPACES = " \t\n\v\f\r\x85\xa0\u1680\u2003\u2028\u2029\u202f\u3000"
EMOJI = "😀👍🏽❤️‍🔥👨‍👩‍👧‍👦🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f🇱🇧☃️#️⃣🫠"
SCRIPTS = (
    "abcXYZéßǆ",
    ARABIC,
    "אבגםן",
    "αβγΩ",
    "жщыЯ",
    "कषतिंा",
    "กำไทย",
    "漢字仮名",
    "かなカナ",
    "한글ᄒ\u1161\u11ab",
    "ܐܒ",
    "𐤀𐤁",
    "𞤀𞤁",
)


def main() -> None:
    """Fuzz, then say what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="number of the one prompt to try")
    named = parser.parse_args()
    model, texts = kammil.load(), sources.sample()
    numbers = range(named.prompts) if named.only is None else [named.only]
    slowest: dict[str, dict[str, Any]] = {}
    failures: list[dict[str, Any]] = []
    kinds: Counter[str] = Counter()
    characters, early = 0, None
    started = time.perf_counter()
    for done, number in enumerate(numbers):
        chance = random.Random(f"{named.seed} {number}")
        kind, prompt = prompt_of(chance, number, texts)
        kinds[kind] += 1
        characters += len(prompt)
        for call, promise in promises(model, prompt, chance, number).items():
            faulthandler.dump_traceback_later(HANG, exit=True)
            begun, what = time.process_time(), ""
            try:
                promise()
            except Exception as error:  # whatever it is, it is what this looks for
                what = f"{type(error).__name__}: {error}"[:300]
            seconds = time.process_time() - begun
            if not what and seconds > LIMIT:
                what = f"took {seconds:.1f} s"
            said = {"prompt": number, "class": kind, "characters": len(prompt)}
            if seconds > slowest.get(call, {"seconds": -1.0})["seconds"]:
                slowest[call] = {"seconds": round(seconds, 4), **said}
            if what:
                failures.append({"call": call, **said, "error": what})
                print(json.dumps(failures[-1]), file=sys.stderr, flush=True)
        if done + 1 == max(1, len(numbers) // 10):
            early = resident()
        if (done + 1) % 2000 == 0:
            taken = time.perf_counter() - started
            print(f"{done + 1:,} prompts, {taken:.0f} s, {resident()} MB", file=sys.stderr, flush=True)
    faulthandler.cancel_dump_traceback_later()
    result = {
        "prompts": len(numbers),
        "seed": named.seed,
        "characters": characters,
        "classes": dict(sorted(kinds.items())),
        "seconds": round(time.perf_counter() - started, 1),
        "processor_seconds": round(time.process_time(), 1),
        "slowest_processor_seconds": slowest,
        "resident_mb_at_a_tenth": early,
        "resident_mb_at_the_end": resident(),
        "failures": failures,
    }
    if named.only is None:
        Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    print(json.dumps(result))
    sys.exit(1 if failures else 0)


def promises(model: Completer, prompt: str, chance: random.Random, number: int) -> dict[str, Callable[[], None]]:
    """What is called with a prompt, by name: each raises if something is not as promised."""
    length, temperature = chance.randint(0, 30), chance.choice([0.0, 0.7, 1.5])
    bits: list[float] = []

    def complete() -> None:
        made = model.complete(prompt, length=length, temperature=temperature, seed=number)
        made.text.encode()
        assert made.prompt == prompt and len(made.text) <= length and "\ufffd" not in made.text
        assert len(made.bits) == len(made.text) and all(map(math.isfinite, made.bits))

    def suggest() -> None:
        made = model.suggest(prompt)
        said = [each.probability for each in made]
        within = bool(open_word(model.normalise(prompt)))  # a word: its endings first, then next words
        assert made == sorted(made, key=lambda each: (within and each.added.startswith(" "), -each.probability))
        assert all(p > 0 for p in said) and sum(said) < 1.0001
        for each in made:
            each.text.encode()
            assert each.added and each.text.endswith(each.added.strip())

    def phrase() -> None:
        made = model.phrase(prompt)
        made.added.encode()
        assert made.added == made.added.rstrip(" ") and 0 < made.probability <= 1.0001
        assert len(made.added.split()) <= 8

    def score() -> None:
        made = model.score(prompt)
        made.text.encode()
        assert len(made.bits) == len(made.text) + 1 and all(b >= -1e-4 and math.isfinite(b) for b in made.bits)
        bits.extend(made.bits)

    def explain() -> None:
        made = kammil.explain(model, prompt)
        assert [place.text for place in made.places] == [*made.text, ""]
        assert all(abs(place.bits - b) < 1e-3 for place, b in zip(made.places, bits, strict=True))
        for place in made.places:
            "".join([place.text, *(other.text for other in place.alternatives)]).encode()
            assert math.isfinite(place.bits) and all(math.isfinite(credit.bits) for credit in place.credits)

    return {"complete": complete, "suggest": suggest, "phrase": phrase, "score": score, "explain": explain}


def prompt_of(chance: random.Random, number: int, texts: list[str]) -> tuple[str, str]:
    """A prompt and the name of its class."""
    most = LONGEST if chance.randrange(RARE) == 0 else SHORT
    length = LONGEST if number % 1000 == 999 else int(math.exp(chance.uniform(0, math.log(most + 1)))) - (most == SHORT)
    kind = chance.choice(list(CLASSES))
    return kind, CLASSES[kind](chance, length, texts)[:length]


def _of(characters: str, then: str = "") -> Callable[[random.Random, int, list[str]], str]:
    """Drawn from some characters; now and then from others."""

    def draw(chance: random.Random, length: int, texts: list[str]) -> str:
        del texts
        made = chance.choices(characters, k=length)
        for at in range(length if then else 0):
            if chance.random() < 0.3:
                made[at] = chance.choice(then)
        return "".join(made)

    return draw


def _between(*ranges: tuple[int, int]) -> Callable[[random.Random, int, list[str]], str]:
    """Code points of these ranges, both ends included, every range as often."""

    def draw(chance: random.Random, length: int, texts: list[str]) -> str:
        del texts
        return "".join(chr(chance.randint(*chance.choice(ranges))) for _ in range(length))

    return draw


def _pieces(*pieces: str) -> Callable[[random.Random, int, list[str]], str]:
    """Drawn from pieces of any length."""

    def draw(chance: random.Random, length: int, texts: list[str]) -> str:
        del texts
        return "".join(chance.choices(pieces, k=length))

    return draw


def _real(chance: random.Random, length: int, texts: list[str]) -> str:
    """Posts, one after the other, begun anywhere."""
    made = ""
    while len(made) <= length:
        made += chance.choice(texts) + " "
    begin = chance.randrange(len(made) - length)
    return made[begin : begin + length]


def _scripts(chance: random.Random, length: int, texts: list[str]) -> str:
    """Words of a few letters, each of another script."""
    del texts
    made = ""
    while len(made) < length:
        made += "".join(chance.choices(chance.choice(SCRIPTS), k=chance.randint(1, 8))) + chance.choice(
            ("", " ", "، ", "-")
        )
    return made


def _again(chance: random.Random, length: int, texts: list[str]) -> str:
    """One short run, over and over."""
    one = CLASSES[chance.choice(list(CLASSES)[:-1])](chance, chance.randint(1, 6), texts)
    return one * (length // max(1, len(one)) + 1)


def _spelt(chance: random.Random, length: int, texts: list[str]) -> str:
    """Posts with vowel points and stretching strokes."""
    text = _real(chance, length, texts)
    return "".join(c + (chance.choice(POINTS + "ـ") * chance.randint(0, 3) if c != " " else "") for c in text)


CLASSES: dict[str, Callable[[random.Random, int, list[str]], str]] = {
    "real posts": _real,
    "points and tatweel": _spelt,
    "anything": _between((0, sys.maxunicode)),
    "basic plane": _between((0, 0xFFFF)),
    "lone surrogates": _between((0xD800, 0xDFFF), (0x627, 0x64A)),
    "controls": _between((0, 0x1F), (0x7F, 0x9F), (0x20, 0x20)),
    "NUL": _of("\0"),
    "marks alone": _of(MARKS),
    "letters and marks": _of(ARABIC + "aé", MARKS),
    "bidi controls": _of(ARABIC + "ab1 ", BIDI),
    "joiners": _of(ARABIC + "क", "\u200c\u200d"),
    "emoji": _pieces(*EMOJI, "\u200d", "\ufe0f", "👨\u200d👩\u200d👧", "🏳️\u200d🌈", "🇱", "🇧", "🏽", " "),
    "one long word": _of(ARABIC),
    "spaces": _of(SPACES),
    "one space": _of(" "),
    "newlines": _pieces("\n", "\r\n", "\n\n", "\u2028", "كلمة"),
    "private use": _between((0xE000, 0xF8FF), (0xF0000, 0xFFFFD), (0x100000, 0x10FFFD)),
    "noncharacters": _pieces(*(chr(p * 0x10000 + end) for p in range(17) for end in (0xFFFE, 0xFFFF)), "\ufdd0", "ا"),
    "mixed scripts": _scripts,
    "addresses": _pieces("@", "a", "a.b", "@ليلى", "www.", "http://", "x@y.z", ".", "+", "-", "_", "#", " ", "ش"),
    "digits and signs": _pieces(*"0123456789٠١٢٣٤٥٦٧٨٩.,،؛؟!?%()[]{}<>\\/\"'«»…-_#& "),
    "one run again": _again,
}
"""Name -> how a prompt is drawn; it is cut where it is long enough."""


def resident() -> float:
    """Megabytes of memory in use now; where the system does not say, the most so far."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return round(int(statm.read_text().split()[1]) * resource.getpagesize() / 1e6, 1)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, 1)


if __name__ == "__main__":
    main()
