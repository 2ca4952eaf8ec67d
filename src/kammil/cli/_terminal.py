"""Typing on a terminal with ghost text: keys and screen are those of prompt_toolkit, words and spaces are ours.

The terminal orders Arabic, as it does everywhere: text is sent in the order in which it is typed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggest, Suggestion, ThreadedAutoSuggest
from prompt_toolkit.filters import Condition
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.styles import Style

from kammil.spacing import gives_way, space_after
from kammil.text import words

if TYPE_CHECKING:
    from prompt_toolkit.buffer import Buffer
    from prompt_toolkit.document import Document
    from prompt_toolkit.input import Input
    from prompt_toolkit.output import Output

HELP = "Tab or \N{RIGHTWARDS ARROW}: take a word   End: take all   Enter: next text   Esc: leave"
"""What a person reads first; once, since a line at the foot of a terminal is not drawn on all of them."""
_STYLE = Style.from_dict({"auto-suggestion": "ansibrightblack"})
_ESCAPE_SECONDS = 0.05
"""Seconds until a lone escape byte is the key, and not the beginning of an arrow's sequence."""


def first_word(ghost: str) -> str:
    """Return the part of ghost text that one key takes: up to the end of its first word, and the space that follows.

    After the last word it is the space that `spacing` gives.
    """
    spans = words(ghost)
    if not spans:
        return ghost
    taken, rest = ghost[: spans[0][1]], ghost[spans[0][1] :]
    return taken + (rest[: rest.startswith(" ")] if rest else space_after(taken))


class _GhostText(AutoSuggest):
    """Suggests what a function of the text returns; the text of the last call is not asked for again."""

    def __init__(self, ghost: Callable[[str], str]) -> None:
        self._ghost, self._lock = ghost, threading.Lock()
        self._latest: tuple[str, str] = ("", "")

    def after(self, text: str) -> str:
        """Return the ghost text after `text`; safe in threads."""
        with self._lock:
            if self._latest[0] != text:
                self._latest = (text, self._ghost(text))
            return self._latest[1]

    def get_suggestion(self, buffer: Buffer, document: Document) -> Suggestion | None:
        """Return the ghost text at the end of a line, none elsewhere."""
        del buffer
        return Suggestion(self.after(document.text)) if document.is_cursor_at_the_end and document.text else None


class Typing:
    """A line to type on, with ghost text, again and again.

    Args:
        ghost: returns the ghost text after a text.
        input, output: of prompt_toolkit; None: the terminal.
    """

    def __init__(
        self, ghost: Callable[[str], str], *, input: Input | None = None, output: Output | None = None
    ) -> None:
        self._suggest = _GhostText(ghost)
        self._given_space = -1  # position after a space that came with a word, where it may still give way
        self._prompt: PromptSession[str | None] = PromptSession(
            auto_suggest=ThreadedAutoSuggest(self._suggest),
            key_bindings=self._keys(),
            style=_STYLE,
            input=input,
            output=output,
        )
        self._prompt.app.ttimeoutlen = _ESCAPE_SECONDS

    def read(self) -> str | None:
        """Read one text; None if the user leaves by Esc, Ctrl-C or Ctrl-D."""
        self._given_space = -1
        try:
            return self._prompt.prompt()
        except (KeyboardInterrupt, EOFError):
            return None

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()
        at_end = Condition(lambda: self._prompt.default_buffer.document.is_cursor_at_the_end)
        keys.add("tab")(self._take_word)
        keys.add("right", filter=at_end)(self._take_word)
        keys.add("end", filter=at_end)(self._take_all)
        keys.add("c-e", filter=at_end)(self._take_all)
        keys.add("escape", eager=True)(self._leave)
        keys.add(Keys.Any)(self._type)
        return keys

    def _leave(self, event: KeyPressEvent) -> None:
        event.app.exit(result=None)

    def _take_word(self, event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        ghost = self._suggest.after(buffer.text) if buffer.document.is_cursor_at_the_end and buffer.text else ""
        if ghost:
            self._insert(buffer, first_word(ghost))

    def _take_all(self, event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        ghost = self._suggest.after(buffer.text) if buffer.text else ""
        if ghost:
            self._insert(buffer, ghost + space_after(ghost))

    def _insert(self, buffer: Buffer, text: str) -> None:
        buffer.insert_text(text)
        self._given_space = buffer.cursor_position if text.endswith(" ") else -1

    def _type(self, event: KeyPressEvent) -> None:
        """Insert what is typed; a space that came with a word gives way to a comma."""
        buffer = event.current_buffer
        if buffer.cursor_position == self._given_space and gives_way(event.data):
            buffer.delete_before_cursor()
        self._given_space = -1
        buffer.insert_text(event.data * event.arg)
