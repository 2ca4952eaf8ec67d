"""How many laws, contract cases and hostile inputs the tests hold, so that none is lost where tests merge."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

_HOSTILE = re.compile(r"hostile|damaged|refus|broken|foreign|truncat|malformed|invalid|unreadable|no_model|garbage")
"""In the name of a test that gives what is bad."""
_CONTRACT = re.compile(r"tests/(models/test_contract|test_language_model|test_any_prompt|exporting/)")
Node = ast.FunctionDef | ast.ClassDef


def table(root: Path) -> str:
    """Count in the tests of a repository, by their syntax and by what pytest collects."""
    nodes = [(str(path.relative_to(root)), node) for path in _files(root) for node in _nodes(path)]
    tests = [(file, node) for file, node in nodes if node.name.startswith("test_")]
    laws = Counter[str](file for file, node in nodes if _is_law(node))
    refusals = {f"{file}::{node.name}" for file, node in tests if _raises(node)}
    cases = _collected(root)
    rows: list[tuple[str, int]] = [
        ("files of tests", len({file for file, _ in tests})),
        ("test functions", len(tests)),
        ("cases collected, long ones included", len(cases)),
        ("laws (@given, state machines)", sum(laws.values())),
        ("files with laws", len(laws)),
        ("pinned examples of laws (@example)", sum(_decorated(node, "example") for _, node in nodes)),
        ("cases of contracts", sum(bool(_CONTRACT.match(case)) for case in cases)),
        ("test functions that expect a refusal", len(refusals)),
        ("cases of these", sum(case.partition("[")[0] in refusals for case in cases)),
        ("cases with hostile input, by name", sum(bool(_HOSTILE.search(case.partition("::")[2])) for case in cases)),
    ]
    lines = [f"{name:44}{number:8,}" for name, number in rows]
    return "\n".join([*lines, "", "laws by file", *(f"  {file:52}{number:4}" for file, number in sorted(laws.items()))])


def _files(root: Path) -> Iterator[Path]:
    yield from sorted((root / "tests").rglob("*.py"))


def _nodes(path: Path) -> Iterator[Node]:
    """Yield functions and classes of a file."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, Node):
            yield node


def _decorated(node: Node, name: str) -> int:
    return sum(
        isinstance(each, ast.Call) and ast.unparse(each.func).rpartition(".")[2] == name for each in node.decorator_list
    )


def _is_law(node: Node) -> bool:
    if isinstance(node, ast.ClassDef):
        return any("RuleBasedStateMachine" in ast.unparse(base) for base in node.bases)
    return _decorated(node, "given") > 0


def _raises(node: Node) -> bool:
    calls = (ast.unparse(each.func) for each in ast.walk(node) if isinstance(each, ast.Call))
    return any(call in ("pytest.raises", "refused", "sentence") for call in calls)


def _collected(root: Path) -> list[str]:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-n", "0", "-m", "long or not long"]
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", "tests"], cwd=root, capture_output=True, text=True, check=False
    )
    cases = [line for line in done.stdout.splitlines() if "::" in line]
    if not cases or done.returncode:
        sys.exit(f"the tests cannot be collected: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return cases
