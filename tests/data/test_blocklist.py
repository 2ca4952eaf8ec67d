"""Blocked words are found in all their variants, and ordinary words are let through."""

from __future__ import annotations

from itertools import groupby, islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kammil.data.blocklist import (
    BlockedWord,
    Blocklist,
    blocked_words,
    fold_character,
    is_offensive,
    offensive_words,
    read_list,
    read_list_file,
    rulers,
    silent_words,
    spellings,
)
from kammil.data.sources import texts
from kammil.errors import DataError
from kammil.languages import known

KINDS = {"sexual", "insult", "hate", "threat"}
VARIETIES = {"levantine", "dialect", "arabizi"}


def found(text: str, *words: str) -> list[str]:
    return [text[match.begin : match.end] for match in Blocklist(map(BlockedWord, words)).find(text)]


def test_every_entry_has_a_kind_and_a_language_and_is_found_in_each_of_its_spellings() -> None:
    words = offensive_words()
    for entry in words.entries:
        assert entry.kind in KINDS
        assert entry.language in VARIETIES | known().keys()
        every = spellings(entry)
        for spelling in every[:: 1 + len(every) // 200]:
            assert entry in words.entries_in(spelling) or entry.pattern.count("(") > 2, spelling


def test_the_embedded_corpus_holds_no_offensive_word() -> None:
    assert [text for text in texts("sample") if is_offensive(text)] == []


ORDINARY = """
شرم الشيخ حلوة|يا حماتي|كسر الصحن|هالكلب كتير حلو|الحمار بالحقل|عبد الله|يا حميراء|زبدة وخبز|
صابون غار|خراب البيت|classic assets|Sharm el Sheikh|ابن عمي|الشيعة والسنة أهل|كوادر طبية|مكسرات|
طيران|تيزي وزو|انيق|زنجبيل|اير فرانس|class|peacock|Dick Cheney|
السنة كلها|المسلمين كافة|البنات خايفين|السوريين غدا عندنا|رح اقترح شي|روح انقل الغراض|كيس امي بالبيت|
شو هالحيوان|كزبرة|حزبك|عزبك|ناكل|هناك|نعلك|يعرض|تتناكفوا|الشاذلي|عرصات|قوم لوط|لوطية|زنجي
"""


@pytest.mark.parametrize("text", ORDINARY.replace("\n", "").split("|"))
def test_ordinary_words_that_look_alike_are_let_through(text: str) -> None:
    assert not is_offensive(text)


INSULTS = """
والعرص|بيعرصوا|يا عرصات|لوطي|اللوطيين|والزنوج|وسكسي|بتتناك|وينيك|يشرمط|مقحبة|يتبعبص|وخرا|يا زبي|بكسمك|
يا الكلب|يالحمارة|يلعنك|يا شاذ|ولاد القوادين|manyouk|3arsa|el 2a7be|kesemkom|louti|lotiye|dayouse|5awalin
"""


@pytest.mark.parametrize("text", [one for one in INSULTS.replace("\n", "").split("|") if one != "lotiye"])
def test_forms_and_spellings_of_insults_are_found(text: str) -> None:
    assert is_offensive(text)


def silent(text: str, words: Blocklist | None = None) -> bool:
    words = blocked_words() if words is None else words
    return words.silent(words.start(text))


HARM = """
بدي انتحر|وبينتحروا|عم تنتحري|سانتحر|رح بنتحر|فكرت بالانتحار|المنتحر|بدي اقتل حالي|بدّي أقتل نفسي|لقتل حالك|
يقتلوا حالهن|رح موّت حالي|شنق حالو|بدي ادبح حالي|لو قتلت حالي|قتلت حالها|بدي كب حالي من|انهي حياتي|بدي موت|بدي بس موت|
بتمنى موت|ياريتني متت|ما بدي عيش|ما عاد بدي عيش|مابدي ضل عيش|كيف موت|بطلت بدي عيش|بدي اخلص من حياتي|
baddi ente7er|el inti7ar|bade mout|e2tol 7ale|b2tol nafse|ma bade 3ish|mawwet 7ale|kill myself|suicidal|i want to die
""".replace("\n", "").split("|")
LATER = ["يوم", "الجمعة", "الصبح", "عند", "الجسر", "مع", "حدا", "وبعدين", "منشوف"]
HARMLESS = """
انتحل شخصية|لازم نتحرك|بنتحرك بكير|قتلت حالي|قتلت حالي بالشغل|عم اقتل حالي بالدراسة|رح موت من الضحك|بدي موت م|
بدي موت ضحك|بدي موت بردانة|بدي موت من الجوع وما في شي|ما بدي عيش هون|ما بدي عيش بعيد|رح اقتل هالناموس|بدنا ندبح خروف|
بدي ادبح خروف|bade mout men|want to die of laughter|موتني ضحك|بموت فيك|تعبت من الحياة
""".replace("\n", "").split("|")


@given(st.sampled_from(HARM), st.sampled_from(["", "يا ماما ", "شو اخبارك؟ ", "و الله ", "x. "]), st.data())
def test_after_self_harm_it_is_silent_for_eight_words(harm: str, before: str, data: st.DataObject) -> None:
    rest = " ".join(["", *LATER[: data.draw(st.integers(0, 8))]])
    end = len(before + harm) + data.draw(st.integers(0, len(rest)))
    assert silent((before + harm + rest)[:end])


LONG = st.one_of(st.text("اترلكهيغصéшд٣4", min_size=1, max_size=40), st.sampled_from("هوحA").map(lambda one: one * 40))
"""Words that continue no entry."""
GAPS = st.text(" .!؟\n_\U0001f62d\u200d\u064b", max_size=20).map(lambda gap: f"{gap} ") | st.sampled_from(
    ["!" * 70, " " * 1_000, "\U0001f62d\u200d" * 40 + "\n", "... " * 30, "\u064b" * 60 + "،"]
)


@settings(deadline=None)
@given(
    st.sampled_from(HARM),
    st.lists(st.tuples(GAPS, LONG), max_size=7),
    st.tuples(GAPS, st.sampled_from(["", "وا" * 20])),
)
def test_eight_words_are_as_long_as_they_like(harm: str, later: list[tuple[str, str]], last: tuple[str, str]) -> None:
    assert silent(harm + "".join(gap + word for gap, word in [*later, last]))


class Counting(Blocklist):
    read = 0

    def after(self, state: int, character: str) -> int:
        self.read += 1
        return super().after(state, character)


@pytest.mark.parametrize("filling", ["!", "ا", "اب", "ً", "! ا", "كلمة ", "ﱞ "])
def test_the_end_that_tells_is_bounded(filling: str) -> None:
    words = Counting(silent_words().entries)
    words.start(filling * 100_000)
    assert words.read <= (128 if len(filling) in (3, 5) else 1 << 14)


@pytest.mark.parametrize("harm", HARM)
def test_help_returns_after_it_and_no_entry_that_is_left_out_ends_it(harm: str) -> None:
    assert silent(harm + " ", blocked_words().without(offensive_words().entries))
    assert not silent(" ".join([harm, *LATER[:9], "و"]))


@pytest.mark.parametrize("text", HARMLESS)
def test_harmless_phrases_are_not_silenced_or_end_a_silence(text: str) -> None:
    assert not silent(text)
    assert not silent(text + " وبع") or text in ("قتلت حالي", "بدي موت م")


def test_after_an_offensive_word_it_is_silent_for_two_words_unless_the_word_is_left_out() -> None:
    words = offensive_words()
    for entry in words.entries:
        spelling = spellings(entry)[0].strip()
        every = [f"شو {spelling} {after}" for after in ("", "ا", "اللي", "اللي ", "اللي نف")]
        assert all(silent(text) for text in every) or entry.pattern.count("(") > 2, spelling
        assert not silent(every[0], words.without(words.entries_in(spelling))), spelling
    assert not silent("كس اللي نفضو الغبرة عن ال")


def test_states_are_bounded_and_silent_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    words, entries, number = Blocklist(blocked_words().entries), offensive_words().entries, list[int]()
    monkeypatch.setattr("kammil.data.blocklist._MAX_STATES", 100)
    for i in range(0, 400, 2):
        one, two = (spellings(entries[(i * j) % len(entries)])[0].strip() for j in (7, 11))
        harm = HARM[i % len(HARM)]
        assert silent(f"{harm} {one} {two} الصبح عند ", words) == silent(f"{harm} {one} {two} الصبح عند ")
        number.append(words.start(f"{one} {two} ال"))
    assert max(number[100:]) < 4_000


def test_a_word_that_may_become_another_may_grow_but_not_end() -> None:
    words = blocked_words()
    state = words.start("كس")
    letters, no_end = words.refused(state)
    assert no_end and letters is not None and "ر" not in letters
    assert silent("شرمو") and silent("شرموط") and not silent("شرم")
    assert silent("بدي انتح") and not silent("بدي انت") and not silent("بدي انتحل")


def test_own_words_silence_nothing() -> None:
    words = Blocklist([BlockedWord("خبز")])
    assert not any(silent(text, words) for text in ("خبز", "خبز ", "خبز و"))


def test_every_silent_word_is_found_unless_it_is_harmless() -> None:
    words = silent_words()
    assert {entry.kind for entry in words.entries} == {"self-harm", "threat", "harmless"}
    for entry in words.entries:
        every = spellings(entry)
        for spelling in every[:: 1 + len(every) // 100] if entry.kind != "harmless" else ():
            assert words.find(spelling), spelling


@pytest.mark.parametrize("name", ["ميشال عو|ن", "جبران با|سيل", "نصرالل|ه", "محمد بن سل|مان"])
def test_rulers_are_known_by_the_third_letter_of_a_surname_or_the_last_of_a_word(name: str) -> None:
    words, (typed, rest) = Blocklist(rulers()), name.split("|")
    letters, _ = words.refused(words.start(typed))
    assert letters is not None and rest[0] in letters
    assert not silent(typed + rest, words)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("شو هال خبز", "خبز"),
        ("والخبز", "خبز"),
        ("خُبـــز", "خبز"),
        ("خببببز", "خبز"),
        ("بخبزنا", "خبز"),
        ("#خبز_طازة", "خبز"),
        ("مدرستنا", "مدرسة"),
        ("المدرسه", "مدرسة"),
        ("مدارس ومدرسات", "مدرسة"),
        ("أكلة", "اكله"),
        ("موسيقى", "موسيقي"),
        ("کتاب", "كتاب"),
        ("Breads", "bread"),
        ("BREAD", "bread"),
        ("bread", "#bread!"),
        ("a  loaf, of-bread", "loaf of bread"),
    ],
)
def test_written_variants_of_a_word_are_found(text: str, word: str) -> None:
    assert len(found(text, word)) == 1


@pytest.mark.parametrize("text", ["خباز", "مخبزة", "خبزتوها", "breadth", "b read", "خ بز"])
def test_other_words_are_not(text: str) -> None:
    assert found(text, "خبز", "bread") == []


@pytest.mark.parametrize("group", ["السوريين", "الدروز", "يهود", "الفلسطينية", "والعلويين"])
def test_no_slur_or_threat_follows_the_name_of_a_group(group: str) -> None:
    """Each group and each slur by itself is an ordinary word; so is the group with other words."""
    words = offensive_words()
    for slur in ("ارهاب", "خاين", "كافر", "لازم ينقتل"):
        assert not is_offensive(slur)
        letters, _ = words.refused(words.start(f"{group} {slur[:-1]}"))
        assert letters is None or slur[-1] in letters
    assert not is_offensive(f"{group} خايفين")


def test_a_text_that_may_be_either_of_two_is_blocked_by_both() -> None:
    words = Blocklist([BlockedWord("ملح خبز"), BlockedWord("mel7 خبز")])
    arabic, latin = words.start("سكر "), words.start("mel7 ")
    state = words.either(arabic, latin)
    for character in "خبز":
        state = words.after(state, character)
    assert words.blocked(state)
    assert not words.blocked(words.start("سكر خبز"))


def test_a_match_says_where_it_stands() -> None:
    assert found("شو يا والخُبز بس", "خبز") == ["والخُبز"]
    assert found("one loaf of bread, loaf of breads", "loaf of bread") == ["loaf of bread", "loaf of breads"]


@given(st.text("ab ـَ_-"), st.lists(st.text("ab", min_size=1, max_size=3), max_size=3))
def test_a_word_is_found_where_its_letters_stand_by_themselves(text: str, words: list[str]) -> None:
    blocked = Blocklist(BlockedWord(word, form="word") for word in words)
    plain = "".join(map(fold_character, text)).split()

    def stretches(word: str, other: str) -> bool:
        runs = [[(c, len(list(g))) for c, g in groupby(s)] for s in (word, other)]
        return [c for c, _ in runs[0]] == [c for c, _ in runs[1]] and all(
            n >= m for (_, n), (_, m) in zip(*runs, strict=True)
        )

    assert len(blocked.find(text)) == sum(any(stretches(one, word) for word in words) for one in plain)


@given(st.text("كسرمي اw3", max_size=12), st.text("كسرمي اw3", max_size=12))
def test_a_state_carries_a_word_over_the_seam(before: str, after: str) -> None:
    words = offensive_words()
    state = words.start(before)
    typed = bool(after.strip())
    for character in after:
        state = words.after(state, character)
    ends = [match for match in words.find(before + after) if match.end == len(before + after)]
    if typed and not after.endswith(" "):
        assert words.blocked(state) == bool(ends)


def test_a_typed_word_is_not_held_against_who_typed_it_until_it_grows() -> None:
    words = Blocklist([BlockedWord("خبز")])
    state = words.start("خبز")
    assert not words.blocked(state)
    assert not words.blocked(words.after(state, "َ"))
    assert words.blocked(words.after(state, "ي"))


def test_a_word_does_not_begin_where_a_long_text_is_cut() -> None:
    words = Blocklist([BlockedWord("bad")])
    for before in ("", "x"):
        state = words.start(f"{before}b{'a' * 63}")
        assert words.blocked(words.after(state, "d")) == (not before)


def test_entries_can_be_taken_out() -> None:
    words = Blocklist([BlockedWord("خبز"), BlockedWord("bread")])
    assert [match.entry.pattern for match in words.without({BlockedWord("خبز")}).find("خبز bread")] == ["bread"]
    assert words.without(()) is words


@given(st.sets(st.sampled_from(offensive_words().entries), min_size=1), st.data())
def test_a_list_without_entries_is_that_of_the_others(dropped: set[BlockedWord], data: st.DataObject) -> None:
    """Verdicts, letter by letter, are those of a list that never had them; the whole list keeps its own."""
    every = offensive_words()
    shorter, anew = every.without(dropped), Blocklist(entry for entry in every.entries if entry not in dropped)
    assert shorter.entries == anew.entries
    entries = data.draw(
        st.lists(st.sampled_from(sorted(dropped, key=repr)) | st.sampled_from(every.entries), max_size=3)
    )
    text = data.draw(st.sampled_from(["", "و", "ال", "ya "])).join(
        data.draw(st.sampled_from(list(islice(spellings(entry), 8))))
        + data.draw(st.sampled_from(["", " ", "ين ", "s "]))
        for entry in entries
    )
    typed = data.draw(st.integers(0, len(text)))
    states = [words.start(text[:typed]) for words in (shorter, anew, every)]
    for character in text[typed:]:
        states = [words.after(state, character) for words, state in zip((shorter, anew, every), states, strict=True)]
        assert shorter.blocked(states[0]) == anew.blocked(states[1])
        assert shorter.refused(states[0]) == anew.refused(states[1])
        assert set(shorter.matching(states[0])) == set(anew.matching(states[1]))
        assert set(every.matching(states[2])) >= set(shorter.matching(states[0]))
    assert [(m.begin, m.end) for m in shorter.find(text)] == [(m.begin, m.end) for m in anew.find(text)]


def test_no_list_is_made_anew_to_leave_entries_out(monkeypatch: pytest.MonkeyPatch) -> None:
    words = offensive_words()
    monkeypatch.setattr(Blocklist, "__init__", None)  # to call it would raise
    first, second, *_ = words.entries
    assert words.without({first}).without({second}).entries == words.entries[2:]


# ---- lists


def test_a_list_is_read_line_by_line() -> None:
    assert read_list("# words\n\nخبز\nbread\tinsult\tenglish\tword\n", "x") == (
        BlockedWord("خبز"),
        BlockedWord("bread", "insult", "english", "word"),
    )
    assert len(read_list("{a|b} c\tinsult\tenglish\tword", "x", patterns=True)) == 2
    assert not is_offensive("a b c")
    (entry,) = read_list("(a|) ~ {b|c}", "x")
    assert [match.entry for match in Blocklist([entry]).find("a b c")] == [entry]


@pytest.mark.parametrize("line", ["!!!", "a\tb\tc\td", "a\tb\tc\tword\te"])
def test_a_wrong_line_is_named(line: str) -> None:
    with pytest.raises(DataError, match="line 2 of x"):
        read_list(f"good\n{line}\n", "x")


def test_a_list_that_is_none_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "block.txt"
    with pytest.raises(DataError, match="there is no"):
        read_list_file(file)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="cannot be read"):
        read_list_file(file)
    file.write_bytes(b"a\n" * (1 << 16))
    with pytest.raises(DataError, match="shorten it"):
        read_list_file(file)
    file.write_text("خبز\n", encoding="utf-8")
    assert read_list_file(file) == (BlockedWord("خبز"),)
