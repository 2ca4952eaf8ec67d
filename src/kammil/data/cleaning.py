"""Undo what makers of corpora did to texts: tokens, entities, quoting, spaced punctuation.

Rules that change what people write are off by default.
"""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

import regex

from kammil.text import HANDLE, URL

_PERSON = rf"(?:{HANDLE}|(?<![\w@])@\w+)"
_LINK = rf"(?:{URL}|(?<!\w)(?:https?://|www\.)\S+)"
_RETWEET = regex.compile(rf"^\s*(?:RT\s+{_PERSON}\s*:?\s*)+")
_PEOPLE = regex.compile(rf"({_PERSON})(?:\s*{HANDLE}|\s+@\w+)+")
# Posts cut at 140 characters end within addresses: "http://t.…", "ht…".
_LAST_LINKS = regex.compile(rf"(?:\s*{_LINK})+\s*$|\s+ht{{1,2}}(?:ps?(?::\S*)?)?…\s*$")
_TOKEN = regex.compile(r"(?<![A-Za-z0-9_@#])(?:USER|URL|EMOJI|NUM|NEWLINE)(?![A-Za-z0-9_])|<(?:user|url|num)>")
_TOKENS = {"USER": HANDLE, "<user>": HANDLE, "URL": URL, "<url>": URL}
_ARABIC_TOKEN = regex.compile(r"(?<!\w)(?:وسم (?=\w)|(?:مستخدم|رابط|استفهام|تعجب)(?!\w))")
_ARABIC_TOKENS = {"وسم ": "#", "مستخدم": HANDLE, "رابط": URL, "استفهام": "؟", "تعجب": "!"}
_ENTITY = regex.compile(r"&(?:#\d{1,7}|#x[0-9a-f]{1,6}|[a-z]\w{1,30});", regex.IGNORECASE)
_QUOTES = regex.compile(r'\\+"|"{2,}')
_QUOTED_CELL = regex.compile(r'\s*"((?:[^"]|"")*"{2}(?:[^"]|"")*)"\s*')
_LAST_BACKSLASH = regex.compile(r"(?<=\s)\\+\s*$")
_EMOJI_NAME = regex.compile(r"(?<![A-Za-z0-9]):([a-z][a-z0-9_'-]{2,}):")
_MARK_AFTER_MARK = regex.compile(r"(?<=[.…!؟?]) +(?=[.…!؟?])")
# Not before a smiley, such as " :)" or " :D".
_SPACE_BEFORE = regex.compile(r" +(?=[.,،؛!؟?…)\]»]|[:;](?![-'^]?[)(DPpO3*/\\|]))")
_SPACE_AFTER = regex.compile(r"(?<=[(\[«]) +")
_SPACES = regex.compile(r" {2,}")

_SHORT_NAMES = {
    "joy": "😂", "sob": "😭", "rofl": "🤣", "broken_heart": "💔", "heart": "❤", "red_heart": "❤", "hearts": "♥",
    "rose": "🌹", "pray": "🙏", "sweat_smile": "😅", "heart_eyes": "😍", "weary": "😩", "facepalm": "🤦",
    "pensive": "😔", "grin": "😁", "joy_cat": "😹", "thumbsup": "👍", "wink": "😉", "cry": "😢", "ok_hand": "👌",
    "see_no_evil": "🙈", "clap": "👏", "unamused": "😒", "roll_eyes": "🙄", "sunglasses": "😎", "kissing_heart": "😘",
    "thinking": "🤔", "blush": "😊", "pleading_face": "🥺", "shrug": "🤷", "muscle": "💪", "smirk": "😏",
}  # fmt: skip


@dataclass(frozen=True)
class CleaningRules:
    """Rules, each with its switch."""

    retweets: bool = True
    """Remove "RT @name:" at the start."""
    tokens: bool = True
    """Replace USER, URL, <user> and <url> by `kammil.text`'s placeholders; remove EMOJI, NUM, NEWLINE, <num>."""
    arabic_tokens: bool = False
    """Replace مستخدم، رابط، وسم، استفهام، تعجب, which people write too, by their meaning."""
    entities: bool = True
    quotes: bool = True
    """Undo the quoting of CSV; remove a final backslash."""
    emoji_names: bool = False
    """Replace names such as :joy: by the emoji; remove unknown ones."""
    punctuation: bool = False
    """Remove spaces of tokenisers beside marks; people write some too."""
    runs: bool = True
    """Keep one of several handles in a row; remove final web addresses."""

    def clean(self, text: str) -> str:
        """Return the cleaned text; idempotent and never longer."""
        rules = [rule for name, rule in _RULES.items() if getattr(self, name)]
        while True:  # "&amp;lt;": a rule may make room for another, and shortens the text
            cleaned = text
            for rule in rules:
                cleaned = rule(cleaned)
            if cleaned == text:
                return text
            text = _SPACES.sub(" ", cleaned).strip()


def _quotes(text: str) -> str:
    if cell := _QUOTED_CELL.fullmatch(text):
        text = cell[1]
    return _LAST_BACKSLASH.sub("", _QUOTES.sub('"', text))


def _emoji(name: str) -> str:
    try:
        found = _SHORT_NAMES.get(name) or unicodedata.lookup(name.replace("_", " "))
    except KeyError:
        return ""
    return found if unicodedata.category(found[0]) == "So" else ""


_RULES: dict[str, Callable[[str], str]] = {
    "entities": lambda text: _ENTITY.sub(lambda match: html.unescape(match[0]), text),
    "quotes": _quotes,
    "retweets": lambda text: _RETWEET.sub("", text),
    "tokens": lambda text: _TOKEN.sub(lambda match: _TOKENS.get(match[0], ""), text),
    "arabic_tokens": lambda text: _ARABIC_TOKEN.sub(lambda match: _ARABIC_TOKENS[match[0]], text),
    "emoji_names": lambda text: _EMOJI_NAME.sub(lambda match: _emoji(match[1]), text),
    "punctuation": lambda text: _SPACE_AFTER.sub("", _SPACE_BEFORE.sub("", _MARK_AFTER_MARK.sub("", text))),
    "runs": lambda text: _LAST_LINKS.sub("", _PEOPLE.sub(r"\1", text)),
}
