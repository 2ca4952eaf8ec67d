"""A language server: suggestions and ghost text in editors, over standard input and output.

A document is a session: its line up to the cursor is the text, and the lines above are the context. Lines of saved
documents are learnt only if asked for, into a profile.
"""

from __future__ import annotations

import logging
import re
import sys
from collections import Counter, OrderedDict
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, BinaryIO, NamedTuple, cast

from lsprotocol import types
from pygls.exceptions import FeatureRequestError
from pygls.lsp.server import LanguageServer

from kammil.completion.completer import Completer, Session
from kammil.completion.context import MAX_MESSAGES
from kammil.completion.learning import MAX_CHARACTERS, MAX_TEXTS, Profile
from kammil.completion.suggestions import EditorOptions
from kammil.errors import DataError, KammilError, OptionError
from kammil.language_model import AdaptiveModel
from kammil.text import open_word, role, shortened

READ = 1_000
"""Number of characters before the cursor that are always read, of a line that is longer; at most twice as many."""
MAX_SESSIONS = 8
"""Maximum number of documents with a state cache: those asked about last."""
MAX_SIZE = 8_000_000
"""Maximum number of characters of all open documents, where a line counts as `LINE` more."""
LINE = 100
MAX_MESSAGE = 64 << 20
"""Maximum number of bytes of a message; a longer one is skipped."""
_CODECS = {"utf-8": ("utf-8", 1), "utf-16": ("utf-16-le", 2), "utf-32": ("utf-32-le", 4)}
_LINE_START = re.compile(r"(?<=\n)|(?<=\r)(?!\n)")
_HEADING = re.compile(r"#+\s")
_HEADER = re.compile(rb"Content-Length: \d+\r\n\Z")
"""It stands behind the rest of a message, in one line, if the length of that was wrong."""
_REFUSALS = {"forbid", "allow_offensive"}
_LIST, _GHOST = {"k", "threshold", "correct"} | _REFUSALS, {"words", "ghost"} | _REFUSALS
_INSIDE = {"letter", "mark", "joiner"}


def units(text: str, encoding: str) -> int:
    """Return the length of a text as an editor counts it."""
    codec, size = _CODECS[encoding]
    return len(text.encode(codec)) // size


class Cursor(NamedTuple):
    """A place in a document."""

    session: Session
    """The text of the document up to a place."""
    begin: str
    """The line before it, or of a long one the end."""
    rest: str
    """The line after it."""
    here: types.Position


def _size(lines: list[str]) -> int:
    return sum(map(len, lines)) + LINE * len(lines)


class Document:
    """An open document, as an editor edits it: positions count units of an encoding, and those beyond an end are it."""

    def __init__(self, text: str, encoding: str = "utf-16") -> None:
        self._encoding = encoding
        self.lines: list[str] = []
        """With their ends, which the last one has not; none of a document that is too long."""
        self.size = 0
        self.saved: Counter[str] | None = None
        """Lines when it was opened or saved last, where known."""
        self.learnt = Counter[str]()
        self._replace(0, 0, text)

    def drop(self) -> None:
        """Forget the text, until the editor sends it whole."""
        self.lines, self.size, self.saved = [], 0, None

    def index(self, position: types.Position) -> tuple[int, int]:
        """Return the line of a position, and the number of characters before it there."""
        if position.line >= len(self.lines):
            return len(self.lines) - 1, len(self.lines[-1])
        line = self.lines[position.line].rstrip("\r\n")
        codec, size = _CODECS[self._encoding]
        before = line.encode(codec)[: position.character * size].decode(codec, "ignore")  # no half characters
        return position.line, len(before)

    def above(self, line: int) -> list[str]:
        """Return the lines above one, oldest first, up to a heading or two empty lines: the last ones."""
        found, blank = list[str](), False
        for text in reversed(self.lines[max(0, line - 2 * MAX_MESSAGES) : line]):
            if _HEADING.match(text) or (blank and text.isspace()):
                break
            blank = text.isspace()
            found.append(text)
        return found[::-1]

    def own_lines(self) -> Counter[str]:
        """Return the lines that may be learnt."""
        return Counter(line for line in map(str.strip, self.lines) if 0 < len(line) <= MAX_CHARACTERS)

    def change(self, change: types.TextDocumentContentChangeEvent) -> None:
        """Apply an edit."""
        if not isinstance(change, types.TextDocumentContentChangePartial):
            self._replace(0, len(self.lines), change.text)
        elif self.lines:
            (first, begin), end = self.index(change.range.start), self.index(change.range.end)
            last, end = max((first, begin), end)
            above = max(first - 1, 0)  # its end may be a "\r" that a "\n" now follows
            before = "".join(self.lines[above:first]) + self.lines[first][:begin]
            self._replace(above, last + 1, before + change.text + self.lines[last][end:])

    def _replace(self, begin: int, end: int, text: str) -> None:
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        lines = _LINE_START.split(text)
        if end < len(self.lines):
            lines.pop()  # what follows the end of a line is a line already
        self.size += _size(lines) - _size(self.lines[begin:end])
        self.lines[begin:end] = lines


class _BoundedInput:
    """Standard input, of which no message is read that is too long."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def readline(self) -> bytes:
        line = self._stream.readline(1 << 16)
        return found[0] if (found := _HEADER.search(line)) else line

    def read(self, size: int) -> bytes:
        if size <= MAX_MESSAGE:
            return self._stream.read(size)
        while size > 0 and (skipped := self._stream.read(min(size, 1 << 16))):
            size -= len(skipped)
        return b"null"


class Server(LanguageServer):
    """Suggestions and ghost text for an editor, by the options of its initialization before those given here;
    `OptionError` for `learn` without the completer's profile."""

    def __init__(self, completer: Completer, options: EditorOptions, profile: Profile | None = None) -> None:
        super().__init__("kammil", version("kammil"))
        self._completer, self._profile, self._encoding, self._told = completer, profile, "utf-16", ""
        self._set(options)
        self._documents: dict[str, Document] = {}
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        for method, handler, offered in (
            (types.INITIALIZE, self._initialize, None),
            (types.TEXT_DOCUMENT_DID_OPEN, self._open, None),
            (types.TEXT_DOCUMENT_DID_CHANGE, self._change, None),
            (types.TEXT_DOCUMENT_DID_SAVE, self._save, None),
            (types.TEXT_DOCUMENT_DID_CLOSE, self._close, None),
            (types.TEXT_DOCUMENT_COMPLETION, self._complete, types.CompletionOptions(trigger_characters=[" "])),
            (types.TEXT_DOCUMENT_INLINE_COMPLETION, self._complete_inline, types.InlineCompletionOptions()),
        ):
            self.feature(method, offered)(self._telling(handler))
            if method.startswith("textDocument/"):  # its own documents end lines elsewhere than editors do
                self.protocol.fm.builtin_features.pop(method, None)

    def start(self) -> None:
        """Serve standard input until it ends."""
        logging.getLogger("pygls").setLevel(logging.CRITICAL)  # the editor is told
        self.start_io(cast(BinaryIO, _BoundedInput(sys.stdin.buffer)))

    def report_server_error(self, error: Exception, source: type[Exception]) -> None:
        """Tell about a message that cannot be read."""
        if source is not FeatureRequestError:  # which is answered
            self._tell(f"a message of the editor is of no use ({shortened(str(error) or type(error).__name__)}).")

    def _tell(self, sentence: str) -> None:
        if sentence != self._told:  # not with every key
            self._told = sentence
            self.window_show_message(types.ShowMessageParams(types.MessageType.Error, f"kammil: {sentence}"))

    def _telling(self, handler: Callable[[Any], object]) -> Callable[[Any], object]:
        def handle(params: Any) -> object:
            try:
                return handler(params)
            except KammilError as error:
                self._tell(str(error))
                return None

        return handle

    def _initialize(self, params: types.InitializeParams) -> None:
        self._encoding = str(getattr(encoding := self.workspace.position_encoding, "value", encoding))
        given: object = params.initialization_options
        if not isinstance(given, dict | None):
            raise OptionError(f"the initialization options are {given!r}, but they must be an object.")
        self._set(EditorOptions.of(**self._options.model_dump() | cast(dict[str, object], given or {})))

    def _set(self, options: EditorOptions) -> None:
        if options.learn and self._profile is None:
            raise OptionError("there is no profile to learn into; name one with --profile FILE.", option="learn")
        self._options = options

    def _open(self, params: types.DidOpenTextDocumentParams) -> None:
        opened = params.text_document
        document = self._documents[opened.uri] = Document(opened.text, self._encoding)
        self._sessions.pop(opened.uri, None)
        self._bound(opened.uri)
        document.saved = document.own_lines() if self._options.learn else None

    def _change(self, params: types.DidChangeTextDocumentParams) -> None:
        document = self._document(params.text_document.uri)
        for change in params.content_changes:
            document.change(change)
            self._bound(params.text_document.uri)

    def _close(self, params: types.DidCloseTextDocumentParams) -> None:
        self._documents.pop(params.text_document.uri, None)
        self._sessions.pop(params.text_document.uri, None)

    def _document(self, uri: str) -> Document:
        if uri not in self._documents:
            raise DataError(f"the document {shortened(uri)} is not open; open it again.")
        return self._documents[uri]

    def _bound(self, uri: str) -> None:
        if sum(document.size for document in self._documents.values()) > MAX_SIZE:
            self._documents[uri].drop()
            raise DataError(
                f"the open documents have more than {MAX_SIZE:,} characters, so {shortened(uri)} gets no suggestions; "
                "close some and open it again."
            )

    def _save(self, params: types.DidSaveTextDocumentParams) -> None:
        document = self._document(params.text_document.uri)
        if self._profile is None or not self._options.learn or not document.lines:
            return
        lines, before = document.own_lines(), document.saved
        new = [] if before is None else list((lines - before).elements())[-MAX_TEXTS:]
        grown = [old for old in document.learnt - lines if any(line.startswith(old) for line in new)]
        if new:
            self._profile.learn(*new, instead_of=grown)
        for old in grown:
            del document.learnt[old]
        document.learnt += Counter(new)
        document.saved = lines

    def _cursor(self, uri: str, position: types.Position) -> Cursor | None:
        document = self._document(uri)
        if not document.lines:
            return None
        line, end = document.index(position)
        text = document.lines[line]
        begin = text[max(0, (end - READ) // READ * READ) : end]
        session = self._sessions.get(uri) or self._sessions.setdefault(uri, self._completer.session())
        self._sessions.move_to_end(uri)
        if len(self._sessions) > MAX_SESSIONS:
            self._sessions.popitem(last=False)
        if isinstance(self._completer.language_model, AdaptiveModel):
            session.context = document.above(line)
        session.update(begin)
        return Cursor(
            session, begin, text[end:].rstrip("\r\n"), types.Position(line, units(text[:end], self._encoding))
        )

    def _complete(self, params: types.CompletionParams) -> types.CompletionList:
        found = types.CompletionList(is_incomplete=True, items=[])  # the list depends on every letter
        cursor, context = self._cursor(params.text_document.uri, params.position), params.context
        if cursor is None or (cursor.rest and role(cursor.rest[0]) in _INSIDE):
            return found
        if context and context.trigger_kind != types.CompletionTriggerKind.Invoked and not cursor.begin.strip():
            return found  # an indent
        suggestions = cursor.session.suggest(**self._options.model_dump(include=_LIST))
        # One range for all, the begun word or more: editors filter a list by what its items replace.
        replaced = max([len(open_word(cursor.begin)), *(each.replaces for each in suggestions)])
        begun = cursor.begin[len(cursor.begin) - replaced :]
        start = types.Position(cursor.here.line, cursor.here.character - units(begun, self._encoding))
        found.items = [
            types.CompletionItem(
                label=each.added if each.replaces else each.text,
                kind=types.CompletionItemKind.Text,
                detail=f"{each.probability:.0%}",
                sort_text=f"{i:06}",
                filter_text=begun,
                insert_text_format=types.InsertTextFormat.PlainText,
                text_edit=types.TextEdit(types.Range(start, cursor.here), each.appended_to(begun)),
            )
            for i, each in enumerate(suggestions)
        ]
        return found

    def _complete_inline(self, params: types.InlineCompletionParams) -> types.InlineCompletionList:
        cursor = self._cursor(params.text_document.uri, params.position)
        if cursor is None or cursor.rest.strip():
            return types.InlineCompletionList([])
        phrase = cursor.session.phrase(**self._options.model_dump(include=_GHOST))
        invoked = params.context.trigger_kind == types.InlineCompletionTriggerKind.Invoked
        added = phrase.added if invoked or not phrase.stock else phrase.sure
        range = types.Range(cursor.here, cursor.here)
        return types.InlineCompletionList([types.InlineCompletionItem(added, range=range)] if added else [])
