"""How a model was made: settings, software and machine, and the command that makes it again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kammil.data import sources
from kammil.evaluation.report.page import Block, Code, Paragraph, Section, Table


def settings(description: Mapping[str, Any], metrics: Mapping[str, Any]) -> Section:
    """Return the settings of a model: its family's, those of its training, and its text rules.

    `description` is the content of `model.json`, `metrics` that of `metrics.json`.
    """
    training: Mapping[str, Any] = description["training"]
    recipe: Mapping[str, Any] = training.get("recipe", {})
    read = [[rule, _RULES.get(rule, "")] for rule, on in description["rules"].items() if on]
    rows = [["family", str(description["family"])]]
    if "parameters" in metrics:
        rows.append(["parameters", f"{metrics['parameters']:,}"])
    if "training_seconds" in metrics:
        rows.append(["training", f"{metrics['training_seconds']:.1f} s"])
    rows += [[name, _value(value)] for name, value in description["settings"].items() if value is not None]
    options = {
        k: v for k, v in recipe.items() if k not in ("settings", "training", "rules", "model", *_NAMES_OF_PLACES)
    }
    options |= dict(recipe.get("training", {})) | training.get("used", {})
    options |= {name: list(map(place_name, recipe[name])) for name in ("exclude",) if recipe.get(name)}
    more = [[name, _value(value)] for name, value in options.items() if value not in (None, False, {}, [], ())]
    return Section(
        "settings",
        "Settings",
        "All that was decided before the training, by you or by default; the names are those of options "
        "(kammil train --set NAME=VALUE).",
        [
            Table("Model", ["", "value"], rows, words=True),
            Table("Training and reading", ["option", "value"], more, words=True, folded=True),
            Table("What is done to a text before the model reads it", ["rule", "what it does"], read, words=True)
            if read
            else Paragraph("The model reads texts as they are: no text rule is applied."),
        ],
    )


_RULES = {
    "nfc": "letters and their marks are composed (Unicode NFC)",
    "invisible": "characters that nobody sees are removed",
    "tatweel": "the stroke that stretches Arabic words is removed",
    "urls": "a web address becomes one character, 🔗",
    "handles": "a handle or an e-mail address becomes one character, 👤",
    "spaces": "several spaces become one",
    "numbers": "a phone, card or account number becomes one character, 🔢",
}
"""Text rule (`kammil.text.TextRules`) -> what it does, in words."""
_NAMES_OF_PLACES = ("base", "members", "exclude")
"""Options of a recipe that name files or folders, or whole recipes."""


def environment(machine: Mapping[str, str] | None, versions: Mapping[str, str] | None) -> Section | None:
    """Return the machine and the software; None where the folder does not say."""
    rows = [[name, str(value)] for found in (versions, machine) if found for name, value in found.items()]
    if not rows:
        return None
    return Section(
        "machine",
        "Software and machine",
        "Where it was trained: times are of this machine, and figures of another one, or of another version, may "
        "differ in the last digits.",
        [Table("Versions and machine", ["", ""], rows, words=True)],
    )


def reproduce(command: str, *, data: Mapping[str, Any] | None = None, toml: str = "") -> Section:
    """Return how to make the same again: a command, the file that it names, if any, and the hash of the texts."""
    blocks: list[Block] = [Code(command, "Command")]
    if toml:
        blocks.append(Paragraph("FILE holds:"))
        blocks.append(Code(toml, "Recipe, in TOML"))
    if data is not None:
        rows = [["source", str(data["source"])], ["SHA-256 of the source", str(data["sha256"])]]
        blocks.append(Table("Texts", ["", ""], rows, words=True))
    return Section(
        "reproduce",
        "Reproduce it",
        "Run this where the texts are, with the same version; a training that ends by minutes ends elsewhere on "
        "another machine, one that ends by epochs does not.",
        blocks,
    )


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_value(each)}" for name, each in value.items())
    return ", ".join(map(_value, value)) if isinstance(value, list | tuple) else str(value)


def place_name(source: str) -> str:
    """Return the name of a file without its folders, or the name of a data set."""
    return Path(source).name if Path(source).is_absolute() else sources.description(source)
