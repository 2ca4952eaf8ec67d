"""Typing on a terminal with ghost text and suggestions; text is sent in logical order, since terminals order Arabic."""

from __future__ import annotations

import asyncio
import threading
import unicodedata
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import Suggestion as GreyText
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition, is_done, to_filter
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.layout import ConditionalContainer, FormattedTextControl, HSplit, Layout, Window
from prompt_toolkit.styles import Style

from kammil.text import gives_way, space_after, words

if TYPE_CHECKING:
    from prompt_toolkit.input import Input
    from prompt_toolkit.output import Output

    from kammil.completion.suggestions import Suggestion

HELP = "Tab \N{RIGHTWARDS ARROW}: a word   1-3, F1-F3: that word   End: all   Enter: next text   Esc: leave"
"""Printed once at the start, since not all terminals draw a line at the foot."""
_SHOWN = 3
_NOTHING = "nothing sure enough"
_LRM = "\N{LEFT-TO-RIGHT MARK}"
"""Keeps the number of the next word in place where a terminal orders Arabic; not after the last word, since
prompt_toolkit counts a column for it."""
_STYLE = Style.from_dict({"auto-suggestion": "ansibrightblack", "suggestions": "ansibrightblack"})
_ESCAPE_SECONDS = 0.05
"""Seconds until a lone escape byte is the key, not the beginning of a sequence."""
_PAUSE_SECONDS = 0.4
"""Seconds without a key until a stock phrase is shown, which would flicker behind every key."""
Offer = tuple[str, "Sequence[Suggestion]", str]
"""Ghost text; suggestions, best first; all ghost text, after a pause."""
_NO_OFFER: Offer = ("", (), "")


def first_word(ghost: str) -> str:
    """Return the first word of ghost text and the space that follows."""
    spans = words(ghost)
    if not spans:
        return ghost
    taken, rest = ghost[: spans[0][1]], ghost[spans[0][1] :]
    return taken + (rest[: rest.startswith(" ")] if rest else space_after(taken))


def takes_digits(text: str, suggestions: Sequence[Suggestion]) -> bool:
    """Return whether a digit takes a suggestion: after a letter and spaces, where none replaces the word, or directly
    after a letter that is not Latin, since digits are letters of Arabizi."""
    word = text.rstrip()
    while word and unicodedata.category(word[-1]) == "Mn":
        word = word[:-1]
    if not word[-1:].isalpha():
        return False
    if text[-1].isspace():
        return not any(suggestion.replaces for suggestion in suggestions)
    return not unicodedata.name(word[-1], "").startswith("LATIN")


class Typing:
    """A line to type on; `offer`, which returns continuations of a text, is called in threads, once at a time."""

    def __init__(
        self, offer: Callable[[str], Offer], *, input: Input | None = None, output: Output | None = None
    ) -> None:
        self._offer, self._lock = offer, threading.Lock()
        self._latest: tuple[str | None, Offer] = (None, _NO_OFFER)  # last text, and its offer
        self._looking = False
        self._given_space = -1  # position after a space that came with a word and may give way
        self._taken: tuple[str, str] = ("", "")  # text with a suggestion that a digit took, and with the digit
        self._prompt: PromptSession[str | None] = PromptSession(
            key_bindings=self._keys(), style=_STYLE, input=input, output=output
        )
        app, self._buffer = self._prompt.app, self._prompt.default_buffer
        app.ttimeoutlen = _ESCAPE_SECONDS
        app.layout.current_window.dont_extend_height = to_filter(True)
        line = Window(FormattedTextControl(self._line), height=1, style="class:suggestions")
        below = ConditionalContainer(line, ~is_done)
        app.layout = Layout(HSplit([app.layout.container, below]), focused_element=self._buffer)
        self._buffer.on_text_changed += self._look

    def read(self) -> str | None:
        """Read a text; None if the user leaves."""
        self._given_space, self._latest = -1, (None, _NO_OFFER)
        try:
            return self._prompt.prompt(pre_run=self._look)
        except (KeyboardInterrupt, EOFError):
            return None

    def _after(self, text: str) -> Offer:
        with self._lock:
            if self._latest[0] != text:
                self._latest = (text, self._offer(text))
            return self._latest[1]

    @property
    def _offered(self) -> Offer:
        return self._after(self._buffer.text) if self._buffer.document.is_cursor_at_the_end else _NO_OFFER

    def _look(self, _buffer: object = None) -> None:
        if not self._looking and self._prompt.app.is_running:
            self._looking = True
            self._prompt.app.create_background_task(self._show())

    async def _show(self) -> None:
        try:
            while self._latest[0] != (text := self._buffer.text):
                await asyncio.to_thread(self._after, text)
        finally:
            self._looking = False
        self._buffer.suggestion = GreyText(self._latest[1][0])
        self._prompt.app.invalidate()
        if self._latest[1][0] != self._latest[1][2]:
            self._prompt.app.create_background_task(self._show_more(text))

    async def _show_more(self, text: str) -> None:
        await asyncio.sleep(_PAUSE_SECONDS)
        if self._buffer.text == text == self._latest[0]:
            _, suggestions, whole = self._latest[1]
            self._latest = (text, (whole, suggestions, whole))
            self._buffer.suggestion = GreyText(whole)
            self._prompt.app.invalidate()

    def _line(self) -> str:
        text, (ghost, suggestions, _) = self._latest
        if text is None or not self._buffer.document.is_cursor_at_the_end:
            return ""
        key = "" if takes_digits(text, suggestions) else "F"
        shown = [f"{key}{i + 1} {each.text.strip()}" for i, each in enumerate(suggestions)]
        return f"{_LRM}   ".join(shown) or ("" if ghost or not text else _NOTHING)

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()
        at_end = Condition(lambda: self._buffer.document.is_cursor_at_the_end)
        taken = Condition(lambda: bool(self._buffer.text) and self._buffer.text == self._taken[0])
        keys.add("tab")(self._take_next)  # of the ghost text, else of the suggestions
        keys.add("right", filter=at_end)(self._take_word)
        keys.add("end", filter=at_end)(self._take_all)
        keys.add("c-e", filter=at_end)(self._take_all)
        keys.add("escape", eager=True)(self._leave)
        keys.add(Keys.Any)(self._type)
        keys.add("backspace", filter=at_end & taken)(self._type_digit)
        for i in range(_SHOWN):
            keys.add(f"f{i + 1}")(partial(self._take, i))
            keys.add(str(i + 1), filter=Condition(partial(self._digit_takes, i)))(partial(self._take, i))
        return keys

    def _digit_takes(self, i: int) -> bool:
        _, suggestions, _ = self._offered
        return i < len(suggestions) and takes_digits(self._buffer.text, suggestions)

    def _leave(self, event: KeyPressEvent) -> None:
        event.app.exit(result=None)

    def _type_digit(self, _event: KeyPressEvent) -> None:
        self._set(self._taken[1])  # in place of what it took

    def _take(self, i: int, event: KeyPressEvent) -> None:
        text, (_, suggestions, _) = self._buffer.text, self._offered
        if i < len(suggestions):
            taken = suggestions[i].appended_to(text)
            self._set(taken + space_after(taken))
            if event.data.isdigit():
                self._taken = (self._buffer.text, text + event.data)

    def _take_next(self, event: KeyPressEvent) -> None:
        if self._offered[0]:
            self._take_word(event)
        else:
            self._take(0, event)

    def _take_word(self, _event: KeyPressEvent) -> None:
        if ghost := self._offered[0]:
            self._set(self._buffer.text + first_word(ghost))

    def _take_all(self, _event: KeyPressEvent) -> None:
        if ghost := self._offered[0]:
            self._set(self._buffer.text + ghost + space_after(ghost))

    def _set(self, text: str) -> None:
        self._buffer.document = Document(text)
        self._given_space = len(text) if text.endswith(" ") else -1

    def _type(self, event: KeyPressEvent) -> None:
        """Insert a key; a space that came with a word gives way to a comma."""
        buffer = event.current_buffer
        if buffer.cursor_position == self._given_space and gives_way(event.data):
            buffer.delete_before_cursor()
        self._given_space, self._taken = -1, ("", "")
        buffer.insert_text(event.data * event.arg)
