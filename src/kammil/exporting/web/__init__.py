"""Export to static files by which a browser runs a blend, with no server of ours: the engine as WebAssembly, JavaScript
around it, a page, and the model's own files. All but the model and the page is a package of npm, too."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib.metadata import distribution
from pathlib import Path
from typing import Any
from zlib import crc32

from kammil import model_folder as folders
from kammil.completion import load
from kammil.data.blocklist import Blocklist, blocked_words, fold_character, read_list_file, rulers, silent_words
from kammil.errors import FolderError, OptionError
from kammil.exporting.web import build
from kammil.exporting.web.tables import tables
from kammil.models.blend.model import BACKGROUND, OWN
from kammil.ngrams.compression import CompressedTable
from kammil.progress import phase
from kammil.storage import reason
from kammil.views import playground

POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'; "
    "style-src 'self'; img-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; "
    "require-trusted-types-for 'script'; trusted-types kammil"
)
OPENED_AS_FILE = (
    "لا تعمل هذه الصفحة إذا فُتحت كملفّ: شغّل في مجلّدها <code>python -m http.server</code> ثمّ افتح "
    '<code>http://localhost:8000</code>. <span lang="en" dir="ltr">This page does not run when it is opened as a file: '
    "in its folder run <code>python -m http.server</code>, then open <code>http://localhost:8000</code>.</span>"
)
"""Stands in the page until its script runs, which browsers read from a server alone."""
_KEPT = ("html", "js", "css", "svg", "woff2", "wasm", "json", "safetensors")
_LATER = ("kammil.wasm", "ui/plex-arabic.woff2")  # few browsers need them
_HERE = Path(__file__).parent
_FILES = ("*.js", "*.d.ts", "*.md", "*.txt")
_MODEL = (folders.MODEL, folders.VOCABULARY, folders.WEIGHTS)
_MAX_NUMBER = 0xFFFF


def write(folder: Path) -> dict[str, bytes]:
    """Return the files of a site, by path; `OptionError` for a model that does not run there."""
    folder = folders.locate(folder)
    model = folders.read(folder)
    name = model.description.family
    if name != "blend":
        raise OptionError(f"a model of family {name} does not run in a browser; train one with --model blend.")
    completer = load(folder)  # which checks it
    weights = model.artifacts.weights
    counts = [CompressedTable(weights, prefix) for prefix in (OWN, BACKGROUND) if f"{prefix}sizes" in weights]
    if any(field().max(initial=0) > _MAX_NUMBER for table in counts for field in (table.pruned, table.ids)):
        raise FolderError(f"the arrays of {folder} do not fit the engine; train the model again.")
    contents = {path.name: path.read_bytes() for kind in _FILES for path in sorted(_HERE.glob(kind))}
    ours, package = distribution("kammil"), json.loads((_HERE / "package.json").read_text("utf-8"))
    contents["package.json"] = json.dumps({**package, "version": ours.version}, indent=2).encode()
    contents["LICENSE"] = (ours.read_text("licenses/LICENSE") or "").encode()
    contents |= {name: path.read_bytes() for name, path in _builds().items()}
    contents |= {f"model/{name}": (folder / name).read_bytes() for name in _MODEL}
    contents[f"model/{folders.CARD}"] = model.card.encode()
    own = read_list_file(folder / folders.BLOCK) if (folder / folders.BLOCK).is_file() else ()
    blocked, names = Blocklist([*own, *blocked_words().entries]).graph(), Blocklist(rulers()).graph()
    folds = {character: fold_character(character) for character in model.vocabulary.characters}
    always = len(own) + len(silent_words().entries)
    contents["model/blocked.json"] = _json({**blocked, "always": always, "folds": folds, "rulers": names})
    contents["model/suggest.json"] = _json(tables(completer))
    return contents | _page(folder, contents)


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode()


def _builds() -> dict[str, Path]:
    names = {name: build.place(name) for name in build.BUILDS}
    if all(path.is_file() for path in names.values()):
        return names
    command = build.zig()
    if command is None:
        raise FolderError(
            "this copy of Kammil has no build of the engine for browsers, and zig to make one is missing; run: "
            "pip install ziglang"
        )
    try:
        with phase("compiling the engine for browsers, once"):
            return build.compile_builds(command)
    except (OSError, ValueError) as error:
        raise FolderError(f"zig cannot compile {build.SOURCE.name} for browsers: {reason(error)}.") from error


def _page(folder: Path, module: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the files, by path, of the page of `kammil serve`, where a model in the browser answers."""
    about = {"name": folder.resolve().name, **folders.about(folder), "learns": True, "reads_context": True}
    html = re.sub("<link rel=.preload.+\n", "", playground.assets()[""].content.decode())
    html = re.sub(r'(src|href)="(?=[^"]+\.)', r'\1="ui/', html)
    html = html.replace('<p id="intro">', f'<p id="intro"><span>{OPENED_AS_FILE}</span>', 1)
    policy = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    page = {
        **{f"ui/{name}": asset.content for name, asset in playground.assets().items() if name},
        "ui/plex-arabic-OFL.txt": Path(playground.__file__).with_name("plex-arabic-OFL.txt").read_bytes(),
        "ui/api.js": _HERE.joinpath("ui").joinpath("api.js").read_bytes(),
        "index.html": html.replace("<meta", f"{policy}\n<meta", 1).encode(),
        "model/about.json": json.dumps({"id": about["name"], "card": about}).encode(),
    }
    kept = {path: content for path, content in {**module, **page}.items() if path.endswith(_KEPT)}
    kept["./"] = kept.pop("index.html")  # which many hosts redirect there
    names = sorted(kept.keys() - {"sw.js", "package.json"})
    facts = {"VERSION": f"{crc32(b''.join(map(kept.__getitem__, names))):08x}", "FILES": names, "LATER": _LATER}
    head = "".join(f"const {name} = {json.dumps(value)};\n" for name, value in facts.items())
    return {**page, "sw.js": head.encode() + module["sw.js"]}
