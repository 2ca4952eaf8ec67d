"""The language server, asked as an editor asks it: messages over the standard streams of `kammil lsp`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from lsprotocol import types

import kammil
from kammil import lsp
from kammil.completion.completer import Completer
from kammil.completion.context import MAX_MESSAGES
from kammil.lsp import READ, Document

URI = "file:///message.txt"
Json = dict[str, Any]


class Editor:
    """A client of the server, which reads nothing but messages on its standard output."""

    def __init__(self, *flags: object, options: object = None, encodings: tuple[str, ...] = ()) -> None:
        command = [sys.executable, "-m", "kammil", "lsp", *map(str, flags)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
        )
        self.shown: list[str] = []
        """Messages for the user."""
        self._asked = 0
        general = {"positionEncodings": list(encodings)} if encodings else {}
        parameters = {"processId": None, "rootUri": None, "capabilities": {"general": general}}
        self.offers = self.ask("initialize", parameters | {"initializationOptions": options})["capabilities"]
        self.tell("initialized", {})

    def send(self, content: bytes) -> None:
        """Send the content of a message."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(content), content))

    def tell(self, method: str, parameters: Json) -> None:
        """Send a notification."""
        self.send(json.dumps({"jsonrpc": "2.0", "method": method, "params": parameters}).encode())

    def begin(self, method: str, parameters: Json) -> int:
        """Send a request."""
        self._asked += 1
        request = {"jsonrpc": "2.0", "id": self._asked, "method": method, "params": parameters}
        self.send(json.dumps(request).encode())
        return self._asked

    def ask(self, method: str, parameters: Json) -> Any:
        """Send a request and return its result."""
        number = self.begin(method, parameters)
        while (message := self.read()).get("id") != number:
            assert message["method"] == "window/showMessage", message
            self.shown.append(message["params"]["message"])
        assert "error" not in message, message
        return message["result"]

    def read(self) -> Json:
        """Read a message."""
        stream = self.process.stdout
        assert stream is not None
        head = stream.readline()
        assert head.startswith(b"Content-Length: "), (head, self.process.stderr and self.process.stderr.read())
        while stream.readline() != b"\r\n":
            pass
        content, size = b"", int(head.split()[1])
        while len(content) < size:
            content += stream.read(size - len(content))
        return json.loads(content)

    def open(self, text: str, uri: str = URI) -> None:
        """Open a document."""
        item = {"uri": uri, "languageId": "plaintext", "version": 0, "text": text}
        self.tell("textDocument/didOpen", {"textDocument": item})

    def change(self, *changes: Json, uri: str = URI) -> None:
        """Change a document."""
        self.tell("textDocument/didChange", {"textDocument": {"uri": uri, "version": 1}, "contentChanges": changes})

    def save(self, text: str, uri: str = URI) -> None:
        """Replace the text of a document, and save it."""
        self.change({"text": text}, uri=uri)
        self.tell("textDocument/didSave", {"textDocument": {"uri": uri}})

    def items(self, line: int, character: int, *, trigger: int = 1, uri: str = URI) -> list[Json]:
        """Return the list at a position."""
        position = {"line": line, "character": character}
        asked: Json = {"textDocument": {"uri": uri}, "position": position, "context": {"triggerKind": trigger}}
        found = self.ask("textDocument/completion", asked)
        assert found is None or found["isIncomplete"]
        return found["items"] if found else []

    def ghost(self, line: int, character: int, *, trigger: int = 1) -> list[Json]:
        """Return the ghost text at a position: invoked, or automatic with trigger 2."""
        position = {"line": line, "character": character}
        asked: Json = {"textDocument": {"uri": URI}, "position": position, "context": {"triggerKind": trigger}}
        return self.ask("textDocument/inlineCompletion", asked)["items"]

    def leave(self) -> tuple[int, str]:
        """End the server; returns its exit status and what it wrote to standard error."""
        self.ask("shutdown", {})
        self.tell("exit", {})
        out, err = self.process.communicate(timeout=60)
        assert out == b""
        return self.process.returncode, err.decode()


Start = Callable[..., Editor]


@pytest.fixture
def start() -> Iterator[Start]:
    editors: list[Editor] = []

    def make(*flags: object, **more: Any) -> Editor:
        editors.append(Editor(*flags, **more))
        return editors[-1]

    yield make
    for editor in editors:
        editor.process.kill()
        editor.process.communicate()


@pytest.fixture(scope="module")
def editor() -> Iterator[Editor]:
    """One server that several tests ask; none may leave it unable to answer."""
    started = Editor()
    yield started
    assert started.leave() == (0, "")


@pytest.fixture(scope="module")
def levantine() -> Completer:
    return kammil.load()


def units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def taken(line: str, item: Json) -> str:
    """The line before the cursor after an item was taken."""
    edit = item["textEdit"]
    first = line.encode("utf-16-le")[: 2 * edit["range"]["start"]["character"]].decode("utf-16-le")
    return first + edit["newText"]


def edit(begin: tuple[int, int], end: tuple[int, int], text: str) -> Json:
    (first, start), (last, stop) = begin, end
    return {
        "range": {"start": {"line": first, "character": start}, "end": {"line": last, "character": stop}},
        "text": text,
    }


def test_what_is_offered(editor: Editor) -> None:
    assert "inlineCompletionProvider" in editor.offers
    assert editor.offers["completionProvider"]["triggerCharacters"] == [" "]
    assert editor.offers["textDocumentSync"] == {"openClose": True, "change": 2, "save": True} | {
        name: value for name, value in editor.offers["textDocumentSync"].items() if name.startswith("will")
    }
    assert editor.offers["positionEncoding"] == "utf-16"


TYPED = (
    "شو رأيكم نطلع على البح",
    "صباح الخير يا",
    "shu a5b",
    "😀😀 كيف",
    "انا رايح عالب",
    "  بدي ",
    "ya 7abi",
    "يا 𝒜𝒜",
    "",
    "👩‍👩‍👧 شكرا كت",
)


def test_lists_are_those_of_suggest_and_ghost_text_is_phrase(editor: Editor, levantine: Completer) -> None:
    editor.open("\r\n".join(TYPED))
    for number, line in enumerate(TYPED):
        for end in range(0, len(line) + 1):
            before, at = line[:end], units(line[:end])
            inside = line[end : end + 1].isalnum() or line[end : end + 1] == "\u200d"
            expected = [] if inside else levantine.suggest(before, context=TYPED[:number])
            found = editor.items(number, at)
            shown = [each.added if each.replaces else each.text for each in expected]  # all that would be written
            assert [item["label"] for item in found] == shown, before
            assert [taken(before, item) for item in found] == [each.appended_to(before) for each in expected]
            assert all(item["textEdit"]["range"]["end"] == {"line": number, "character": at} for item in found)
            added = "" if line[end:].strip() else levantine.phrase(before, context=TYPED[:number]).added
            assert "".join(item["insertText"] for item in editor.ghost(number, at)) == added, before


CHARACTERS = st.text(st.sampled_from("اب c\n\r\u2028\x0c\x85\t😀🇱"), max_size=12)
PLACES = st.tuples(st.integers(0, 6), st.integers(0, 30))


def offset(text: str, place: tuple[int, int], encoding: str) -> int:
    """The index of a position in a string, counted character by character as the protocol says it."""
    line, character = place
    at = 0
    while line > 0:
        if at == len(text):
            return at
        at += 2 if text.startswith("\r\n", at) else 1
        line -= text[at - 1] in "\r\n"
    while at < len(text) and text[at] not in "\r\n":
        width = {"utf-8": len(text[at].encode()), "utf-16": units(text[at]), "utf-32": 1}[encoding]
        if width > character:
            break
        character -= width
        at += 1
    return at


@given(CHARACTERS, st.lists(st.tuples(PLACES, PLACES, CHARACTERS), max_size=6), st.sampled_from(("utf-8", "utf-16")))
@example("ا\rب", [((1, 0), (1, 0), "\n")], "utf-16")
def test_a_document_is_the_string_that_the_editor_has(
    text: str, edits: list[tuple[tuple[int, int], tuple[int, int], str]], encoding: str
) -> None:
    document = Document(text, encoding)
    for begin, end, new in edits:
        change = types.TextDocumentContentChangePartial(
            types.Range(types.Position(*begin), types.Position(*end)), text=new
        )
        first, last = offset(text, begin, encoding), offset(text, end, encoding)
        text = text[:first] + new + text[max(first, last) :]
        document.change(change)
        assert "".join(document.lines) == text
        assert document.lines == Document(text).lines
        assert document.size == len(text) + lsp.LINE * len(document.lines)
        for place in (begin, end):
            line, index = document.index(types.Position(*place))
            assert len("".join(document.lines[:line])) + index == offset(text, place, encoding)


def test_edits_of_parts_reach_the_model(editor: Editor, levantine: Completer) -> None:
    editor.open("سلام 😀 كيف\nتاني سطر")
    editor.change(edit((0, 5), (0, 7), "يا"), edit((1, 0), (9, 9), "بدي رو"))
    editor.change(edit((0, 0), (0, 0), "😀 "))
    lines = "😀 سلام يا كيف", "بدي رو"
    for number, line in enumerate(lines):
        found, expected = editor.items(number, units(line)), levantine.suggest(line, context=lines[:number])
        assert [taken(line, item) for item in found] == [one.appended_to(line) for one in expected]


def test_positions_are_counted_as_the_editor_asks(start: Start, levantine: Completer) -> None:
    editor, line = start(encodings=("utf-8", "utf-16")), "😀 shu a5b"
    assert editor.offers["positionEncoding"] == "utf-8"
    editor.open(line)
    found = editor.items(0, len(line.encode()))
    assert len(found) == len(levantine.suggest(line)) > 0
    assert {item["textEdit"]["range"]["start"]["character"] for item in found} == {5}  # "shu a5b" is replaced


def test_a_stock_phrase_waits_until_it_is_asked_for(editor: Editor, levantine: Completer) -> None:
    line = "الله يرحمها كانت "
    phrase = levantine.phrase(line)
    assert phrase.stock and phrase.sure != phrase.added
    editor.open(line)
    assert [item["insertText"] for item in editor.ghost(0, len(line))] == [phrase.added]
    assert "".join(item["insertText"] for item in editor.ghost(0, len(line), trigger=2)) == phrase.sure


def test_an_indent_gets_no_list_by_itself(editor: Editor) -> None:
    editor.open("  ")
    assert editor.items(0, 2, trigger=2) == [] != editor.items(0, 2, trigger=1)


def test_of_a_long_line_the_end_is_read(editor: Editor, levantine: Completer) -> None:
    line = "يا سلام 😀 " * 400 + "شو رأيكم نطلع على البح"
    editor.open(line)
    found = editor.items(0, units(line))
    assert [item["label"] for item in found] == [one.text for one in levantine.suggest(line[-2 * READ + 200 :])]


SAID = "رودي رجع من السفر مبارح\r\nبدنا نعزم رودي عالعشا\r\n"
NAME = "حكيت مع رو"


@pytest.mark.parametrize(
    ("between", "read"),
    [("", True), ("\r\n", True), ("#رودي\r\n", True), ("\r\n \r\n", False), ("## خبر\r\n", False), ("#\n\n", False)],
)
def test_the_lines_above_are_the_context(editor: Editor, between: str, read: bool) -> None:
    line = (SAID + between).count("\n")
    editor.open(f"{SAID}{between}{NAME}\n{SAID}")
    editor.open(SAID, uri="file:///other.txt")
    labels = [item["label"] for item in editor.items(line, len(NAME))]
    assert ("رودي" in labels) == read
    editor.change(edit((0, 0), (line, 0), ""))
    assert "رودي" not in [item["label"] for item in editor.items(0, len(NAME))]


@given(st.lists(st.sampled_from(["a", "b c", "", " ", "# d"]), max_size=2 * MAX_MESSAGES + 3))
def test_what_stands_above_ends_at_a_heading_or_two_empty_lines(lines: list[str]) -> None:
    above = Document("\n".join([*lines, "here"])).above(len(lines))
    assert len(above) <= 2 * MAX_MESSAGES
    stripped = [line.strip() for line in above]
    assert stripped == [line.strip() for line in lines[len(lines) - len(above) :]]
    assert "# d" not in stripped and ("", "") not in pairwise(stripped)
    whole = len(above) in (len(lines), 2 * MAX_MESSAGES)
    before = lines[: len(lines) - len(above)][-1:]
    assert whole or before == ["# d"] or (not before[0].strip() and not stripped[0])


def test_a_model_that_reads_no_context_serves_editors(start: Start, folder_of: Callable[[str], Path]) -> None:
    editor, model = start("--model", folder_of("gru")), kammil.load(folder_of("gru"))
    editor.open(f"{SAID}{NAME}")
    assert [item["label"] for item in editor.items(2, len(NAME))] == [word.text for word in model.suggest(NAME)]


def test_flags_and_options_of_the_editor(start: Start, tmp_path: Path, levantine: Completer) -> None:
    words = [one.text for one in levantine.suggest("صباح ", k=5)]
    blocked = tmp_path / "block.txt"
    blocked.write_text(f"{words[0]}\n", "utf-8")
    editor = start("--block", blocked, "-k", 1, "--forbid", words[1], options={"k": 4, "threshold": 0})
    editor.open("صباح ")
    labels = [item["label"] for item in editor.items(0, 5)]
    assert len(labels) == 4 and not {words[0], words[1]} & {*labels}


@pytest.mark.parametrize("line", ["بدي انتح", "بدي انتحر ", "كس ا"])
def test_nothing_is_offered_after_self_harm_or_a_slur(start: Start, line: str) -> None:
    editor = start(options={"threshold": 0})
    editor.open(line)
    assert editor.items(0, len(line)) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [({"k": 0}, "k is 0"), ([1], "object"), ({"learn": True}, "--profile")],
)
def test_wrong_options_are_said_and_the_flags_hold(start: Start, options: object, said: str) -> None:
    editor = start("-k", 2, options=options)
    editor.open("صباح ")
    assert len(editor.items(0, 5)) == 2
    assert len(editor.shown) == 1 and said in editor.shown[0]


def test_nothing_is_learnt_unless_asked(start: Start, tmp_path: Path) -> None:
    profile = tmp_path / "me.jsonl"
    kammil.Profile(profile).learn("سلام")
    before = profile.read_bytes()
    for flags in ((), ("--profile", profile)):
        editor = start(*flags)
        editor.open("")
        editor.save("بدي كبسة")
        editor.save("بدي كبسة خضرا")
        editor.items(0, 0)
        assert editor.leave() == (0, "")
    assert profile.read_bytes() == before


@pytest.mark.parametrize("flags", [("--learn",), ()])
def test_new_lines_of_saved_documents_are_learnt_if_asked(start: Start, tmp_path: Path, flags: tuple[str, ...]) -> None:
    profile = kammil.Profile(tmp_path / "me.jsonl")
    profile.learn("سلام")
    editor = start("--profile", profile.path, *flags, options=None if flags else {"learn": True})
    editor.open("سطر قديم\n")
    editor.save("سطر قديم\nبدي كب\n")
    editor.save("سطر قديم\nبدي كبسة خضرا\n\nشكرا\n")  # the line goes on: its beginning is no text
    editor.save("شكرا\n" + "ا" * 5_000)  # a line that is too long for a profile
    editor.open("تاني مستند", "file:///other.txt")
    editor.change({"text": "مو محفوظ"}, uri="file:///other.txt")
    editor.open("بدي كبسة خ", "file:///third.txt")
    assert editor.items(0, 10, uri="file:///third.txt")[0]["label"] == "خضرا"
    assert profile.texts == ("سلام", "بدي كبسة خضرا", "شكرا")
    profile.forget("شكرا")
    editor.save("شكرا كتير\n")  # somebody has forgotten its beginning
    editor.items(0, 0)
    assert profile.texts == ("سلام", "بدي كبسة خضرا", "شكرا كتير")
    assert editor.shown == []


def test_nothing_is_learnt_of_a_document_that_was_not_read(start: Start, tmp_path: Path) -> None:
    profile = kammil.Profile(tmp_path / "me.jsonl")
    profile.learn("سلام")
    editor = start("--profile", profile.path, "--learn")
    editor.open("ا" * (lsp.MAX_SIZE + 1))
    editor.save("سطر قديم")
    editor.save("سطر قديم\nسطر جديد")
    editor.items(0, 0)
    assert profile.texts == ("سلام", "سطر جديد")


def test_what_makes_no_sense_is_said_once_and_does_no_harm(editor: Editor) -> None:
    editor.open("صباح ")
    editor.shown.clear()
    assert editor.items(2**31 - 1, 2**31 - 1) == editor.items(0, 5) != []
    editor.change(edit((0, 5), (0, 0), ""), edit((7, 7), (2**31 - 1, 0), "ال"), edit((0, 0), (0, 0), "\ud83d"))
    assert editor.items(0, 9) and not editor.shown
    for _ in range(3):
        assert editor.items(0, 0, uri="file:///nowhere") == []
    assert len(editor.shown) == 1 and "nowhere" in editor.shown.pop()
    editor.tell("textDocument/didClose", {"textDocument": {"uri": "file:///nowhere"}})
    for content in (b"{", b"[1]", b'"x"', b'{"jsonrpc": "2.0", "method": "textDocument/didChange", "params": 1}'):
        editor.send(content)
    editor.change({"range": {"start": {"line": -1, "character": 0}, "end": {}}, "text": 1})
    editor.tell("$/whatever", {})
    assert editor.items(0, 9)
    assert editor.shown and all(said.startswith("kammil: ") and said.count("\n") == 0 for said in editor.shown)
    editor.shown.clear()


@pytest.mark.parametrize("wrong", [-20, -1, 1, 30, 150])
def test_messages_are_read_again_after_a_wrong_length(editor: Editor, wrong: int) -> None:
    editor.open("صباح ")
    note = json.dumps({"jsonrpc": "2.0", "method": "$/whatever", "params": {"n": "Content-Length: 7\r\n"}}).encode()
    assert editor.process.stdin is not None
    editor.process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(note) + wrong, note))
    for _ in range(2):  # a length that is too great takes the message behind it
        editor.tell("$/whatever", {})
    assert editor.items(0, 5)
    editor.shown.clear()


def test_what_is_too_long_is_not_read(editor: Editor) -> None:
    editor.open("ا" * (lsp.MAX_SIZE + 1), "file:///long.txt")
    editor.change(edit((0, 0), (0, 0), "ا"), uri="file:///long.txt")
    assert editor.items(0, 1, uri="file:///long.txt") == []
    assert len(editor.shown) == 1 and "long.txt" in editor.shown.pop()
    editor.change({"text": "صباح "}, uri="file:///long.txt")
    assert editor.items(0, 5, uri="file:///long.txt") != []
    change = {"textDocument": {"uri": "file:///long.txt", "version": 1}, "contentChanges": [{"text": ""}]}
    message = json.dumps({"jsonrpc": "2.0", "method": "textDocument/didChange", "params": change}).encode()
    editor.send(message.ljust(lsp.MAX_MESSAGE + 1))
    assert editor.items(0, 5, uri="file:///long.txt")[0]["textEdit"]["range"]["end"]["character"] == 5
    assert len(editor.shown) == 1
    editor.shown.clear()


def test_requests_may_be_cancelled(editor: Editor) -> None:
    editor.open("صباح ")
    asked = {"textDocument": {"uri": URI}, "position": {"line": 0, "character": 5}}
    numbers = [editor.begin("textDocument/completion", asked) for _ in range(20)]
    for number in [*numbers, 10**6]:
        editor.tell("$/cancelRequest", {"id": number})
    assert {editor.read()["id"] for _ in numbers} == {*numbers}
    assert editor.items(0, 5)


def test_many_documents_have_few_caches(levantine: Completer) -> None:
    server = lsp.Server(levantine, lsp.EditorOptions())
    for number in range(2 * lsp.MAX_SESSIONS):
        item = types.TextDocumentItem(f"file:///{number}", "plaintext", 0, "صباح ")
        server.protocol.fm.features[types.TEXT_DOCUMENT_DID_OPEN](types.DidOpenTextDocumentParams(item))
        place = types.CompletionParams(types.TextDocumentIdentifier(item.uri), types.Position(0, 5))
        assert server.protocol.fm.features[types.TEXT_DOCUMENT_COMPLETION](place).items
    assert len(server._sessions) == lsp.MAX_SESSIONS  # pyright: ignore[reportPrivateUsage]


NEOVIM = """
vim.cmd.edit('message.txt')
local id = vim.lsp.start({ name = 'kammil', cmd = vim.json.decode(os.getenv('COMMAND')), root_dir = vim.fn.getcwd() })
local buffer, client, taken = vim.api.nvim_get_current_buf(), vim.lsp.get_client_by_id(id), {}
assert(vim.wait(60000, function() return client.initialized and vim.lsp.buf_is_attached(0, id) end, 10))
vim.api.nvim_buf_set_lines(0, 0, -1, true, { '😀 سلام', '😀 shu ' })
vim.api.nvim_buf_set_text(0, 1, 9, 1, 9, { 'a5b' })
vim.api.nvim_win_set_cursor(0, { 2, 12 })
local asked = vim.lsp.util.make_position_params(0, client.offset_encoding)
local found = assert(vim.lsp.buf_request_sync(0, 'textDocument/completion', asked, 60000))[id].result.items
for _, item in ipairs(found) do
  vim.api.nvim_buf_set_lines(0, 1, 2, true, { '😀 shu a5b' })
  vim.lsp.util.apply_text_edits({ item.textEdit }, buffer, client.offset_encoding)
  table.insert(taken, vim.api.nvim_buf_get_lines(0, 1, 2, true)[1])
end
io.stdout:write(vim.json.encode(taken))
"""


@pytest.mark.skipif(shutil.which("nvim") is None, reason="Neovim: apt-get install neovim")
def test_neovim_takes_what_is_suggested(tmp_path: Path, levantine: Completer) -> None:
    (tmp_path / "try.lua").write_text(NEOVIM, "utf-8")
    server = {"COMMAND": json.dumps([sys.executable, "-m", "kammil", "lsp"])}
    done = subprocess.run(
        ["nvim", "--clean", "-n", "-l", "try.lua"],
        cwd=tmp_path,
        env=os.environ | server,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    line = "😀 shu a5b"
    assert json.loads(done.stdout) == [one.appended_to(line) for one in levantine.suggest(line)]
