"""`kammil verify`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.cli.conftest import Run, refused


def test_verify(run: Run, counter: Path, file: Path, tmp_path: Path) -> None:
    same = run("verify", counter, file)
    assert same.code == 0 and same.err == ""
    assert "not verified: metrics.json: training_seconds\n" in same.out
    assert same.out.splitlines()[-1].startswith("all ") and same.out.endswith(" figures agree\n")
    copy = Path(shutil.copytree(counter, tmp_path / "copy"))
    metrics = json.loads((copy / "metrics.json").read_text("utf-8"))
    metrics["validation"]["model"]["target_top1"]["value"] = 0.999
    (copy / "metrics.json").write_text(json.dumps(metrics), "utf-8")
    other = run("verify", "copy", file)
    assert other.code == 1 and other.err == ""
    assert "metrics.json: validation.model.target_top1.value" in other.out and "0.999" in other.out
    assert f"1 of {int(same.out.split()[-4 + 1].replace(',', '')):,} figures differ" in other.out
    found = run("verify", "copy", file, "--json")
    assert found.code == 1
    assert [check["recorded"] for check in json.loads(found.out)["checks"] if not check["agrees"]] == [0.999]
    refused(run("verify", counter), "cannot be read again")
    refused(run("verify", "nowhere"), "there is no model folder at nowhere")
