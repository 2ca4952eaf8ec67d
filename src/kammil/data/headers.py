"""Guess whether the first row of a table is a header, which names the columns."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import regex

from kammil.text import fold, role, words

_SENTENCE = regex.compile(r"[.!?…؟。！？،,;؛](?:\s|\Z)|[@#]\w")
_LINK_OR_EMOJI = regex.compile(r"https?://|\p{Extended_Pictographic}")
_CHARACTERS_PER_WORD = 2  # in scripts that put no spaces between words
_MIN_NUMBERS = 2
"""Fewest cells with numbers below a name: a single one may be chance."""
_NUMBER = regex.compile(r"(?=.*\p{Nd})[\p{Nd}\p{P}\p{Sc}\s+TZ]+", regex.DOTALL)  # or a date, a time, a price
_NAME = regex.compile(r"\p{L}[^\p{Nd}]*")
_MISSING = frozenset(
    ("na", "nan", "none", "null", "missing", "unknown", "لايوجد", "غيرمعروف", "مجهول", "غيرمتوفر", "لاشيء")
)  # `fold` of what stands for no number

_NAMES = """
text texts body bodies content contents message messages msg tweet tweets post posts comment comments sentence sentences
review reviews caption captions reply replies utterance utterances
نص النص نصوص النصوص رسالة الرسالة رسائل الرسائل تغريدة التغريدة تغريدات التغريدات منشور المنشور منشورات المنشورات
تعليق التعليق تعليقات التعليقات جملة الجملة جمل الجمل محتوى المحتوى متن المتن پیام
texte textes contenu commentaire texto textos mensaje mensajes mensagem testo messaggio metin mesaj nachricht
текст тексты сообщение сообщения κείμενο μήνυμα טקסט הודעה הודעות 文本 内容 正文 消息 本文 テキスト 텍스트 내용
"""
TEXT_NAMES = frozenset(map(fold, _NAMES.split()))
"""Usual names of a column of texts, folded."""
_QUALIFIERS = frozenset(("full", "raw", "clean", "cleaned", "original", "the", "of", "ar", "en"))  # as in `full_text`
_WORDS = regex.compile(r"[\s_\-.:/]+|(?<=\p{Ll})(?=\p{Lu})")  # tweet_text, TweetText


def looks_like_a_text(name: str, cells: Sequence[str]) -> bool:
    """Guess whether the name of a column is rather its first text; `cells` are the cells below it.

    A name is a text if a cell repeats it; if it holds a link or an emoji; if it has at least two words and the marks of
    a sentence, a hashtag or a handle; at least three words, and is no shorter than a quarter of the cells; or six.
    """
    cells = [cell for cell in cells if cell]
    if name in cells or _LINK_OR_EMOJI.search(name):
        return True
    found = words(name)
    unspaced = sum(role(name[begin]) == "unspaced" for begin, _ in found)
    count = len(found) - unspaced + unspaced // _CHARACTERS_PER_WORD
    if count >= 6 or (count >= 2 and _SENTENCE.search(name)):
        return True
    lengths = [len(cell) for cell in cells]
    first_quartile = statistics.quantiles(lengths, n=4)[0] if len(lengths) > 1 else sum(lengths)
    return count >= 3 and len(name) >= first_quartile


def is_header(rows: Sequence[Sequence[str]], column: int) -> bool:
    """Guess whether the first of some rows names the columns of a table whose texts are in `column`, counted from 0.

    The cell of that column is no text (`looks_like_a_text`), no cell of the row is blank, and either that cell is a
    usual name of such a column (`TEXT_NAMES`: text, tweet, `full_text`, نص), or another column has nothing but numbers
    or dates, two at least, below a name.
    """
    if not rows or not 0 <= column < len(rows[0]) or not all(cell.strip() for cell in rows[0]):
        return False
    first, *below = rows
    if looks_like_a_text(first[column], _column(below, column)):
        return False
    return _names_texts(first[column]) or any(
        _names_numbers(name, _column(below, other)) for other, name in enumerate(first) if other != column
    )


def _column(rows: Sequence[Sequence[str]], column: int) -> list[str]:
    """Return the cells of a column that are not blank; rows may be short."""
    return [row[column] for row in rows if column < len(row) and row[column].strip()]


def _names_texts(name: str) -> bool:
    parts = {fold(part) for part in _WORDS.split(name)} - {""}
    return bool(parts & TEXT_NAMES) and parts <= TEXT_NAMES | _QUALIFIERS


def _names_numbers(name: str, cells: Sequence[str]) -> bool:
    """Whether a cell is a name and all cells below it are numbers or dates."""
    if fold(name) in _MISSING or not _NAME.fullmatch(name.strip()) or len(cells) < _MIN_NUMBERS:
        return False
    return all(_NUMBER.fullmatch(cell) for cell in cells)
