"""Do what a page of the documentation says: type its commands and run its Python, in order."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import threading
import time
import tomllib
import urllib.request
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests import needs

from kammil.cli import main

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).parent.parent
TOOLS = Path(os.environ.get("KAMMIL_PAGE_TOOLS", ROOT / ".page")) / "node_modules"
"""Where `make .page/.ready` puts what npm brings."""
SETUP = {"python3 -m venv .venv", ". .venv/bin/activate"}
"""Lines that only prepare the shell: the tests run where that is done."""
TRAINING, TESTING = 120, 10
"""Texts that are left of a split."""


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its `title`, its content."""

    kind: str
    title: str
    code: str


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a page."""
    found = re.findall(r'^```(\w+)(?: title="([^"]*)")?\n(.*?)^```$', text, re.MULTILINE | re.DOTALL)
    return [Block(*block) for block in found]


def typed(code: str) -> list[tuple[str, str]]:
    """The commands of a console block, and what the page shows below each."""
    joined = re.sub(r" \\\n\s*", " ", code)
    parts = re.split(r"^\$ ", joined, flags=re.MULTILINE)
    assert not parts[0].strip(), f"output without a command: {parts[0]}"
    return [(line, shown) for line, _, shown in (part.partition("\n") for part in parts[1:])]


def _is_set_up(line: str, command: list[str]) -> bool:
    """Whether a command prepares the machine: it does not run, but what it names must be there."""
    if command[:2] == ["pip", "install"]:
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
        (named,) = re.findall(r"^(?:\.|kammil)\[(.*)\]$", command[2])
        assert set(named.split(",")) <= set(extras), line
    elif command[0] == "make":
        assert re.search(rf"^{command[1]}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE), line
    elif command[:3] == [".venv/bin/python", "-m", "pytest"]:
        assert (ROOT / command[3]).is_file(), line
    else:  # tests/server/test_lm_eval.py runs the harness, where it is installed
        return line in SETUP or command[0] == "lm_eval"
    return True


class Reader:
    """Somebody who follows a page in a folder. What takes long is cut: minutes of training, and texts of a split.

    Args:
        folder: where the commands run.
        patch: puts back what is changed in this process.
        files: what the page's own files (`title="messages.csv"`) hold beyond what it shows.
    """

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, files: Mapping[str, str]) -> None:
        self.folder, self._patch, self._files = folder, patch, files
        self._server: subprocess.Popen[bytes] | None = None
        self._port = "8000"
        self._names: dict[str, Any] = {"__name__": "page"}
        programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        own = {
            "LLM_USER_PATH": str(folder / "llm"),
            "npm_config_cache": str(folder / ".npm"),
            "npm_config_offline": "true",
        }
        self._environment = os.environ | own | {"PATH": programs, "PYTHONUTF8": "1"}
        patch.chdir(folder)

    def follow(self, page: Path) -> int:
        """Do everything that a page says; the number of commands and snippets that ran."""
        count, printed = 0, None
        shown = blocks(page.read_text("utf-8"))
        for program in ("curl", "npm"):
            if any(f"$ {program} " in block.code for block in shown) and shutil.which(program) is None:
                pytest.skip(f"{program}: apt-get install {program}")
        for block in shown:
            if block.kind == "text" and printed is not None:
                assert printed == block.code, f"the snippet prints\n{printed}\nand not\n{block.code}"
            printed = None
            if block.title:
                (self.folder / block.title).write_text(block.code + self._files.get(block.title, ""), "utf-8")
            elif block.kind == "python":
                printed = self._python(block.code)
                count += 1
            elif block.kind == "console":
                for line, shown in typed(block.code):
                    said = self._type(line)
                    wanted = re.escape(shown).replace(re.escape("...\n"), r"(?:.*\n)*")  # a line of dots: any lines
                    assert not shown or re.fullmatch(wanted, said), f"{line}\nprints\n{said}\nand not\n{shown}"
                    count += 1
        return count

    def close(self) -> None:
        """Stop the server, if one runs."""
        if self._server is not None:
            self._server.terminate()
            self._server.communicate(timeout=60)
            self._server = None

    def _type(self, line: str) -> str:
        """Type a command; what it prints."""
        command = shlex.split(line, comments=True)
        if _is_set_up(line, command):
            return ""
        if command[:2] == ["kammil", "serve"]:
            return self._serve(command[2:])
        if command[0] == "kammil" and not set(command) & {"|", "<", ">"}:
            return self._kammil(command)
        assert command[0] in {"curl", "echo", "kammil", "llm", "npm", "python"}, f"not known here: {line}"
        return self._shell(line.replace("8000", self._port), self.folder)

    def _kammil(self, command: list[str]) -> str:
        """Run a command of Kammil in this process: to import PyTorch for each would take longer than all else."""
        if "--minutes" in command:
            command[command.index("--minutes") + 1] = "0.05"
        out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
        err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
        self._patch.setattr(sys, "argv", command)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as left:
            main()
        said, complained = (self._read(stream) for stream in (out, err))
        assert not left.value.code, f"{shlex.join(command)}\n{complained}"
        if command[1:3] == ["data", "split"]:
            parts = self.folder / command[command.index("--out") + 1]
            for name, most in (("train.txt", TRAINING), ("test.txt", TESTING)):
                lines = (parts / name).read_text("utf-8").splitlines(keepends=True)
                (parts / name).write_text("".join(lines[:most]), "utf-8")
        return said

    @staticmethod
    def _read(stream: io.TextIOWrapper) -> str:
        stream.flush()
        stream.seek(0)
        return stream.read()

    def _shell(self, line: str, folder: Path) -> str:
        """Run a line of a shell in a process of its own."""
        done = subprocess.run(
            ["bash", "-c", f"set -o pipefail; {line}"],
            cwd=folder,
            capture_output=True,
            encoding="utf-8",
            check=False,
            env=self._environment,
            timeout=200,
        )
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        assert '"error"' not in done.stdout, f"{line}\n{done.stdout}"
        return done.stdout

    def _serve(self, arguments: list[str]) -> str:
        """Start a server on a free port, and wait until its model is open."""
        self.close()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = str(free.getsockname()[1])
        command = [sys.executable, "-m", "kammil", "serve", *arguments, "--port", self._port, "--no-access-log"]
        self._server = subprocess.Popen(command, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        until = time.monotonic() + 120
        while time.monotonic() < until:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.address}/health", timeout=5) as reply:
                if reply.status == 200:
                    return ""
            if self._server.poll() is not None:
                break
            time.sleep(0.2)
        self._server.kill()
        _, complained = self._server.communicate()
        raise AssertionError(f"kammil serve {shlex.join(arguments)}\n{complained.decode()}")

    @property
    def address(self) -> str:
        """The address of the server."""
        return f"http://127.0.0.1:{self._port}"

    def _python(self, code: str) -> str:
        """Run a snippet after those before it; what it prints, which a block of text below may show."""
        out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
        code = code.replace("http://127.0.0.1:8000", self.address)
        with contextlib.redirect_stdout(out):
            exec(compile(code, "snippet", "exec"), self._names)  # the page is ours
        return self._read(out)


class Files(SimpleHTTPRequestHandler):
    """Answers with the files of a folder."""

    def log_message(self, format: str, *args: object) -> None: ...


@contextlib.contextmanager
def served(folder: Path, files: type[Files] = Files) -> Generator[str]:
    """Serve the files of a folder; the address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(files, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@contextlib.contextmanager
def chromium() -> Generator[Browser]:
    """Open the system's Chromium; skip where there is none."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install '.[dev]'")
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip(needs.CHROMIUM)
    with api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


MakeReader = Callable[[Mapping[str, str]], Reader]
