"""`kammil report`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tests.cli.conftest import Result, Run, refused


def test_a_report_of_a_folder_alone_quotes_nothing(run: Run, network: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(network, tmp_path / "model")
    assert run("report", "model") == Result(0, "report: model/report.html\n", "")
    content = (copied / "report.html").read_text("utf-8")
    assert 'id="figures"' in content and 'id="surprise"' not in content and "kammil train" in content


def test_a_report_on_texts(run: Run, network: Path, tmp_path: Path, texts: list[str]) -> None:
    (tmp_path / "new.txt").write_text("\n".join(texts[-12:]), "utf-8")
    assert run("report", network, "new.txt", "--out", "r.html") == Result(0, "report: r.html\n", "")
    content = (tmp_path / "r.html").read_text("utf-8")
    assert "texts of new.txt" in content and 'id="surprise"' in content
    assert "What was kept of the training was chosen by these texts" not in content


def test_a_bundled_model_is_left_as_it_is(run: Run, tmp_path: Path) -> None:
    assert run("report", "levantine") == Result(0, "report: levantine-report.html\n", "")
    assert (tmp_path / "levantine-report.html").stat().st_size < 2_000_000


@pytest.mark.parametrize("records", ['{"machine": 3}', '{"members": 3}', '{"history": "ab", "versions": [1]}', "{}"])
def test_foreign_records_are_a_sentence_or_a_gap(run: Run, network: Path, tmp_path: Path, records: str) -> None:
    copied = shutil.copytree(network, tmp_path / "model")
    (copied / "metrics.json").write_text(records)
    result = run("report", "model")
    if result.code:
        refused(result, "copy the folder again")
    else:
        assert (copied / "report.html").exists()


def test_a_foreign_training_is_refused(run: Run, network: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(network, tmp_path / "model")
    description = json.loads((copied / "model.json").read_text("utf-8"))
    for training in ({"data": 3}, {"data": {"texts": 1}}, {"recipe": 5}):
        (copied / "model.json").write_text(json.dumps(description | {"training": training}))
        refused(run("report", "model"), "copy the folder again")


def test_what_cannot_be_written_or_read_is_refused(run: Run, network: Path) -> None:
    refused(run("report", network, "--out", "no/such/place.html"), "cannot write")
    refused(run("report", network, "none.txt"), "none.txt")
    refused(run("report", network, "--seconds", 0), "--seconds is 0")
