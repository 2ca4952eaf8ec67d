"""An on-screen keyboard that composes every word, as Android's do, and somebody who writes with it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Page

OPTIONS: dict[str, Any] = {"has_touch": True, "is_mobile": True, "viewport": {"width": 390, "height": 700}}
"""Of a context of Playwright."""
_TEXT = "مرحبا كيفك اليوم شو رأيكم نطلع على البحر بكرا الصبح إذا الجو حلو وصاحبنا فاضي"
_WATCH = """(field) => {
  window.taps = [];
  addEventListener("click", (event) => {
    const button = event.composedPath()[0].closest?.("button"), { value, selectionStart: caret } = field;
    if (button) taps.push([value, caret, (button.querySelector("bdi") ?? button).textContent]);
  }, true);
}"""
_GHOST = """(mirror, typed) => {
  if (getComputedStyle(mirror).visibility !== "visible") return null;
  const { firstChild: text } = mirror, range = new Range();
  range.setStart(text, typed);
  range.setEnd(text, text.length);
  const [{ left, top, width, height }] = range.getClientRects();
  return [text.data.slice(typed), left + width / 2, top + height / 2];
}"""


class Phone:
    """Somebody who writes into a field, and what must stand there after each touch.

    Args:
        page: opened with `OPTIONS`.
        field: a CSS selector, as the others: those of a suggestion, and of the element with the ghost text.
    """

    def __init__(self, page: Page, field: str, button: str, mirror: str = ".mirror") -> None:
        self.page, self._field = page, page.locator(field)
        self._button = page.locator(button).locator("visible=true")
        self._mirror = page.locator(mirror)
        self._keys = page.context.new_cdp_session(page)
        self.before = self.composed = self.after = ""
        self._has_space = False
        """Whether the text ends with a space that came with a suggestion: what is typed next may take its place."""
        self._field.tap()
        self._field.evaluate(_WATCH)

    @property
    def value(self) -> str:
        return self._field.input_value()

    def holds(self) -> None:
        """Check that what was typed stands in the field, and the caret behind it."""
        assert self.value == self.before + self.composed + self.after
        assert self._field.evaluate("(field) => field.selectionStart") == len(self.before + self.composed)

    def compose(self, letters: str) -> None:
        for letter in letters:
            self._set(self.composed + letter)

    def commit(self) -> None:
        """Leave the word, as before a space, or where the caret is moved."""
        if self.composed:
            self._keys.send("Input.insertText", {"text": self.composed})
        self.before, self.composed = self.before + self.composed, ""
        self.holds()

    def space(self) -> None:
        self.commit()
        self._keys.send("Input.insertText", {"text": " "})
        self.before += "" if self._has_space else " "
        self._has_space = False
        self.holds()

    def delete(self) -> None:
        if self.composed:
            return self._set(self.composed[:-1])
        self.page.keyboard.press("Backspace")
        self.before, self._has_space = self.before[:-1], False
        return self.holds()

    def move(self, place: int) -> None:
        self.commit()
        text = self.before + self.after
        self.before, self.after, self._has_space = text[:place], text[place:], False
        self._field.evaluate("(field, place) => field.setSelectionRange(place, place)", place)
        self.holds()

    def tap_suggestion(self, number: int = 0) -> bool:
        """Take a suggestion, in place of the word that is composed; return whether there is one."""
        self.page.wait_for_timeout(150)
        if self._button.count() <= number or self.after.strip(" "):
            return False
        self._button.nth(number).tap()
        value, caret, label = self.page.evaluate("taps.at(-1)")
        typed = self.before + self.composed
        assert (value, caret) == (typed + self.after, len(typed))
        stands = self.value
        kept = stands.removesuffix(f"{label} ")
        assert kept != stands and f"{typed} ".startswith(kept) and typed[len(kept) :].count(" ") < 3
        return self._taken(stands)

    def tap_ghost(self) -> bool:
        """Take the ghost text; return whether there is one."""
        self.page.wait_for_timeout(300)
        shown = self._mirror.evaluate(_GHOST, len(self.before + self.composed + self.after))
        if not shown:
            return False
        ghost, x, y = shown
        self.page.touchscreen.tap(x, y)
        assert self.value == self.before + self.composed + ghost + " "
        return self._taken(self.value)

    def write(self, seed: int, compositions: int) -> int:
        """Compose so many words, with taps, deletions and moves of the caret between letters; the number of taps."""
        chance, taps, left = random.Random(seed), 0, compositions
        while left:
            if self.after and chance.random() < 0.7:
                self.move(len(self.before + self.composed + self.after))
            left -= not self.composed
            word = chance.choice(_TEXT.split())
            self.compose(word[: chance.randint(1, len(word))])
            match chance.randrange(8):
                case 0 | 1 | 2:
                    taps += self.tap_suggestion(chance.randrange(3))
                case 3:
                    taps += self.tap_ghost()
                case 4:
                    for _ in range(chance.randint(1, 4)):
                        self.delete()
                case 5:
                    self.move(chance.randint(0, len(self.before + self.composed + self.after)))
                case _:
                    self.space()
        return taps

    def _set(self, composed: str) -> None:
        caret = {"selectionStart": len(composed), "selectionEnd": len(composed)}
        self._keys.send("Input.imeSetComposition", {"text": composed, **caret})
        self.composed, self._has_space = composed, False
        self.holds()

    def _taken(self, stands: str) -> bool:
        self.before, self.composed, self.after, self._has_space = stands, "", "", True
        self.holds()
        return True
