"""The search for settings of docs/tuning.md, with fewer and shorter trials."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.pages import ROOT, blocks

FEWER = {'"minutes": 3,': '"epochs": 1,', "n_trials=40": "n_trials=2", '"hidden": 256': '"hidden": 128'}


def test_the_search_begins_with_the_defaults_and_goes_on(
    texts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (code,) = [block.code for block in blocks((ROOT / "docs/tuning.md").read_text("utf-8")) if block.kind == "python"]
    for long, short in FEWER.items():
        assert long in code
        code = code.replace(long, short)
    monkeypatch.chdir(tmp_path)
    Path("posts.txt").write_text("\n".join(texts[:60]), "utf-8")
    for number in (2, 4):
        names: dict[str, object] = {"__name__": "__main__"}
        exec(compile(code, "tuning.md", "exec", dont_inherit=True), names)
        trials = names["study"].trials  # type: ignore[attr-defined]
        assert len(trials) == number and trials[0].params["hidden"] == 128
        assert "bits per character, trial" in capsys.readouterr().out
        assert min(trial.value for trial in trials) == names["study"].best_value  # type: ignore[attr-defined]
    assert {path.name for path in Path("study").iterdir()} >= {"0", "3"}
