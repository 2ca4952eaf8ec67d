"""Strings: normalisation (`TextRules`), folding for matching, graphemes, words, and the space after a word."""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal, cast

import regex

from kammil.errors import FolderError
from kammil.languages import pooled, union

# One character each, since the letters of a placeholder word cost nothing and would flatter figures per character.
URL = "\N{LINK SYMBOL}"
HANDLE = "\N{BUST IN SILHOUETTE}"
"""Stands for a handle or e-mail address."""
NUMBER = "\N{INPUT SYMBOL FOR NUMBERS}"
"""Stands for a phone, card or account number."""
TATWEEL = "\N{ARABIC TATWEEL}"
"""The stroke that stretches words."""
MAX_OPEN_WORD = 1_000
"""Characters at the end of a text searched for the open word at every key."""
UNSPACED_SCRIPTS = ("Han", "Hiragana", "Katakana", "Thai", "Lao", "Khmer", "Myanmar")
"""Scripts without spaces, where each letter counts as a word."""
UNSPACED_COMMON = "〆〱-〵〼ーｰ"
"""Japanese letters of no script; Script_Extensions adds the Ukrainian apostrophe."""
GIVES_WAY = r"^[\p{White_Space}\p{Terminal_Punctuation}\p{Pe}\p{Pf}…%٪]"
"""Beginnings that remove the space after an accepted word; browsers read this and `UNSPACED`, too."""
UNSPACED = "(?:" + "|".join(rf"\p{{Script={script}}}" for script in UNSPACED_SCRIPTS) + f"|[{UNSPACED_COMMON}ﾞﾟ])$"
"""Words that get no space; no character class, since Chromium 156 finds none beyond 16 bits before `$`."""

_URL = regex.compile(r"(?:https?://|www\.)\S+", regex.IGNORECASE)
# A run without a domain is skipped at once, or the time would be quadratic.
_EMAIL = regex.compile(r"[\w.+-]++(?:@[\w-]+(?:\.[\w-]+)+|(*SKIP)(*FAIL))")
_HANDLE = regex.compile(r"(?<!\w)(?:[@＠]\w+)+")
# IBAN; a date, which is skipped; phone number (nine digits, or eight from + or 0 on, with separators); card.
_ACCOUNT = regex.compile(r"(?<!\p{L})[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]{4}){2,}+(?:[ -]?[A-Z0-9]{1,3}+)?+")
_NUMBER = regex.compile(
    r"(?<!\p{Nd})(?:\p{Nd}{1,2}([./-])\p{Nd}{1,2}\1(?:\p{Nd}{4}|\p{Nd}{2})|\p{Nd}{4}-\p{Nd}{2}-\p{Nd}{2})(?!\p{Nd})(*SKIP)(*FAIL)"
    r"|(?:\+[ (]?\p{Nd}|(?<![\p{L}\p{Nd}])\(?[0٠۰])(?:[ \u00A0\-./()]{0,2}\p{Nd}){7,}+"
    r"|(?<!\p{Nd})\p{Nd}{9,}+|(?<![\p{L}\p{Nd}])\p{Nd}{4}(?:[ -]\p{Nd}{4}){3}(?!\p{Nd})"
)
# Kept: joiners between visible characters (Persian, emoji families), tags that spell a flag, white space.
_INVISIBLE = regex.compile(
    r"(?<=[\p{L}\p{M}\p{So}\p{Sk}])[\u200C\u200D](?=[\p{L}\p{So}])(*SKIP)(*FAIL)"
    r"|\U0001F3F4[\U000E0020-\U000E007F]+(*SKIP)(*FAIL)"
    r"|[\p{Cc}\p{Cf}--[\t\n\v\f\r\x85]]",
    regex.V1,
)
_INVISIBLE_OR_MOVING = regex.compile(r"[[\p{C}\p{Zl}\p{Zp}]--[\u200C\u200D]]", regex.V1)
_SPACES = regex.compile(r"\s+")
_MARK_RUN = regex.compile(r"\p{M}{32,}+")
_SURROGATE = regex.compile(r"[\ud800-\udfff]")
_GRAPHEME = regex.compile(r"\X")
# Elsewhere (Devanagari, Thai) marks spell vowels and must stay.
_POINTS = regex.compile(r"[\p{M}&&[\p{Arabic}\p{Hebrew}\p{Syriac}\p{Inherited}]]", regex.V1)
# Letters that belong to the grapheme before: the vowel AM of Thai and Lao, halfwidth voiced sound marks.
_M = r"[\p{M}\u0E33\u0EB3\uFF9E\uFF9F]"
_UNSPACED_SCRIPT = "".join(rf"\p{{Script={script}}}" for script in UNSPACED_SCRIPTS)
# Letters before Thai (U+0E00), the first of these scripts, are compared with none.
_U = rf"[[\u0E00-\U0010FFFF]&&[{_UNSPACED_SCRIPT}{UNSPACED_COMMON}]&&[[\p{{L}}\p{{N}}]--{_M}]]"
_L = rf"[[\p{{L}}\p{{N}}_]&&[\0-\u0DFF[^{_U}{_M}]]]"
_WORD = regex.compile(
    rf"{_L}(?:[{_L}{_M}]|[\u200C\u200D]++(?=[{_L}{_M}]))*+|{_U}(?:{_M}|[\u200C\u200D]++(?={_M}))*+", regex.V1
)
# Backwards, since a search from the front would try every letter as the beginning of a word.
_OPEN_WORD = regex.compile(rf"(?r)[{_L}{_M}\u200C\u200D]*\Z", regex.V1)
_UNSPACED, _LETTER, _MARK, _EXTENDS, _UNSPACED_END = (
    regex.compile(r, regex.V1) for r in (_U, _L, _M, r"[\p{GCB=Extend}\p{GCB=ZWJ}]", rf"(?r){_U}{_M}{{0,8}}\Z")
)
_GIVES_WAY, _NO_SPACE = map(regex.compile, (GIVES_WAY, UNSPACED))
_STRETCHED = regex.compile(r"(\p{L})\1{2,}+")
_NOT_LETTERS = regex.compile(r"[^\p{L}\p{M}\p{N}]+")
_NOT_LETTERS_OR_UNDERSCORES = regex.compile(r"[^\p{L}\p{M}\p{N}_]+")


@dataclass(frozen=True)
class TextRules:
    """Normalisation before a model sees a text; letters are not folded, so that it writes as people do."""

    nfc: bool = True
    invisible: bool = True
    """Remove control and format characters, but joiners that spell something."""
    tatweel: bool = True
    urls: bool = True
    handles: bool = True
    """E-mail addresses, too."""
    spaces: bool = True
    """Make a run of white space one space, and none at the start."""
    numbers: bool = False

    def normalise(self, text: str) -> str:
        """Return the text as the model sees it, idempotently; a last space, which ends a word, stays."""
        if self.nfc or self.invisible:
            text = _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)
        if self.tatweel:
            text = text.replace(TATWEEL, "")
        if self.invisible:
            text = _INVISIBLE.sub("", text)
        if self.nfc:
            text = _normal_form(text)
        if self.urls:
            text = _URL.sub(URL, text)
        if self.handles:
            text = _HANDLE.sub(HANDLE, _EMAIL.sub(HANDLE, text))
        if self.spaces:
            text = _SPACES.sub(" ", text).lstrip(" ")
        if self.numbers:  # last: fewer spaces may make one number of two
            text = mask_numbers(text)
            text = _HANDLE.sub(HANDLE, text) if self.handles else text  # one that followed a number
        return text

    def to_dict(self) -> dict[str, bool]:
        """Return the rules as a mapping."""
        return cast(dict[str, bool], asdict(self))

    def to_stored(self) -> dict[str, bool]:
        """Return the rules for `model.json`, without `numbers` if off, for older versions."""
        return {name: on for name, on in self.to_dict().items() if on or name != "numbers"}

    @classmethod
    def from_dict(cls, rules: Mapping[str, bool]) -> TextRules:
        """Return the rules of a mapping; `FolderError` for an unknown name."""
        unknown = set(rules) - set(asdict(cls()))
        if unknown:
            raise FolderError(f"the model has the text rule {min(unknown)!r}, which is none of ours; update Kammil.")
        return cls(**rules)


RAW = TextRules(nfc=False, invisible=False, tatweel=False, urls=False, handles=False, spaces=False)


def mask_numbers(text: str) -> str:
    """Replace phone, card and account numbers, but no dates, in linear time."""
    return _NUMBER.sub(NUMBER, _ACCOUNT.sub(NUMBER, text))


PERSONAL = {
    "web addresses": _URL,
    "e-mail addresses": _EMAIL,
    "handles": _HANDLE,
    "account numbers": _ACCOUNT,
    "phone or card numbers": _NUMBER,
}


def personal_counts(text: str) -> dict[str, int]:
    """Count personal data by kind, nothing twice: an address holds no phone number."""
    counts: dict[str, int] = {}
    for kind, pattern in PERSONAL.items():
        text, counts[kind] = pattern.subn(" ", text)
    return counts


def _normal_form(text: str, form: Literal["NFC", "NFKC"] = "NFC") -> str:
    # The standard library sorts long runs of marks in quadratic time.
    return unicodedata.normalize(form, _MARK_RUN.sub(_sort_marks, text))


def _sort_marks(marks: regex.Match[str]) -> str:
    decomposed = "".join(unicodedata.normalize("NFD", mark) for mark in marks[0])
    runs = itertools.groupby(decomposed, key=lambda mark: unicodedata.combining(mark) > 0)
    return "".join(c for _, run in runs for c in sorted(run, key=unicodedata.combining))


def fold(text: str, *, underscores: bool = False) -> str:
    """Return letters, marks and digits for matching, without addresses, handles, case, vowel points and compatibility
    forms; `underscores` keeps those of hashtags."""
    text = _HANDLE.sub("", _EMAIL.sub("", _URL.sub("", text)))
    text = _normal_form(text, "NFKC").casefold().replace(TATWEEL, "")
    dropped = _NOT_LETTERS_OR_UNDERSCORES if underscores else _NOT_LETTERS
    return dropped.sub("", _POINTS.sub("", text))


def fold_spelling(text: str) -> str:
    """Return `fold` with variants of letters (`Language.folds`), and three or more of a letter, as one."""
    return _STRETCHED.sub(r"\1", fold(text).translate(_spelling()))


@pooled
def _spelling() -> dict[int, str]:
    return str.maketrans(union("folds"))


def graphemes(text: str) -> list[str]:
    """Split a text into extended grapheme clusters (Unicode TR29)."""
    return _GRAPHEME.findall(text)


def counted(n: int, noun: str, nouns: str | None = None) -> str:
    """Return, for example, "1 text" or "2,000 texts"."""
    return f"{n:,} {noun if n == 1 else nouns or noun + 's'}"


def listed(names: Sequence[str]) -> str:
    """Return, for example, "a, b and c"."""
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def shortened(text: str, limit: int = 40) -> str:
    """Cut a text to at most `limit` graphemes, the last an ellipsis where some are cut."""
    letters = graphemes(text[: 32 * limit])
    fits = len(letters) <= limit and len(text) <= 32 * limit
    return text if fits else "".join(letters[: limit - 1]) + "\N{HORIZONTAL ELLIPSIS}"


Role = Literal["letter", "unspaced", "mark", "joiner", "neither", "outside"]


def role(character: str) -> Role:
    """Return the role of a character in words, which neither end before `neither`, such as a skin tone, nor go on
    after."""
    if _LETTER.match(character):
        return "letter"
    if _UNSPACED.match(character):
        return "unspaced"
    if _MARK.match(character):
        return "mark"
    if character in "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}":
        return "joiner"
    return "neither" if _EXTENDS.match(character) else "outside"


def visible(text: str) -> str:
    """Replace each control by its picture, and other characters, but joiners, that are invisible or move their
    neighbours by U+FFFD."""
    return _INVISIBLE_OR_MOVING.sub(lambda match: _PICTURES.get(match[0], "\N{REPLACEMENT CHARACTER}"), text)


_PICTURES = {chr(code): chr(0x2400 + code) for code in range(0x20)} | {"\x7f": "\N{SYMBOL FOR DELETE}"}


def visible_label(text: str) -> str:
    """Make a character or the end of text visible, without effect on the direction."""
    if text in _LABELS:
        return _LABELS[text]
    if unicodedata.category(text)[0] in "CZ":
        return f"U+{ord(text):04X}"
    return f"\N{DOTTED CIRCLE}{text}" if role(text) in ("mark", "neither") else visible(text)


_LABELS = {"": "end", " ": "\N{OPEN BOX}", "\N{REPLACEMENT CHARACTER}": "\N{REPLACEMENT CHARACTER}"}


def words(text: str) -> list[tuple[int, int]]:
    """Return the span of each word: a longest run of letters, digits, underscores, marks and inner joiners, or a letter
    of `UNSPACED_SCRIPTS` with its marks."""
    return [match.span() for match in _WORD.finditer(text)]


def open_word(text: str) -> str:
    """Return the unfinished word at the end, or "", with a last joiner, at most `MAX_OPEN_WORD` characters of it."""
    run = _OPEN_WORD.search(text, max(0, len(text) - MAX_OPEN_WORD))
    letter = _LETTER.search(text, run.start()) if run else None
    return text[letter.start() :] if letter else ""


def ends_unspaced(text: str) -> bool:
    """Return whether the last word is of a script without spaces."""
    return bool(_UNSPACED_END.search(text, max(0, len(text) - MAX_OPEN_WORD)))


def unspaced_runs(text: str) -> list[list[int]]:
    """Return the beginnings of the words, and the end, of each run in scripts without spaces."""
    runs: list[list[int]] = []
    for begin, end in (span for span in words(text) if _UNSPACED.match(text, span[0])):
        if not runs or runs[-1][-1] != begin:
            runs.append([begin])
        runs[-1].append(end)
    return runs


def space_after(word: str) -> str:
    """Return the space typed after an accepted word, "" in a script without spaces."""
    return "" if _NO_SPACE.search(word) else " "


def gives_way(typed: str) -> bool:
    """Return whether `typed` removes the space after an accepted word."""
    return bool(_GIVES_WAY.match(typed))


def stays(text: str, end: int) -> bool:
    """Return whether a space follows the accepted word that ends at `end`, and no sign to which it gives way."""
    return text.startswith(" ", end) and not gives_way(text[end + 1 : end + 2])


def keys_saved(added: str) -> int:
    """Return the number of keys that a suggestion saves: its characters, less the accepting key if these are one letter
    or no space comes with them."""
    return (letters := len(added.lstrip(" "))) - (letters == 1 or not space_after(added))


def printable(name: str) -> str:
    """Replace bytes of a file name that are not UTF-8."""
    return name.encode("utf-8", "replace").decode()
