"""What is read, what is left out, and how it is split."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kammil.data import near_duplicates
from kammil.data.splits import leaks
from kammil.errors import DataError, OptionError
from kammil.progress import listening
from kammil.text import TextRules
from kammil.training import texts as training_texts
from kammil.training.recipe import Recipe
from kammil.training.texts import HELD_OUT, check, held_out_share, name_of, prepare


def one_sentence(text: str) -> bool:
    """A message for people: one line, naming something, ended or not."""
    return bool(text) and "\n" not in text and "Traceback" not in text


def test_the_split_is_a_tenth_and_leaks_nothing(few: list[str]) -> None:
    repeated = few + [text + " !!" for text in few[:20]]
    data = prepare(Recipe.of({"model": "ngram"}), repeated)
    assert len(data.validation) == pytest.approx(HELD_OUT * 80, abs=2)
    assert data.leaks.near == 0
    sides = [{near_duplicates.key(text) for text in part} for part in (data.train, data.validation)]
    assert not sides[0] & sides[1]


def test_texts_in_no_part_are_counted(few: list[str]) -> None:
    repeated, heard = few * 2, list[object]()
    with listening(heard.append):
        data = prepare(Recipe.of({"model": "ngram"}), repeated)
    left_out = len(repeated) - len(data.train) - len(data.validation)
    assert left_out > 0 and any(f"left out: {left_out} that" in str(event) for event in heard)


def test_the_seed_decides_the_split(few: list[str]) -> None:
    parts = [prepare(Recipe.of({"model": "ngram", "seed": seed}), few).validation for seed in (1, 1, 2)]
    assert parts[0] == parts[1] != parts[2]


def test_what_is_said_of_a_split_is_what_is_found(few: list[str]) -> None:
    data = prepare(Recipe.of({"model": "ngram"}), few + [text[:40] + " !!" for text in few[:20]])
    assert data.leaks == leaks(data.train, data.validation)
    given = prepare(Recipe.of({"model": "ngram"}), few, [*few[:2], "شي تاني ما حدا كتبه قبل هيك بنوب"])
    assert (given.leaks.exact, given.leaks.total) == (2, 3)


def test_no_more_texts_validate_than_have_a_narrow_interval(few: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert held_out_share(49_000) == HELD_OUT and held_out_share(1_000_000) == 0.005
    monkeypatch.setattr(training_texts, "MAX_HELD_OUT", 3)
    data = prepare(Recipe.of({"model": "ngram"}), few)
    assert (len(data.validation), len(data.train)) == (3, len(few) - 3)  # what is not held out is learnt
    assert data.validation_in_full is None
    drawn = [prepare(Recipe.of({"model": "ngram", "seed": seed}), few[30:], few[:30]) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] and drawn[0].validation != drawn[2].validation
    assert [data.validation_in_full for data in drawn] == [30] * 3
    assert all(len(data.validation) == 3 and len(data.train) == len(few) - 30 for data in drawn)
    assert prepare(Recipe.of({"model": "ngram"}), few[3:], few[:3]).validation_in_full is None


def test_rules_apply_unless_switched_off(few: list[str]) -> None:
    odd = [*few, "ــ  http://example.com  x"]
    for rules, seen in (({}, "🔗 x"), ({"urls": False, "tatweel": False}, "ــ http://example.com x")):
        data = prepare(Recipe.of({"model": "ngram", "rules": rules}), odd, few[:2])
        assert data.train[-1] == seen


def test_nothing_to_validate_with_is_said(few: list[str]) -> None:
    with pytest.raises(DataError, match="1 text holds no text after normalisation"):
        prepare(Recipe.of({"model": "ngram"}), few, ["ـ"])


def test_what_resembles_the_excluded_is_not_learnt(tmp_path: Path, few: list[str]) -> None:
    others = [tmp_path / "other.txt", tmp_path / "another.txt"]
    others[0].write_text(few[3] + "!", "utf-8")
    others[1].write_text("\n".join([few[7], "شي تاني ما حدا كتبه قبل هيك بنوب"]), "utf-8")
    data = prepare(Recipe.of({"model": "ngram", "exclude": list(map(str, others))}), few)
    left = set(few) - {few[3], few[7]}
    assert {*data.train, *data.validation} == {Recipe.of({}).text_rules.normalise(text) for text in left}
    assert data.excluded == 2


def test_what_quotes_the_excluded_in_other_words_is_not_learnt(tmp_path: Path, few: list[str]) -> None:
    quoted = (
        "الجارة القديمة حكت مبارح لكل أهل الضيعة انو "
        "الطريق الجديدة رح تصير جاهزة قبل العيد الكبير وانو المختار وعد بعرس"
    )
    quoting = (
        "الجاره القديمه خبرت مبارح لكل اهل الحارة انو "
        "الطريق الجديده بدا تصير جاهزه بعد العيد الكبييير وانو المختار حلف بعرس"
    )
    assert near_duplicates.nearest_duplicates([quoting], [quoted])[0] < 0
    other = tmp_path / "other.txt"
    other.write_text(quoted, "utf-8")
    data = prepare(Recipe.of({"model": "ngram", "exclude": [str(other)]}), [*few, quoting])
    assert data.excluded == 1
    assert quoting not in {*data.train, *data.validation}


def test_of_near_duplicates_the_first_stays(few: list[str]) -> None:
    again = [*few, *(text + " !!" for text in few[:5])]
    data = prepare(Recipe.of({"model": "ngram", "unique": True}), again, few[:1])
    assert data.repeated == 5
    assert list(data.train) == [Recipe.of({}).text_rules.normalise(text) for text in few]


def test_nothing_left_is_said_in_one_sentence(tmp_path: Path, few: list[str]) -> None:
    other = tmp_path / "other.txt"
    other.write_text("\n".join(few), "utf-8")
    with pytest.raises(DataError) as caught:
        prepare(Recipe.of({"model": "ngram", "exclude": [str(other)]}), few)
    assert "all 60 texts" in str(caught.value) and one_sentence(str(caught.value))


def test_a_file_goes_by_its_name_and_anything_else_by_all_of_it(tmp_path: Path) -> None:
    file = tmp_path / "own.txt"
    file.write_text("مرحبا\n", "utf-8")
    assert name_of(file) == "own.txt"
    assert name_of("lev30/train+lev30/train_other") == "lev30/train+lev30/train_other"


def write_table(path: Path, texts: list[str], column: str = "source") -> Path:
    """A table whose texts come from a and b in turn."""
    rows = [f"{'ab'[i % 2]}\t{text}" for i, text in enumerate(texts)]
    path.write_text("\n".join([f"{column}\ttext", *rows]) + "\n", "utf-8")
    return path


def test_texts_are_weighed_by_their_sources(tmp_path: Path, few: list[str]) -> None:
    options = {"model": "ngram", "weights": {"a": 2.5}, "unique": True}
    data = prepare(Recipe.of(options), write_table(tmp_path / "t.tsv", few))
    assert data.weights is not None
    weight_of = {TextRules().normalise(text): 2.5 if i % 2 == 0 else 1.0 for i, text in enumerate(few)}
    assert data.weights == tuple(weight_of[text] for text in data.train)
    named = prepare(Recipe.of(options | {"source_column": "from"}), write_table(tmp_path / "u.tsv", few, "from"))
    assert (named.train, named.weights) == (data.train, data.weights)
    assert prepare(Recipe.of({"weights": {"a": 1}}), tmp_path / "t.tsv").weights is None
    twice = prepare(Recipe.of({"weights": {"sample": 2}}), "sample+sample")
    assert twice.weights == (2.0,) * len(twice.train)


def test_an_unknown_source_is_said(tmp_path: Path, few: list[str]) -> None:
    table = write_table(tmp_path / "t.tsv", few)
    with pytest.raises(DataError, match=re.escape("weights names the source 'c'; the sources of t.tsv are a, b")):
        prepare(Recipe.of({"weights": {"c": 2.0}}), table)
    with pytest.raises(DataError, match=re.escape("t.tsv has no column 'form' of sources")):
        prepare(Recipe.of({"source_column": "form"}), table)
    with pytest.raises(OptionError, match=r"weights is \{'a': 2.0\}, but it is for files"):
        check(Recipe.of({"weights": {"a": 2.0}}), few)
    with pytest.raises(OptionError, match="weights"):
        Recipe.of({"weights": {"a": 0}})


def test_several_files_are_named_and_can_be_weighed(tmp_path: Path, few: list[str]) -> None:
    (tmp_path / "a.txt").write_text("\n".join(few[:30]), "utf-8")
    (tmp_path / "b.txt").write_text("\n".join(few[30:]), "utf-8")
    recipe = Recipe.of({"model": "gru", "weights": {"b.txt": 2.0}})
    data = prepare(recipe, [tmp_path / "a.txt", tmp_path / "b.txt"])
    assert (data.source, data.arguments) == ("a.txt, b.txt", ("a.txt", "b.txt"))
    assert data.weights is not None and set(data.weights) == {1.0, 2.0}
    assert {*data.train, *data.validation} == set(map(Recipe.of({}).text_rules.normalise, few))


def test_a_chat_leaves_no_name_behind(tmp_path: Path, few: list[str]) -> None:
    path = tmp_path / "WhatsApp Chat with Rana.txt"
    path.write_text("".join(f"31/12/2023, 23:59 - Rana: {text}\n" for text in few), "utf-8")
    told: list[object] = []
    with listening(told.append):
        data = prepare(Recipe.of({"model": "ngram"}), path, path)
    assert f"of Rana ({len(few)})" in str(told) and "Rana" not in str(data)
    assert (data.source, data.validation_source) == ("a WhatsApp chat",) * 2
    assert data.arguments == ("CHAT", "--validation", "CHAT")
    assert set(data.train) == set(map(Recipe.of({}).text_rules.normalise, few))
    assert prepare(Recipe.of({"model": "ngram", "sender": "rana"}), path).train


def test_options_of_files_need_a_file(few: list[str]) -> None:
    for option, value in (("delimiter", ";"), ("sheet", "2"), ("sender", "Rana")):
        with pytest.raises(OptionError, match=f"{option} is '{value}', but it is for files"):
            check(Recipe.of({"model": "ngram", option: value}), few)
