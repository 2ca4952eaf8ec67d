"""`kammil tune`."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Run, refused

from kammil.cli.tune import line
from kammil.training.tuning import TrialEnded


def test_tune_prints_the_best_and_train_takes_it(run: Run, few: list[str]) -> None:
    Path("texts.txt").write_text("\n".join(few), "utf-8")
    tuned = run("tune", "texts.txt", "--model", "ngram", "--trials", "2", "--seed", "1")
    assert tuned.code == 0 and "2 complete, 0 pruned, 0 failed" in tuned.out
    assert tuned.out.endswith("best: texts-ngram-tuning/best.toml\n")
    assert tuned.err.count("trial ") == 2 and "best so far (order " in tuned.err
    bits = tuned.out.split(" bits per character")[0].split()[-1]
    trained = run("train", "texts.txt", "--config", "texts-ngram-tuning/best.toml", "--out", "model")
    assert trained.code == 0 and f" {bits} " in trained.out
    again = run("tune", "texts.txt", "--model", "ngram", "--trials", "2", "--seed", "1")
    assert again.out == tuned.out and "trial " not in again.err
    refused(run("tune", "texts.txt", "--model", "ngram", "--trials", "3"), "another seed")
    refused(run("tune", "lev30/test", "--model", "ngram"), "lev30/test is a test part")


def test_a_trial_is_one_line() -> None:
    settings = {"learning_rate": 0.00123456, "hidden": 64}
    assert (
        line(TrialEnded(3, settings, 2.5, "pruned"))
        == "trial 3: 2.500 bits, pruned (learning_rate 0.001235, hidden 64)"
    )
    failed = line(TrialEnded(4, {"hidden": 1}, None, "failed", error="it went wrong."))
    assert failed == "trial 4 failed: it went wrong. (hidden 1)"
