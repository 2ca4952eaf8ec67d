"""Ends of messages that may follow a text."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kammil
from kammil.completion.completer import Completer
from kammil.completion.ghost_text import GHOST_RULES, GhostRule, Phrase, or_stock_phrase
from kammil.completion.scoring import score_continuations, score_texts
from kammil.completion.stock_phrases import MAX_CHARACTERS, StockPhrases, bundled, own_phrases, pack, read, sureness
from kammil.decoding.hypothesis import Hypothesis
from kammil.decoding.options import DecodingOptions
from kammil.text import fold_spelling, open_word, words

MESSAGES = (
    "بدي روح عالسوق جيب خضرة، وبعدين رجع",
    "بدي روح عالبيت جيب كتبي",
    "كيفك اليوم؟ إن شاء الله أحسن من مبارح",
    "مين جيب معه خبز",
    "تعي نشرب قهوة ومنحكي شوي!",
    "وصلت الساعة 3,5 تقريبا، ناطرك",
)
WORDS = st.sampled_from(["بدي", "روح", "جيب", "خبز", "عالسوق", "كتير", "من", "قهوة", "و"])
GAPS = st.sampled_from([" ", " ", " ", "، ", "؟ ", " 😂 "])


@pytest.fixture(scope="session")
def few(tmp_path_factory: pytest.TempPathFactory) -> StockPhrases:
    return packed(MESSAGES, tmp_path_factory.mktemp("phrases") / "few.npz")


def packed(messages: tuple[str, ...] | list[str], file: Path) -> StockPhrases:
    pack(messages, file)
    return read(file)


def texts(phrases: StockPhrases, text: str) -> list[str]:
    return [phrase.text for phrase in phrases.after(text)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("لازم روح عالسوق جيب ", ["خضرة", "كتبي", "معه خبز"]),  # of greatest likeness first
        ("بدي نشرب قه", ["وة ومنحكي شوي!"]),  # the mark of a sentence stays, a comma does not
        ("أحسن من ", ["مبارح"]),
        ("كيفك اليوم؟ ", ["إن شاء الله أحسن من مبارح"]),  # behind a mark only what followed that mark
        ("كيفك اليوم ", []),
        ("وصلت الساعة ", ["3,5 تقريبا"]),  # no clause ends behind a digit
        ("لازم نروح عالسوق جيب خضرة", []),  # the rest of a word alone is no phrase
        ("", []),
        ("😂 ", []),
        ("_", []),
        ("ما حدا عرف ", []),
    ],
)
def test_what_may_follow(few: StockPhrases, text: str, found: list[str]) -> None:
    assert texts(few, text) == found


def test_spellings_of_a_word_are_one(few: StockPhrases) -> None:
    assert texts(few, "احسن من ") == texts(few, "أحسن من ")
    assert texts(few, "شربت قهوه ") == texts(few, "شربت قهوة ")


@given(st.lists(st.lists(st.tuples(WORDS, GAPS), min_size=1, max_size=6), min_size=1, max_size=5), st.data())
def test_likeness_is_the_weighted_jaccard_similarity_of_what_stands_before(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[tuple[str, str]]], data: st.DataObject
) -> None:
    messages = ["".join(word + gap for word, gap in row).rstrip(" ،؟") for row in rows]
    phrases = packed(messages, tmp_path_factory.mktemp("any") / "any.npz")
    assert [*phrases.messages()] == messages
    text = "".join(word + " " for word in data.draw(st.lists(WORDS, min_size=1, max_size=5)))
    every = [fold_spelling(m[a:b]) for m in messages for a, b in words(m)]
    weight = {word: max(math.log1p(len(messages)) - math.log(every.count(word)), 0.0) for word in every}
    *before, last = [fold_spelling(text[a:b]) for a, b in words(text)]
    expected: dict[str, float] = {}
    for message in messages:
        spans = words(message)
        for i, (begin, end) in enumerate(spans):
            if fold_spelling(message[begin:end]) != last or not message[end:].startswith(" "):
                continue
            heard = [fold_spelling(message[a:b]) for a, b in spans[:i]]
            shared = sum(weight[word] for word in set(before) & set(heard))
            known = sum(weight[word] for word in set(before) if word in weight)
            known += sum(math.log1p(len(messages)) for word in before if word not in weight)
            likeness = shared / max(known + sum(weight[word] for word in heard) - shared, 1e-9)
            rest = message[end:].lstrip(" ")
            expected[rest] = max(expected.get(rest, -math.inf), likeness)
    for phrase in phrases.after(text):
        assert len(phrase.text) <= MAX_CHARACTERS
        assert any(rest.startswith(phrase.text) for rest in expected)
        best = max(value for rest, value in expected.items() if rest.startswith(phrase.text))
        assert phrase.likeness == pytest.approx(best)


def test_a_phrase_is_surer_the_fewer_its_bits_and_the_more_alike_the_texts() -> None:
    assert sureness([1.0, 1.0], 0.2) > sureness([1.5, 1.0], 0.2)
    assert sureness([1.0, 1.0], 0.3) > sureness([1.0, 1.0], 0.2)
    assert sureness([1.0, 1.0], 0.2, 0.9) > sureness([1.0, 1.0], 0.2, 0.5)


def test_of_messages_that_share_no_word_the_nearest_in_theme_comes_first(tmp_path: Path) -> None:
    others = [f"سكرت الباب {i}" for i in range(12)]
    messages = ["حكينا خبر على التلفون", "شارع مسكر على الجسر", "في سير كتير", *others]
    rows = {"سير": 1, "شارع": 1, "الجسر": 1, "حكينا": 2, "خبر": 2, "التلفون": 2}
    pack(messages, tmp_path / "near.npz", (rows, np.array([[127, 0], [0, 64]], np.int8)))
    found = read(tmp_path / "near.npz").after("علقت بأزمة سير على ")
    assert [phrase.text for phrase in found] == ["الجسر", "التلفون"]
    assert [phrase.theme for phrase in found] == pytest.approx([1.0, 0.0])
    assert {phrase.likeness for phrase in found} == {0.0}
    without = packed(messages, tmp_path / "none.npz").after("أزمة سير على ")
    assert {phrase.theme for phrase in without} == {0.0}


def test_the_theme_is_that_of_the_last_words(tmp_path: Path) -> None:
    """A text that begins with roads and ends with news goes on with news."""
    others = [f"سكرت الباب {i}" for i in range(12)]
    messages = ["شارع مسكر على الجسر", "حكينا خبر على التلفون", *others]
    rows = {"شارع": 1, "مسكر": 1, "الجسر": 1, "حكينا": 2, "خبر": 2, "التلفون": 2}
    pack(messages, tmp_path / "two.npz", (rows, np.array([[127, 0], [0, 127]], np.int8)))
    phrases = read(tmp_path / "two.npz")
    by_theme = {
        text: {one.text: one.theme for one in phrases.after(text)} for text in ("شارع خبر على ", "خبر شارع على ")
    }
    assert by_theme["شارع خبر على "]["التلفون"] > by_theme["شارع خبر على "]["الجسر"]
    assert by_theme["خبر شارع على "]["الجسر"] > by_theme["خبر شارع على "]["التلفون"]


def test_of_many_messages_those_are_looked_at_that_share_rare_words(tmp_path: Path) -> None:
    many = [f"بدي روح عالسوق رقم {i}" for i in range(400)]
    phrases = packed([*many, "زقفطلون كبير عالسوق هلق"], tmp_path / "many.npz")
    assert texts(phrases, "زقفطلون كبير عالسوق ")[0] == "هلق"


def test_the_bundled_phrases_are_the_messages_and_none_that_is_held_out() -> None:
    folder = Path(__file__).parents[2] / "recipes" / "messages"
    files = [*sorted(folder.glob("*.txt")), *sorted((folder / "talk").glob("*.txt"))]
    messages = [line for file in files for line in file.read_text("utf-8").splitlines()]
    phrases = bundled()
    assert np.array_equal(np.diff(phrases.begins), [len(words(message)) for message in messages])
    learnt = set(messages)
    for held_out in (folder / "held-out").glob("*.txt"):
        assert not learnt.intersection(held_out.read_text("utf-8").splitlines())


def test_continuations_are_scored_as_whole_texts(bundled_open: Completer) -> None:
    model, before = bundled_open, "شو بدك "
    rests = ["تشرب", "ت", "", "قهوة ولا شاي", "مي"]
    bits = score_continuations(model.language_model, model.vocabulary, *model.after(before), rests)
    whole = score_texts(model.language_model, model.vocabulary, [before + rest for rest in rests])
    for rest, got, scores in zip(rests, bits, whole, strict=True):
        assert got == pytest.approx(scores.bits[len(before) : len(before) + len(rest)].tolist(), abs=1e-4)
    assert (
        score_continuations(model.language_model, model.vocabulary, *model.after(before), ["ت\ue000"])[0][1] == math.inf
    )


@pytest.fixture(scope="session")
def bundled_open() -> Completer:
    return kammil.load("levantine")


SURE_PROMPT = "عظم الله اجركم الله يرحمها كانت "


def test_sensible_takes_a_phrase_where_it_is_surer_than_draws(bundled_open: Completer) -> None:
    made = bundled_open.complete(SURE_PROMPT, preset="sensible")
    assert made.stock
    assert made.text in texts(bundled(), SURE_PROMPT)
    assert len(made.bits) == len(made.text)
    assert not bundled_open.complete(SURE_PROMPT, preset="sensible", stock_phrases=False).stock
    assert not bundled_open.complete(SURE_PROMPT, preset="plain").stock


@pytest.mark.parametrize(
    "options",
    [{"forbid": ["ي"]}, {"no_copy": 12}, {"length": 6}, {"min_length": 25}, {"stop": ["ط"]}],
    ids=str,
)
def test_phrases_keep_to_what_a_call_asks_for(bundled_open: Completer, options: dict[str, object]) -> None:
    made = bundled_open.samples(SURE_PROMPT, 3, preset="sensible", best_of=8, **options)  # type: ignore[arg-type]
    for one in made:
        assert not any(string in one.text for string in (*options.get("forbid", ()), *options.get("stop", ())))  # type: ignore[misc]
        assert len(one.text) <= options.get("length", 30)  # type: ignore[operator]


def test_a_blocked_word_is_in_no_phrase(tmp_path: Path) -> None:
    free = kammil.load("levantine").phrase(SURE_PROMPT)
    assert free.stock
    list_file = tmp_path / "block.txt"
    list_file.write_text(open_word(free.added) + "\n", "utf-8")
    blocked = kammil.load("levantine", block=list_file)
    assert open_word(free.added) not in blocked.phrase(SURE_PROMPT).added
    assert open_word(free.added) not in blocked.complete(SURE_PROMPT, preset="sensible").text


def test_a_model_of_ones_own_has_no_phrases(model: Completer) -> None:
    assert not model.complete(SURE_PROMPT, preset="sensible").stock
    assert not model.phrase(SURE_PROMPT).stock


def stock(text: str, sure: float) -> Hypothesis:
    one = Hypothesis(DecodingOptions.of(clause=True), SURE_PROMPT, text, bits=[1.0] * len(text))
    one.likeness, one.sureness, one.reason = 0.2, sure, "stop"
    return one


@pytest.mark.parametrize(
    ("ghost", "found", "shown"),
    [
        ("", [stock("ست طيبة", 1.0)], "ست طيبة"),
        ("", [stock("ست طيبة", -1.0)], ""),
        ("ست", [stock("ست طيبة", 1.0)], "ست طيبة"),  # goes on from what the model is sure of
        ("مرا", [stock("ست طيبة", 1.0)], "مرا"),  # and never against it
        ("مرا", [stock("ست طيبة", 2.0), stock("مرا طيبة", 1.0)], "مرا طيبة"),
        ("", [stock("الله يرحمه", 1.0)], ""),  # a formula that nobody has begun
    ],
)
def test_a_phrase_goes_on_from_ghost_text(ghost: str, found: list[Hypothesis], shown: str) -> None:
    rule = GhostRule(0.5, 0.8, 0.0)
    offered = or_stock_phrase(Phrase(ghost, 0.6), "كانت ", found, rule)
    assert offered.added == shown
    assert offered.sure == (ghost if offered.stock else "")


def test_quieter_steps_ask_for_surer_phrases(bundled_open: Completer) -> None:
    sure = [rule.sureness for rule in GHOST_RULES.values()]
    assert sure == sorted(sure, reverse=True)
    assert not bundled_open.phrase(SURE_PROMPT, threshold=0.5).stock
    assert not bundled_open.phrase(SURE_PROMPT, words=1).stock


@pytest.fixture
def taught() -> Completer:
    model = kammil.load().fork()
    model.learn("غدي نايم عند تيتا نهلا اليوم")
    return model


@pytest.mark.parametrize(
    ("typed", "rest"), [("غدي نايم ع", "ند تيتا نهلا اليوم"), ("غدي نايم عند تيتا ", "نهلا اليوم")]
)
def test_a_writers_own_message_is_a_phrase_after_one_use(taught: Completer, typed: str, rest: str) -> None:
    assert taught.phrase(typed).added == rest and taught.phrase(typed).stock
    assert taught.complete(typed, preset="sensible").text == rest
    assert len(taught.suggest("غدي نايم عند تيتا ")) == 3
    taught.forget("غدي نايم عند تيتا نهلا اليوم")
    assert taught.phrase(typed) == kammil.load().phrase(typed)
    assert taught.complete(typed, preset="sensible") == kammil.load().complete(typed, preset="sensible")


def test_no_phrase_contradicts_a_list_whose_first_word_was_learnt(taught: Completer) -> None:
    prompts = ["سلملي ع ", "وين صار ", "بكرا عيد ميلاد "]
    others = [taught.phrase(prompt) for prompt in prompts]
    assert all(one.stock for one in others)
    for text in ("سلملي ع رودي", "وين صار رودي؟", "بكرا عيد ميلاد رودي", "رودي ما رد علي من الصبح") * 3:
        taught.learn(text)
    for prompt, other in zip(prompts, others, strict=True):
        assert taught.suggest(prompt)[0].text == "رودي"
        assert taught.phrase(prompt).added.startswith("رودي") or not taught.phrase(prompt).added
        assert taught.complete(prompt, preset="sensible").text.startswith("رودي")
        assert other.added not in taught.complete(prompt, preset="sensible").text
    assert kammil.load().phrase(prompts[0]).stock


def test_texts_of_several_writers_are_nobodys_phrases(taught: Completer) -> None:
    shared = kammil.load().fork()
    shared.fix_own_phrases()
    shared.learn("غدي نايم عند تيتا نهلا اليوم")
    assert shared.own_phrases is None and taught.own_phrases is not None
    assert "تيتا نهلا اليوم" not in shared.phrase("غدي نايم عند ").added
    taught.fix_own_phrases()
    known = taught.own_phrases
    taught.learn("غدي صار عند خالتو رودي")
    assert taught.own_phrases is known and taught.fork(learnt=True).own_phrases is not known


def test_texts_without_words_are_no_phrases() -> None:
    assert own_phrases([]) is None and own_phrases(["؟!", "🙂"]) is None
    phrases = own_phrases(["؟", "وصلت لعند خالتي", "🙂"])
    assert phrases is not None and texts(phrases, "وصلت ") == ["لعند خالتي"]
