"""The files of the page refer to each other only, and every message that they name exists in both languages."""

from __future__ import annotations

import re

from kammil.server.playground import assets

SCRIPTS = {path: asset.content.decode() for path, asset in assets().items() if path.endswith(".js")}
PAGE = assets()[""].content.decode()


def test_everything_that_is_imported_is_served() -> None:
    found = {name for script in SCRIPTS.values() for name in re.findall(r'from "\./([^"]+)"', script)}
    found |= set(re.findall(r'(?:src|href)="([^"]+)"', PAGE))
    assert found <= assets().keys()
    assert found == assets().keys() - {""}  # and nothing else is


def test_imported_names_are_exported() -> None:
    for script in SCRIPTS.values():
        for names, module in re.findall(r'import \{([^}]+)\} from "\./([^"]+)"', script):
            exported = set(re.findall(r"export (?:async )?(?:function\*?|class|const|let) (\w+)", SCRIPTS[module]))
            assert {name.strip() for name in names.split(",")} <= exported, module


def test_every_message_is_used_and_every_used_message_exists() -> None:
    english = SCRIPTS["messages.js"].partition("  en: {")[2]
    messages = set(re.findall(r"^    (\w+): ", english, re.MULTILINE))
    used = set(re.findall(r'data-message(?:-label|-placeholder)?="(\w+)"', PAGE))
    for script in SCRIPTS.values():
        used |= set(re.findall(r'message\("(\w+)"', script))
    assert used <= messages
    code = "".join(script for path, script in SCRIPTS.items() if path != "messages.js")
    assert not [name for name in messages - used if not re.search(rf'\b{name}: |"{name}"', code)]
