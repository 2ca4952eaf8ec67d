"""Measure whether a writer's own spelling is suggested first: each habit is given to the same messages.

usage: spelling.py [--model NAME] [--json FILE] [--habits NAME ...] [--after NUMBER ...]

Messages that one person might send, written for this measurement, are spelled as a writer of each habit would; {a|b} is
a woman's and a man's word. `LEARNT` are learnt, and at each word of `LATER` that somebody spells otherwise suggestions
are asked for, before it and as far as the spellings agree. About five minutes.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import kammil
from kammil.completion.completer import Completer
from kammil.text import fold_spelling, words

LEARNT = """أنا {رايحة|رايح} عالسوق بدك شي من هونيك
هلأ {جاية|جاي} بس الطريق كلها عجقة
اليوم {تعبانة|تعبان} كتير ما نمت منيح
شو هيدا اللي عم تحكي عنه
بدي هيدا الكتاب إذا بعده عندك
كنت {مبسوطة|مبسوط} بالسهرة مبارح
إذا خلصتي بكير مري لعندي
القهوة جاهزة والبسكوت على الطاولة
هيدا الدكتور شاطر كتير جربيه
أنا {ناطرة|ناطر} تحت البناية
هلأ وصلت عالمدرسة والولاد بعدهن جوا
شو عملتي بالسيارة صلحتيها
ما بعرف إذا الحفلة بكرا أو بعده
بدي نام بكير لأني {تعبانة|تعبان} من الشغل
هيدا الفستان أحلى من التاني
أختي عم تدرس للامتحانات وأنا عم ساعدها
قالتلي إمي نجيب خبزة سخنة معنا
مش {قادرة|قادر} روح بكرا عندي شغلة مهمة
{رايحة|رايح} شوف الشقة الجديدة بعد الضهر
الصورة حلوة كتير وين أخدتيها
شو رأيك نطلع سوا الجمعة
هلأ بتصل فيكي وبخبرك القصة
إذا شتت الدنيا منضل بالبيت
{جاية|جاي} بعد ساعة إذا الطريق فاضية
قلتلها أنا {زعلانة|زعلان} منها شوي
بدي غير هيدا التلفون صار بطيء
بعتي الرسالة لأستاذ العربي
هيدا المطعم غالي بس أكله طيب
أخي سافر وأنا {ضجرانة|ضجران} لحالي
هلأ {طالعة|طالع} من البيت عشر دقايق وبكون عندك""".splitlines()
LATER = """أنا {رايحة|رايح} عند الحكيم بكرا
كنت {تعبانة|تعبان} مبارح وما طلعت
هلأ {جاية|جاي} لعندك شو بجيب معي
اشتريت هيدا الجاكيت من السوق
إذا بدك منروح سوا بالسيارة
ما بعرف إذا بقدر إجي بكرا
وصلت عالجامعة هلأ وقاعدين بالكافتيريا
الدكانة قدام المكتبة بتفتح الصبح
كانت الرحلة طويلة كتير بس حلوة
أنا {مبسوطة|مبسوط} كتير اليوم
الشوربة عالنار والسلطة بالبراد
قلت لإمي إني {جوعانة|جوعان}
بدي أعرف شو صار بالمشكلة
أكيد بحكي مع الأستاذ بعد الحصة
الغرفة كبيرة والحديقة زغيرة
أنا {مريضة|مريض} من يومين وما رحت عالشغل
هيدا أحسن مطعم بالمدينة
مش {عارفة|عارف} شو بدي أعمل هلأ
شو اسم هيدا الفيلم
يا ريت بلاقي بيت أكبر وأرخص""".splitlines()
WOMAN, MAN = 0, 1


def _words(**changes: str) -> Callable[[str], str]:
    """Return a spelling that exchanges whole words."""
    table = {old: new for pair in changes.values() for old, new in [pair.split()]}
    return lambda text: " ".join(table.get(word, word) for word in text.split(" "))


def _letters(old: str, new: str) -> Callable[[str], str]:
    return lambda text: text.translate(str.maketrans(old, new))


HABITS: dict[str, tuple[int, list[Callable[[str], str]]]] = {
    "a woman, هيدا هلأ شو إذا ة أ": (WOMAN, []),
    "a man": (MAN, []),
    "ه for ة": (WOMAN, [_letters("ة", "ه")]),
    "ا for أ and إ": (WOMAN, [_letters("أإ", "اا")]),
    "both, a man": (MAN, [_letters("ةأإ", "هاا")]),
    "ازا": (WOMAN, [_words(a="إذا ازا")]),
    "هاد": (WOMAN, [_words(a="هيدا هاد")]),
    "هلق": (WOMAN, [_words(a="هلأ هلق")]),
    "هلا": (WOMAN, [_words(a="هلأ هلا")]),
    "ايش": (WOMAN, [_words(a="شو ايش")]),
    "بدّي": (WOMAN, [_words(a="بدي بدّي")]),
    "أ for ق": (WOMAN, [_letters("ق", "أ")]),
}


def spelled(message: str, habit: str) -> str:
    """Return a message as a writer of a habit spells it."""
    sex, changes = HABITS[habit]
    text = re.sub(r"\{(.+?)\|(.+?)\}", rf"\{sex + 1}", message)
    for change in changes:
        text = change(text)
    return text


def places(message: str, habit: str) -> list[tuple[str, str, set[str]]]:
    """Return what stands before each word that somebody spells otherwise, the word, and the other spellings."""
    text, found = spelled(message, habit), list[tuple[str, str, set[str]]]()
    columns = [[spelled(message, other).split(" ")[i] for other in HABITS] for i in range(len(text.split(" ")))]
    for (begin, end), column in zip(words(text), columns, strict=True):
        if others := {*column} - {text[begin:end]}:
            found.append((text[:begin], text[begin:end], others))
    return found


def kind(word: str, other: str) -> str:
    """Return in which way two spellings differ."""
    if fold_spelling(word.replace("ة", "ه")) == fold_spelling(other.replace("ة", "ه")):
        return "letters"
    return (
        "gender"
        if {*other} - {*"ةه"} <= {*word} and other[0] == word[0] and abs(len(word) - len(other)) == 1
        else "word"
    )


def measure(model: Completer, habit: str, count: Counter[str]) -> None:
    """Count the places where a list has any spelling, and another one than the writer's, before it too, by kind."""
    text = " ".join(spelled(message, habit) for message in LEARNT)
    unused = {letter for letter in "ةأإ" if letter not in text}
    for message in LATER:
        for before, word, others in places(message, habit):
            agree = min(
                next((i for i, (a, b) in enumerate(zip(word, o, strict=False)) if a != b), min(len(word), len(o)))
                for o in others
            )
            for typed in range(agree + 1):
                prefix = before + word[:typed]
                listed = [suggestion.text for suggestion in model.suggest(prefix)]
                for name in {kind(word, other) for other in others}:
                    rivals = {other for other in others if kind(word, other) == name}
                    first = next((each for each in listed if each == word or each in rivals), None)
                    count[f"{name}: listed"] += first is not None
                    count[f"{name}: another's first"] += first in rivals
                    count[f"{name}: another's offered"] += any(each in rivals for each in listed)
                count["words"] += len(listed)
                count["words with a letter never used"] += any(unused & {*each} for each in listed) and sum(
                    bool(unused & {*each}) for each in listed
                )
                if typed < 2:
                    for name, added in (
                        ("ghost", model.phrase(prefix).added),
                        ("completion", model.complete(prefix, preset="sensible", seed=1).text),
                    ):
                        if not added:
                            continue
                        begun = (prefix + added)[len(before) :].split()
                        count[name] += 1
                        count[f"{name}: own word"] += begun[0] == word
                        count[f"{name}: another's"] += begun[0] in others
                        count[f"{name}: a letter never used"] += bool(unused & {*added})


def main() -> None:
    """Print and save the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default="levantine")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--habits", nargs="*", default=[*HABITS])
    parser.add_argument("--after", nargs="*", type=int, default=[0, 10, 20, 30])
    arguments = parser.parse_args()
    base, found = kammil.load(arguments.model), dict[str, dict[str, dict[str, int]]]()
    for habit in arguments.habits:
        for number in arguments.after:
            model, count = base.fork(), Counter[str]()
            for message in LEARNT[:number]:
                model.learn(spelled(message, habit))
            measure(model, habit, count)
            found.setdefault(habit, {})[str(number)] = dict(count)
            print(habit, number, json.dumps(dict(sorted(count.items())), ensure_ascii=False), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
