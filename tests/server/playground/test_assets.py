"""The files of the page refer to each other only, and every message that they name exists in both languages."""

from __future__ import annotations

import gzip
import json
import re
from importlib import resources

from tests.server.playground.conftest import bundled

import kammil
from kammil.views.playground import assets

SCRIPTS = {path: asset.content.decode() for path, asset in assets().items() if path.endswith(".js")}
PAGE, STYLE = assets()[""].content.decode(), assets()["style.css"].content.decode()


def test_everything_that_is_imported_is_served() -> None:
    found = {name for script in SCRIPTS.values() for name in re.findall(r'(?:from|import) "\./([^"]+)"', script)}
    found |= set(re.findall(r'(?:src|href)="([^"]+)"', PAGE))
    found |= set(re.findall(r'url\("([^"]+)"\)', STYLE))
    assert found <= assets().keys()
    assert found == assets().keys() - {""}  # and nothing else is


def test_imported_names_are_exported() -> None:
    for script in SCRIPTS.values():
        for names, module in re.findall(r'import \{([^}]+)\} from "\./([^"]+)"', script):
            exported = set(re.findall(r"export (?:async )?(?:function\*?|class|const|let) ([\w$]+)", SCRIPTS[module]))
            assert {name.strip() for name in names.split(",")} <= exported, module


def test_every_message_is_used_and_every_used_message_exists() -> None:
    messages = set(re.findall(r"^  (\w+): \[", SCRIPTS["messages.js"], re.MULTILINE))
    used = set(re.findall(r'data-message(?:-label|-placeholder)?="(\w+)"', PAGE))
    for script in SCRIPTS.values():
        used |= set(re.findall(r'message\("(\w+)"', script))
    assert used <= messages
    code = "".join(script for path, script in SCRIPTS.items() if path != "messages.js")
    used |= {preset + "Help" for preset in re.findall(r'name="preset" value="(\w+)"', PAGE)}
    assert used <= messages
    messages = {name.removesuffix("Here") for name in messages}  # one for where the model is in the browser
    assert not [name for name in messages - used if not re.search(rf'\b{name}: |"{name}"', code)]


def test_what_the_cards_of_bundled_models_say_is_there_in_arabic() -> None:
    for name in ("levantine", "levantine-all"):
        for said in (bundled(name)["licence"], bundled(name)["faults"]):
            assert said and f'"{said}":' in SCRIPTS["messages.js"], name


def test_a_file_is_compressed_for_whoever_accepts_that() -> None:
    for path, asset in assets().items():
        plain, packed, refused = (asset.answer(accepted) for accepted in ("", "br, gzip", "gzip;q=0, br"))
        assert plain == refused and plain[0] == asset.content
        assert "Content-Encoding" not in plain[1] and "Accept-Encoding" in plain[1]["Vary"]
        if path.endswith(".woff2"):  # compressed by itself
            assert packed == plain
            continue
        assert gzip.decompress(packed[0]) == asset.content
        assert packed[1]["Content-Encoding"] == "gzip" and packed[1]["ETag"] != plain[1]["ETag"]
        assert packed[1]["Content-Type"] == plain[1]["Content-Type"] == asset.media


def test_the_page_is_described_in_both_languages() -> None:
    (description,) = re.findall(r'<meta name="description" content="([^"]+)">', PAGE)
    assert re.search("[ء-ي]{3}", description) and re.search("[a-z]{3}", description)


def test_every_example_is_followed_by_ghost_text_or_a_suggestion() -> None:
    found = re.search(r"EXAMPLES = (\[.*\]);", SCRIPTS["examples.js"])
    assert found is not None
    examples = json.loads(found[1])
    assert len(examples) >= 3
    for name in ("levantine", "levantine-all"):
        model = kammil.load(name)
        for example in examples:
            said = model.suggest(example) if example.isascii() else [model.phrase(example)]
            assert said and re.search("[ء-ي]", said[0].added), (name, example)


def test_the_font_is_small_and_its_licence_lies_beside_it() -> None:
    font = assets()["plex-arabic.woff2"]
    assert font.media == "font/woff2"
    assert font.content.startswith(b"wOF2") and len(font.content) <= 120_000
    licence = resources.files("kammil.views.playground").joinpath("plex-arabic-OFL.txt").read_text("utf-8")
    assert "SIL Open Font License, Version 1.1" in licence and "IBM" in licence
    # Better fonts of the system come first.
    for stack in re.findall(r"font: [^;{]*Plex Arabic[^;]*", STYLE):
        assert stack.index("Noto Sans Arabic") < stack.index("Plex Arabic")
    assert "Plex Arabic" in STYLE
