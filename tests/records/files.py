"""Files that somebody might have read, each made from its number: tables, chats, lines of text, and broken ones."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from random import Random
from typing import Any

NUMBER = 3_000
SENTENCES = (
    "شو الأخبار اليوم؟",
    "رح نطلع مشوار عالبحر بكرا",
    "وينك من زمان ما شفناك",
    "القهوة باردة، سخنها شوي",
    "يا زلمة الطقس كتير حلو!",
    "بدي روح عالسوق جيب خضرا",
    "ما عندي وقت هلق",
    "خلص الدوام وصلنا عالبيت",
    "اكتبلي بس توصل",
    'قلتله "تعال" وما رد',
    "كتابٌ جَميلٌ جدّاً",
    "the bus was late, again",
    "see you at 8; bring bread",
    "kifak ya zalame",
    "😂😂 شو هالحكي 🇱🇧",
    "@rami شوف الرابط https://example.org/a?b=1",
    "رقمي 0791234567 اتصل بعد العصر",
    "سطر أول\nسطر تاني",
    "مع\tفاصل",
    "=1+2",
    "О чём ты говоришь?",
    "ça va très bien, merci",
    "\u200fمن اليمين\u200e",
    "nbsp\u00a0here",
    "  فراغ حوله  ",
    "'مفرد' و \"مزدوج\"",
    "3,14",
    "42",
    "",
    "   ",
)
NAMES = (
    ("text", "id", "label", "date", "source"),
    ("Tweet", "Country", "score", "Date", "Topic"),
    ("id", "نص", "البلد", "عدد", "تاريخ"),
    ("full_text", "text", "source", "n", "user name"),
    ("a", "b", "c", "a", "b"),
    ("1", "2", "3", "4", "5"),
    ("comment", "order", "select", "where", "x y"),
    ("body", "", "likes", "النص", "z"),
)
ENCODINGS = (
    "utf-8",
    "utf-8-sig",
    "utf-16",
    "utf-16-le",
    "utf-16-be",
    "utf-32",
    "cp1256",
    "cp1252",
    "koi8-r",
    "iso-8859-6",
)


@dataclass(frozen=True)
class Case:
    """Something to read, and how."""

    id: str
    files: dict[str, bytes]
    """Path in a folder -> content."""
    source: str
    """Which of them is named: a file, `.` for the folder, `-` for the first of them as standard input."""
    options: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def shown(self) -> dict[str, Any]:
        """What a difference is shown with."""
        files = {name: repr(data[:300])[2:-1] for name, data in self.files.items()}
        return {"source": self.source, "options": self.options, "files": files}


def case(number: int) -> Case:
    """Make the file of a number."""
    random = Random(f"readers {number}")
    (kind,) = random.choices(list(_KINDS), [weight for _, _, weight in _KINDS.values()])
    make, endings, _ = _KINDS[kind]
    data, options = make(random)
    name = random.choice(("a", "b.c", "ملف", "with space")) + random.choice(endings)
    if random.random() < 0.06:
        data = _break(random, data)
    if random.random() < 0.05:
        name, data = _compress(random, name, data)
    if random.random() < 0.02:
        name = random.choice(("x.csv", "x.tsv", "x.json", "x.jsonl", "x.txt", "x.xlsx", "x.parquet", "x", "x.doc"))
    if random.random() < 0.015:
        options[random.choice(("sender", "column", "delimiter", "source_column"))] = random.choice(("text", ",", "9"))
    files, source = {name: data}, name
    drawn = random.random()
    if drawn < 0.04:
        source = "-"
    elif drawn < 0.08:
        other, _ = make(random)
        files |= {f"more/second{random.choice(endings)}": other, ".hidden.txt": b"hidden", "note.md": b"# no text"}
        source = "."
    elif drawn < 0.085:
        source = random.choice(("missing.csv", f"{name}.old", "shamy", "lev30/tset"))
    return Case(f"{kind}-{number}", files, source, options)


def sentence(random: Random) -> str:
    if random.random() < 0.8:
        return random.choice(SENTENCES)
    words = " ".join(random.choice(SENTENCES) for _ in range(2)).split(" ")
    random.shuffle(words)
    return " ".join(words)


def _column(random: Random, kind: str, rows: int) -> list[Any]:
    makers: dict[str, Callable[[int], Any]] = {
        "text": lambda _: sentence(random),
        "number": lambda _: random.choice((random.randrange(100), round(random.random() * 9, 2))),
        "whole": lambda i: i + 1,
        "date": lambda i: date(2021, 1 + i % 12, 1 + random.randrange(28)).isoformat(),
        "label": lambda _: random.choice(("lebanon", "syria", "jordan", "palestine", "")),
        "source": lambda _: random.choice(("web", "phone", "كتاب", "")),
        "blank": lambda _: "",
    }
    return [makers[kind](i) for i in range(rows)]


def _columns(random: Random) -> tuple[list[str], list[list[Any]], dict[str, str]]:
    """Names and cells of a table, with at least one column of texts as a rule, and options to read it."""
    width, rows = random.choice((1, 1, 2, 2, 3, 3, 4, 5)), random.choice((0, 1, 2, 3, 3, 5, 5, 8, 8, 12, 12, 30))
    kinds = [random.choice(("text", "number", "whole", "date", "label", "source", "blank")) for _ in range(width)]
    if random.random() < 0.9:
        kinds[random.randrange(width)] = "text"
    names = list(random.choice(NAMES))
    random.shuffle(names)
    names = names[:width]
    textual = [i for i, kind in enumerate(kinds) if kind == "text"] or list(range(width))
    return names, [_column(random, kind, rows) for kind in kinds], _options(random, names, random.choice(textual))


def _options(random: Random, names: Sequence[str], textual: int = 0) -> dict[str, str]:
    """Options of reading a table, most of them right; `textual` is the index of a column of texts."""
    options: dict[str, str] = {}
    drawn, some = random.random(), random.choice(names)
    if drawn < 0.7:
        options["column"] = names[textual]
    elif drawn < 0.8:
        options["column"] = str(random.choice((textual + 1, textual + 1, random.randrange(7))))
    elif drawn < 0.86:
        options["column"] = random.choice((some, some.upper(), some + "s", "nothing", "", "text.more", "0x"))
    if random.random() < 0.15:
        quoted = '"' + some.replace('"', '""') + '"'
        options["where"] = random.choice(
            (
                f"{quoted} = 'lebanon'",
                f"{quoted} <> ''",
                f"{quoted} > 5",
                f"{quoted} IS NOT NULL AND length({quoted}) > 4",
                f"{quoted} LIKE '%ش%'",
                f"lower({quoted}) IN ('lebanon', 'web', '42')",
                f"NOT ({quoted} BETWEEN 1 AND 40)",
                f"CAST({quoted} AS INTEGER) % 2 = 0",
                f"{some} = 1",
                '"1" = "2"',
                "country = 'syria'",
                "1 = 1; DROP TABLE t",
                "max(",
                "",
            )
        )
    if random.random() < 0.06:
        options["source_column"] = random.choice((some, some, some, "source", "Country", "sauce"))
    return options


def _encode(random: Random, text: str, options: dict[str, str]) -> bytes:
    encoding = "utf-8" if random.random() < 0.7 else random.choice(ENCODINGS)
    if encoding not in ("utf-8", "utf-8-sig") and random.random() < 0.75:
        options["encoding"] = encoding
    elif random.random() < 0.03:
        options["encoding"] = random.choice(("latin-1", "cp1256", "utf-16", "nonsense", "rot13"))
    return text.encode(encoding, "replace")


def _delimited(random: Random, delimiters: str) -> tuple[bytes, dict[str, str]]:
    names, columns, options = _columns(random)
    delimiter = random.choice(delimiters)
    rows: list[list[Any]] = [list(row) for row in zip(*columns, strict=True)]
    if random.random() < 0.75:
        rows.insert(0, list(names))
    elif options.get("column") in names and random.random() < 0.8:
        options["column"] = str(names.index(options["column"]) + 1)
        options.pop("source_column", None)
    if random.random() < 0.08 and rows:
        row = random.choice(rows)
        _ = row.append("more") if random.random() < 0.5 else row.pop()
    written = io.StringIO()
    end = random.choice(("\n", "\n", "\n", "\r\n", "\r"))
    if random.random() < 0.85:
        quoting = random.choice((csv.QUOTE_MINIMAL, csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC))
        csv.writer(written, delimiter=delimiter, quoting=quoting, lineterminator=end).writerows(rows)
    else:  # stray quotes and line feeds
        written.write("".join(delimiter.join(map(str, row)) + end for row in rows))
    text = written.getvalue()
    if random.random() < 0.05:
        text = f"sep={delimiter}{end}{text}"
    if random.random() < 0.06:
        text = random.choice((f"{end}{text}", f"{text}{end}{end}", text.replace(end, end * 2, 1), text.rstrip()))
    if random.random() < 0.12:
        named = {"\t": "tab"}.get(delimiter, delimiter)
        options["delimiter"] = random.choice((named,) * 6 + (";", "tab", "::", '"'))
    return _encode(random, text, options), options


def _csv(random: Random) -> tuple[bytes, dict[str, str]]:
    return _delimited(random, ",,,,;;\t|")


def _tsv(random: Random) -> tuple[bytes, dict[str, str]]:
    return _delimited(random, "\t\t\t\t\t,")


def _tabs(random: Random) -> tuple[bytes, dict[str, str]]:
    """A table that is called .txt: with a delimiter that is given, or as Excel writes Unicode text."""
    data, options = _tsv(random)
    if random.random() < 0.5:
        return data, options | {"delimiter": "tab"}
    return data.decode("utf-8", "replace").encode("utf-16"), options


def _value(random: Random, depth: int = 0) -> Any:
    """A value of JSON, seldom deep."""
    drawn = random.random()
    if drawn < 0.6 or depth > 2:
        return sentence(random)
    if drawn < 0.7:
        return random.choice((None, 3, 2.5, True, -1, 1e300))
    if drawn < 0.88:
        return {key: _value(random, depth + 1) for key in random.sample(("text", "user", "n", "parts"), 2)}
    return [_value(random, depth + 1) for _ in range(random.randrange(3))]


def objects(random: Random) -> tuple[list[dict[str, Any]], dict[str, str]]:
    names, columns, options = _columns(random)
    rows = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    if random.random() < 0.3:
        for row in rows:
            row["message"] = _value(random) if random.random() < 0.1 else {"text": sentence(random), "n": 1}
        if random.random() < 0.7:
            options["column"] = random.choice(
                ("message.text", "message", "message.texts", "message.n", "message.text.a")
            )
    if random.random() < 0.2:
        for row in rows:
            row["items"] = [{"text": sentence(random)} for _ in range(random.randrange(3))]
        if random.random() < 0.8:
            options["column"] = random.choice((*("items.text",) * 5, "items"))
    if random.random() < 0.2 and rows:
        random.choice(rows)[random.choice(names)] = _value(random)
    if random.random() < 0.1 and rows:
        random.choice(rows).clear()
    return rows, options


def _spelt(random: Random, value: object) -> str:
    text = json.dumps(value, ensure_ascii=random.random() < 0.3, indent=random.choice((None, None, 1)))
    return text.replace("2.5", "NaN") if random.random() < 0.02 else text


def _json(random: Random) -> tuple[bytes, dict[str, str]]:
    rows, options = objects(random)
    texts = [sentence(random) for _ in range(3)]
    whole: Any = random.choice(
        (
            *(rows,) * 12,
            *({"data": rows, "version": 3},) * 3,
            {"data": rows, "more": rows},
            {"a": {"data": rows}},
            *(texts,) * 2,
            *({"text": sentence(random), "n": 1},) * 2,
            {"text": texts},
            [rows],
            _value(random),
            [*rows, 3],
        )
    )
    if random.random() < 0.08:
        options["column"] = random.choice(("data.text", "a.data.text", "more.text", "text", "data.message.text"))
    text = _spelt(random, whole)
    if random.random() < 0.05:
        text = text.replace("ا", "\\ud83d", 1)
    return _encode(random, text, options), options


def _jsonl(random: Random) -> tuple[bytes, dict[str, str]]:
    rows, options = objects(random)
    lines = [json.dumps(row, ensure_ascii=random.random() < 0.3) for row in rows]
    if random.random() < 0.1:
        lines.insert(random.randrange(len(lines) + 1), random.choice(("", "  ", "[1]", "3", '"text"', "{", "null")))
    return _encode(random, random.choice(("\n", "\n", "\r\n")).join(lines), options), options


def _workbook(random: Random) -> tuple[bytes, dict[str, str]]:
    import xlsxwriter

    names, columns, options = _columns(random)
    data = io.BytesIO()
    book = xlsxwriter.Workbook(data, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False})
    book.set_properties({"created": datetime(2024, 1, 1, tzinfo=UTC).replace(tzinfo=None)})
    sheet = book.add_worksheet()
    rows: list[Any] = [list(row) for row in zip(*columns, strict=True)]
    if random.random() < 0.8:
        rows.insert(0, names)
    skipped = random.choice((0, 0, 0, 1))
    for i, row in enumerate(rows):
        for j, cell in enumerate(row):
            if cell != "":
                sheet.write(i + skipped, j, cell)
    if random.random() < 0.05:
        sheet.write_formula(0, 6, "=1+2", value=3)
    if random.random() < 0.1:
        book.add_worksheet().write(0, 0, "second")
    book.close()
    return data.getvalue(), options


def _parquet(random: Random) -> tuple[bytes, dict[str, str]]:
    import polars as pl

    names, columns, options = _columns(random)
    series: dict[str, Any] = {}
    for name, column in zip(names, columns, strict=True):
        cells = [None if cell == "" and random.random() < 0.5 else cell for cell in column]
        series[name] = pl.Series(cells, strict=False)
    if random.random() < 0.3:
        rows = len(columns[0])
        series["message"] = pl.Series([{"text": sentence(random), "n": i} for i in range(rows)])
        series["items"] = pl.Series([[{"text": sentence(random)}] * random.randrange(3) for _ in range(rows)])
        if random.random() < 0.5:
            options["column"] = random.choice(("message.text", "items.text", "message.n", "items"))
    data = io.BytesIO()
    pl.DataFrame(series).write_parquet(data, compression=random.choice(("zstd", "snappy", "uncompressed")))
    return data.getvalue(), options


_STAMPS = (
    "{d}/{m}/23, {h}:{s} - ",
    "{m}/{d}/23, {h}:{s} PM - ",
    "[{d}.{m}.23, {h}:{s}:09] ",
    "[{d}/{m}/2023, {h}:{s}:09 ص] ",
    "\u200e[{d}/{m}/2023، {h}:{s}:09 م] ",
    "{d}.{m}.23 um {h}:{s} – ",
)
_SENDERS = ("رامي", "Sara K", "~ Nour", "+961 3 123 456", "\u202aMaya\u202c", "ام علي: الجارة")
_SAID = (
    "<Media omitted>",
    "تم حذف هذه الرسالة",
    "You deleted this message",
    "IMG-20231231-WA0001.jpg (file attached)",
    "\u200eimage omitted",
    "شفت @\u2068Sara K\u2069 مبارح",
    "تمام <This message was edited>",
    "null",
    "",
)


def _whatsapp(random: Random) -> tuple[bytes, dict[str, str]]:
    stamp = random.choice(_STAMPS)
    lines: list[str] = []
    for _ in range(random.choice((0, 1, 3, 10, 25))):
        head = stamp.format(**{name: f"{random.randrange(1, 13):02}" for name in "dmhs"})
        drawn = random.random()
        said = random.choice(_SAID) if drawn < 0.25 else sentence(random)
        if drawn > 0.9:
            lines.append(head + random.choice(("Messages and calls are end-to-end encrypted.", "رامي أضاف سارة")))
        else:
            lines.append(f"{head}{random.choice(_SENDERS)}: {said}")
    if random.random() < 0.1:
        lines.insert(0, sentence(random))
    options: dict[str, str] = {}
    if random.random() < 0.4:
        options["sender"] = random.choice((*_SENDERS, "sara k", "Nour", "رامى", "nobody"))
    return _encode(random, random.choice(("\n", "\r\n")).join(lines) + "\n", options), options


def _telegram(random: Random) -> tuple[bytes, dict[str, str]]:
    def message(i: int) -> dict[str, Any]:
        parts = [
            "شوف ",
            {"type": "mention", "text": "@rami"},
            {"type": "phone", "text": "0791234567"},
            {"type": "bold"},
        ]
        row: dict[str, Any] = {
            "id": i,
            "type": random.choice(("message",) * 9 + ("service",)),
            "date": "2023-05-06T10:11:12",
            "from": random.choice((*_SENDERS, None)),
            "text": parts if random.random() < 0.15 else sentence(random),
        }
        if random.random() < 0.1:
            row["forwarded_from"] = "Channel"
        if random.random() < 0.05:
            row.pop(random.choice(list(row)))
        return row

    def chat() -> dict[str, Any]:
        return {"name": "chat", "type": "personal_chat", "messages": [message(i) for i in range(random.randrange(12))]}

    whole: Any = chat() if random.random() < 0.7 else {"chats": {"about": "", "list": [chat(), chat()]}}
    options: dict[str, str] = {}
    if random.random() < 0.4:
        options["sender"] = random.choice((*_SENDERS, "sara k", "Nour", "nobody"))
    if random.random() < 0.1:
        options["column"] = random.choice(("messages.text", "text", "chats.list.messages.text"))
    return _encode(random, _spelt(random, whole), options), options


def _lines(random: Random) -> tuple[bytes, dict[str, str]]:
    options: dict[str, str] = {}
    lines = [sentence(random) for _ in range(random.choice((1, 2, 5, 20)))]
    if random.random() < 0.1:
        options |= _options(random, ["text", "1"])
    if random.random() < 0.1:
        options["delimiter"] = random.choice((",", "tab", ";"))
    end = random.choice(("\n", "\n", "\r\n", "\r", "\u2028", "\x0b"))
    return _encode(random, end.join(lines), options), options


def _broken(random: Random) -> tuple[bytes, dict[str, str]]:
    data = random.choice(
        (
            b"",
            b" \n\n \t\n",
            b"\xef\xbb\xbf",
            b"\xff\xfe",
            b"\x89PNG\r\n\x1a\n" + bytes(40),
            b"%PDF-1.7 text",
            b"PK\x03\x04" + bytes(60),
            b"PAR1" + bytes(30) + b"PAR1",
            b"\x1f\x8b\x08\x00" + bytes(20),
            b"\x28\xb5\x2f\xfd" + bytes(20),
            "نص\0نص\n".encode(),
            b"\xc7\xe1\xd3\xe1\xc7\xe3 \xda\xe1\xed\xdf\xe3\n" * 5,
            b'text\n"open\n',
            b"[" * 100_000,
            b'{"text": "a"' + b"}" * 3,
            b'{"a": 1}\n{"text": "b"}\n',
            random.randbytes(200),
        )
    )
    return data, _options(random, ["text", "a"])


def _break(random: Random, data: bytes) -> bytes:
    """Cut a file, change a byte of it, or put one in."""
    if not data:
        return data
    at = random.randrange(len(data))
    return random.choice((data[:at], data[:at] + random.randbytes(1) + data[at + 1 :], data[:at] + b"\xff" + data[at:]))


def _compress(random: Random, name: str, data: bytes) -> tuple[str, bytes]:
    import zstandard

    if random.random() < 0.5:
        name, data = f"{name}.gz", gzip.compress(data, mtime=0)
    else:
        name, data = f"{name}.zst", zstandard.compress(data)
    return name, data[:-3] if random.random() < 0.15 else data


_KINDS: dict[str, tuple[Callable[[Random], tuple[bytes, dict[str, str]]], tuple[str, ...], int]] = {
    "csv": (_csv, (".csv", ".csv", ".CSV"), 25),
    "tsv": (_tsv, (".tsv", ".tsv", ".TSV"), 11),
    "tabs": (_tabs, (".txt",), 3),
    "json": (_json, (".json",), 12),
    "jsonl": (_jsonl, (".jsonl", ".ndjson"), 11),
    "xlsx": (_workbook, (".xlsx",), 8),
    "parquet": (_parquet, (".parquet",), 8),
    "whatsapp": (_whatsapp, (".txt",), 7),
    "telegram": (_telegram, (".json",), 5),
    "lines": (_lines, (".txt", ".txt", ".TXT"), 5),
    "broken": (_broken, (".txt", ".csv", ".tsv", ".json", ".jsonl", ".xlsx", ".parquet", ".gz"), 3),
}
"""Kind -> what makes the bytes and options of one, its endings, how often it is drawn."""
