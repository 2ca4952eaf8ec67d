"""The parts around the text: suggestions, completions, heat map, learning, the model's card."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Error, expect
from tests.server.playground.conftest import CARD, bundled

if TYPE_CHECKING:
    from tests.server.playground.conftest import Api, Playground

MID, LATIN = "شو حلو الشعور لما تك", "see you to"
GHOSTS = {MID: "ون مع اصحابك كل", LATIN: "morrow at the"}
"""The model's ghost text and suggestions."""
TAUGHT = "بكرا منطلع عالجبل"
SUGGESTIONS = [
    {"text": "تكون", "completion": "ون", "probability": 0.68},
    {"text": "تكوني", "completion": "وني", "probability": 0.06},
    {"text": "تكبر", "completion": "بر", "probability": 0.03},
]


@pytest.fixture(autouse=True)
def answers(api: Api) -> None:
    api.ghosts = GHOSTS
    api.suggestions = {MID: SUGGESTIONS}


def test_chips_go_in_the_direction_of_the_text_and_are_used(visit: Callable[..., Playground], api: Api) -> None:
    page = visit("en")
    page.type(MID)
    chips = page.one("#chips button:visible")
    expect(chips).to_have_text([str(s["text"]) for s in SUGGESTIONS])
    places = [chips.nth(i).bounding_box() for i in range(3)]
    assert all(places)
    lefts = [place["x"] for place in places if place]
    assert lefts == sorted(lefts, reverse=True)
    assert page.ask("document.documentElement.dir") == "ltr"
    # By keyboard: down to the first, left to the next, and back into the text.
    page.keyboard.press("ArrowDown")
    expect(chips.nth(0)).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(chips.nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    page.has_text(MID + "وني ")
    expect(page.one("#text")).to_be_focused()
    expect(chips).to_have_count(0)
    assert len({body["session"] for body in api.of("POST v1/suggest")}) == 1


OPENINGS = [{"text": word, "completion": word, "probability": 0.03} for word in ("مرحبا", "كيفك", "صباح")]


def test_an_empty_box_offers_openings(page: Playground, api: Api) -> None:
    api.suggestions[""] = OPENINGS
    page.page.reload()
    chips, title = page.one("#chips button:visible"), page.one("#suggestions-title")
    expect(chips).to_have_text([str(one["text"]) for one in OPENINGS])
    expect(title).to_have_text("ابدأ بـ")
    expect(page.page.get_by_role("group", name="ابدأ بـ")).to_be_visible()
    chips.first.click()
    page.has_text("مرحبا ")
    expect(title).to_have_text("اقتراحات")
    expect(page.one("#none")).to_have_text("لا اقتراح هنا.")
    page.one("#done").press("Enter")
    expect(chips).to_have_count(3)
    expect(page.one("#none")).to_be_hidden()


@pytest.mark.parametrize(
    ("openings", "typed", "said"),
    [
        (OPENINGS, "hello my name is ", "Arabizi"),
        (OPENINGS, "привет", "Arabizi"),
        (OPENINGS, "شو حلو", "None here"),
        (OPENINGS, "1234 ", "None here"),
        ([{"text": "See", "completion": "See", "probability": 0.1}], "شو حلو", "this script"),
        ([{"text": "See", "completion": "See", "probability": 0.1}], "hello", "None here"),
        ([], "hello", "None here"),  # nothing is known of the model
    ],
)
def test_a_script_that_the_model_hardly_knows_gets_a_line(
    visit: Callable[..., Playground], api: Api, openings: list[Any], typed: str, said: str
) -> None:
    api.suggestions = {"": openings}
    page = visit("en")
    page.until(lambda: bool(api.of("POST v1/suggest")))
    if openings:
        expect(page.one("#chips button:visible")).to_have_count(len(openings))
    page.type(typed)
    expect(page.one("#none")).to_contain_text(said)


def test_chips_go_with_what_is_typed_since_they_were_asked_for(page: Playground, api: Api) -> None:
    page.type(MID)
    chips = page.one("#chips button:visible")
    expect(chips).to_have_count(3)
    api.held, api.holding = [], "v1/suggest"  # requests from now on are not answered
    page.type("ون")
    # The other two words no longer agree with the text.
    expect(chips).to_have_text(["تكوني"])
    chips.first.click()
    page.has_text(MID + "وني ")
    page.one("#text").press("Backspace")
    expect(chips).to_have_count(0)


def test_a_correction_says_so_and_replaces_the_letters(page: Playground, api: Api) -> None:
    typed = "شو اخباؤ"
    one = {"text": "اخبارك", "completion": "اخبارك", "probability": 0.4, "replaces": 5}
    api.suggestions[typed] = [one, {"text": "اخباؤهم", "completion": "هم", "probability": 0.1, "replaces": 0}]
    page.type(typed)
    chips = page.one("#chips button:visible")
    expect(chips).to_have_text(["اخبارك", "اخباؤهم"])
    assert "اخباؤ" in (chips.first.get_attribute("title") or "")
    assert [chips.nth(i).evaluate("chip => chip.classList.contains('corrects')") for i in range(2)] == [True, False]
    api.held, api.holding = [], "v1/suggest"  # requests from now on are not answered
    page.type("ك")
    expect(chips).to_have_text(["اخبارك"])  # it agrees with what was typed since
    chips.first.click()
    page.has_text("شو اخبارك ")
    page.one("#text").press("Control+z")
    page.has_text(typed + "ك")
    page.keyboard.type("م")  # not in place of what is there again
    page.has_text(typed + "كم")


def test_completions_stand_side_by_side(page: Playground, api: Api) -> None:
    page.type(MID)
    page.has_ghost("ون مع اصحابك كل")
    page.one("#settings").press("Enter")
    page.one("#length").focus()
    page.keyboard.press("Home")
    page.keyboard.press("Escape")
    expect(page.one("#write")).to_have_text("اكتب تكملات")
    page.one("#write").press("Enter")
    cards = page.one("#completions li")
    # Markup in a text is shown as text. All three are the same, so two of them go.
    expect(cards.locator("p[dir]")).to_have_text([MID + "ون هون<b>"])
    sent = api.written()[-1]
    assert (sent["prompt"], sent["n"], sent["max_tokens"], sent["preset"]) == (MID, 3, 5, "sensible")
    assert sent["whole_words"]  # the server leaves out what the length cuts
    expect(page.one("#write")).to_have_text("تكملات أخرى")
    page.one("#write").press("Enter")
    page.until(lambda: len(api.written()) == 2)
    assert len({body["seed"] for body in api.written()}) == 2
    expect(cards.locator("p[dir]")).to_have_text([MID + "ون هون<b>"])
    page.one("#language").press("Enter")
    expect(cards.get_by_role("button").first).to_have_text("Use")
    cards.nth(0).get_by_role("button").first.press("Enter")
    page.has_text(MID + "ون هون<b>")
    expect(cards).to_have_count(1)  # another of them may still be chosen
    page.type("!")
    expect(cards).to_have_count(0)
    expect(page.one("#write")).to_have_text("Write completions")


def test_a_busy_server_is_asked_again_for_completions(page: Playground, api: Api) -> None:
    page.type(MID)
    page.has_ghost("ون مع اصحابك كل")
    api.failing = (503, "busy")
    page.one("#write").press("Enter")
    expect(page.one("#problem")).to_have_text("الخادم مشغول؛ سنعيد المحاولة بعد قليل.")
    api.failing = None
    expect(page.one("#completions li p[dir]")).to_have_text([MID + "ون هون<b>"])
    expect(page.one("#problem")).to_be_hidden()
    api.failing = (503, "busy")
    page.one("#write").press("Enter")
    expect(page.one("#problem")).to_be_visible()
    page.one("#stop").press("Enter")
    expect(page.one("#problem")).to_be_hidden()
    page.one("#write").press("Enter")
    expect(page.one("#problem")).to_be_visible()
    api.failing, api.held, api.holding = None, [], "v1/completions"
    page.until(lambda: bool(api.held))  # accepted, and not answered yet
    page.one("#stop").press("Enter")
    expect(page.one("#problem")).to_be_hidden()
    api.failing, api.held = (503, "busy"), None
    page.one("#teach").press("Enter")
    expect(page.one("#problem")).to_have_text("الخادم مشغول؛ أعد المحاولة بعد قليل.")


def test_completions_that_fail_or_are_stopped_do_not_end_the_text(page: Playground, api: Api) -> None:
    page.type(MID)
    page.has_ghost("ون مع اصحابك كل")
    api.failing = (400, "n is 0")
    page.one("#write").press("Enter")
    expect(page.one("#problem")).to_contain_text("n is 0")
    expect(page.one("#completions li")).to_have_count(0)
    api.failing = None
    api.held, api.holding = [], "v1/completions"
    page.one("#write").press("Enter")
    expect(page.one("#completions li")).to_have_count(3)
    page.one("#stop").press("Enter")
    expect(page.one("#completions li")).to_have_count(0)
    expect(page.one("#write")).to_be_focused()


def test_presets_move_the_sliders_and_sliders_leave_the_preset(page: Playground, api: Api) -> None:
    def write() -> Any:
        page.keyboard.press("Escape")
        before = len(api.written())
        page.one("#write").press("Enter")
        page.until(lambda: len(api.written()) > before)
        return api.written()[-1]

    page.one("#settings").press("Enter")
    page.one("input[value=creative]").press("Space")
    expect(page.one("#temperature")).to_have_value("1")
    help_shown = {page.one("#preset-help").inner_text()}
    page.one("input[value=sensible]").press("Space")
    expect(page.one("#temperature")).to_have_value("0.7")
    help_shown.add(page.one("#preset-help").inner_text())
    page.one("input[value=creative]").press("Space")
    assert write()["preset"] == "creative"
    page.one("#settings").press("Enter")
    page.one("#temperature").press("End")
    expect(page.one("input[value=custom]")).to_be_checked()
    for name in ("predictive", "custom"):
        page.one(f"input[value={name}]").press("Space")
        help_shown.add(page.one("#preset-help").inner_text())
    assert len(help_shown) == 4
    page.one("#temperature").press("End")
    sent = write()
    assert (sent["temperature"], sent["top_p"], sent.get("preset")) == (1.5, 1, None)
    page.page.reload()
    expect(page.one("#temperature")).to_have_value("1.5")


def test_the_heat_map_tells_of_each_character(page: Playground) -> None:
    text = "شو 👍🏽 ok"
    page.type(text)
    page.one("#colour").press("Enter")
    heat, detail = page.one("#heat p"), page.one("#detail")
    expect(heat).to_have_text(text)
    assert page.ask("[...CSS.highlights.keys()].filter((name) => /^l/.test(name)).sort()") == [
        f"l{n}" for n in range(8)
    ]
    heat.focus()
    expect(detail).to_contain_text("ش")
    for key, wanted in (("ArrowLeft", "و"), ("ArrowLeft", "مسافة"), ("ArrowRight", "و"), ("End", "نهاية النصّ")):
        page.keyboard.press(key)
        expect(detail.locator("p").first).to_contain_text(wanted)
    # Pointing works too, and each alternative is listed with its probability.
    spot = page.ask(
        "() => { const r = new Range(); r.setStart(document.querySelector('#heat p').firstChild, 0);"
        "r.setEnd(document.querySelector('#heat p').firstChild, 1);"
        "const b = r.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2] }"
    )
    page.mouse.move(*spot)
    expect(detail.locator("li")).to_have_text([re.compile("^ش ١٠٠"), re.compile("^نهاية النصّ ١")])


def test_only_a_text_that_is_taught_is_learnt(page: Playground, api: Api) -> None:
    page.type(MID)
    page.one("#done").press("Enter")
    page.has_text("")
    expect(page.one("#written li p")).to_have_text([MID])
    assert api.of("POST v1/learn") == []
    expect(page.one("#teach")).to_be_disabled()  # there is no text
    page.type(TAUGHT)
    page.one("#teach").press("Enter")
    expect(page.one("#learnt")).to_contain_text("١")
    assert [body["text"] for body in api.of("POST v1/learn")] == [TAUGHT]
    expect(page.one("#teach")).to_be_focused()
    page.has_text(TAUGHT)
    page.page.reload()
    expect(page.one("#learnt")).to_contain_text("١")  # the server still knows it
    page.one("#wipe").press("Enter")
    expect(page.one("#learnt")).to_have_text("مُحي ما تعلّمه.")
    expect(page.one("#lesson")).to_be_empty()
    expect(page.one("#wipe")).to_be_hidden()
    assert len(api.of("DELETE v1/learn")) == 1
    page.one("#model").select_option("plain")
    expect(page.one("#teach")).to_be_disabled()
    expect(page.one("#learnt")).to_contain_text("--model blend")
    expect(page.one("#learn-help")).to_be_hidden()
    page.one("#model").select_option("levantine")
    expect(page.one("#learnt")).to_be_empty()
    expect(page.one("#learn-help")).to_be_visible()


def test_what_was_learnt_is_shown_before_and_after(page: Playground, api: Api) -> None:
    api.suggestions["بكرا منطلع "] = [{"text": "من", "completion": "من", "probability": 0.3}]
    page.type(TAUGHT)
    page.one("#teach").press("Enter")
    lesson = page.one("#lesson")
    expect(lesson.locator(".named")).to_have_text("تعلّمتُ منك: عالجبل")
    expect(lesson.locator(".before")).to_have_text(re.compile("منطلع … من$"))
    expect(lesson.locator(".after b")).to_have_text("عالجبل")
    expect(lesson.locator(".after bdi")).to_contain_text("منطلع")
    page.one("#language").press("Enter")
    expect(lesson.locator(".named")).to_have_text("I learnt from you: عالجبل")
    assert lesson.locator(".after bdi").evaluate("(said) => said.matches(':dir(rtl)')")
    # What was known before is not claimed.
    page.one("#teach").press("Enter")
    expect(lesson).to_have_text("I learnt your text; its words I knew before.")


def test_the_name_of_the_browser_stays(page: Playground, api: Api) -> None:
    page.type(TAUGHT)
    page.one("#teach").press("Enter")
    expect(page.one("#lesson .named")).to_be_visible()
    page.page.reload()
    page.type(TAUGHT)
    page.one("#teach").press("Enter")
    expect(page.one("#lesson .named")).to_be_visible()
    first, second = (body["session"] for body in api.of("POST v1/learn"))
    assert first == second and len(first) >= 16
    assert all(body["private"] for body in api.of("POST v1/learn"))
    others = [body for path in ("suggest", "completions") for body in api.of(f"POST v1/{path}")]
    assert {body["session"] for body in others} == {first}
    # A text is scored as a model scores it that has not learnt it.
    assert [(body["text"], "session" in body) for body in api.of("POST v1/score")] == [(TAUGHT, False)] * 2


def test_learnt_words_are_named_with_their_uses(page: Playground) -> None:
    own = page.one("#own")
    page.type(TAUGHT)
    page.one("#teach").press("Enter")
    expect(page.one("#learnt")).to_contain_text("١")
    expect(own).to_be_hidden()  # each was used once
    page.one("#teach").press("Enter")
    expect(own).to_contain_text("عالجبل ×٢")
    page.one("#language").press("Enter")
    expect(own).to_contain_text("عالجبل ×2")
    page.one("#wipe").press("Enter")
    expect(own).to_be_hidden()


def test_finished_texts_are_learnt_if_that_is_switched_on(page: Playground, api: Api) -> None:
    page.one("#settings").press("Enter")
    page.one("#learn").check()
    page.one("#close").press("Enter")
    page.type(TAUGHT)
    page.one("#done").press("Enter")
    page.has_text("")
    expect(page.one("#learnt")).to_contain_text("١")
    page.page.reload()  # the switch stays
    page.type(MID)
    page.one("#done").press("Enter")
    expect(page.one("#learnt")).to_contain_text("٢")
    assert [body["text"] for body in api.of("POST v1/learn")] == [TAUGHT, MID]


def test_the_page_says_that_the_server_has_forgotten(page: Playground, api: Api) -> None:
    """The text goes on meanwhile, and what is taught next is learnt."""
    page.type(TAUGHT)
    page.one("#teach").press("Enter")
    expect(page.one("#wipe")).to_be_visible()
    api.expired = True
    page.type(" ")
    expect(page.one("#learnt")).to_contain_text("نسي")
    expect(page.one("#wipe")).to_be_hidden()
    expect(page.one("#problem")).to_be_hidden()
    assert api.of("DELETE v1/learn") and not api.expired
    page.one("#teach").press("Enter")
    expect(page.one("#learnt")).to_have_text("نصوص تعلّمها: ١")
    api.expired = True  # while nobody looked
    page.page.reload()
    expect(page.one("#learnt")).to_contain_text("نسي")


def test_the_page_says_that_there_is_no_room_to_learn(page: Playground) -> None:
    body = {"error": {"message": "full", "code": "no_room"}}
    page.page.route("**/v1/learn", lambda route: route.fulfill(status=503, json=body, headers={"Retry-After": "900"}))
    with page.page.expect_response(lambda one: TAUGHT in (one.request.post_data or "")):
        page.type(TAUGHT)  # an answer that came later would clear the line
    page.one("#teach").press("Enter")
    expect(page.one("#problem")).to_contain_text("بعد ساعة")
    expect(page.one("#learnt")).to_be_empty()


def test_what_was_entered_before_is_sent_where_it_is_read(
    visit: Callable[..., Playground], api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CARD, "reads_context", True)
    page = visit()
    for text in (TAUGHT, "قبل"):
        page.type(text)
        page.one("#done").press("Enter")
    page.type(MID)
    page.one("#write").click()
    page.one("#colour").click()
    expect(page.one("#heat p")).to_be_visible()
    for path in ("suggest", "completions", "score"):
        assert api.of(f"POST v1/{path}")[-1]["context"] == [TAUGHT, "قبل"]
    page.one("#written button").last.click()  # which leaves the thread
    page.has_text("قبل")
    expect(page.one("#written p")).to_have_text([TAUGHT])
    page.until(lambda: api.of("POST v1/suggest")[-1].get("context") == [TAUGHT])
    page.one("#readThread").press("Space")
    page.until(lambda: "context" not in api.of("POST v1/suggest")[-1])
    page.one("#readThread").press("Space")
    page.one("#clearThread").press("Enter")
    expect(page.one("#text")).to_be_focused()
    expect(page.one("#thread")).to_be_hidden()
    page.until(lambda: "context" not in api.of("POST v1/suggest")[-1])


def test_a_model_that_reads_no_context_gets_none(page: Playground, api: Api) -> None:
    page.type(TAUGHT)
    page.one("#done").press("Enter")
    page.type(MID)
    expect(page.one("#chips button:visible")).to_have_count(3)
    expect(page.one("#written p")).to_have_text([TAUGHT])
    expect(page.one("#readThread")).to_be_hidden()
    assert [body for body in api.of("POST v1/suggest") if "context" in body] == []


def test_examples_type_themselves(visit: Callable[..., Playground]) -> None:
    page = visit(reduced_motion="no-preference")
    page.type("قبل")
    examples = page.one("#examples button")
    wanted = examples.first.inner_text().removesuffix("…")
    examples.first.click()
    page.until(lambda: page.one("#text").input_value().strip() == wanted)
    expect(page.one("#written li p")).to_have_text(["قبل"])  # not lost, and the example is not kept
    # A key stops the next one.
    examples.nth(1).click()
    page.until(lambda: len(page.one("#text").input_value()) >= 2)
    page.keyboard.press("x")
    page.page.wait_for_timeout(300)
    assert page.one("#text").input_value().endswith("x")


@pytest.mark.parametrize(
    ("characters", "offered"),
    [(" abcdehiklmnoprs7", 0), (" ،ابتحخدذرزسشصطعقكلمنهوي", 3), (" ،ابتحخدذرزسشصطعقكلمنهويsbahelk7", 4)],
)
def test_a_model_is_offered_examples_that_it_can_write(
    visit: Callable[..., Playground], monkeypatch: pytest.MonkeyPatch, characters: str, offered: int
) -> None:
    monkeypatch.setitem(CARD, "characters", characters)
    page = visit()
    expect(page.one("#card dd").first).to_be_visible()
    expect(page.one("#examples button:visible")).to_have_count(offered)
    expect(page.one("#examples-title")).to_be_visible(visible=offered > 0)


def test_percentages_are_shown_on_demand(page: Playground) -> None:
    page.type(MID)
    chip = page.one("#chips button:visible").first
    expect(chip).to_have_text("تكون")
    page.one("#settings").press("Enter")
    page.one("#percentages").press("Space")
    page.keyboard.press("Escape")
    expect(chip).to_have_text(re.compile("^تكون ٦٨"))
    page.page.reload()
    page.type(MID)
    expect(chip).to_have_text(re.compile("^تكون ٦٨"))


def test_the_least_probability_of_a_word_is_the_servers(page: Playground, api: Api) -> None:
    page.type(MID)
    page.has_ghost("ون مع اصحابك كل")
    expect(page.one("#chips button:visible")).to_have_count(3)
    assert [body for body in api.of("POST v1/suggest") if "threshold" in body] == []


def test_the_heat_map_follows_the_text_if_it_is_switched_on(page: Playground, api: Api) -> None:
    page.type("شو")
    page.page.wait_for_timeout(500)
    assert api.of("POST v1/score") == []
    page.one("#settings").press("Enter")
    page.one("#liveHeat").press("Space")
    page.keyboard.press("Escape")
    expect(page.one("#heat p")).to_have_text("شو")
    page.type(" حلو")
    expect(page.one("#heat p")).to_have_text("شو حلو")
    page.one("#done").press("Enter")
    expect(page.one("#heat p")).to_have_count(0)


def test_models_stand_side_by_side(page: Playground, api: Api) -> None:
    expect(page.one("#compare")).to_be_disabled()
    page.type(MID)
    page.one("#compare").press("Enter")
    rivals = page.one("#rivals li")
    expect(rivals.locator("h3")).to_have_text(
        ["levantine: مزيج عدّادات وشبكة (blend)", "plain: مزيج عدّادات وشبكة (blend)"]
    )
    expect(rivals.locator(".text")).to_have_text([MID + " من levantine", MID + " من plain"])
    expect(rivals.first.locator(".word")).to_have_text([str(s["text"]) for s in SUGGESTIONS])
    expect(rivals.first).to_contain_text("١٫٥٠")
    page.one("#done").press("Enter")
    expect(rivals).to_have_count(0)


def test_the_faults_of_a_model_are_said(page: Playground) -> None:
    expect(page.one("main > p").last).to_contain_text("قد يخطئ أو يسيء")
    expect(page.one("#known-faults")).to_have_text("It was raised on tweets: it can be rude.")
    assert page.one("#known-faults").evaluate("(p) => p.matches(':dir(ltr)')")


def test_the_card_shows_what_is_known(page: Playground) -> None:
    expect(page.one("#card")).to_contain_text("research use")
    expect(page.one("#card")).to_contain_text("٢٫٦٤")
    expect(page.one("#card dt")).to_have_count(6)  # entries that are null are left out


def test_the_arabic_page_is_whole_in_arabic(visit: Callable[..., Playground], api: Api) -> None:
    """Words of it in Latin letters are names, commands or keys, each of which stands by itself."""
    api.suggestions = {}
    page = visit("ar", viewport={"width": 320, "height": 740})
    page.page.route(
        "**/v1/models", lambda route: route.fulfill(json={"data": [{"id": "levantine", "card": bundled("levantine")}]})
    )
    page.page.reload()
    expect(page.one("#card dt")).to_have_count(6)
    page.one("#settings").press("Enter")
    texts = page.ask(
        """() => [...document.querySelectorAll("body *")].filter((one) => one.offsetParent &&
          !one.closest("kbd, code, select, [lang=en], #examples")).flatMap((one) => [...one.childNodes])
          .filter((node) => node.nodeType === 3).map((node) => node.data).filter((text) => /[a-z]{2}/i.test(text))"""
    )
    names = ("levantine", "blend", "README.md", "top-p")
    assert [text for text in texts if not re.search("[ء-ي]{3}", text) and text not in names] == []
    page.keyboard.press("Escape")
    command = page.one("#compare-help code")
    expect(command).to_have_text("kammil serve levantine FOLDER")
    assert command.evaluate("(code) => [code.getClientRects().length, code.matches(':dir(ltr)')]") == [1, True]


@pytest.mark.parametrize("width", [320, 360])
@pytest.mark.parametrize("locale", ["ar", "en"])
def test_nothing_overflows_on_a_small_phone(
    visit: Callable[..., Playground], api: Api, locale: str, width: int
) -> None:
    phone = {"viewport": {"width": width, "height": 640}, "has_touch": True, "is_mobile": True}
    api.suggestions[""] = OPENINGS
    page = visit(locale, **phone)
    expect(page.one("#card dt")).to_have_count(6)
    page.type(TAUGHT)
    page.one("#teach").tap()
    expect(page.one("#lesson .named")).to_be_visible()
    page.type(MID)
    page.one("#compare").tap()
    expect(page.one("#rivals li")).to_have_count(2)
    page.one("#colour").tap()
    expect(page.one("#heat p")).to_be_visible()
    wide = page.ask(
        """() => [document.documentElement.scrollWidth, ...[...document.querySelectorAll("body *")].filter((one) =>
          one.offsetParent && !one.matches(".unseen, header label")).flatMap((one) => {
            const { left, right } = one.getBoundingClientRect();
            return left < 0 || right > innerWidth ? [one.id || one.className || one.nodeName] : [];
          })]"""
    )
    assert wide == [width]
    assert page.ask("scrollX") == 0
    edges = page.ask(
        """() => ["header h1", "#language", ".compose"].map((one) => {
          const { left, right } = document.querySelector(one).getBoundingClientRect();
          return [left, innerWidth - right].map(Math.round);
        })"""
    )
    name, button, card = edges
    assert card == [12, 12]
    assert (name[1], button[0]) == (12, 12) if locale == "ar" else (name[0], button[1]) == (12, 12)
    whole = "(one) => [one.offsetWidth, (one.style.flex = 'none') && one.offsetWidth]"
    shown, needed = page.one("#model").evaluate(whole)
    assert shown == needed  # the name of the model is not cut


@pytest.mark.parametrize("locale", ["ar", "en"])
def test_the_card_can_be_read_on_a_phone(visit: Callable[..., Playground], locale: str) -> None:
    page = visit(locale, viewport={"width": 320, "height": 740})
    values = page.one("#card dd")
    expect(values).to_have_count(6)
    widths = [box["width"] for i in range(6) if (box := values.nth(i).bounding_box())]
    assert min(widths) > 100


def test_what_was_said_of_another_text_or_by_another_model_goes(page: Playground) -> None:
    for change in (lambda: page.one("#model").select_option("plain"), lambda: page.one("#done").press("Enter")):
        page.type(MID)
        page.one("#colour").press("Enter")
        page.one("#write").press("Enter")
        expect(page.one("#heat p")).to_have_count(1)
        expect(page.one("#completions li")).to_have_count(1)  # of equal texts one is shown
        change()
        expect(page.one("#heat p")).to_have_count(0)
        expect(page.one("#completions li")).to_have_count(0)
        expect(page.one("#mean")).to_have_text("")


def test_a_score_that_comes_late_is_not_shown(page: Playground, api: Api) -> None:
    for change in (lambda: page.one("#model").select_option("plain"), lambda: page.one("#done").press("Enter")):
        page.type(MID)
        held = api.held = []
        api.holding = "v1/score"
        page.one("#colour").press("Enter")
        page.until(lambda held=held: len(held) == 1)
        api.held = None
        change()
        with contextlib.suppress(Error):  # it was aborted
            api.answer(held[0], "v1/score", {"text": MID})
        page.page.wait_for_timeout(100)
        expect(page.one("#heat p")).to_have_count(0)
        expect(page.one("#problem")).to_be_hidden()


def test_below_a_long_text_what_goes_on_with_it_stays_in_sight(visit: Callable[..., Playground], api: Api) -> None:
    text = "هالنص طويل كتير، وبيطلع من الشاشة. " * 30 + MID
    api.suggestions = {text: SUGGESTIONS}
    page = visit("ar", viewport={"width": 390, "height": 500})
    page.type(text)
    expect(page.one("#chips")).to_be_visible()
    for part in ("#teach", "#chips"):
        box = page.one(part).bounding_box()
        assert box and box["y"] >= 0 and box["y"] + box["height"] <= 500
