"""What the bundled models suggest, show as ghost text, complete and score."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from tests.records.store import Entry, outcome

import kammil

PROMPTS, TYPED, COMPLETIONS, SCORES = 5_000, 16, 300, 200
LEARNT = (
    "رح نلتقى عند دوار الياسمينة الساعة سبعة",
    "دوار الياسمينة زحمة كتير اليوم",
    "جيبولي معكم كعك بالزعتر من عند أبو الفوز",
    "أبو الفوز سكر بكير اليوم",
    "Remind me about the zaatar order",
    "خود الباص رقم تسعة وعشرين",
    "الباص تسعة وعشرين تأخر",
    "😂😂 يا جماعة الخير",
)
"""Texts that a model learns before it is asked."""
BLOCKED = ("قهوة", "بكرا", "السوق", "خبز~", "انشالله")
"""An own list of words that are never written."""
ODD = (
    "",
    " ",
    "   ",
    "\n",
    "؟",
    "...",
    "😂",
    "شو 😂",
    "🇱🇧🇵🇸",
    "👩\u200d👩\u200d👧",
    "1",
    "الساعة 7",
    "٣٤",
    "@",
    "#",
    "https://",
    "ـ",
    "شـــو",
    "شُو حُلْو",
    "\u200fشو",
    "\u202bشو\u202c ",
    "شو\u00a0حل",
    "شو\tحل",
    "شو\nحل",
    "ﺷﻮ",
    "لأ لا لإ",
    "שלום מה",
    "привет как",
    "今天天气",
    "สวัสดี",
    "日本 شو",
    "a",
    "A",
    "I am",
    "kif",
    "KIFAK",
    "shu 7",
    "3a",
    "5al",
    "2",
    "mar7aba kif",
    "ok ",
    "lol شو",
    "شو lol",
    "\u0301",
    "e\u0301",
    "é",
    "\ud83d",
    "\x00",
    "�",
    "يا ابن ",
    "يا كل",
    "يلعن ",
    "يا حم",
    "ووووووو",
    "ههههههههههه",
    "لا لا لا لا لا لا لا ",
    "كلمة " * 300,
    "ا" * 700,
)
_KEYS = ("ضصثقفغعهخحجد", "شسيبلاتنمكط", "ئءؤرﻻىةوزظ", "qwertyuiop", "asdfghjkl", "zxcvbnm")
_SPELLINGS = (
    ("أ", "ا"),
    ("إ", "ا"),
    ("ة", "ه"),
    ("ه", "ة"),
    ("ى", "ي"),
    ("ث", "ت"),
    ("ق", "ء"),
    ("ض", "ظ"),
    ("ا", "أ"),
)
_PRESETS = ("sensible", "creative", "predictive", "plain")
_OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {},
    {},
    {"length": 60},
    {"stop": ["،", " ال"]},
    {"forbid": ["ال", "يا"]},
    {"min_length": 10, "length": 20},
    {"top_k": 5, "repetition_penalty": 1.3},
    {"min_p": 0.1, "top_p": 0.9},
    {"no_copy": 14},
    {"whole_words": True, "temperature": 0},
)
_WRONG: tuple[dict[str, Any], ...] = ({"best_of": 0}, {"temperature": -1}, {"length": 5, "min_length": 6}, {"lenth": 3})


def entries() -> Iterator[Entry]:
    """Ask the bundled models, fresh, taught, with a profile, and with an own list of blocked words."""
    with tempfile.TemporaryDirectory() as folder:
        models = _models(Path(folder))
        for name in models:  # one after the other, as a person would have them open
            model = models[name]
            for number in range(PROMPTS):
                random = Random(f"suggestions {number}")
                prompt, asked = _prompt(random, number), random.choice(_SHARES)
                if asked == name:
                    options = _options(random)
                    given = {"model": name, "prompt": prompt, **options}
                    yield Entry(f"prompt-{number}", given, outcome(_suggested, model, prompt, options))
        yield from _typed(models)
        yield from _completed(models)
        for number in range(SCORES):
            random = Random(f"score {number}")
            name, text = random.choice(tuple(models)), _prompt(random, number)
            yield Entry(f"score-{number}", {"model": name, "text": text}, outcome(_scored, models[name], text))


def _models(folder: Path) -> dict[str, Any]:
    taught = kammil.load("levantine-all")
    for text in LEARNT:
        taught.learn(text)
    taught.learn("رح ننسى هالشي")
    taught.forget("رح ننسى هالشي")
    profile = kammil.Profile(folder / "profile")
    profile.learn(*LEARNT)
    own = folder / "block.txt"
    own.write_text("\n".join(BLOCKED), "utf-8")
    return {
        "levantine-all": kammil.load("levantine-all"),
        "open": kammil.load("levantine"),
        "taught": taught,
        "profile": kammil.load("levantine", profile=profile),
        "blocked": kammil.load("levantine-all", block=own),
    }


_SHARES = ("levantine-all",) * 5 + ("open",) * 3 + ("taught", "profile", "blocked")


@cache
def _texts() -> tuple[list[str], list[str], list[str]]:
    """Messages that no model was trained on, Arabic in Latin letters, and English."""
    root = Path(__file__).parents[2]
    held_out = (root / "recipes/messages/held-out/test.txt").read_text("utf-8").splitlines()
    rows = [line.split("\t") for line in (root / "recipes/arabizi.tsv").read_text("utf-8").splitlines()[1:]]
    english = (root / "benchmarks/english.txt").read_text("utf-8").splitlines()
    return [text for text in held_out if text], [row[2] for row in rows], [text for text in english if text]


def _prompt(random: Random, number: int) -> str:
    held_out, arabizi, english = _texts()
    message, latin = _begun(random, random.choice(held_out)), _begun(random, random.choice(arabizi))
    weighted = {
        message: 28,
        _edited(random, message): 28,
        latin: 11,
        _edited(random, latin): 5,
        _begun(random, random.choice(english)): 6,
        f"{message} {latin}": 6,
        _begun(random, random.choice((*LEARNT, *(f"بدي {word}" for word in BLOCKED)))): 6,
        message[: random.randrange(4)]: 5,
        random.choice(ODD[:-2]) + message: 5,
    }
    return ODD[number] if number < len(ODD) else random.choices(list(weighted), list(weighted.values()))[0]


def _begun(random: Random, text: str) -> str:
    """Return the beginning of a text, often to the end of a word."""
    end = random.randrange(1, len(text) + 1)
    if random.random() < 0.3:
        end = text.find(" ", end) + 1 or len(text)
    return text[:end]


def _edited(random: Random, text: str) -> str:
    """Return a text with a slip, another spelling, or marks, near its end more often than not."""
    if not text:
        return text
    at = max(0, len(text) - 1 - random.randrange(6)) if random.random() < 0.7 else random.randrange(len(text))
    letter, before, after = text[at], text[:at], text[at + 1 :]
    row = next((row for row in _KEYS if letter in row), letter)
    slips = (
        before + after,
        before + letter * 2 + after,
        before + after[:1] + letter + after[1:],
        before + row[(row.index(letter) + random.choice((-1, 1))) % len(row)] + after,
        before + letter + random.choice(("َ", "ـ" * 3, " ", ".", "،", "!", "😂", "\n")) + after,
        text.replace(*random.choice(_SPELLINGS)),
    )
    return random.choice(slips)


def _options(random: Random) -> dict[str, Any]:
    """Options of a list; the usual ones mostly."""
    options: dict[str, Any] = {"k": random.choice((3, 3, 3, 3, 1, 5, 8))}
    drawn = random.random()
    if drawn < 0.1:
        options["correct"] = False
    elif drawn < 0.2:
        options["threshold"] = random.choice((0, 0.001, 0.05, 0.3))
    elif drawn < 0.25:
        options["forbid"] = random.choice((["ال"], ["ة", " شو"], ["كتير"]))
    elif drawn < 0.3:
        options["allow_offensive"] = True
    elif drawn < 0.305:
        options |= random.choice(({"k": 0}, {"threshold": 2}, {"forbid": [""]}))
    return options


def _figure(value: float) -> float:
    return round(float(value), 6)


def _list(found: Any) -> list[list[Any]]:
    return [[each.text, each.added, each.replaces, _figure(each.probability)] for each in found]


def _suggested(model: Any, prompt: str, options: dict[str, Any]) -> dict[str, Any]:
    refusing = {name: options[name] for name in ("forbid", "allow_offensive") if name in options}
    ghosts: dict[str, Any] = {}
    for level in ("quiet", "balanced", "eager"):
        phrase = model.phrase(prompt, ghost=level, **refusing)
        ghosts[level] = [phrase.added, _figure(phrase.probability)]
    phrase = model.phrase(prompt, threshold=0.05, words=4, **refusing)
    ghosts["any"] = [phrase.added, _figure(phrase.probability)]
    return {"list": _list(model.suggest(prompt, **options)), "ghost": ghosts}


def _typed(models: dict[str, Any]) -> Iterator[Entry]:
    """Type texts key by key, with a slip that is taken back."""
    for number in range(TYPED):
        random = Random(f"typed {number}")
        held_out, arabizi, _ = _texts()
        name, text = random.choice(tuple(models)), random.choice(held_out if number % 3 else arabizi)
        states = [text[:end] for end in range(1, min(len(text), 30) + 1)]
        at = random.randrange(len(states))
        states[at:at] = [states[at] + "خ", states[at] + "خز", states[at]]
        session = kammil.Session(models[name])
        for key, state in enumerate(states):
            yield Entry(f"typed-{number}-{key}", {"model": name, "prompt": state}, outcome(_at_key, session, state))


def _at_key(session: Any, state: str) -> dict[str, Any]:
    session.update(state)
    phrase = session.phrase()
    return {"list": _list(session.suggest()), "ghost": [phrase.added, _figure(phrase.probability)]}


def _completed(models: dict[str, Any]) -> Iterator[Entry]:
    for number in range(COMPLETIONS):
        random = Random(f"completion {number}")
        name, prompt = random.choice(tuple(models)), _prompt(random, random.randrange(20, PROMPTS))
        options = {
            "seed": number,
            "preset": _PRESETS[number % len(_PRESETS)],
            **random.choice(_WRONG if random.random() < 0.06 else _OPTIONS),
        }
        number_of_texts = random.choice((1, 1, 1, 3))
        given = {"model": name, "prompt": prompt, "n": number_of_texts, **options}
        yield Entry(f"completion-{number}", given, outcome(_completion, models[name], prompt, number_of_texts, options))


def _completion(model: Any, prompt: str, number: int, options: dict[str, Any]) -> list[list[Any]]:
    texts = model.samples(prompt, number, **options)
    return [
        [each.text, each.finish_reason, each.reading, each.replaces, _figure(each.mean_bits), _figure(sum(each.bits))]
        for each in texts
    ]


def _scored(model: Any, text: str) -> list[Any]:
    score = model.score(text)
    return [score.text, _figure(sum(score.bits)), [_figure(bits) for bits in score.bits[-5:]]]
