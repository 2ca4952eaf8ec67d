"""Strings only: what a model sees (`TextRules`), how texts are matched (`fold`), what a reader calls a character or a
word."""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal, cast

import regex

from kammil.errors import FolderError

URL = "\N{LINK SYMBOL}"
"""Stands for any web address. One character, not a word: a spelled-out placeholder ("http", "@user") is one
decision followed by letters that cost nothing, and would flatter every figure given per character."""

HANDLE = "\N{BUST IN SILHOUETTE}"
"""Stands for any @handle or e-mail address."""

FAR = 1_000
"""Characters at the end of a text in which the word that is being typed is looked for: it is looked for at every key.
People's words have some thirty, and a line of a script that is written without spaces some hundred."""

_URL = regex.compile(r"(?:https?://|www\.)\S+", regex.IGNORECASE)
# A run without a domain after it is skipped whole: to try every character of it again would take quadratic time.
_EMAIL = regex.compile(r"[\w.+-]++(?:@[\w-]+(?:\.[\w-]+)+|(*SKIP)(*FAIL))")
_HANDLE = regex.compile(r"(?<!\w)(?:[@＠]\w+)+")
_TATWEEL = "\N{ARABIC TATWEEL}"
# Invisible characters: controls, format characters (bidi marks, zero-width spaces, byte-order marks), unassigned
# specials. Kept: ZWNJ and ZWJ between visible characters (Persian spelling, emoji families), white space, and the
# tag characters that spell a flag after a black flag.
_INVISIBLE = regex.compile(
    r"(?<=[\p{L}\p{M}\p{So}\p{Sk}])[\u200C\u200D](?=[\p{L}\p{So}])(*SKIP)(*FAIL)"
    r"|\U0001F3F4[\U000E0020-\U000E007F]+(*SKIP)(*FAIL)"
    r"|[\p{Cc}\p{Cf}--[\t\n\v\f\r\x85]]",
    regex.V1,
)
_UNSEEN = regex.compile(r"[[\p{C}\p{Zl}\p{Zp}]--[\u200C\u200D]]", regex.V1)
_SPACES = regex.compile(r"\s+")
_PILED = regex.compile(r"\p{M}{32,}+")
_SURROGATE = regex.compile(r"[\ud800-\udfff]")
_GRAPHEME = regex.compile(r"\X")
# Vowel points and cantillation change how a word is read, not which word it is; in other scripts (Devanagari, Thai)
# the marks spell vowels and must stay.
_POINTS = regex.compile(r"[\p{M}&&[\p{Arabic}\p{Hebrew}\p{Syriac}\p{Inherited}]]", regex.V1)
_WORD = regex.compile(r"[\p{L}\p{N}_](?:[\p{L}\p{M}\p{N}_]|[\u200C\u200D]++(?=[\p{L}\p{M}\p{N}_]))*+")
# From the end backwards: a search from the front would try every letter as the beginning of a word.
_OPEN = regex.compile(r"(?r)[\p{L}\p{M}\p{N}_\u200C\u200D]*\Z")
_LETTER, _MARK, _EXTENDS = (regex.compile(r) for r in (r"[\p{L}\p{N}_]", r"\p{M}", r"[\p{GCB=Extend}\p{GCB=ZWJ}]"))
_STRETCHED = regex.compile(r"(\p{L})\1{2,}+")
_SPELLED = str.maketrans("أإآٱىیةک", "اااايي" + "هك")
_NOT_LETTERS = regex.compile(r"[^\p{L}\p{M}\p{N}]+")
_NOT_LETTERS_OR_UNDERSCORES = regex.compile(r"[^\p{L}\p{M}\p{N}_]+")


@dataclass(frozen=True)
class TextRules:
    """What is done to a text before a model sees it. Every rule can be switched off; a model stores its rules.

    Letters are never folded: a model must write the spelling that people use.
    """

    nfc: bool = True
    """Unicode composition (NFC), so that one letter has one spelling."""
    invisible: bool = True
    """Control and format characters out, except joiners that spell something."""
    tatweel: bool = True
    """Out with the stretching stroke (U+0640); it carries no letter."""
    urls: bool = True
    """Web addresses become one placeholder character."""
    handles: bool = True
    """@handles and e-mail addresses become one placeholder character."""
    spaces: bool = True
    """Runs of white space become one space; none at the start."""

    def normalise(self, text: str) -> str:
        """The text as the model sees it. Idempotent. A space at the end stays: in a prompt it says "next word"."""
        if self.nfc or self.invisible:
            text = _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)
        if self.tatweel:
            text = text.replace(_TATWEEL, "")
        if self.invisible:
            text = _INVISIBLE.sub("", text)
        if self.nfc:
            text = _composed(text)
        if self.urls:
            text = _URL.sub(URL, text)
        if self.handles:
            text = _HANDLE.sub(HANDLE, _EMAIL.sub(HANDLE, text))
        if self.spaces:
            text = _SPACES.sub(" ", text).lstrip(" ")
        return text

    def to_dict(self) -> dict[str, bool]:
        """The rules as a mapping, for `model.json`."""
        return cast(dict[str, bool], asdict(self))

    @classmethod
    def from_dict(cls, rules: Mapping[str, bool]) -> TextRules:
        """The rules of a mapping; `FolderError` for a name that is no rule."""
        unknown = set(rules) - set(asdict(cls()))
        if unknown:
            raise FolderError(f"the model has the text rule {min(unknown)!r}, which is none of ours; update Kammil.")
        return cls(**rules)


RAW = TextRules(nfc=False, invisible=False, tatweel=False, urls=False, handles=False, spaces=False)
"""No rule at all: the model sees the text itself."""


def _composed(text: str, form: Literal["NFC", "NFKC"] = "NFC") -> str:
    """The text in a normal form of Unicode, in linear time: a heap of marks is put into canonical order beforehand,
    for which the standard library compares every mark with all before it."""
    return unicodedata.normalize(form, _PILED.sub(_in_order, text))


def _in_order(marks: regex.Match[str]) -> str:
    """Marks taken apart and in canonical order: those that can change places are sorted, equals stay as they stand."""
    apart = "".join(unicodedata.normalize("NFD", mark) for mark in marks[0])
    runs = itertools.groupby(apart, key=lambda mark: unicodedata.combining(mark) > 0)
    return "".join(c for _, run in runs for c in sorted(run, key=unicodedata.combining))


def fold(text: str, *, underscores: bool = False) -> str:
    """The letters, marks and digits of a text, for matching and never for writing.

    Web addresses, handles, punctuation, spaces, case, vowel points and compatibility forms go; what is left is equal
    for two copies of one post. `underscores` keeps those, which tell a hashtag from the same words. Empty for a text
    without letters (emoji only): compare such texts as they stand.
    """
    text = _HANDLE.sub("", _EMAIL.sub("", _URL.sub("", text)))
    text = _composed(text, "NFKC").casefold().replace(_TATWEEL, "")
    dropped = _NOT_LETTERS_OR_UNDERSCORES if underscores else _NOT_LETTERS
    return dropped.sub("", _POINTS.sub("", text))


def fold_spelling(text: str) -> str:
    """The fold of a text without what one writer spells so and the next otherwise, for matching and never for writing.

    Forms of alef are one, ya at a word's end is a ya, ta marbuta is ha, Persian keyboards' letters are the Arabic ones,
    and a letter that stands three times or more stands once: two are spelling (الله), and digits are numbers.
    """
    return _STRETCHED.sub(r"\1", fold(text).translate(_SPELLED))


def graphemes(text: str) -> list[str]:
    """User-perceived characters (Unicode TR29 extended grapheme clusters), in order; they join back to the text."""
    return _GRAPHEME.findall(text)


def shortened(text: str, most: int = 40) -> str:
    """At most so many graphemes of a text, the last one an ellipsis where some are missing; never for writing."""
    letters = graphemes(text[: 32 * most])
    whole = len(letters) <= most and len(text) <= 32 * most
    return text if whole else "".join(letters[: most - 1]) + "\N{HORIZONTAL ELLIPSIS}"


Role = Literal["letter", "mark", "joiner", "neither", "outside"]
"""What a character is to words."""


def role(character: str) -> Role:
    """What a character (code point) is to words.

    A `letter` (or digit, or underscore) begins a word or goes on with it; a `mark` belongs to what stands before it; a
    `joiner` (ZWNJ, ZWJ) stands between two characters of a word; whatever is `outside` ends it. `neither` stretches a
    grapheme without being part of a word (a skin tone): a word is not whole before it, and does not go on.
    """
    if _LETTER.match(character):
        return "letter"
    if _MARK.match(character):
        return "mark"
    if character in "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}":
        return "joiner"
    return "neither" if _EXTENDS.match(character) else "outside"


def visible(text: str) -> str:
    """The text with a sign for every character that shows nothing or moves what stands around it; as many characters.

    Controls are shown by their pictures; format characters (of direction, above all), line separators, and code points
    that are no character, by U+FFFD. Joiners stay: they belong to how their neighbours look. Never for writing.
    """
    return _UNSEEN.sub(lambda match: _sign(match[0]), text)


def _sign(character: str) -> str:
    code = ord(character)
    picture = code if code < 0x20 else 0x21 if code == 0x7F else None
    return "\N{REPLACEMENT CHARACTER}" if picture is None else chr(0x2400 + picture)


def words(text: str) -> list[tuple[int, int]]:
    """Where each word of a text begins and ends, in order.

    A word is a longest run of letters, digits, underscores, their marks, and joiners between them. So a hashtag is a
    word after its sign, an apostrophe parts two words, and what an emoji is made of is none.
    """
    return [match.span() for match in _WORD.finditer(text)]


def open_word(text: str) -> str:
    """The word that a text ends in, still to be gone on with; empty if it ends in none. A last joiner counts.

    It is looked for in the last `FAR` characters: of a longer one the end.
    """
    run = _OPEN.search(text, max(0, len(text) - FAR))
    letter = _LETTER.search(text, run.start()) if run else None
    return text[letter.start() :] if letter else ""
