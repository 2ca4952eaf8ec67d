"""Messages of chat exports: WhatsApp's text files and Telegram's JSON, both undocumented and varying by region.

Names, times, notices and numbers of phones and accounts are left out.
"""

from __future__ import annotations

import itertools
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import cast

import regex

from kammil.data.files import NoRowsError
from kammil.errors import nearest
from kammil.text import HANDLE, NUMBER, counted, listed, mask_numbers, shortened, visible

MAX_NAMED = 8

_MARKS = r"[\u200E\u200F\u061C\u202A-\u202E\u2066-\u2069\uFEFF]*+"
_DATE = rf"\p{{Nd}}{{1,4}}{_MARKS}[./-]{_MARKS} ?\p{{Nd}}{{1,2}}{_MARKS}[./-]{_MARKS} ?\p{{Nd}}{{1,4}}\.?"
# "AM", "p. m.", "ص", "下午", German "um": before or after the time.
_WORDS = r"(?:[\s\u200E\u200F\u061C]?[\p{L}.][\p{L}.\s]{0,11})?"
_TIME = rf"{_WORDS}\s?{_MARKS}\p{{Nd}}{{1,2}}[:.]\p{{Nd}}{{2}}(?:[:.]\p{{Nd}}{{2}})?{_MARKS}{_WORDS}{_MARKS}"
_STAMP = rf"{_DATE}{_MARKS}[,،]?{_MARKS}\s?{_TIME}"
# Android: "12/31/23, 11:59 PM - Name: text"; iOS: "[31.12.23, 23:59:59] Name: text".
_HEAD = regex.compile(rf"{_MARKS}(?:\[{_STAMP}\]\s?|{_STAMP}\s?[-–]\s){_MARKS}(?P<rest>.*)", regex.DOTALL)

_STORED = resources.files("kammil.data").joinpath("chat_notices.tsv").read_text("utf-8").splitlines()
_KINDS = [line.split("\t") for line in _STORED if line and not line.startswith("#")]
_MEDIA, _NOTICE = (
    regex.compile("|".join(pattern for kind, pattern in _KINDS if kind == wanted), regex.IGNORECASE)
    for wanted in ("media", "notice")
)
_EDITED = regex.compile(next(pattern for kind, pattern in _KINDS if kind == "edited"))
_MENTION = regex.compile(r"@\u2068[^\u2069\n]{1,80}\u2069")
_EDGES = regex.compile(rf"^{_MARKS}|{_MARKS}$")


@dataclass(frozen=True)
class Message:
    """A message of a chat."""

    sender: str
    """Without direction marks; "" for none."""
    text: str
    """Never blank."""
    forwarded: bool = False


@dataclass(frozen=True)
class Chat:
    """An export of one or more chats."""

    program: str
    messages: Sequence[Message]
    media: int
    notices: int
    """Lines such as "You deleted this message"."""

    def described(self, sender: str | None = None) -> str:
        """Return a sentence on senders and omissions."""
        counts = Counter(message.sender for message in self.messages)
        people = [f"{visible(shortened(name)) or 'nobody named'} ({n:,})" for name, n in counts.most_common(MAX_NAMED)]
        if len(counts) > MAX_NAMED:
            people.append(counted(len(counts) - MAX_NAMED, "other person", "other people"))
        written = f"{self.program} chat: {counted(len(self.messages), 'message')} of {listed(people)}"
        if sender is not None:
            written += f", of which those of {visible(shortened(sender))} are read"
        left_out = [f"{self.media:,} media"] * bool(self.media)
        left_out += [counted(self.notices, "notice")] * bool(self.notices)
        return written + (f"; {listed(left_out)} left out" if left_out else "")


def whatsapp(lines: Iterable[str]) -> Chat | None:
    """Return the messages of a WhatsApp export; None for other lines."""
    rest = itertools.dropwhile(lambda line: not line.strip(), lines)
    first = next(rest, "")
    if not _HEAD.match(first):
        return None
    messages: list[Message] = []
    media, notices, sent = 0, 0, False
    for sender, written in _messages(itertools.chain((first,), rest)):
        sent |= sender is not None
        kept = [line for line in (_EDITED.sub("", line) for line in written) if not _is_notice(line)]
        text = mask_numbers(_MENTION.sub(HANDLE, "\n".join(kept))).strip().strip("\u200e\u200f").strip()
        if sender is not None and text:
            messages.append(Message(sender, text))
        elif sender is not None and any(_MEDIA.fullmatch(_EDGES.sub("", line.strip())) for line in written):
            media += 1
        else:
            notices += 1
    return Chat("WhatsApp", messages, media, notices) if sent else None


def telegram(value: object) -> Chat | None:
    """Return the messages of Telegram's `result.json`; None for any other value."""
    export = _mapping(value)
    several = export.get("chats")
    chats = _items(_mapping(several).get("list")) if isinstance(several, dict) else [export]
    rows = [_mapping(row) for chat in chats for row in _items(_mapping(chat).get("messages")) if isinstance(row, dict)]
    if not any("date" in row and "text" in row and ("from" in row or "actor" in row) for row in rows):
        return None
    messages: list[Message] = []
    sent = 0
    for row in rows:
        text = mask_numbers(_telegram_text(row.get("text"))).strip()
        sent += row.get("type") == "message"
        if row.get("type") == "message" and text:
            sender = row.get("from")
            sender = _plain_name(sender) if isinstance(sender, str) else ""
            messages.append(Message(sender, text, forwarded="forwarded_from" in row or "via_bot" in row))
    return Chat("Telegram", messages, sent - len(messages), len(rows) - sent)


def choose(messages: Iterable[Message], sender: str | None) -> list[str]:
    """Return the texts of all messages, or of a sender's that are not forwarded."""
    messages = list(messages)
    if sender is None:
        return [message.text for message in messages]
    wanted = _plain_name(sender).casefold()
    chosen = [message for message in messages if message.sender.casefold() == wanted]
    if not chosen:
        names = Counter(message.sender for message in messages if message.sender)
        most = ", ".join(visible(shortened(name)) for name, _ in names.most_common(MAX_NAMED)) or "nobody"
        raise NoRowsError(f"--from {sender!r} wrote no message{nearest(wanted, names)}; who wrote most: {most}")
    return [message.text for message in chosen if not message.forwarded]


def _messages(lines: Iterable[str]) -> Iterator[tuple[str | None, list[str]]]:
    sender: str | None = None
    written: list[str] = []
    for line in lines:
        if head := _HEAD.match(line):
            if written:
                yield sender, written
            name, colon, text = head["rest"].partition(": ")
            if not colon and head["rest"].endswith(":"):
                name, colon, text = head["rest"][:-1], ":", ""
            sender, written = (_plain_name(name), [text]) if colon else (None, [name])
        else:
            written.append(line)
    yield sender, written


def _is_notice(line: str) -> bool:
    """iOS begins notices with a mark, which nobody types."""
    plain = _EDGES.sub("", line.strip())
    return line.startswith("\u200e") or any(kind.fullmatch(plain) for kind in (_MEDIA, _NOTICE))


def _plain_name(name: str) -> str:
    """NFC, without marks of direction and the tilde of strangers."""
    kept = "".join(c for c in unicodedata.normalize("NFC", name) if unicodedata.category(c) != "Cf")
    return " ".join(kept.replace("~", " ", 1).split() if kept.lstrip().startswith("~") else kept.split())


def _mapping(value: object) -> Mapping[str, object]:
    return cast(dict[str, object], value) if isinstance(value, dict) else {}


def _items(value: object) -> list[object]:
    return cast(list[object], value) if isinstance(value, list) else []


def _telegram_text(text: object) -> str:
    parts: list[str] = []
    for part in [text] if isinstance(text, str) else _items(text):
        kind, content = (_mapping(part).get(key) for key in ("type", "text"))
        if isinstance(part, str):
            parts.append(part)
        elif kind in ("mention", "mention_name"):
            parts.append(HANDLE)
        elif kind in ("phone", "bank_card"):
            parts.append(NUMBER)
        elif isinstance(content, str):
            parts.append(content)
    return "".join(parts)
