"""Requirements of the package bound the libraries whose internals it uses."""

from __future__ import annotations

import ast
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
INTERNAL = {"fastapi.sse": "fastapi", "uvicorn.supervisors": "uvicorn", "uvicorn.protocols": "uvicorn"}
"""Modules that are no public API but are used all the same -> their projects."""


def requirements() -> dict[str, Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *(line for name in ("train", "serve") for line in extras(project, name))]
    return {found.name: found for found in map(Requirement, lines)}


def extras(project: dict[str, dict[str, list[str]]], name: str) -> list[str]:
    return project["optional-dependencies"][name]


def imported() -> set[str]:
    """Return the modules that the package imports."""
    found: set[str] = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module is not None:
                found.add(node.module)
    return found


@pytest.mark.parametrize("module", INTERNAL)
def test_libraries_whose_internals_are_used_are_bounded_above(module: str) -> None:
    specifier = requirements()[INTERNAL[module]].specifier
    assert any(bound.operator == "<" for bound in specifier)
    assert specifier.contains(version(INTERNAL[module]))
    assert any(name == module or name.startswith(f"{module}.") for name in imported()), "it is used no more"


def test_no_private_module_of_a_library_is_used() -> None:
    private = [name for name in imported() if any(part.startswith("_") for part in name.split("."))]
    assert [name for name in private if not name.startswith(("kammil", "__future__"))] == []
