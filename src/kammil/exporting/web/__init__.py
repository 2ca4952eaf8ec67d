"""Export to static files by which a browser runs a blend, with no server of ours: the engine as WebAssembly, JavaScript
around it, a page, and the model's own files. All but the model and the page is a package of npm, too."""

from __future__ import annotations

import json
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from kammil import model_folder as folders
from kammil.completion import load
from kammil.data.blocklist import Blocklist, fold_character, offensive_words, read_list_file
from kammil.errors import FolderError, OptionError
from kammil.exporting.web import build, page
from kammil.exporting.web.tables import tables
from kammil.models.blend.model import BACKGROUND, OWN
from kammil.ngrams.compression import CompressedTable
from kammil.storage import reason

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
    here = Path(__file__).parent
    contents = {path.name: path.read_bytes() for kind in _FILES for path in sorted(here.glob(kind))}
    ours, package = distribution("kammil"), json.loads((here / "package.json").read_text("utf-8"))
    contents["package.json"] = json.dumps({**package, "version": ours.version}, indent=2).encode()
    contents["LICENSE"] = (ours.read_text("licenses/LICENSE") or "").encode()
    contents |= {name: path.read_bytes() for name, path in _builds().items()}
    contents |= {f"model/{name}": (folder / name).read_bytes() for name in _MODEL}
    contents[f"model/{folders.CARD}"] = model.card.encode()
    own = read_list_file(folder / folders.BLOCK) if (folder / folders.BLOCK).is_file() else ()
    blocked = Blocklist([*own, *offensive_words().entries]).graph()
    folds = {character: fold_character(character) for character in model.vocabulary.characters}
    contents["model/blocked.json"] = _json({**blocked, "own": len(own), "folds": folds})
    contents["model/suggest.json"] = _json(tables(completer))
    return contents | page.files(folder, contents)


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
        return build.compile_builds(command)
    except (OSError, ValueError) as error:
        raise FolderError(f"zig cannot compile {build.SOURCE.name} for browsers: {reason(error)}.") from error
