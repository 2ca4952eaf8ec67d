"""The page and the element of a site in a browser: what is typed is completed there, and nothing leaves it."""

from __future__ import annotations

import gzip
import json
import random
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests import needs
from tests.pages import TOOLS, Files, chromium, served
from tests.phone import OPTIONS, Phone

import kammil
from kammil.completion.learning import MAX_TEXTS, Profile
from kammil.exporting.web import POLICY

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

PROMPT = "شو رأيكم نط"
TAUGHT = "القطة نطت عالبراد وما رضيت تنزل"
BUDGET = 150_000
"""Bytes of a first visit beside the model, gzipped."""
OWN = f"""<!doctype html><html lang="AR" dir="rtl"><meta charset="utf-8"><title>نموذج</title>
<meta http-equiv="Content-Security-Policy" content="{POLICY}"><meta name="viewport" content="width=device-width">
<script type="module" src="kammil-text.js"></script><script type="module" src="own.js"></script>
<main><h1>نموذج</h1><form><label for="one">رسالة</label>
<kammil-text src="model/"><textarea id="one" name="one"></textarea></kammil-text>
<p><label for="line">عنوان</label> <input id="line"></p></form></main>"""
THREADS = [
    ["مسا الخير، في موعد عند الدكتورة رندلى بكرا؟", "إيه، الدكتورة رندلى فاضية الساعة عشرة", "تمام، منيح"],
    ["شو رقم الدكتورة ريهام؟", "الدكتورة ريهام مسافرة هالأسبوع"],
]
ASKED = "طيب خبر الدكتورة ر"
CHAT = f"""<!doctype html><html lang="ar" dir="rtl"><meta charset="utf-8"><title>محادثة</title>
<script type="module" src="kammil-text.js"></script><main>
<div id="thread">{"".join(f"<p>{text}</p>" for text in THREADS[0])}</div>
<kammil-text id="one" src="model/" context="thread"><textarea aria-label="رسالة"></textarea></kammil-text>
<kammil-text id="two" src="model/"><textarea aria-label="أخرى"></textarea></kammil-text></main>"""
ATTACH = """import { attach } from "./kammil-text.js"; window.attached = attach(document.querySelector("#line"));"""
EXPECTED = (
    *("Service Worker registration blocked", "Failed to load resource: the server responded with a status of"),
    "http://127.0.0.1:",  # a model that is not there
    "Failed to load resource: net::ERR_FAILED",  # the font without a network, which is kept from a second visit on
)
"""Lines of the console that the tests cause."""
KEPT = """async (version) => {
  const { active } = await navigator.serviceWorker.ready, wait = () => new Promise((done) => setTimeout(done, 50));
  while (active.state === "activating" || (await caches.keys()).some((name) => !name.includes(version))) await wait();
}"""
Open = Callable[..., "Page"]


class Shared(Files):
    """A host whose files pages of other origins may use."""

    def end_headers(self) -> None:
        self.send_header("Access-Control-Allow-Origin", "*")
        super().end_headers()


class Host(Files):
    """A host that lets browsers keep its files for an hour, and has one name for its first page."""

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "max-age=3600")
        self.send_header("Vary", "Accept")
        super().end_headers()

    def send_head(self) -> Any:
        if not self.path.endswith("/index.html"):
            return super().send_head()
        self.send_response(308)
        self.send_header("Location", "/")
        return self.end_headers()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def address(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("own")
    for path in site.iterdir():
        (folder / path.name).symlink_to(path)
    (folder / "own.html").write_text(OWN, "utf-8")
    (folder / "chat.html").write_text(CHAT, "utf-8")
    (folder / "own.js").write_text(ATTACH, "utf-8")
    (folder / "favicon.ico").touch()
    with served(folder, Shared) as url:
        yield url


@pytest.fixture
def visit(browser: Browser, address: str) -> Iterator[Open]:
    """Open a page of the site; in the end the console is empty, and no other server was asked."""
    contexts: list[BrowserContext] = []
    said: list[str] = []

    def go(path: str = "", **options: Any) -> Page:
        opened: dict[str, Any] = {"locale": "ar", "reduced_motion": "reduce", "service_workers": "block", **options}
        context = browser.new_context(**opened)
        context.set_default_timeout(60_000)
        contexts.append(context)
        return turn(context.new_page(), path)

    def turn(page: Page, path: str) -> Page:
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: said.append(request.url) if not ours(request.url) else None)
        page.goto(address + path)
        return page

    def ours(url: str) -> bool:
        return url.startswith((address, "blob:"))

    yield go
    for context in contexts:
        context.close()
    assert not [line for line in said if not line.startswith(EXPECTED)]


def until(page: Page, script: str) -> Any:
    return page.wait_for_function(script, timeout=60_000).json_value()


def write(page: Page, text: str, field: str = "#text") -> None:
    page.locator(field).focus()
    page.keyboard.insert_text(text)


def nothing_is_wider(page: Page) -> None:
    for width in (320, 390, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.fixture(scope="module")
def words() -> list[str]:
    return [word.text for word in kammil.load().suggest(PROMPT)]


def chips(page: Page) -> list[str]:
    page.locator("#chips button:visible").first.wait_for()
    return page.locator("#chips button:visible bdi").all_text_contents()


def test_the_page_completes_colours_and_writes_as_python_does(visit: Open, words: list[str]) -> None:
    page = visit()
    assert page.locator("html").get_attribute("dir") == "rtl"
    page.wait_for_selector("#chips button:visible")  # openings
    write(page, PROMPT)
    until(page, f"() => document.querySelector('#chips bdi').textContent === {words[0]!r}")
    assert chips(page) == words
    page.locator("#chips button").first.click()
    assert page.locator("#text").input_value() == PROMPT.rpartition(" ")[0] + f" {words[0]} "
    page.locator("#text").fill("")
    write(page, "صباح ال")
    page.wait_for_selector("#text.ghosted")
    page.keyboard.press("Tab")
    phrase = kammil.load().phrase("صباح ال")  # a ready-made one, which only a server has, begins with what is sure
    assert page.locator("#text").input_value() == f"صباح ال{phrase.sure or phrase.added} "
    page.locator("#text").fill(PROMPT)
    page.locator("#colour").click()
    page.locator("#heat p").focus()
    page.wait_for_selector("#detail li")
    score = kammil.load().score(PROMPT)
    bits = page.evaluate("async (text) => (await import('./ui/api.js')).score({ text, top: 8 })", PROMPT)
    assert [one["bits"] for one in bits["characters"]] == pytest.approx(list(score.bits), abs=1e-5)
    assert [one["character"] for one in bits["characters"]] == [*PROMPT, ""]
    for one in bits["characters"]:
        shares = [other["probability"] for other in one["alternatives"]]
        assert len(shares) == 8 and shares == sorted(shares, reverse=True)
    page.locator("#write").click()
    page.wait_for_selector("#completions .row:visible")
    texts = page.locator("#completions p[dir]").all_text_contents()
    assert len(texts) == 3 and all(text.startswith(PROMPT) for text in texts)
    nothing_is_wider(page)


def test_what_only_a_server_can_do_is_not_there(visit: Open) -> None:
    page = visit(locale="en")
    page.wait_for_selector("#card dd")
    for part in ("#compare", "#rivals", "#presets", "#top_p", "#feedback", "#key"):
        assert page.locator(part).is_hidden(), part
    page.locator("#settings").click()
    assert page.locator("#temperature").is_visible()
    assert page.locator("#presets, #top_p, #feedback").locator("visible=true").count() == 0
    for said in ("learnHelp", "intro"):
        assert "server" not in page.locator(f"[data-message={said}], #{said}").inner_text()
    page.locator("#close").click()
    nothing_is_wider(page)


def test_what_it_learnt_stays_is_shown_saved_and_wiped(visit: Open, tmp_path: Path) -> None:
    page = visit()
    page.wait_for_selector("#card dd")
    write(page, TAUGHT)
    for count in ("١", "٢"):
        page.locator("#teach:enabled").click()
        until(page, f"() => document.querySelector('#learnt').textContent.includes('{count}')")
    page.wait_for_selector("#lesson .named")
    said = page.locator("#own")
    until(page, "() => document.querySelector('#own').textContent.includes('عالبراد ×٢')")
    before = said.inner_text()
    page.reload()
    until(page, "() => document.querySelector('#learnt').textContent.includes('٢')")
    until(page, "() => !document.querySelector('#own').hidden")
    assert said.inner_text() == before  # counted by the model without what it learnt
    write(page, "القطة نطت عال")
    until(page, "() => [...document.querySelectorAll('#chips bdi')].some((one) => one.textContent === 'عالبراد')")
    page.locator("#memory summary").click()
    page.wait_for_selector("#memory li")
    assert page.locator("#memory li").all_text_contents() == [TAUGHT, TAUGHT]
    with page.expect_download() as saving:
        page.locator("#memory button").click()
    saving.value.save_as(tmp_path / "me.jsonl")
    assert Profile(tmp_path / "me.jsonl").texts == (TAUGHT, TAUGHT)
    other = page.context.new_page()  # on the same texts
    other.goto(page.url)
    until(other, "() => document.querySelector('#learnt').textContent.includes('٢')")
    page.locator("#wipe").click()
    until(page, "() => document.querySelector('#learnt').textContent === 'مُحي ما تعلّمه.'")
    counted = "async () => (await import('./ui/api.js')).learntTexts()"
    assert other.evaluate(counted) == []
    page.reload()
    page.wait_for_selector("#chips button:visible")
    assert page.evaluate(counted) == [] and page.locator("#memory").is_hidden()


def test_all_that_may_be_learnt_is_learnt_again_at_once(visit: Open, lines: list[str]) -> None:
    page, words = visit("favicon.ico"), " ".join(lines).split()
    page.evaluate(
        """(texts) => new Promise((resolve) => {
      const opening = indexedDB.open("kammil", 1);
      opening.onupgradeneeded = () => opening.result.createObjectStore("learnt").put(texts, "texts");
      opening.onsuccess = () => (opening.result.close(), resolve());
    })""",
        [" ".join(random.Random(i).sample(words, 8)) for i in range(MAX_TEXTS)],
    )
    page.goto(page.url.replace("favicon.ico", "own.html"))
    write(page, "القطة نطت عال", "#one")
    page.locator("form > kammil-text button:visible").first.wait_for()
    page.evaluate(f"document.querySelector('kammil-text').learn({TAUGHT!r})")  # in place of the oldest
    page.keyboard.insert_text("ب")
    page.locator("form > kammil-text").get_by_role("button", name="عالبراد", exact=True).wait_for()
    assert page.evaluate("document.querySelector('kammil-text').learnt().then(({ length }) => length)") == MAX_TEXTS


def test_a_first_visit_is_small_and_enough_without_a_network(visit: Open, site: Path, address: str) -> None:
    page = visit("favicon.ico", service_workers="allow")
    asked: set[str] = set()
    page.on("response", lambda response: asked.add(response.url.removeprefix(address) or "./"))
    page.goto(address)
    page.evaluate(KEPT, "")
    kept, later = re.findall(r"const (?:FILES|LATER) = (.*);", (site / "sw.js").read_text("utf-8"))
    assert {"./", "ui/main.js", "worker.js", "kammil-simd.wasm"} <= asked <= {*json.loads(kept), "favicon.ico"}
    files = [name for name in {*asked, *json.loads(kept)} - {*json.loads(later)} if "model/" not in name]
    assert sum(len(gzip.compress((site / name.replace("./", "index.html")).read_bytes())) for name in files) < BUDGET
    failed: set[str] = set()
    page.on("requestfailed", lambda request: failed.add(request.url.removeprefix(address)))
    page.context.set_offline(True)
    page.reload()
    write(page, PROMPT)
    assert chips(page) and failed <= {"ui/plex-arabic.woff2"}


def test_what_is_kept_is_the_last_release_whatever_the_host_says(browser: Browser, site: Path, tmp_path: Path) -> None:
    shutil.copytree(site, tmp_path / "site")
    with served(tmp_path / "site", Host) as address, browser.new_context(locale="en") as context:
        page = context.new_page()
        page.goto(address)
        page.evaluate(KEPT, "")
        for file, old, new in (("ui/messages.js", "None here.", "Another release."), ("sw.js", '"', '"another')):
            path = tmp_path / "site" / file
            path.write_text(path.read_text("utf-8").replace(old, new, 1), "utf-8")
        page.evaluate("navigator.serviceWorker.ready.then((one) => one.update())")
        page.evaluate(KEPT, "another")
        context.set_offline(True)
        page.goto(address + "index.html?again")
        assert "Another release." in page.evaluate("fetch('ui/messages.js').then((answer) => answer.text())")
        assert chips(page)


def test_a_page_that_cannot_be_kept_opens(browser: Browser, address: str) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(address)
        page.evaluate(KEPT, "")
        page.evaluate("caches.keys().then((names) => Promise.all(names.map((name) => caches.delete(name))))")
        full = {"origin": address.rstrip("/"), "quotaSize": 1000}
        context.new_cdp_session(page).send("Storage.overrideQuotaForOrigin", full)
        page.reload()
        assert chips(page)


def test_a_model_that_cannot_be_read_is_tried_again(visit: Open) -> None:
    page = visit("favicon.ico")
    page.context.route("**/model/vocabulary.json", lambda route: route.fulfill(status=503))
    page.goto(page.url.replace("favicon.ico", ""))
    write(page, PROMPT)
    until(page, "() => document.querySelector('#problem').textContent.startsWith('تعذّر تحميل النموذج')")
    page.context.unroute_all()
    write(page, "ل")
    assert chips(page) and page.locator("#problem").is_hidden()


def test_an_element_asks_for_nothing_before_it_is_touched(visit: Open) -> None:
    page = visit("favicon.ico")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
    page.goto(page.url.replace("favicon.ico", "own.html"))
    page.wait_for_load_state("networkidle")
    assert sorted(asked) == ["kammil-text.js", "own.html", "own.js"]
    page.locator("#one").focus()
    page.wait_for_selector("kammil-text button:visible")
    assert "weights.safetensors" in asked


def test_an_element_completes_any_field(visit: Open, words: list[str]) -> None:
    page = visit("own.html")
    for field, host in (("#one", "form > kammil-text"), ("#line", "p > kammil-text")):
        write(page, PROMPT, field)
        page.locator(host).get_by_role("button", name=words[0], exact=True).wait_for()
        assert page.locator(f"{host} button:visible bdi").all_text_contents() == words
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        page.wait_for_function(f"() => document.activeElement === document.querySelector('{field}')")
        assert page.locator(field).input_value() == PROMPT.rpartition(" ")[0] + f" {words[0]} "
    assert page.evaluate("Object.fromEntries(new FormData(document.forms[0]))")["one"].endswith(f"{words[0]} ")
    page.locator("#one").fill("صباح ال")
    page.locator("#one").press("End")
    page.wait_for_selector("#one.ghosted")
    seam = page.evaluate("""() => {
      const mirror = document.querySelector("kammil-text").shadowRoot.querySelector(".mirror"), range = new Range();
      const field = document.querySelector("#one");
      range.selectNodeContents(mirror);
      const { right, top } = range.getClientRects()[0], box = field.getBoundingClientRect();
      const edge = box.right - parseFloat(getComputedStyle(field).paddingRight) - field.clientLeft;
      return [edge - right, top > box.top, mirror.textContent];
    }""")
    assert abs(seam[0]) < 4 and seam[1] and seam[2].startswith("صباح الخ")  # over what is typed
    page.locator("#line").focus()
    assert page.locator("#one.ghosted").count() == 0  # or it would look typed
    assert page.evaluate("import('./kammil-text.js').then(({ attach }) => attach(attached.field) === attached)")
    page.evaluate("attached.remove()")
    write(page, " كيف", "#line")
    assert page.locator("p > kammil-text").count() == 0


def suggested(context: list[str]) -> list[str]:
    return [word.text for word in kammil.load().suggest(ASKED, context=context)]


def test_each_element_reads_what_was_said_above_it(visit: Open) -> None:
    page = visit("chat.html")

    def shows(host: str, context: list[str]) -> None:
        page.wait_for_function(
            """([host, words]) => {
              const root = document.querySelector(host).shadowRoot;
              const shown = [...root.querySelectorAll("button:not([hidden]) bdi")];
              return shown.map((one) => one.textContent).join() === words;
            }""",
            arg=[host, ",".join(suggested(context))],
        )

    def ask(host: str) -> None:
        page.locator(f"{host} textarea").fill("")
        write(page, ASKED, f"{host} textarea")

    assert len({str(suggested(context)) for context in ([], *THREADS)}) == 3
    ask("#one")
    shows("#one", THREADS[0])
    for given, read in (
        ("null", []),
        (json.dumps(THREADS[1]), THREADS[1]),
        (f"() => {json.dumps(THREADS[0])}", THREADS[0]),
    ):
        page.evaluate(f"document.querySelector('#two').context = {given}")
        ask("#two")
        shows("#two", read)
    # Messages that come are read without a key.
    ask("#one")
    page.evaluate(
        """(texts) => document.querySelector("#thread").replaceChildren(
          ...texts.map((text) => Object.assign(document.createElement("p"), { textContent: text })))""",
        THREADS[1],
    )
    shows("#one", THREADS[1])
    page.evaluate("document.querySelector('#thread').id = 'other'")
    ask("#one")
    shows("#one", [])
    assert page.evaluate("document.querySelector('#one').learnt()") == []
    page.evaluate(
        """(context) => import("./kammil-text.js").then(({ attach }) => {
          const field = document.body.appendChild(document.createElement("textarea"));
          attach(field, { context }).id = "three";
          document.querySelector("#three").after(field);
        })""",
        THREADS[1],
    )
    write(page, ASKED, "body > textarea")
    shows("#three", THREADS[1])


def test_the_page_reads_what_was_entered_before_until_it_is_cleared(visit: Open) -> None:
    page = visit()

    def shows(context: list[str]) -> None:
        words = ",".join(suggested(context))
        shown = "[...document.querySelectorAll('#chips button:not([hidden]) bdi')].map((one) => one.textContent).join()"
        until(page, f"() => {shown} === {words!r}")

    assert page.locator("#thread").is_hidden()
    for text in THREADS[0]:
        write(page, text)
        page.locator("#done").click()
    write(page, ASKED)
    shows(THREADS[0])
    assert page.locator("#written p").all_text_contents() == THREADS[0]
    nothing_is_wider(page)
    page.locator("#readThread").press("Space")
    shows([])
    page.locator("#readThread").press("Space")
    shows(THREADS[0])
    page.locator("#clearThread").press("Enter")
    shows([])
    assert page.locator("#thread").is_hidden()
    assert page.evaluate("document.activeElement.id") == "text"
    assert page.evaluate("JSON.stringify(localStorage)").count("رندلى") == 0


def test_an_element_offers_nothing_for_a_text_that_is_gone_nor_where_nothing_may_be_typed(
    visit: Open, words: list[str]
) -> None:
    page = visit("own.html")
    field, chip = page.locator("#one"), page.locator("form > kammil-text button:visible").first
    field.focus()
    chip.wait_for()
    gone = "() => !document.querySelector('#one.ghosted')"
    for change in ("document.querySelector('#one').value = ''", "document.forms[0].reset()"):
        page.keyboard.insert_text("صباح ال")
        page.wait_for_selector("#one.ghosted")
        page.evaluate(change)
        until(page, gone)
        page.keyboard.press("Tab")  # accepts nothing
        assert field.input_value() == ""
        field.focus()
    root = "() => document.querySelector('form > kammil-text').shadowRoot"
    found = f"{root}.querySelector('bdi').textContent === {words[0]!r}"
    hidden = f"{root}.querySelector('[role=group]').hidden"
    for change in ("value = 'x'", "readOnly = true", "disabled = true"):
        field.fill(PROMPT)
        until(page, found)
        at_once = f"([field, chip]) => {{ field.{change}; const before = field.value; chip.click(); return before; }}"
        before = page.evaluate(at_once, [field.element_handle(), chip.element_handle()])
        assert field.input_value() == before
        page.evaluate("(field) => { field.readOnly = field.disabled = false; }", field.element_handle())
        field.focus()
    field.fill(f"{PROMPT}  \nنعم")
    field.evaluate(f"(field) => field.setSelectionRange({len(PROMPT)}, {len(PROMPT)})")
    until(page, found)  # for the text before the caret, and there
    chip.click()
    line = PROMPT.rpartition(" ")[0] + f" {words[0]} "
    assert field.input_value() == f"{line}\nنعم" and field.evaluate("(field) => field.selectionEnd") == len(line)
    field.evaluate("(field) => field.setSelectionRange(3, 3)")
    until(page, hidden)
    field.fill("")
    field.evaluate(f"(field) => {{ field.maxLength = {len('صباح ال')}; }}")
    page.keyboard.insert_text("صباح ال")
    until(page, hidden)
    page.wait_for_timeout(300)
    assert page.locator("#one.ghosted").count() == 0


def test_an_element_lies_over_its_field_however_the_page_lays_it_out(visit: Open) -> None:
    page = visit("own.html")
    write(page, "صباح ال", "#one")
    page.wait_for_selector("#one.ghosted")
    page.locator("#one").evaluate("(field) => { field.style.position = 'relative'; field.style.zIndex = 5; }")
    for style in ("", "zoom: 2", "transform: scale(.5)"):
        page.evaluate(f"document.forms[0].style = '{style}'")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowLeft")
        until(
            page,
            """() => {
          const frame = document.querySelector("kammil-text").shadowRoot.querySelector(".frame");
          const [one, other] = [frame, document.querySelector("#one")].map((box) => box.getBoundingClientRect());
          const beside = Math.abs(one.left - other.left) + Math.abs(one.top - other.top);
          return document.querySelector("#one.ghosted") && beside < 6 && getComputedStyle(frame).zIndex === "6";
        }""",
        )


def test_the_page_says_how_to_open_it_where_it_was_opened_as_a_file(browser: Browser, site: Path, visit: Open) -> None:
    page = browser.new_page()
    page.goto((site / "index.html").as_uri())
    for sentence in ("لا تعمل", "does not run", "python -m http.server"):
        page.locator("#intro").get_by_text(sentence).first.wait_for(timeout=60_000)
    page.close()
    page = visit(locale="en")
    page.wait_for_selector("#card dd")
    assert "http.server" not in page.locator("#intro").inner_text()


def test_ghost_text_has_the_colour_of_its_field(visit: Open) -> None:
    page = visit("own.html")
    for field, host in (("#one", "form > kammil-text"), ("#line", "p > kammil-text")):
        page.locator(field).evaluate("(field) => { field.style = 'background: #224; color: rgb(255, 238, 153)'; }")
        write(page, "صباح ال", field)
        page.wait_for_selector(f"{field}.ghosted")
        mirror = f"document.querySelector('{host}').shadowRoot.querySelector('.mirror')"
        ghost = page.evaluate(f"getComputedStyle({mirror}, '::highlight(ghost)').color")
        assert ghost == "color(srgb 1 0.933333 0.6 / 0.65)", field


def test_an_element_names_the_address_of_a_model_that_is_not_there(visit: Open) -> None:
    page = visit("own.html")
    page.evaluate("document.querySelector('kammil-text').setAttribute('src', 'modell/')")
    page.evaluate(
        "document.querySelector('kammil-text').addEventListener('error', (one) => (window.told ??= one.message))"
    )
    with page.expect_console_message(lambda said: "export" in said.text) as logged:
        page.locator("#one").focus()
    assert "/modell/" in logged.value.text and logged.value.text == page.evaluate("told")


def test_an_element_leaves_the_field_as_it_was(visit: Open) -> None:
    page = visit("own.html")
    for given in (None, "ltr"):
        page.evaluate(
            """(dir) => {
          const field = document.querySelector("#line");
          if (dir) field.dir = dir;
          attached.remove();
          import("./kammil-text.js").then(({ attach }) => (window.attached = attach(field)));
        }""",
            given,
        )
        page.locator("#line").fill("صباح ال")
        page.locator("p > kammil-text button:visible").first.wait_for()
        assert page.locator("#line").get_attribute("dir") == (given or "auto")
        page.evaluate("attached.remove(); import('./ui/i18n.js').then(({ setLanguage }) => setLanguage('en'))")
        page.wait_for_timeout(100)
        for name, value in (("dir", given), ("aria-autocomplete", None)):
            assert page.locator("#line").get_attribute(name) == value
    wrong = """async () => {
      const { attach } = await import("./kammil-text.js"), host = document.createElement("kammil-text");
      const make = (tag, given) => Object.assign(document.createElement(tag), given);
      host.append(...["hidden", "password"].map((type) => make("input", { type })), make("textarea"));
      const says = (one) => { try { return attach(one) && ""; } catch (error) { return error.message; } };
      const others = [make("div", { contentEditable: true }), make("input", { type: "email" })];
      return [host.field.localName, ...others.map(says)];
    }"""
    chosen, *said = page.evaluate(wrong)
    assert chosen == "textarea" and all("textarea" in sentence for sentence in said)


def test_an_element_tries_again_after_a_touch_without_a_network(visit: Open) -> None:
    page = visit("own.html")
    for file in ("ui/field.js", "model/vocabulary.json"):
        page.context.route(f"**/{file}", lambda route: route.fulfill(status=503))
        page.locator("#one").fill("صبا")
        if file.startswith("model"):
            page.locator(".none").get_by_text("تعذّر تحميل النموذج").wait_for()
            for _ in range(100):
                page.wait_for_timeout(50 * bool(page.workers))
            assert not page.workers  # nor what it holds
        else:
            page.wait_for_timeout(500)
        page.context.unroute_all()
    page.locator("#one").fill("صباح")
    page.locator("form > kammil-text button:visible").first.wait_for()
    page.evaluate("document.querySelector('kammil-text').learn()")
    assert page.evaluate("document.querySelector('kammil-text').learnt()") == ["صباح"]
    deleted = """() => new Promise((resolve) => {
      const asked = indexedDB.deleteDatabase("kammil");
      asked.onsuccess = () => resolve("deleted");
      asked.onblocked = () => resolve("blocked");
    })"""
    assert page.evaluate(deleted) == "deleted"


def test_an_element_waits_for_its_field_and_loads_wherever_the_caret_is(visit: Open, address: str) -> None:
    page = visit("favicon.ico")
    late = """<script type="module" async src="kammil-text.js"></script><script src="late.js"></script>
      <kammil-text src="model/"><textarea>صباح الخير</textarea></kammil-text>"""
    page.route("**/late.html", lambda route: route.fulfill(body=late, content_type="text/html; charset=utf-8"))
    page.route("**/late.js", lambda route: (time.sleep(0.3), route.fulfill(body="")))
    page.goto(address + "late.html")
    assert page.locator("textarea").count() == 1
    with page.expect_response("**/weights.safetensors", timeout=10_000):
        page.evaluate("""async () => {
          const one = document.querySelector("kammil-text"), { parentNode } = one;
          one.remove();
          await one.open();
          parentNode.append(one);
          await one.open();
        }""")
    assert page.locator("kammil-text .none").is_hidden()


def test_an_element_says_why_its_model_does_not_run_and_goes_on_where_it_does(
    visit: Open, browser: Browser, address: str, tmp_path: Path
) -> None:
    page = visit("own.html")
    page.locator("#one").focus()
    learn = "document.querySelector('kammil-text').learn(document.body).catch((error) => error.message)"
    assert "could not be cloned" in page.evaluate(learn)
    page.keyboard.insert_text(PROMPT)
    page.locator("form > kammil-text button:visible").first.wait_for()
    (tmp_path / "page.html").write_text(f'<script type="module" src="{address}kammil-text.js"></script><kammil-text>')
    with served(tmp_path) as other:
        page = browser.new_page(locale="en")
        page.goto(other + "page.html")  # no worker's file may be of another origin
        page.locator("textarea").focus()
        page.locator("kammil-text .live").get_by_text("cannot be loaded").wait_for(state="attached")


def test_an_element_learns_where_nothing_is_kept_and_says_so_where_storage_is_full(visit: Open, site: Path) -> None:
    learn = "(text) => document.querySelector('kammil-text').learn(text).then(() => 'learnt', () => 'refused')"
    learnt = "document.querySelector('kammil-text').learnt()"
    page = visit("own.html")
    assert page.evaluate(learnt) == []
    full = {"origin": page.evaluate("origin"), "quotaSize": 100}
    page.context.new_cdp_session(page).send("Storage.overrideQuotaForOrigin", full)
    assert page.evaluate(learn, TAUGHT * 100) == "refused" and page.evaluate(learnt) == []
    page = visit("favicon.ico")
    refused = "= class { constructor() { throw new DOMException('insecure', 'SecurityError'); } };\n"  # as Firefox does
    module = f"globalThis.BroadcastChannel {refused}globalThis.IDBFactory.prototype.open {refused}"
    module += (site / "learnt.js").read_text("utf-8")
    page.context.route("**/learnt.js", lambda route: route.fulfill(body=module, content_type="text/javascript"))
    page.goto(page.url.replace("favicon.ico", "own.html"))
    assert page.evaluate(learn, TAUGHT) == "learnt" and page.evaluate(learnt) == [TAUGHT]


def test_an_element_takes_a_tap_and_waits_for_an_input_method(visit: Open) -> None:
    page = visit("own.html", has_touch=True, is_mobile=True, viewport={"width": 360, "height": 700})
    page.locator("#one").tap()
    page.keyboard.insert_text("صباح ال")
    page.wait_for_selector("#one.ghosted")
    place = page.evaluate("""() => {
      const { firstChild: text } = document.querySelector("kammil-text").shadowRoot.querySelector(".mirror");
      const range = new Range();
      range.setStart(text, 8);
      range.setEnd(text, text.length);
      const { left, top, width, height } = range.getBoundingClientRect();
      return [left + width / 2, top + height / 2];
    }""")
    page.evaluate("""() => {
      const live = document.querySelector("kammil-text").shadowRoot.querySelector(".live");
      window.said = [];
      const all = { childList: true, characterData: true, subtree: true };
      new MutationObserver(() => said.push(live.textContent)).observe(live, all);
    }""")
    page.touchscreen.tap(*place)
    until(page, "() => document.querySelector('#one').value === 'صباح الخير '")
    until(page, "() => said.includes('أُضيف: خير')")  # to a screen reader
    page = visit("own.html")
    page.locator("#one").focus()
    page.wait_for_selector("kammil-text button:visible")
    typed = page.context.new_cdp_session(page)
    typed.send("Input.imeSetComposition", {"text": "صباح ال", "selectionStart": 7, "selectionEnd": 7})
    page.wait_for_timeout(300)
    assert page.locator("#one.ghosted").count() == 0
    typed.send("Input.insertText", {"text": "صباح ال"})
    page.wait_for_selector("#one.ghosted")


@pytest.mark.parametrize("compositions", [8, pytest.param(200, marks=pytest.mark.long)])
@pytest.mark.parametrize(
    ("path", "selectors"),
    [
        ("own.html", ("#one", "form > kammil-text button", "form > kammil-text .mirror")),
        ("own.html", ("#line", "p > kammil-text button", "p > kammil-text .mirror")),
        ("", ("#text", "#chips button", "#mirror")),
    ],
)
def test_no_key_of_a_phone_is_lost(visit: Open, path: str, selectors: tuple[str, str, str], compositions: int) -> None:
    page = visit(path, **OPTIONS)
    field, button, _ = selectors
    page.locator(field).tap()
    page.locator(button).locator("visible=true").first.wait_for()
    assert Phone(page, *selectors).write(seed=compositions, compositions=compositions) > compositions / 4


def test_no_key_of_a_phone_is_lost_where_it_composed_before_the_element_was_there(visit: Open) -> None:
    page = visit("own.html", **OPTIONS)
    page.context.route("**/ui/field.js", lambda route: route.fulfill(status=503))
    phone = Phone(page, "#one", "form > kammil-text button")
    phone.compose("مر")
    page.wait_for_timeout(500)
    page.context.unroute_all()
    phone.compose("ح")  # a touch, which tries again
    page.locator("form > kammil-text button:visible").first.wait_for()
    assert phone.tap_suggestion()
    phone.compose("ك")


def test_axe_finds_nothing(visit: Open) -> None:
    file = TOOLS / "axe-core" / "axe.min.js"
    if not file.exists():
        pytest.skip(needs.PAGE_TOOLS)
    for path, field in (("", "#text"), ("own.html", "#one")):
        page = visit(path, bypass_csp=True)
        write(page, "صباح ال", field)
        page.wait_for_selector(f"{field}.ghosted")
        page.evaluate(f"() => {{ {file.read_text('utf-8')} }}")
        found = page.evaluate("() => axe.run(document, { resultTypes: ['violations'] })")
        assert not [(one["id"], [node["target"] for node in one["nodes"]]) for one in found["violations"]], path


def test_the_page_asks_no_other_server_and_its_policy_is_strict(site: Path) -> None:
    html = (site / "index.html").read_text("utf-8")
    assert re.findall(r'Content-Security-Policy" content="([^"]+)"', html) == [POLICY]
    assert re.findall(r"'(?:unsafe|wasm)-[^']+'", POLICY) == ["'wasm-unsafe-eval'"] and "default-src 'none'" in POLICY
    for path in [site / "index.html", *site.glob("*.js"), *site.glob("ui/*.*s")]:
        assert not re.search(r"//\w+\.\w", path.read_text("utf-8").replace("http://127.0.0.1:8000", "")), path.name
