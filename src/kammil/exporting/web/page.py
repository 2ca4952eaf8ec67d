"""The page of `kammil serve` on a site, where a model in the browser answers in place of a server."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from zlib import crc32

from kammil import model_folder as folders
from kammil.views import playground

POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'; "
    "style-src 'self'; img-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'"
)
"""Content security policy of the page."""
_KEPT = ("html", "js", "css", "svg", "woff2", "wasm", "json", "safetensors")
_LATER = ("kammil.wasm", "ui/plex-arabic.woff2")  # few browsers need them


def files(folder: Path, module: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the page's files, by path, beside those of the module and the model of a folder."""
    about = {"name": folder.name, **folders.about(folder), "learns": True}
    html = re.sub("<link rel=.preload.+\n", "", playground.assets()[""].content.decode())
    html = re.sub(r'(src|href)="(?=[^"]+\.)', r'\1="ui/', html)
    policy = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    page = {
        **{f"ui/{name}": asset.content for name, asset in playground.assets().items() if name},
        "ui/plex-arabic-OFL.txt": Path(playground.__file__).with_name("plex-arabic-OFL.txt").read_bytes(),
        "ui/api.js": Path(__file__).with_name("ui").joinpath("api.js").read_bytes(),
        "index.html": html.replace("<meta", f"{policy}\n<meta", 1).encode(),
        "model/about.json": json.dumps({"id": folder.name, "card": about}).encode(),
    }
    kept = {path: content for path, content in {**module, **page}.items() if path.endswith(_KEPT)}
    kept["./"] = kept.pop("index.html")  # which many hosts redirect there
    names = sorted(kept.keys() - {"sw.js", "package.json"})
    facts = {"VERSION": f"{crc32(b''.join(map(kept.__getitem__, names))):08x}", "FILES": names, "LATER": _LATER}
    head = "".join(f"const {name} = {json.dumps(value)};\n" for name, value in facts.items())
    return {**page, "sw.js": head.encode() + module["sw.js"]}
