"""Stock phrases: what is said of them, when they are shown, and whether they were useful."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from tests.server.playground.conftest import Api, Playground

BEGUN, SURE, PHRASE = "عظم الله اج", "ركم", "ركم والله يصبر قلبكم"
PLAIN = "شو حلو الشعور لما تك"
ANSWERS = "localStorage.getItem('kammil.answers')"


@pytest.fixture(autouse=True)
def answers(api: Api) -> None:
    api.ghosts, api.stock = {BEGUN: SURE, PLAIN: "ون مع اصحابك"}, {BEGUN: PHRASE}


def switched_on(page: Playground) -> Playground:
    page.one("#settings").press("Enter")
    page.one("#feedback").press("Space")
    page.keyboard.press("Escape")
    return page


def kept(page: Playground) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (page.ask(ANSWERS) or "").splitlines()]


def test_a_stock_phrase_is_named_and_a_word_of_the_model_is_not(visit: Callable[..., Playground]) -> None:
    for locale, name in (("ar", "عبارة جاهزة"), ("en", "Ready-made phrase")):
        page = visit(locale)
        page.type(BEGUN)
        page.has_ghost(PHRASE)
        expect(page.one("#phrase")).to_contain_text(name)
        expect(page.one("#live")).to_contain_text(name)
        expect(page.one("#live")).to_contain_text(PHRASE)
        page.keyboard.press("Control+a")
        page.type(PLAIN)
        page.has_ghost("ون مع اصحابك")
        expect(page.one("#phrase")).to_be_hidden()
        expect(page.one("#live")).not_to_contain_text(name)


def test_a_phrase_waits_for_a_pause_and_the_words_that_begin_it_do_not(page: Playground) -> None:
    seen = page.ask(
        """async ([begun, more]) => {
          const field = document.getElementById("text"), mirror = document.getElementById("mirror");
          const seen = [], start = performance.now();
          const note = () => seen.push([performance.now() - start, mirror.textContent.slice(field.value.length)]);
          new MutationObserver(note).observe(mirror, { characterData: true, subtree: true });
          document.execCommand("insertText", false, begun);
          while (seen.at(-1)?.[1] !== more) await new Promise(requestAnimationFrame);
          return seen.filter(([, ghost]) => ghost);
        }""",
        [BEGUN, PHRASE],
    )
    (_, sure), (at, phrase) = seen
    assert (sure, phrase) == (SURE, PHRASE)
    assert at >= 400


def test_whoever_types_on_is_shown_no_phrase(page: Playground, api: Api) -> None:
    api.stock |= {BEGUN + "ر": PHRASE[1:], BEGUN + "رك": PHRASE[2:]}
    seen = page.ask(
        """async ([begun, keys]) => {
          const mirror = document.getElementById("mirror"), seen = [];
          const rest = () => new Promise((go) => setTimeout(go, 250));
          const note = () => seen.push(mirror.textContent);
          new MutationObserver(note).observe(mirror, { characterData: true, subtree: true });
          for (const key of [begun, ...keys]) { document.execCommand("insertText", false, key); await rest(); }
          document.execCommand("insertText", false, "!");
          return seen;
        }""",
        [BEGUN, ["ر", "ك"]],
    )
    assert len(api.ghosts_asked()) >= 2
    assert [text for text in seen if "قلبكم" in text] == []


def test_letters_and_words_that_agree_keep_the_phrase(page: Playground) -> None:
    page.type(BEGUN)
    page.has_ghost(PHRASE)
    page.type("ركم وال")
    assert page.ghost() == "له يصبر قلبكم"
    expect(page.one("#phrase")).to_be_visible()
    page.keyboard.press("Control+ArrowLeft")
    page.has_text(BEGUN + "ركم والله ")
    page.has_ghost("يصبر قلبكم")
    expect(page.one("#phrase")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.one("#phrase")).to_be_hidden()


def test_nobody_is_asked_unless_they_switch_it_on(page: Playground) -> None:
    expect(page.one("#feedback")).not_to_be_checked()
    page.type(BEGUN)
    page.has_ghost(PHRASE)
    expect(page.one("#phrase button:visible")).to_have_count(0)
    page.keyboard.press("Tab")
    page.has_text(BEGUN + PHRASE + " ")
    expect(page.one("#phrase")).to_be_hidden()
    assert page.ask(ANSWERS) is None
    page.one("#settings").press("Enter")
    expect(page.one("#answers")).to_be_hidden()


def test_answers_are_kept_saved_and_deleted_and_never_sent(page: Playground, api: Api, tmp_path: Path) -> None:
    switched_on(page)
    page.type("س" * 100 + "😀 " + BEGUN)
    api.stock["س" * 100 + "😀 " + BEGUN] = PHRASE
    page.has_ghost(PHRASE)
    page.one("#phrase button").last.click()  # not useful, while it is grey
    expect(page.one("#text")).to_be_focused()
    assert page.ghost() == PHRASE
    expect(page.one("#live")).to_have_text("حُفظ جوابك على هذا الجهاز.")
    expect(page.one("#phrase button:visible")).to_have_count(0)
    page.keyboard.press("Tab")
    expect(page.one("#text")).to_have_value(re.compile(f"{PHRASE} $"))
    expect(page.one("#phrase button:visible")).to_have_count(0)  # one answer for each
    page.keyboard.press("Control+a")
    page.type(BEGUN)
    page.has_ghost(PHRASE)
    page.keyboard.press("Tab")
    page.has_text(BEGUN + PHRASE + " ")
    page.keyboard.press("Tab")  # to the first button, now that no grey text holds the key
    expect(page.one("#phrase button").first).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.one("#text")).to_be_focused()
    page.type("يا")
    expect(page.one("#phrase")).to_be_hidden()
    bad, good = kept(page)
    assert (bad["useful"], good["useful"]) == (False, True)
    assert len(bad["text"]) == 60 and bad["text"].endswith("😀 " + BEGUN)
    assert [good[name] for name in ("model", "text", "phrase")] == ["levantine", BEGUN, PHRASE]

    page.page.reload()
    page.one("#settings").press("Enter")
    expect(page.one("#answers")).to_contain_text("٢")
    with page.page.expect_download() as download:
        page.one("#answers button").first.press("Enter")
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    assert [json.loads(line) for line in file.read_text("utf-8").splitlines()] == [bad, good]
    page.one("#answers button").last.press("Enter")
    expect(page.one("#answers")).to_be_hidden()
    expect(page.one("#feedback")).to_be_focused()
    assert kept(page) == []
    assert {to for to, _ in api.asked} == {"GET v1/models", "GET v1/learn", "POST v1/suggest"}
    assert "useful" not in json.dumps([body for _, body in api.asked])


def test_the_number_of_answers_is_bounded(page: Playground) -> None:
    old = {"time": "2026-01-01T00:00:00.000Z", "model": "levantine", "text": "", "phrase": "قديمة", "useful": True}
    page.ask("(line) => localStorage.setItem('kammil.answers', Array(500).fill(line).join('\\n'))", json.dumps(old))
    page.page.reload()
    switched_on(page)
    page.type(BEGUN)
    page.has_ghost(PHRASE)
    page.one("#phrase button").first.click()
    page.until(lambda: kept(page)[-1]["phrase"] == PHRASE)
    assert len(kept(page)) == 500


def test_a_browser_that_keeps_nothing_says_so(page: Playground) -> None:
    switched_on(page)
    page.type(BEGUN)
    page.has_ghost(PHRASE)
    page.ask("() => { Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError') } }")
    page.one("#phrase button").first.click()
    expect(page.one("#phrase")).to_contain_text("لم يُحفظ")
    page.page.reload()


def test_cards_and_models_side_by_side_name_a_stock_phrase(page: Playground, api: Api) -> None:
    def answer(route: Any) -> None:
        body = json.loads(route.request.post_data)
        api.asked.append(("POST v1/completions", body))
        choices = [{"index": i, "text": text, "stock": not i} for i, text in enumerate((PHRASE, "ر", "ركن"))]
        if not body.get("stream"):
            route.fulfill(json={"choices": choices})
            return
        lines = [f"data: {json.dumps({'choices': [choice]})}\n\n" for choice in choices[: body["n"]]]
        headers = {"Content-Type": "text/event-stream"}
        route.fulfill(body="".join([*lines, "data: [DONE]\n\n"]), headers=headers)

    page.page.route("**/v1/completions", answer)
    page.type(BEGUN)
    page.one("#write").press("Enter")
    notes = page.one("#completions .quiet:visible")
    expect(page.one("#completions .row:visible")).to_have_count(3)
    expect(notes).to_have_text(["عبارة جاهزة"])
    expect(page.one("#completions li").first).to_contain_text("عبارة جاهزة")
    page.one("#compare").press("Enter")
    expect(page.one("#rivals li").first).to_contain_text("عبارة جاهزة")


@pytest.mark.parametrize(("locale", "width"), [("ar", 390), ("en", 320), ("ar", 1280)])
def test_the_line_covers_no_letter_and_moves_nothing(
    visit: Callable[..., Playground], api: Api, locale: str, width: int
) -> None:
    long = "عظم الله اجركم " * 6 + BEGUN
    api.stock[long] = PHRASE
    page = switched_on(visit(locale, viewport={"width": width, "height": 780}))
    page.type(long)
    page.has_ghost(PHRASE)
    below, top, left, right, moved = page.ask(
        """() => {
          const range = new Range(), line = document.getElementById("phrase");
          range.selectNodeContents(document.getElementById("mirror"));
          const parts = [...line.children].map((one) => one.getBoundingClientRect());
          const place = () => document.getElementById("suggestions").getBoundingClientRect().top;
          const [first, shown] = [range.getBoundingClientRect().bottom, place()];
          line.hidden = true;
          const moved = place() - shown;
          line.hidden = false;
          return [first, Math.min(...parts.map((one) => one.top)), Math.min(...parts.map((one) => one.left)),
            Math.max(...parts.map((one) => one.right)), moved];
        }"""
    )
    assert below <= top
    assert 0 <= left < right <= width
    assert moved == 0 or (locale, width) == ("en", 320)  # there it needs two lines
