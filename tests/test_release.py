"""The release's workflow refuses what is no release, and the changelog names the version."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent
WORKFLOW = (ROOT / ".github" / "workflows" / "release.yml").read_text("utf-8")
JOBS: dict[str, Any] = yaml.safe_load(WORKFLOW)["jobs"]
FORGE = {"GITHUB_SERVER_URL": "https://forge.example", "GITHUB_REPOSITORY": "us/kammil", "GITHUB_REF_NAME": "v1.2.0"}
FILES = {
    "hatch_build.py": 'ADDRESS = "https://forge.example/us/kammil"\n',
    "pyproject.toml": '[project]\nname = "kammil"\nversion = "1.2.0"\n',
    "models/levantine-all/pyproject.toml": '[project]\nversion = "1.2.0"\n',
    "CHANGELOG.md": "# Changelog\n\n## [1.2.0] - 2026-12-01\n\n## [1.1.0] - 2026-11-01\n",
}


def refuse(folder: Path, files: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the steps of the first job, as the forge would."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    script = "\n".join(step["run"] for step in JOBS["check"]["steps"] if "run" in step)
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    return subprocess.run(
        command, cwd=folder, env=os.environ | FORGE, check=False, capture_output=True, encoding="utf-8"
    )


def test_a_release_is_let_through(tmp_path: Path) -> None:
    done = refuse(tmp_path, FILES)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("name", "text", "word"),
    [
        ("hatch_build.py", 'ADDRESS = ""\n', "ADDRESS"),
        ("hatch_build.py", 'ADDRESS = "https://forge.example/them/kammil"\n', "them/kammil"),
        ("hatch_build.py", "", "ADDRESS"),
        ("pyproject.toml", '[project]\nversion = "1.3.0"\n', "1.3.0"),
        ("models/levantine-all/pyproject.toml", '[project]\nversion = "1.1.0"\n', "levantine-all"),
        ("CHANGELOG.md", "## [Unreleased]\n\n## [1.2.0]\n", "Unreleased"),
        ("CHANGELOG.md", "## [1.2.01]\n", "1.2.01"),
    ],
)
def test_what_is_no_release_is_refused_in_one_sentence(tmp_path: Path, name: str, text: str, word: str) -> None:
    done = refuse(tmp_path, FILES | {name: text})
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 1 and done.stdout.startswith("::error::") and word in done.stdout


def test_all_jobs_wait_for_the_check_and_have_only_what_they_need() -> None:
    needs = {name: job.get("needs") for name, job in JOBS.items()}
    assert needs == {"check": None, "build": "check", "attest": "build", "publish": "attest", "release": "publish"}
    assert yaml.safe_load(WORKFLOW)["permissions"] == {}
    assert {name for name, job in JOBS.items() if "write" in job["permissions"].values()} == {*needs} - {
        "check",
        "build",
    }
    used = [step["uses"] for job in JOBS.values() for step in job["steps"] if "uses" in step]
    assert used and all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", one) for one in used)


def test_the_newest_heading_of_the_changelog_is_the_version_or_unreleased() -> None:
    projects = [ROOT / "pyproject.toml", ROOT / "models" / "levantine-all" / "pyproject.toml"]
    versions = {tomllib.loads(path.read_text("utf-8"))["project"]["version"] for path in projects}
    newest = re.findall(r"^## \[(.*?)\]", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)[0]
    assert len(versions) == 1 and newest in {"Unreleased", *versions}
    for path in projects:  # as the workflow reads it
        assert re.findall(r'^version = "(.*)"$', path.read_text("utf-8"), re.MULTILINE) == [*versions]
    assert len(re.findall(r'^ADDRESS = "(.*)"$', (ROOT / "hatch_build.py").read_text("utf-8"), re.MULTILINE)) == 1
