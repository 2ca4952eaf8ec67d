"""A study draws what can be trained, finds what was best, prunes what is behind, and goes on where it was stopped."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from sqlalchemy.pool import NullPool

import kammil
from kammil.errors import DataError, FolderError, MissingExtraError, OptionError
from kammil.models.family import FAMILIES
from kammil.progress import EpochEnded, Event, MemberEvent, Notice, TrainingStarted
from kammil.training import tuning
from kammil.training.recipe import Recipe
from kammil.training.tuning import SPACES, Range, Tuned, contains, sentence, suggest, tune

# ---- studies


NETWORK: dict[str, Any] = {"dropout": 0.0, "batch_size": 32, "device": "cpu", "threads": 1}
GRU: dict[str, Any] = {"model": "gru", "embedding": 8, "hidden": 16, "weight_decay": 0.01, **NETWORK}


def stored(folder: Path) -> optuna.Study:
    """The study in a folder, as another program opens it, which leaves no connection open."""
    storage = optuna.storages.RDBStorage(f"sqlite:///{folder / 'study.db'}", engine_kwargs={"poolclass": NullPool})
    return optuna.load_study(study_name=None, storage=storage)


def trials(folder: Path) -> list[optuna.trial.FrozenTrial]:
    """Its trials."""
    return stored(folder).trials


def ended(folder: Path) -> list[tuple[Mapping[str, Any], float | None]]:
    """Settings and bits of the trials that ended by themselves."""
    return [(trial.params, trial.value) for trial in trials(folder) if trial.state.name != "FAIL"]


@pytest.fixture(scope="module")
def few(texts: list[str]) -> list[str]:
    """Forty texts: a trial is about training, evaluating and writing a model."""
    return texts[:40]


@pytest.fixture
def search(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Replace the search space of a family."""

    def replace(family: str, **space: tuple[float, ...]) -> None:
        monkeypatch.setattr(tuning, "SPACES", {**SPACES, family: space})

    return replace


def test_the_best_is_what_training_with_it_gives(few: list[str], tmp_path: Path) -> None:
    rules = {"urls": False, "nfc": True}
    tuned = tune(few, out=tmp_path / "a" / "study", trials=4, model="ngram", seed=3, rules=rules)
    seen = trials(tmp_path / "a" / "study")
    assert (tuned.defaults, tuned.default_bits) == ({}, None)  # the counter chooses its order by itself
    assert [trial.number for trial in seen] == [0, 1, 2, 3] and len({trial.params["order"] for trial in seen}) > 1
    best = min(seen, key=lambda trial: trial.value or 99)
    assert (tuned.trial, tuned.bits, tuned.complete, tuned.pruned, tuned.failed) == (best.number, best.value, 4, 0, 0)
    options: Any = tomllib.loads(tuned.best.read_text("utf-8"))
    assert options == tuned.options == {"model": "ngram", "seed": 3, "rules": rules, **best.params}
    bits = kammil.train(few, out=tmp_path / "model", **options).evaluation.model.bits_per_character_with_end
    assert bits is not None and bits.value == tuned.bits
    assert {path.name for path in (tmp_path / "a" / "study").iterdir()} - {"lock"} == {"study.db", "best.toml"}


@pytest.mark.long
def test_a_study_goes_on_as_if_it_had_not_been_stopped(few: list[str], tmp_path: Path) -> None:
    options: dict[str, Any] = {"model": "ngram", "seed": 5}
    whole, parts, stopped, other = (tmp_path / name for name in ("whole", "parts", "stopped", "other"))
    tune(few, out=whole, trials=4, **options)
    for number in (2, 2, 4):
        tune(few, out=parts, trials=number, **options)
    assert ended(parts) == ended(whole)

    def stop(event: Event) -> None:
        if isinstance(event, Notice) and event.sentence == "trial 2 begins":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(few, out=stopped, trials=4, listen=stop, **options)
    assert not [path for path in stopped.iterdir() if path.name.startswith("trial")]
    assert tune(few, out=stopped, trials=4, **options).failed == 1
    assert ended(stopped) == ended(whole)
    tune(few, out=other, trials=3, model="ngram", seed=6)
    assert ended(other) != ended(whole)[:3]


def test_the_trial_of_a_killed_program_is_made_again(few: list[str], tmp_path: Path) -> None:
    tune(few, out=tmp_path / "s", trials=1, model="ngram")
    dead = stored(tmp_path / "s").ask()  # under way, but nobody works on it
    order = dead.suggest_int("order", 2, 12)
    with sqlite3.connect(tmp_path / "s" / "study.db") as base:
        base.execute(
            "insert into trial_heartbeats (trial_id, heartbeat) values (?, '2020-01-01 00:00:00')", (dead.number + 1,)
        )
    base.close()
    assert tune(few, out=tmp_path / "s", trials=3, model="ngram").complete == 3
    first, second, repeated, _ = trials(tmp_path / "s")
    assert (first.state.name, second.state.name, repeated.state.name) == ("COMPLETE", "FAIL", "COMPLETE")
    assert repeated.params == second.params == {"order": order}


def test_what_is_behind_is_pruned(few: list[str], tmp_path: Path, search: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    search("gru", learning_rate=(4e-3, 1e-6))
    monkeypatch.setattr(tuning, "_JUDGES", 1)
    heard: list[Event] = []
    tuned = tune(few, out=tmp_path / "s", trials=4, epochs=4, listen=heard.append, **GRU)
    seen = trials(tmp_path / "s")
    last = {trial.number: max(trial.intermediate_values) for trial in seen}
    assert {(trial.params["learning_rate"], trial.state.name, last[trial.number]) for trial in seen} == {
        (4e-3, "COMPLETE", 4),
        (1e-6, "PRUNED", 2),
    }
    assert seen[0].params == {"learning_rate": 4e-3}  # the default comes first
    said = [event.sentence for event in heard if isinstance(event, Notice)]
    assert any(line.startswith("trial 0:") and "best so far" in line for line in said)
    assert (tuned.defaults, tuned.default_bits) == ({"learning_rate": 4e-3}, tuned.bits)
    assert tuned.options["learning_rate"] == 4e-3 and tuned.complete + tuned.pruned == 4
    assert all(trial.value is not None and trial.value > tuned.bits for trial in seen if trial.state.name == "PRUNED")


def test_a_trial_that_fails_counts_for_nothing_unless_it_is_the_first(
    few: list[str], tmp_path: Path, search: Any
) -> None:
    search("transformer", heads=(4, 3, 5, 6, 7))  # a width of 16 is shared by four alone
    options: dict[str, Any] = {"model": "transformer", "width": 16, "layers": 1, "epochs": 1, **NETWORK}
    options |= {"weight_decay": 0.1, "learning_rate": 1e-3}
    heard: list[Event] = []
    tuned = tune(few, out=tmp_path / "t", trials=3, listen=heard.append, **options)
    assert sum(isinstance(event, TrainingStarted) for event in heard) == 1  # where it learns is the same in every trial
    said = [event.sentence for event in heard if isinstance(event, Notice) and event.sentence.startswith("trial ")]
    assert [line.split(":")[0] for line in said[:3]] == ["trial 0 begins", "trial 0", "trial 1 begins"]
    failed = [trial for trial in trials(tmp_path / "t") if trial.state.name == "FAIL"]
    assert tuned.complete == 3 and tuned.failed == len(failed) > 0
    assert all(trial.params["heads"] != 4 and trial.value is None for trial in failed)
    assert sum(" failed: " in line and "16 / " in line for line in said) == len(failed)
    search("transformer", heads=(3,))
    with pytest.raises(OptionError, match="heads is 3"):
        tune(few, out=tmp_path / "u", trials=3, **options)


def test_of_members_the_first_is_watched(few: list[str], tmp_path: Path, search: Any) -> None:
    search("blend", gate=(8, 16))
    first: list[float] = []

    def listen(event: Event) -> None:
        if isinstance(event, MemberEvent) and isinstance(event.event, EpochEnded) and event.member == 1:
            first.append(event.event.validation_bits)

    options: dict[str, Any] = {"model": "blend", "networks": 2, "embedding": 8, "hidden": 8, "epochs": 1, **NETWORK}
    tune(few, out=tmp_path / "s", trials=1, listen=listen, **options)
    (trial,) = trials(tmp_path / "s")
    assert trial.intermediate_values == {1: first[0]}


@pytest.mark.long
def test_two_programs_share_the_trials_of_one_study(few: list[str], tmp_path: Path) -> None:
    file = tmp_path / "texts.txt"
    file.write_text("\n".join(few), "utf-8")
    command = [sys.executable, "-m", "kammil", "tune", str(file), "--model", "ngram", "--trials", "4", "--out", "s"]
    programs = [subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in "ab"]
    done = [program.communicate() for program in programs]
    assert [program.returncode for program in programs] == [0, 0], done
    done = trials(tmp_path / "s")  # the two may end their last ones at once
    assert len(done) in (4, 5) and all(trial.state.name == "COMPLETE" for trial in done)
    assert {path.name for path in (tmp_path / "s").iterdir()} - {"lock"} == {"study.db", "best.toml"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trials": 0}, r"trials is 0, but it must be at least 1"),
        ({"model": "grue"}, r"model is 'grue'"),
        ({"order": 3}, r"all settings of the search space of ngram are given"),
        ({"members": [{"seed": 1}]}, r"no search space for a recipe with members"),
        ({"source": "-"}, r"standard input only once"),
        ({"source": "lev30/train+lev30/test"}, r"lev30/test is a test part"),
        ({"validation": "lev30/test"}, r"lev30/test is a test part"),
        ({"source": "nowhere.txt"}, r"nowhere\.txt"),
    ],
)
def test_wrong_requests_are_one_sentence(few: list[str], tmp_path: Path, options: dict[str, Any], message: str) -> None:
    given: Any = {"source": few, "trials": 1, "model": "ngram", **options}
    with pytest.raises((OptionError, DataError), match=message):
        tune(given.pop("source"), out=tmp_path / "s", **given)
    assert not list(tmp_path.iterdir())


def test_a_study_is_of_one_kind(few: list[str], tmp_path: Path) -> None:
    def run(texts: Any = few, out: Path = tmp_path / "s", **options: Any) -> Tuned:
        given: Any = {"trials": 1, "model": "ngram", **options}
        return tune(texts, out=out, **given)

    run()
    run(trials=1)
    with pytest.raises(OptionError, match=r"another seed \(None then, 1 now\)"):
        run(seed=1)
    with pytest.raises(OptionError, match="another texts"):
        run(texts=few[:30])
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(FolderError, match="exists and is no study"):
        run(out=tmp_path / "full")
    with pytest.raises(FolderError, match="cannot write"):
        run(out=tmp_path / "full" / "notes.txt")
    (tmp_path / "s" / "study.db").write_bytes(b"no database, but long enough to look like a file")
    with pytest.raises(FolderError, match="is damaged or foreign"):
        run()


def test_texts_that_can_be_read_once_are_kept(few: list[str], tmp_path: Path) -> None:
    def once() -> Iterator[str]:
        yield from few

    assert tune(once(), out=tmp_path / "s", trials=2, model="ngram").complete == 2


def test_without_optuna_it_is_said_what_to_install(
    few: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtraError, match=r"needs optuna; run: pip install .*\[tune\]"):
        tune(few, out=tmp_path / "s", trials=1, model="ngram")


def test_a_trial_is_one_line() -> None:
    study = optuna.create_study()
    for params, value in (({"rate": 0.00123456, "hidden": 64}, 2.5), ({"hidden": 1}, None)):
        state = optuna.trial.TrialState.PRUNED if value else optuna.trial.TrialState.FAIL
        space: Any = {name: FloatDistribution(0, 99) for name in params}
        study.add_trial(optuna.create_trial(state=state, params=params, distributions=space, value=value))
    pruned, failed = study.trials
    assert sentence(pruned, "", best=False) == "trial 0: 2.500 bits, pruned (rate 0.001235, hidden 64)"
    assert sentence(failed, "it went wrong.", best=False) == "trial 1 failed: it went wrong. (hidden 1)"


# ---- the search space


def test_every_family_has_a_space_around_its_defaults() -> None:
    assert SPACES.keys() == FAMILIES.keys()
    for family, space in SPACES.items():
        recipe = Recipe.of({"model": family})
        known = {**recipe.training.model_dump(), **recipe.settings}
        outside = [name for name, values in space.items() if not contains(values, known[name])]
        assert outside == (["order"] if family == "ngram" else []), family  # the counter chooses its order by itself


@given(st.data())
def test_whatever_is_drawn_can_be_trained(data: st.DataObject) -> None:
    family = data.draw(st.sampled_from(sorted(SPACES)))
    drawn: dict[str, Any] = {}
    for name, values in SPACES[family].items():
        if not isinstance(values, Range):
            drawn[name] = data.draw(st.sampled_from(values))
        elif values.step is None:
            drawn[name] = data.draw(st.floats(values.low, values.high))
        else:
            drawn[name] = values.low + values.step * data.draw(
                st.integers(0, round((values.high - values.low) / values.step))
            )
    Recipe.of({"model": family, **drawn})


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((4, 8), CategoricalDistribution((4, 8))),
        (Range(1, 6, 1), IntDistribution(1, 6)),
        (Range(0.0, 0.6, 0.05), FloatDistribution(0.0, 0.6, step=0.05)),
        (Range(1e-3, 0.3), FloatDistribution(1e-3, 0.3, log=True)),
    ],
)
def test_optuna_draws_from_the_same_values(values: Range | tuple[float, ...], expected: object) -> None:
    trial = optuna.create_study().ask()
    suggest(trial, {"option": values})
    assert trial.distributions == {"option": expected}


def test_a_range_contains_its_ends_and_steps_alone() -> None:
    steps = Range(128, 768, 64)
    assert [value for value in (64, 128, 130, 192, 768, 832) if contains(steps, value)] == [128, 192, 768]
    assert contains(Range(1e-3, 0.3), 0.01234) and not contains(Range(1e-3, 0.3), 0.0)
    assert contains((4, 8), 8) and not contains((4, 8), 6) and not contains(steps, None)
