"""Chat exports as phones and computers write them: what people wrote comes back, and nothing else."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kammil.data import sources
from kammil.data.chats import Message, choose, telegram, whatsapp
from kammil.data.sources import rows as read_rows
from kammil.errors import DataError
from kammil.text import HANDLE, NUMBER

LRM, RLM, NARROW = "\u200e", "\u200f", "\u202f"
HEADS = [
    "12/31/23, 11:59 PM - ",
    f"12/31/23, 11:59{NARROW}PM - ",
    "31/12/2023, 23:59 - ",
    "31.12.23, 23:59 - ",
    "2023-12-31, 23:59 - ",
    "31/12/2023 23:59 - ",
    "31/12/2023, 11:59 p. m. - ",
    "31/12/23 à 23:59 - ",
    "31.12.2023 klo 23.59 - ",
    "31. 12. 2023, 23:59 - ",
    f"٣١{RLM}/١٢{RLM}/٢٠٢٣، ١١:٥٩ م - ",
    f"{RLM}31{RLM}/12{RLM}/2023, 11:59 م - ",
    "31/12/2023، 9:05 ص - ",
    "۱۴۰۲/۱۰/۱۰،\u200f ۲۳:۵۹ - ",
    "[31/12/2023, 23:59:59] ",
    f"{LRM}[31.12.23, 23:59:59] ",
    f"[12/31/23, 11:59:59{NARROW}PM] ",
    f"[٣١{RLM}/١٢{RLM}/٢٠٢٣، ١١:٥٩:٥٩ م] ",
    "[2023/12/31 下午11:59:59] ",
]
words = st.text(st.sampled_from("شومنيحabc؟! 😂\u200c12"), min_size=1, max_size=20).filter(
    lambda text: text.strip() and not re.search(r"[12]{4}", text)
)
names = st.sampled_from(["سامر", "Rana K.", "~ Karim", "+963 900 000 000", "أم سعيد 🌷", f"{LRM}Layla"])


def plain(name: str) -> str:
    return name.replace("~ ", "").replace(LRM, "")


@given(
    messages=st.lists(st.tuples(names, st.lists(words, min_size=1, max_size=3)), min_size=1, max_size=6),
    head=st.sampled_from(HEADS),
)
def test_a_chat_that_was_written_is_read_back(messages: list[tuple[str, list[str]]], head: str) -> None:
    lines = [head + "Messages and calls are end-to-end encrypted."]
    for name, written in messages:
        lines += f"{head}{name}: {chr(10).join(written)}".split("\n")
    found = whatsapp([line.strip() for line in lines])
    assert found is not None and (found.media, found.notices) == (0, 1)
    found = found.messages
    expected = ["\n".join(line.strip() for line in written).strip() for _, written in messages]
    first = [w[0].strip() for _, w in messages]
    assert [message.text.split("\n")[0] for message in found] == [text for text in first if text]
    assert [re.sub(r"\s", "", message.text) for message in found] == [re.sub(r"\s", "", text) for text in expected]
    assert [message.sender for message in found] == [plain(name) for name, _ in messages]


ANDROID = """31/12/2023, 23:50 - الرسائل والمكالمات مشفرة تمامًا بين الطرفين.
31/12/2023, 23:50 - سامر: كل سنة وأنت سالم
31/12/2023, 23:51 - رنا: وأنت سالم يا رب
إن شاء الله سنة خير

عالكل
31/12/2023, 23:52 - رنا: <تم استبعاد الوسائط>
31/12/2023, 23:52 - سامر: <Media omitted>
31/12/2023, 23:53 - سامر: تم حذف هذه الرسالة
31/12/2023, 23:53 - رنا: IMG-20231231-WA0001.jpg (file attached)
شوفي هالصورة
31/12/2023, 23:54 - سامر: رقمي الجديد 0900 000 000 <تم تعديل هذه الرسالة>
31/12/2023, 23:55 - سامر: بكرا: الساعة 9:30 منلتقى @\u2068أم سعيد\u2069
31/12/2023, 23:56 - أضاف سامر رنا
31/12/2023, 23:57 - رنا: You deleted this message
31/12/2023, 23:57 - رنا: null
31/12/2023, 23:58 - رنا: <3
"""


def test_an_android_export(tmp_path: Path) -> None:
    path = tmp_path / "WhatsApp Chat with Rana.txt"
    path.write_text(ANDROID, "utf-8")
    read = read_rows(path)
    assert read.texts == (
        "كل سنة وأنت سالم",
        "وأنت سالم يا رب\nإن شاء الله سنة خير\n\nعالكل",
        "شوفي هالصورة",
        f"رقمي الجديد {NUMBER}",
        f"بكرا: الساعة 9:30 منلتقى {HANDLE}",
        "<3",
    )
    assert (read.chat, read.sources, read.column) == ("WhatsApp", None, None)
    assert read_rows(path, sender="سامر").texts == (read.texts[0], *read.texts[3:5])
    assert read.chats == ("WhatsApp chat: 6 messages of سامر (3) and رنا (3); 2 media and 5 notices left out",)
    assert "of which those of سامر are read" in read_rows(path, sender="سامر").chats[0]


def test_an_ios_export() -> None:
    found = whatsapp(
        [
            "[31.12.23, 23:50:00] Familie: \u200eNachrichten und Anrufe sind Ende-zu-Ende-verschlüsselt.",
            "[31.12.23, 23:50:01] Jana: Guten Rutsch",
            "\u200e[31.12.23, 23:50:02] Jana: \u200eBild weggelassen",
            "\u200e[31.12.23, 23:50:03] Jana: \u200e<Anhang: 00000012-PHOTO-2023-12-31-23-50-03.jpg>",
            "[31.12.23, 23:50:04] ~\u202fOle: ebenso! \u200e<Diese Nachricht wurde bearbeitet.>",
            "[31.12.23, 23:50:05] Ole: \u200eimage omitted",
            "[31.12.23, 23:50:06] Ole: image omitted",
            "[31.12.23, 23:50:07] Jana: Diese Nachricht wurde gelöscht.",
            "[31.12.23, 23:50:08] Jana:",
            "[31.12.23, 23:50:09] Jana: تم إستبعاد الصورة",
        ]
    )
    assert found is not None
    assert found.messages == [Message("Jana", "Guten Rutsch"), Message("Ole", "ebenso!")]
    assert (found.media, found.notices) == (5, 3)


@pytest.mark.parametrize(
    "lines",
    [
        ["شو في ما في", "31/12/2023, 23:50 - سامر: كل سنة"],
        ["31/12/2023, 23:50 - موعد", "1/1/2024, 10:00 - عمل"],
        ["12/5: شو", "[1] أول: مرحبا"],
        [""],
        [],
    ],
)
def test_texts_that_are_no_chat(lines: list[str]) -> None:
    assert whatsapp(lines) is None


def test_hostile_lines_take_linear_time() -> None:
    head = "31/12/2023, 23:50 - A: "
    for line in (
        "1" * 10**6,
        "\u200e" * 10**6,
        "<" * 10**6,
        head + "a." * 10**6,
        head + "@\u2068" * 10**5,
        "1/" * 10**6,
    ):
        began = time.process_time()
        whatsapp([head + "x", line])
        assert time.process_time() - began < 5


EXPORT = {
    "name": "Rana",
    "type": "personal_chat",
    "id": 1,
    "messages": [
        {"id": 1, "type": "service", "date": "2023-12-31T23:50:00", "actor": "Samer", "action": "x", "text": ""},
        {"id": 2, "type": "message", "date": "2023-12-31T23:50:00", "from": "Samer", "text": "كل سنة وأنت سالم"},
        {
            "id": 3,
            "type": "message",
            "date": "2023-12-31T23:51:00",
            "from": "Rana",
            "text": [
                "شوف ",
                {"type": "link", "text": "https://example.org/a"},
                " يا ",
                {"type": "mention_name", "text": "Samer", "user_id": 1},
                " ودق ",
                {"type": "phone", "text": "0900000000"},
                {"type": "bold", "text": "!"},
            ],
        },
        {"id": 4, "type": "message", "date": "2023-12-31T23:52:00", "from": "Rana", "photo": "p.jpg", "text": ""},
        {
            "id": 5,
            "type": "message",
            "date": "2023-12-31T23:53:00",
            "from": "Rana",
            "forwarded_from": "News",
            "text": "خبر عاجل",
        },
        {"id": 6, "type": "message", "date": "2023-12-31T23:54:00", "from": None, "text": "حساب محذوف"},
    ],
}


@pytest.mark.parametrize("whole", [False, True])
def test_a_telegram_export(tmp_path: Path, whole: bool) -> None:
    value = {"about": "...", "chats": {"about": "...", "list": [EXPORT, {"id": 2}]}} if whole else EXPORT
    path = tmp_path / "result.json"
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1), "utf-8")
    read = read_rows(path)
    second = f"شوف https://example.org/a يا {HANDLE} ودق {NUMBER}!"
    assert read.texts == ("كل سنة وأنت سالم", second, "خبر عاجل", "حساب محذوف")
    assert (read.chat, read.sources) == ("Telegram", None)
    assert read.chats == (
        "Telegram chat: 4 messages of Rana (2), Samer (1) and nobody named (1); 1 media and 1 notice left out",
    )
    assert read_rows(path, sender="rana").texts == (second,)


@pytest.mark.parametrize(
    "value", [None, 1, [], {}, {"messages": 1}, {"messages": [1, {"text": "a"}]}, {"chats": {"list": 1}}, {"chats": 1}]
)
def test_values_that_are_no_telegram_export(value: object) -> None:
    assert telegram(value) is None


def test_a_sender_who_wrote_nothing_is_answered_with_those_who_did(tmp_path: Path) -> None:
    messages = [Message("Samer", "a"), Message("Rana", "b"), Message("Rana", "c")]
    with pytest.raises(
        DataError,
        match=re.escape("--from 'ranna' wrote no message (did you mean 'Rana'?); who wrote most: Rana, Samer"),
    ):
        choose(messages, "ranna")
    (tmp_path / "a.txt").write_text("شو\n", "utf-8")
    with pytest.raises(DataError, match="is no chat of WhatsApp or Telegram, so --from 'Rana' has no use"):
        read_rows(tmp_path / "a.txt", sender="Rana")


def test_a_sender_of_one_of_several_chats(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("31/12/2023, 23:50 - Rana: شو\n", "utf-8")
    (tmp_path / "b.txt").write_text("31/12/2023, 23:50 - Samer: لا\n", "utf-8")
    read = sources.rows(tmp_path, sender="Rana")
    assert (read.texts, read.chat, read.sources) == (("شو",), "WhatsApp", ("",))
    assert sources.remarks(read)[1:] == ["WhatsApp chat: 1 message of Rana (1), of which those of Rana are read"]
    with pytest.raises(DataError, match="--from 'Nobody' wrote no message"):
        sources.rows(tmp_path, sender="Nobody")
