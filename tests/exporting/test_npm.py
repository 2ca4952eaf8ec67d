"""A site is a package of npm, too: packed, installed and used in Node, in TypeScript and bundled in a page."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests import needs
from tests.pages import TOOLS, blocks, chromium, served

import kammil

POLICY = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'"
PAGE = f"""<!doctype html><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{POLICY}">
<p></p><kammil-text src="model/"></kammil-text><script type="module" src="app.js"></script>"""
PROMPT = "شو رأيكم نطلع"
BUDGET = 150_000
"""Bytes, gzipped."""


def run(folder: Path, *command: str | Path) -> str:
    environment = os.environ | {"npm_config_cache": str(folder / ".npm"), "npm_config_update_notifier": "false"}
    done = subprocess.run(command, cwd=folder, env=environment, check=False, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def packed(site: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A folder in which the package is installed, and what npm says of it."""
    if not shutil.which("npm"):
        pytest.skip(needs.NPM)
    folder = tmp_path_factory.mktemp("npm")
    (folder / "site").symlink_to(site)
    told = json.loads(run(folder, "npm", "pack", "--offline", "--json", site))
    (about,) = told if isinstance(told, list) else told.values()
    run(folder, "npm", "install", "--offline", "--no-audit", "--no-fund", f"./{about['filename']}")
    return folder, about


def tool(name: str) -> Path:
    path = TOOLS / ".bin" / name
    if not path.exists():
        pytest.skip(needs.PAGE_TOOLS)
    return path


def expected() -> str:
    return kammil.load().complete(PROMPT, preset="plain", length=20, seed=1).text


def test_the_package_holds_the_module_and_no_model_within_the_budget(
    packed: tuple[Path, dict[str, Any]], site: Path
) -> None:
    _, about = packed
    files = {file["path"] for file in about["files"]}
    needed = {"package.json", "README.md", "LICENSE", "wasm-MIT.txt", "kammil.js", "kammil.d.ts"}
    assert files > {*needed, "kammil.wasm", "kammil-simd.wasm"}
    assert not [name for name in files if name.startswith(("model", "index", "page"))]
    described = json.loads((site / "package.json").read_text("utf-8"))
    assert {described["main"], described["types"]} <= {f"./{name}" for name in files}  # for whom `exports` says nothing
    assert about["size"] < BUDGET
    assert about["version"] == kammil.__version__
    assert "Apache License" in (site / "LICENSE").read_text("utf-8")


def test_it_runs_in_node_as_its_readme_says(packed: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = packed
    (shown,) = [block.code for block in blocks((folder / "node_modules/kammil/README.md").read_text("utf-8"))]
    program = f"""{shown}
import Kammil from "kammil";
const message = await load("nowhere").catch((error) => error.message);
console.log(JSON.stringify([words[0].text, text, Kammil.load === load, message]));
"""
    (folder / "program.mjs").write_text(program, "utf-8")
    word, text, same, message = json.loads(run(folder, "node", "program.mjs"))
    assert (word, text, same) == ("البحر", expected(), True)
    assert str(folder / "nowhere") in message and "kammil export" in message and "\n" not in message


def test_its_types_are_those_of_a_small_program(packed: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = packed
    tsc = tool("tsc")
    program = """import Kammil, { load, type CompletionOptions, type Model } from "kammil";
import { attach } from "kammil/kammil-text.js";
const model: Model = await Kammil.load(new URL("https://site.test/model/"));
const options: CompletionOptions = { length: 5, seed: 2n ** 60n, stop: ["\\n"] };
const session = (await load()).session().update("شو");
export const bits: number[] = [...session.complete(options).bits, session.suggest({ k: 1 })[0].probability];
// @ts-expect-error there is no such option
session.complete({ lenght: 5 });
attach(document.createElement("textarea"), { model: "model/" }).remove();
export const learnt: string[] | undefined = await document.querySelector("kammil-text")?.learnt();
"""
    (folder / "program.mts").write_text(program, "utf-8")
    run(folder, tsc, "--noEmit", "--strict", "--target", "es2022", "--module", "nodenext", "program.mts")


def test_it_runs_bundled_in_a_page(packed: tuple[Path, dict[str, Any]], tmp_path: Path, site: Path) -> None:
    folder, _ = packed
    esbuild = tool("esbuild")
    program = f"""import {{ load }} from "kammil";
import "kammil/kammil-text.js";
const model = await load("model");
document.querySelector("p").textContent = model.complete("{PROMPT}", {{ length: 20, seed: 1 }}).text;
"""
    (folder / "app.js").write_text(program, "utf-8")
    worker = "node_modules/kammil/worker.js"
    options = ("--bundle", "--minify", "--format=esm", "--entry-names=[name]", f"--outdir={tmp_path}")
    run(folder, esbuild, "app.js", worker, *options)
    for build in (folder / "node_modules" / "kammil").glob("*.wasm"):
        shutil.copy(build, tmp_path)
    shutil.copytree(site / "model", tmp_path / "model")
    (tmp_path / "index.html").write_text(PAGE, "utf-8")
    (tmp_path / "favicon.ico").touch()
    expect = pytest.importorskip("playwright.sync_api").expect
    errors: list[str] = []
    with served(tmp_path) as address, chromium() as browser:
        page = browser.new_page()
        page.on("console", lambda message: errors.append(message.text))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address)
        expect(page.locator("p")).to_have_text(expected(), timeout=60_000)
        page.locator("textarea").press_sequentially(PROMPT)
        page.get_by_role("button").first.wait_for(timeout=60_000)
    assert not errors
