"""`kammil tune`."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from tests.cli.conftest import Run, refused

from kammil.training import tuning
from kammil.training.tuning import Tuned


def test_tune_prints_the_best_and_train_takes_it(run: Run, few: list[str]) -> None:
    Path("texts.txt").write_text("\n".join(few), "utf-8")
    tuned = run("tune", "texts.txt", "--model", "ngram", "--trials", "2", "--seed", "1")
    assert tuned.code == 0 and "2 complete, 0 pruned, 0 failed" in tuned.out
    assert tuned.out.endswith("best: texts-ngram-tuning/best.toml\n")
    lines = [each for each in tuned.err.splitlines() if each.startswith("trial ")]
    assert [each.split(":")[0] for each in lines] == ["trial 0 begins", "trial 0", "trial 1 begins", "trial 1"]
    assert tuned.err.count("trial ") == 4 and "best so far (order " in lines[1]
    bits = tuned.out.split(" bits per character")[0].split()[-1]
    trained = run("train", "texts.txt", "--config", "texts-ngram-tuning/best.toml", "--out", "model")
    assert trained.code == 0 and f" {bits} " in trained.out
    again = run("tune", "texts.txt", "--model", "ngram", "--trials", "2", "--seed", "1")
    assert again.out == tuned.out and "trial " not in again.err
    refused(run("tune", "texts.txt", "--model", "ngram", "--trials", "3"), "another seed")
    refused(run("tune", "lev30/test", "--model", "ngram"), "lev30/test is a test part")


def test_the_best_stands_beside_the_defaults(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"model": "gru", "minutes": 3.0, "dropout": 0.35, "hidden": 256}
    found = Tuned(Path("study/best.toml"), options, 2.5, 4, 5, 1, 0, {"dropout": 0.3, "hidden": 512}, None)

    def printed(default_bits: float | None) -> str:
        def tune(*_: object, **__: object) -> Tuned:
            return dataclasses.replace(found, default_bits=default_bits)

        monkeypatch.setattr(tuning, "tune", tune)
        return run("tune", "texts.txt", "--model", "gru").out

    rows = [line.split() for line in printed(None).splitlines()]
    for row in (["best", "default"], ["model", "gru"], ["dropout", "0.35", "0.3"], ["hidden", "256", "512"]):
        assert row in rows
    assert "with the defaults" not in printed(None)
    assert "\n2.750 with the defaults, 0.250 more\n" in printed(2.75)
    assert "\n2.500 with the defaults: nothing better was found\n" in printed(2.5)
