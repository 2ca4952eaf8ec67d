"""What is known of languages, and a language that is added as a folder, without a change of code."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.completion.test_suggestions import counter

from kammil import languages
from kammil.completion.unsolicited import is_function_word, strip_unsolicited, unsolicited_politics
from kammil.data.blocklist import BlockedWord, Blocklist, is_offensive
from kammil.languages import known, neighbours, script, union
from kammil.text import fold_spelling

HEBREW = '''
"""Hebrew."""

from kammil.languages import Affixes, Language

LANGUAGE = Language(
    script="Hebrew",
    keyboard=("קראטוןםפ", "שדגכעיחלךף", "זסבהנמצתץ"),
    folds=dict(zip("ךםןףץ", "כמנפצ", strict=True)),
    proclitics=("ה", "ו", "ב"),
    affixes=(Affixes("Hebrew", ("ה", "ו", "וה", "ב"), ("ים", "ות"), {"ה": ("ה", "ות")}),),
)
'''
TEXTS = ["שלום לכולם", "שלום לך", "אני הולך הביתה", "מה שלומך היום", "שלום שלום", "דג טוב פה"] * 20


not_in_package = pytest.mark.skipif("hebrew" in known(), reason="Kammil knows it without this folder")


@contextmanager
def added(folder: Path, name: str, source: str, **lists: str) -> Generator[None, None, None]:
    """Know a language of another folder for a while."""
    (folder / name).mkdir()
    for file, content in {"__init__.py": source, **lists}.items():
        (folder / name / file).write_text(content, encoding="utf-8")
    languages.add(folder)
    try:
        yield
    finally:
        languages.__path__.remove(str(folder))
        sys.modules.pop(f"kammil.languages.{name}", None)
        languages.forget()


@pytest.fixture
def hebrew(tmp_path: Path) -> Iterator[None]:
    lists = {
        "offensive.tsv": "לחם\tinsult\thebrew\tnoun\nעוגה\tinsult\thebrew\tnoun\n",
        "politics.txt": "# politics\n\nכנסת\n",
        "rulers.txt": "דוד המלך\n",
        "function_words.txt": "של\n",
    }
    with added(tmp_path, "hebrew", HEBREW, **lists):
        yield


def test_what_a_language_brings_is_sound() -> None:
    assert known().keys() >= {"arabic", "english"}
    for language in known().values():
        letters = "".join([*language.keyboard, *language.careful, language.long_vowels])
        assert all(script(language.script).match(letter) for letter in letters)
        for mapping in (language.folds, language.block_folds, language.respelt, language.respelt_last):
            assert all(len(variant) == len(letter) == 1 for variant, letter in mapping.items())
        assert not language.folds.keys() & language.folds.values()
        assert language.read("no such file") == ""


@pytest.mark.parametrize("added", [(), pytest.param(("hebrew",), marks=not_in_package)])
def test_neighbours_are_mutual_and_of_one_script(added: tuple[str, ...], request: pytest.FixtureRequest) -> None:
    for name in added:
        request.getfixturevalue(name)
    for letter, around in neighbours().items():
        assert letter not in around
        assert 2 <= len(around) == len(set(around))
        assert all(letter in neighbours()[other] for other in around)
        assert any(len(script(each.script).findall(letter + around)) > len(around) for each in known().values())


def test_keys_as_they_lie() -> None:
    assert set(neighbours()["ل"]) == set("اب" + "فغ" + "رى")
    assert set(neighbours()["a"]) >= set("qwsz")


SLIPS = {"דלום": "שלום", "שלופ": "שלום", "הביתש": "הביתה"}
"""Words with a key beside the right one -> what is meant."""


def corrected(typed: str) -> bool:
    """Whether a model of Hebrew texts suggests what is meant."""
    return SLIPS[typed] in [one.appended_to(typed) for one in counter(TEXTS, 5).suggest(typed)]


@not_in_package
def test_slips_on_the_keyboard_of_a_new_language_are_corrected(hebrew: None) -> None:
    del hebrew
    assert all(map(corrected, SLIPS))


@not_in_package
def test_without_the_language_nothing_is_known_of_it() -> None:
    assert not any(map(corrected, SLIPS))
    assert not is_offensive("לחם") and not unsolicited_politics("היום ")("הכנסת")
    assert fold_spelling("שלום") == "שלום"


@not_in_package
def test_letters_of_a_new_language_are_folded(hebrew: None) -> None:
    del hebrew
    assert fold_spelling("שלום") == fold_spelling("שלומ")
    assert fold_spelling("الى") == fold_spelling("إلي")  # those of others as before
    assert union("folds")["ף"] == "פ"


@not_in_package
def test_its_words_are_blocked_with_its_endings(hebrew: None) -> None:
    del hebrew
    assert all(map(is_offensive, ["לחם", "הלחם", "לחמים", "עוגות", "והעוגה", "שרמוטה לחם"]))
    assert not any(map(is_offensive, ["לחמניה", "עוגן", "מלחם"]))
    assert "לחם" not in [one.added for one in counter(["לחם טוב", "גבינה טובה"] * 9).suggest("")]
    own = Blocklist([BlockedWord("גבינה")])  # a user's list: its script says which language it is
    assert own.find("הגבינות") and not own.find("elגבינה")


@not_in_package
def test_its_lists_are_not_brought_up(hebrew: None) -> None:
    del hebrew
    assert unsolicited_politics("היום ")("הכנסת")
    assert strip_unsolicited("ראיתי ", "את דוד המלך") == "את"
    assert is_function_word("של") and not is_function_word("כנסת")


def test_languages_of_one_alphabet_share_its_letters(tmp_path: Path) -> None:
    before = known()["arabic"].folds["ی"], neighbours()["a"]
    source = """from kammil.languages import Language
LANGUAGE = Language(script="Latin", keyboard=("azerty", "qsdfgh"), folds={"ی": "و", "œ": "o"})
"""
    with added(tmp_path, "zz", source):
        assert (union("folds")["ی"], union("folds")["œ"]) == (before[0], "o")
        assert set(neighbours()["a"]) == set(before[1]) | set("zq")
    assert (union("folds").get("œ"), neighbours()["a"]) == (None, before[1])


@pytest.mark.parametrize(
    ("language", "found", "free"),
    [("english", ["bread", "breads"], ["elbread", "albread"]), ("arabizi", ["bread", "breads", "elbread"], ["xbread"])],
)
def test_prefixes_are_those_of_the_language_of_an_entry(language: str, found: list[str], free: list[str]) -> None:
    words = Blocklist([BlockedWord("bread", "insult", language)])
    assert all(map(words.find, found))
    assert not any(map(words.find, free))


def test_a_language_of_the_same_letters_does_not_take_over_the_lists_of_another(tmp_path: Path) -> None:
    source = (
        'from kammil.languages import Affixes, Language\nLANGUAGE = Language(affixes=(Affixes("Latin", (), ("e",)),))\n'
    )
    with added(tmp_path, "afrikaans", source):
        languages.__path__.insert(0, languages.__path__.pop())  # as in the package, before Arabic
        languages.forget()
        block = Blocklist([BlockedWord("brood", language="afrikaans"), BlockedWord("khobz", language="arabizi")])
        assert block.find("broode") and not block.find("elbrood")
        assert block.find("elkhobz") and not block.find("khobze")
