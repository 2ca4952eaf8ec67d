"""From texts to a folder: what is decided, what is recorded, and what is said when it cannot be done."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

import kammil
from kammil import model_folder as folders
from kammil.data import sources
from kammil.engine.weights import unpack
from kammil.errors import DataError, FolderError, KammilError, OptionError
from kammil.evaluation import model_card
from kammil.progress import CounterAhead, EpochEnded, Event, MemberEvent, PhaseProgress, TrainingProgress
from kammil.text import RAW, TextRules
from kammil.training.optim import used
from kammil.training.recipe import Recipe, TrainingOptions
from kammil.training.train import train

SMALL: dict[str, Any] = {
    "model": "gru",
    "embedding": 8,
    "hidden": 16,
    "epochs": 3,
    "batch_size": 8,
    "device": "cpu",
    "threads": 1,
}


def small(**changes: Any) -> dict[str, Any]:
    """A network that learns in a moment, but for some changes."""
    return SMALL | changes


def written(folder: Path, name: str = "model.json") -> dict[str, Any]:
    return json.loads((folder / name).read_text("utf-8"))


def one_sentence(text: str) -> bool:
    """A message for people: one line, naming something, ended or not."""
    return bool(text) and "\n" not in text and "Traceback" not in text


def test_a_wrong_option_touches_no_file(tmp_path: Path, few: list[str]) -> None:
    with pytest.raises(OptionError):
        train(few, out=tmp_path / "model", hiden=3)  # pyright: ignore[reportCallIssue]
    assert not list(tmp_path.iterdir())


# ---- texts


def test_texts_may_be_given_as_they_are(tmp_path: Path, few: list[str]) -> None:
    trained = train(few, out=tmp_path / "model", model="ngram")
    data = written(trained.folder)["training"]["data"]
    assert data["source"] == "60 texts"
    assert data["sha256"] == hashlib.sha256(json.dumps(few).encode()).hexdigest()
    assert data["texts"] + data["validation_texts"] <= 60


def test_a_frame_trains_on_its_column_and_says_what_is_left_out(tmp_path: Path, few: list[str]) -> None:
    frame = pl.DataFrame({"n": range(62), "Tweet": [few[0], None, *few[1:], " "], "Country": ["x"] * 62})
    with pytest.warns(UserWarning, match=r"2 rows without a text are left out of 62: 1, 61 \(counted from 0\)") as said:
        trained = train(frame, column="Tweet", out=tmp_path / "model", model="ngram", validation=iter(few[:5]))
    assert [Path(warning.filename) for warning in said] == [Path(__file__)]
    data = written(trained.folder)["training"]["data"]
    assert (data["source"], data["texts"]) == ("column Tweet of 62 rows", 60)
    with pytest.raises(DataError, match="2 columns of text and none is called 'text'"):
        train(frame, out=tmp_path / "other", model="ngram")
    with pytest.raises(OptionError, match="where is 'n > 3', but it is for files; choose the rows before"):
        train(frame, column="Tweet", where="n > 3", out=tmp_path / "other", model="ngram")


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.long
def test_a_card_says_the_line_of_python_that_makes_its_model_again(
    tmp_path: Path, few: list[str], apart: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    held_out = few[40:] if apart else None
    train(few[:40], out="model", model="ngram", order=3, least=2, rules={"urls": False}, validation=held_out)
    (line,) = [line for line in folders.read(Path("model")).card.splitlines() if line.startswith("kammil.train(")]
    Path("recipe.toml").write_text(model_card.reproducing(folders.read(Path("model")).card, "toml"), "utf-8")
    exec(line, {"kammil": kammil, "tomllib": tomllib, "Path": Path, "texts": few[:40], "validation_texts": few[40:]})
    one, other = (folders.read(Path(name)) for name in ("model", "model-again"))
    assert one.description == other.description
    assert {k: a.tolist() for k, a in one.artifacts.weights.items()} == {
        k: a.tolist() for k, a in other.artifacts.weights.items()
    }


def test_a_file_and_a_validation_file(tmp_path: Path, few: list[str]) -> None:
    source, other = tmp_path / "texts.txt", tmp_path / "held out.txt"
    source.write_text("\n".join(few[:40]), "utf-8")
    # Three leaks among them, one to the letter and two with other punctuation.
    held_out = [*few[40:], few[0], few[1] + " ...", few[1] + " !"]
    other.write_text("\n".join(held_out), "utf-8")
    trained = train(source, validation=other, out=tmp_path / "model", model="ngram")
    data = written(trained.folder)["training"]["data"]
    assert data["source"] == "texts.txt"
    assert data["sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()
    assert (data["texts"], data["validation"], data["validation_texts"]) == (40, "held out.txt", 23)
    assert data["characters"] == sum(len(TextRules().normalise(text).rstrip()) for text in few[:40])
    assert (data["validation_leaks"]["exact"], data["validation_leaks"]["near"]) == (3, 3)
    card = (trained.folder / "README.md").read_text("utf-8")
    assert "3 stand in the training part and 3 are near-duplicates" in card
    assert data["sha256"] in card and "held out.txt" in card
    assert trained.evaluation.texts == 23


def test_what_is_shown_is_what_was_measured(tmp_path: Path, few: list[str]) -> None:
    trained = train(few[:40], validation=few[40:], out=tmp_path / "model", model="ngram")
    again = kammil.evaluate(kammil.load(trained.folder), few[40:])
    assert again == trained.evaluation
    metrics = written(trained.folder, "metrics.json")
    assert metrics["validation"] == json.loads(json.dumps(again.to_dict()))
    assert metrics["history"] == [] and trained.history == ()
    weights = folders.read(trained.folder).artifacts.weights
    assert metrics["parameters"] == sum(array.size for array in weights.values())


def test_resolved_options_are_recorded(tmp_path: Path, few: list[str]) -> None:
    heard: list[Event] = []
    trained = train(few, out=tmp_path / "model", listen=heard.append, **SMALL, rules={"urls": False}, seed=5)
    model = written(trained.folder)
    assert model["family"] == "gru"
    assert model["settings"] == Recipe.of(SMALL).settings
    assert model["rules"] == TextRules(urls=False).to_stored()
    assert model["training"]["kammil"] == kammil.__version__
    recorded = Recipe.model_validate(model["training"]["recipe"])
    assert recorded == Recipe.of(SMALL | {"rules": {"urls": False}, "seed": 5})
    history = written(trained.folder, "metrics.json")["history"]
    assert history == json.loads(json.dumps(trained.history)) and [epoch["epoch"] for epoch in history] == [1, 2, 3]
    assert sum(isinstance(event, EpochEnded) for event in heard) == 3
    assert kammil.load(trained.folder).rules == TextRules(urls=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "model-report.html"]  # nothing waits beside it


def test_what_was_used_is_recorded_beside_what_was_asked_for(tmp_path: Path, few: list[str]) -> None:
    train(few, out=tmp_path / "model", **small(device="auto", precision="auto", epochs=1))
    said = written(tmp_path / "model")["training"]
    assert (said["recipe"]["training"]["device"], said["recipe"]["training"]["precision"]) == ("auto", "auto")
    assert said["used"] == used(TrainingOptions())
    assert said["used"]["device"] in {"cpu", "cuda", "mps"} and said["used"]["precision"] in {"float32", "bfloat16"}
    card = (tmp_path / "model" / "README.md").read_text("utf-8")
    assert f"precision {said['used']['precision']}" in card and "auto" not in card


def test_a_run_is_resumed_on_what_it_began_on(tmp_path: Path, few: list[str]) -> None:
    """Whatever was asked for: `auto` may be another device, or precision, on another machine."""
    with pytest.raises(KilledError):
        train(few, out=tmp_path / "model", listen=stop_in(2, KilledError), **small(precision="auto"))
    here = used(TrainingOptions(device="cpu"))["precision"]
    other = "float32" if here == "bfloat16" else "bfloat16"
    with pytest.raises(
        OptionError, match=rf"has another precision \('{here}' then, '{other}' now\); give the same, or"
    ):
        train(few, out=tmp_path / "model", resume=True, **small(precision=other))
    trained = train(few, out=tmp_path / "model", resume=True, **small(precision=here))
    assert len(trained.history) == 3


def test_a_base_is_finished_wherever_it_was_trained(tmp_path: Path, few: list[str]) -> None:
    (tmp_path / "other.txt").write_text("\n".join(few[30:]), "utf-8")
    options = small(model="blend", epochs=1, base=small(source=str(tmp_path / "other.txt"), epochs=1))
    train(few[:30], out=tmp_path / "model", **options)
    place = tmp_path / "model-base" / "model.json"
    said = json.loads(place.read_text("utf-8"))
    said["training"]["used"]["device"] = "mps"
    place.write_text(json.dumps(said), "utf-8")
    before = (tmp_path / "model-base" / "weights.safetensors").stat().st_mtime_ns
    train(few[:30], out=tmp_path / "model", replace=True, **options)
    assert (tmp_path / "model-base" / "weights.safetensors").stat().st_mtime_ns == before


def test_every_phase_is_told(tmp_path: Path, few: list[str]) -> None:
    heard: list[Event] = []
    train(few, out=tmp_path / "model", listen=heard.append, **small(model="blend", epochs=1))
    phases = list(dict.fromkeys(event.label for event in heard if isinstance(event, PhaseProgress)))
    assert phases == [
        "normalising",
        "looking for near-duplicates",
        "noting runs of letters",
        "counting",
        "scoring",
        "reading the texts for counting",
        "validating",
        "evaluating",
        "writing the report",
    ]
    shares: dict[str, list[float]] = {}
    for event in heard:
        if isinstance(event, PhaseProgress):
            assert 0 <= event.share <= 1 and event.elapsed >= 0
            shares.setdefault(event.label, []).append(event.share)
    assert shares["evaluating"] == sorted(shares["evaluating"])


def test_raw_means_no_rule(tmp_path: Path, few: list[str]) -> None:
    odd = [*few, "ــ  http://example.com  \u200f @somebody e\u0301", "tail \ud800 half a pair"]
    trained = train(odd, validation=few[:5], out=tmp_path / "model", model="ngram", raw=True)
    assert written(trained.folder)["rules"] == RAW.to_stored()
    model = kammil.load(trained.folder)
    assert {"ـ", "h", "\u200f", "@", "\u0301", "\ud800"} <= set(model.vocabulary.characters)
    assert model.normalise(odd[-2]) == odd[-2]
    assert "the raw text, no rule applied" in (trained.folder / "README.md").read_text("utf-8")
    assert model.complete("\ud800 http", length=5).text is not None


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ([], "the source holds no text (no row at all)"),
        (["", "  ", "ـــ", "\u200f"], "4 texts holds no text after normalisation"),
        (["one and only text"], "so none is left to validate with; add texts that differ"),
        (["the very same long text again"] * 9, "so none is left to validate with; add texts that differ"),
    ],
)
def test_too_little_text_is_said_in_one_sentence(tmp_path: Path, source: list[str], message: str) -> None:
    with pytest.raises(DataError) as caught:
        train(source, out=tmp_path / "model", model="ngram")
    assert message in str(caught.value) and one_sentence(str(caught.value))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("model", ["ngram", "gru", "blend"])
def test_the_least_that_can_be_learnt(tmp_path: Path, model: str) -> None:
    options: dict[str, Any] = {"model": model} if model == "ngram" else small(model=model)
    trained = train(["a", "b"], out=tmp_path / "model", **options)
    assert kammil.load(trained.folder).complete("c", length=3).text is not None


def test_a_data_set_by_name(tmp_path: Path, data_dir: Path) -> None:
    where = "Country = 'lebanon' AND Sentiment = 'very_negative'"
    trained = train("arsentd-lev", where=where, out=tmp_path / "model", model="ngram", order=3)
    data = written(trained.folder)["training"]["data"]
    assert data["source"] == "arsentd-lev"
    rows = sources.rows(data_dir / "ArSenTD-LEV.tsv", column="Tweet", where=where)
    assert 0 < data["texts"] <= len(rows.texts)


def test_names_that_are_no_utf8_can_be_used(tmp_path: Path, few: list[str]) -> None:
    try:
        source = tmp_path / "t\udcffxt.txt"
        source.write_text("\n".join(few), "utf-8")
    except OSError:
        pytest.skip("this file system takes no such name")
    trained = train(source, out=tmp_path / "mod\udcffel", model="ngram", order=2)
    assert written(trained.folder)["training"]["data"]["source"] == "t?xt.txt"
    assert (trained.folder / "README.md").read_text("utf-8").startswith("# mod?el\n")


# ---- where it goes


@pytest.mark.parametrize("out", ["", ".", "/"])
def test_a_folder_without_a_name_is_refused(few: list[str], out: str, monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KammilError, match=r"must name a new folder|exists and is no model folder"):
        train(few, out=out, model="ngram")
    assert not list(tmp_path.iterdir())


def test_what_is_there_is_not_overwritten_unless_asked(tmp_path: Path, few: list[str]) -> None:
    out = tmp_path / "model"
    train(few, out=out, model="ngram", order=2)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(FolderError, match="holds a model already; give --replace"):
        train(few, out=out, model="ngram", order=3)
    with pytest.raises(DataError):  # a failure leaves the old one even then
        train(few[:1], out=out, model="ngram", order=3, replace=True)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    train(few, out=out, model="ngram", order=3, replace=True)
    assert written(out)["settings"] == {"order": 3, "megabytes": 40.0}
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(FolderError, match="is no model folder"):
        train(few, out=tmp_path / "mine", model="ngram", replace=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "model", "model-report.html"]


# ---- seeds


def test_one_seed_gives_one_folder(tmp_path: Path, few: list[str]) -> None:
    bytes_: list[bytes] = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        torch.manual_seed(len(bytes_))  # nobody else's seed is used
        np.random.default_rng(0)
        train(few, validation=few[:6], out=tmp_path / name, **SMALL, seed=seed)
        bytes_.append((tmp_path / name / "weights.safetensors").read_bytes())
    assert bytes_[0] == bytes_[1] != bytes_[2]


def test_the_completion_objective_trains(tmp_path: Path, few: list[str]) -> None:
    trained = train(few, out=tmp_path / "model", **SMALL, objective="completion")
    last = trained.history[-1]
    # Bits a counted position, ends of short texts included, are near those of the target characters.
    figure = trained.evaluation.model.target_bits_per_character
    assert figure is not None
    assert last["validation_bits"] == pytest.approx(figure.value, rel=0.1)


# ---- interrupted runs


class KilledError(Exception):
    """Stands for the end of the process."""


def stop_in(epoch: int, error: type[BaseException]) -> Callable[[Event], None]:
    def listen(event: Event) -> None:
        if isinstance(event, TrainingProgress | EpochEnded) and event.epoch == epoch:
            raise error

    return listen


@pytest.fixture
def waiting(tmp_path: Path, few: list[str]) -> Path:
    """A folder in which a run for `model` was killed in its second epoch."""
    with pytest.raises(KilledError):
        train(few, out=tmp_path / "model", listen=stop_in(2, KilledError), **SMALL)
    return tmp_path


def test_a_killed_run_leaves_no_model_and_says_how_to_go_on(waiting: Path, few: list[str]) -> None:
    assert [path.name for path in waiting.iterdir()] == [".model.training"]
    with pytest.raises(OptionError, match=r"an interrupted run waits for .*model; go on with --resume, or begin anew"):
        train(few, out=waiting / "model", **SMALL)


def test_a_resumed_run_ends_with_the_same_bytes(waiting: Path, few: list[str]) -> None:
    train(few, out=waiting / "model", resume=True, **SMALL)
    train(few, out=waiting / "whole", **SMALL)
    for name in ("weights.safetensors", "vocabulary.json", "model.json", "seen.safetensors"):
        assert (waiting / "model" / name).read_bytes() == (waiting / "whole" / name).read_bytes()
    assert sorted(path.name for path in waiting.iterdir()) == [
        "model",
        "model-report.html",
        "whole",
        "whole-report.html",
    ]


def test_only_the_same_run_is_resumed(waiting: Path, few: list[str]) -> None:
    cases: list[tuple[list[str], dict[str, Any], str]] = [
        (few, {"epochs": 4}, r"has another epochs \(3 then, 4 now\)"),
        (few, {"hidden": 17}, r"has another hidden \(16 then, 17 now\)"),
        (few, {"raw": True}, r"has another raw \(False then, True now\)"),
        (few[1:], {}, "has another SHA-256 of the texts"),
    ]
    for source, changes, message in cases:
        with pytest.raises(OptionError, match=message) as caught:
            train(source, out=waiting / "model", resume=True, **small(**changes))
        assert one_sentence(str(caught.value)) and "--replace" in str(caught.value)
    with pytest.raises(OptionError, match="has another SHA-256 of the validation texts"):
        train(few, validation=few[:3], out=waiting / "model", resume=True, **SMALL)
    assert [path.name for path in waiting.iterdir()] == [".model.training"]


def test_a_damaged_checkpoint_is_said_in_one_sentence(waiting: Path, few: list[str]) -> None:
    for name, content in (("checkpoint.safetensors", b"x"), ("run.json", b"{"), ("run.json", b"3")):
        (waiting / ".model.training" / name).write_bytes(content)
        with pytest.raises(KammilError, match="begin anew") as caught:
            train(few, out=waiting / "model", resume=True, **SMALL)
        assert one_sentence(str(caught.value))


def test_replace_begins_anew(waiting: Path, few: list[str]) -> None:
    heard: list[Event] = []
    train(few, out=waiting / "model", resume=True, replace=True, listen=heard.append, **SMALL)
    assert [event.epoch for event in heard if isinstance(event, EpochEnded)] == [2, 3]  # the same run is gone on with
    with pytest.raises(KilledError):
        train(few, out=waiting / "model", replace=True, listen=stop_in(2, KilledError), **SMALL)
    trained = train(few, out=waiting / "model", resume=True, replace=True, **small(epochs=1))
    assert len(trained.history) == 1  # another one is not
    trained = train(few, out=waiting / "model", replace=True, **small(epochs=1))
    assert len(trained.history) == 1
    assert sorted(path.name for path in waiting.iterdir()) == ["model", "model-report.html"]


def test_what_a_run_left_that_was_killed_in_its_first_epoch_is_in_nobodys_way(tmp_path: Path, few: list[str]) -> None:
    left = tmp_path / ".model.training"
    left.mkdir()
    (left / "run.json").write_text("{}")
    (left / "checkpoint.part").write_text("half")
    train(few, out=tmp_path / "model", **small(epochs=1))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "model-report.html"]


def test_resume_without_an_interrupted_run_begins(tmp_path: Path, few: list[str]) -> None:
    assert len(train(few, out=tmp_path / "model", resume=True, **small(epochs=1)).history) == 1


@pytest.mark.parametrize("error", [KilledError, OSError])
def test_a_run_that_ends_before_its_first_epoch_leaves_nothing(
    tmp_path: Path, few: list[str], error: type[BaseException]
) -> None:
    with pytest.raises(error):
        train(few, out=tmp_path / "model", listen=stop_in(1, error), **SMALL)
    assert not list(tmp_path.iterdir())


def test_an_interrupt_keeps_the_best_so_far(tmp_path: Path, few: list[str]) -> None:
    trained = train(few, out=tmp_path / "model", listen=stop_in(3, KeyboardInterrupt), **SMALL)
    assert [epoch["epoch"] for epoch in trained.history] == [1, 2]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "model-report.html"]
    assert kammil.load(trained.folder).complete("ش", length=4).text is not None


def test_weights_that_run_off_are_said_in_one_sentence(tmp_path: Path, few: list[str]) -> None:
    wild = small(learning_rate=1.0, weight_decay=1e30, warmup=0)
    with pytest.raises(OptionError, match="the loss is no number any more; give a lower one"):
        train(few, out=tmp_path / "model", **wild)
    assert not list(tmp_path.iterdir())


# ---- on real texts


@pytest.mark.long
def test_the_counter_on_the_benchmark(tmp_path: Path, data_dir: Path) -> None:
    trained = train(
        "lev30/train+lev30/train_other", validation="lev30/validation", out=tmp_path / "model", model="ngram", raw=True
    )
    bits = trained.evaluation.model.target_bits_per_character
    assert bits is not None and bits.value <= 3.30
    data = written(trained.folder)["training"]["data"]
    assert (data["texts"], data["validation_texts"]) == (2487, 64)
    assert data["validation_leaks"]["near"] == 0


# ---- going on from another model


def test_a_base_is_trained_first_and_kept(tmp_path: Path, few: list[str]) -> None:
    file = tmp_path / "other.txt"
    file.write_text("\n".join(few[30:]), "utf-8")
    base = small(source=str(file))
    events: list[Event] = []
    trained = train(few[:30], out=tmp_path / "model", **small(model="blend", base=base), listen=events.append)
    made = folders.read(tmp_path / "model-base")
    assert made.description.family == "gru"
    model = folders.read(trained.folder)
    assert set(made.vocabulary.characters) <= set(model.vocabulary.characters)
    assert "background.ids" in model.artifacts.weights
    assert written(trained.folder)["training"]["data"]["base"]["source"] == "other.txt"
    # Again: the finished base is taken as it is.
    before = (tmp_path / "model-base" / "model.json").stat().st_mtime_ns
    train(few[:30], out=tmp_path / "model", **small(model="blend", base=base), replace=True)
    assert (tmp_path / "model-base" / "model.json").stat().st_mtime_ns == before


@pytest.mark.parametrize("more", ["", " والله"])
@pytest.mark.long
def test_what_the_base_has_read_of_the_own_texts_is_not_counted_beside_them(
    tmp_path: Path, few: list[str], more: str
) -> None:
    """Copies or near-duplicates: else the background would tell what each text says next, and the gate would believe
    nothing else."""
    file, other = tmp_path / "same.txt", tmp_path / "validation.txt"
    file.write_text("\n".join(text + more for text in few[:30] if len(text) >= 40), "utf-8")
    other.write_text("\n".join(few[30:]), "utf-8")
    base = small(source=str(file), validation=str(other))
    options = small(model="blend", base=base, epochs=3, learning_rate=0.02)
    trained = train(few[:30], validation=few[30:], out=tmp_path / "model", **options)
    assert "background.ids" not in folders.read(trained.folder).artifacts.weights
    last = trained.history[-1]
    assert last["validation_bits"] < last["train_bits"] + 2


@pytest.mark.long
def test_what_the_base_has_read_in_other_spelling_is_not_counted_beside_the_own_texts(
    tmp_path: Path, few: list[str]
) -> None:
    spelled = str.maketrans("اةي", "أهى")
    copies = [text.translate(spelled) for text in few[:30]]
    file, other = tmp_path / "same.txt", tmp_path / "validation.txt"
    file.write_text("\n".join(copies), "utf-8")
    other.write_text("\n".join(few[30:]), "utf-8")
    base = small(source=str(file), validation=str(other))
    trained = train(few[:30], validation=few[30:], out=tmp_path / "model", **small(model="blend", base=base))
    assert "background.ids" not in folders.read(trained.folder).artifacts.weights


@pytest.mark.long
def test_networks_learn_side_by_side_each_by_itself(tmp_path: Path, few: list[str]) -> None:
    """The first member of two is the model of one network of the same seed, and the second is another one."""
    heard: list[Event] = []
    options = small(model="blend", dropout=0.4)
    for networks in (1, 2):
        train(few, out=tmp_path / str(networks), listen=heard.append, networks=networks, **options)
    one, two = (folders.read(tmp_path / name) for name in ("1", "2"))
    assert two.description.settings == one.description.settings | {"networks": 2}
    assert two.metrics["history"] == [] and len(two.metrics["members"]) == 2
    alone, together = (unpack(model.artifacts.weights) for model in (one, two))
    assert all((alone[name] == together[name]).all() for name in alone)
    others = {name: array for name, array in together.items() if name.startswith("others.0.")}
    assert others.keys() == {f"others.0.{name}" for name in alone if name.startswith(("emb", "gru", "output", "gate"))}
    assert not any((array == together[name.removeprefix("others.0.")]).all() for name, array in others.items())
    epochs = [
        (e.member, e.event.epoch) for e in heard if isinstance(e, MemberEvent) and isinstance(e.event, EpochEnded)
    ]
    assert sorted(epochs) == [(member, epoch) for member in (1, 2) for epoch in (1, 2, 3)]
    assert kammil.load(tmp_path / "2").complete("شو", length=5).text


def stop_member(member: int, epoch: int, error: type[BaseException]) -> Callable[[Event], None]:
    def listen(event: Event) -> None:
        if isinstance(event, MemberEvent) and event.member == member:
            stop_in(epoch, error)(event.event)

    return listen


@pytest.mark.long
def test_networks_that_were_killed_go_on_each_from_its_own_epoch(tmp_path: Path, few: list[str]) -> None:
    options = small(model="blend", networks=2, dropout=0.4)
    with pytest.raises(KilledError):
        train(few, out=tmp_path / "model", listen=stop_member(2, 2, KilledError), **options)
    states = sorted(path.name for path in (tmp_path / ".model.training").glob("*.safetensors"))
    assert "2-checkpoint.safetensors" in states
    with pytest.raises(OptionError, match="go on with --resume"):
        train(few, out=tmp_path / "model", **options)
    train(few, out=tmp_path / "model", resume=True, **options)
    train(few, out=tmp_path / "whole", **options)
    one, whole = (unpack(folders.read(tmp_path / name).artifacts.weights) for name in ("model", "whole"))
    assert one.keys() == whole.keys() and all((one[name] == whole[name]).all() for name in one)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "model",
        "model-report.html",
        "whole",
        "whole-report.html",
    ]


@pytest.mark.long
def test_an_interrupt_keeps_the_best_of_every_network(tmp_path: Path, few: list[str]) -> None:
    options = small(model="blend", networks=2, epochs=500, patience=500)
    trained = train(few, out=tmp_path / "model", listen=stop_member(1, 3, KeyboardInterrupt), **options)
    assert all(1 <= len(epochs) < 500 for epochs in trained.members)  # the other network may have begun late
    assert kammil.load(trained.folder).complete("ش", length=4).text is not None


@pytest.mark.long
def test_a_base_of_several_networks_is_gone_on_with(tmp_path: Path, few: list[str]) -> None:
    """Each network goes on from the one of the same place; of a base with fewer, from the first again."""
    train(few[:30], out=tmp_path / "base", **small(model="blend", epochs=1, networks=2))
    options = small(model="blend", epochs=1, learning_rate=1e-12)
    base = unpack(folders.read(tmp_path / "base").artifacts.weights)
    for networks, from_ in ((1, [""]), (2, ["", "others.0."]), (3, ["", "others.0.", ""])):
        out = tmp_path / str(networks)
        train(few[30:], out=out, networks=networks, base=str(tmp_path / "base"), **options)
        made = unpack(folders.read(out).artifacts.weights)
        for prefix, theirs in zip(["", "others.0.", "others.1."], from_, strict=False):
            name = "gru.bias_hh_l0"
            assert made[prefix + name] == pytest.approx(base[theirs + name], abs=1e-3)


@pytest.mark.long
def test_members_learn_by_themselves_and_become_one(tmp_path: Path, few: list[str]) -> None:
    file, held_out = tmp_path / "other.txt", tmp_path / "validation.txt"
    file.write_text("\n".join(few[30:]), "utf-8")
    held_out.write_text("\n".join(few[20:30]), "utf-8")
    base = small(source=str(file), validation=str(held_out))
    members = [{"base": base}, {"base": base | {"seed": 1}, "seed": 1}]
    options = small(model="blend", members=members)
    train(few[:20], validation=few[20:30], out=tmp_path / "model", **options)
    model, *alone = (folders.read(tmp_path / name) for name in ("model", "model-1", "model-2"))
    assert model.description.settings == alone[0].description.settings | {"networks": 2}
    assert model.metrics["training_seconds"] == pytest.approx(sum(one.metrics["training_seconds"] for one in alone))
    assert model.metrics["history"] == []
    assert model.metrics["members"] == [one.metrics["history"] for one in alone] and all(model.metrics["members"])
    bases = [folders.read(tmp_path / f"model-{n}-base").metrics["training_seconds"] for n in (1, 2)]
    whole = model.metrics["training_seconds"] + sum(bases)
    assert model.metrics["training_seconds_in_all"] == pytest.approx(whole, abs=0.05)
    card = (tmp_path / "model" / "README.md").read_text("utf-8")
    told = re.search(r"the last stage of its training took .*?, after ([\d.]+) s", card)
    assert told is not None and float(told[1]) == pytest.approx(sum(bases), abs=0.15)  # each figure is rounded
    assert model.metrics["parameters"] > alone[0].metrics["parameters"]
    assert kammil.load(tmp_path / "model").complete("شو", length=5).text
    # Again: what is finished is taken as it is, also when it was written before there were members.
    for name in ("model-1", "model-2-base"):
        written_before = json.loads((tmp_path / name / "model.json").read_text("utf-8"))
        del written_before["training"]["recipe"]["members"]
        (tmp_path / name / "model.json").write_text(json.dumps(written_before), "utf-8")
    before = {name: (tmp_path / name / "weights.safetensors").stat().st_mtime_ns for name in ("model-1", "model-2")}
    train(few[:20], validation=few[20:30], out=tmp_path / "model", **options, replace=True)
    assert before == {name: (tmp_path / name / "weights.safetensors").stat().st_mtime_ns for name in before}


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"model": "gru", "members": [{}]}, "members are for the blend; a gru has none"),
        ({"members": [{}, {"hidden": 24}]}, "the members do not fit together: they are of different sizes"),
        ({"members": [{}, {"raw": True}]}, "member 2 has raw of its own"),
        ({"members": [{}, {"least": 2}]}, "different characters"),
        ({"members": [{}, {"megabytes": 0.01}]}, "different"),
        ({"members": [{"hiden": 3}]}, "did you mean 'hidden'"),
        ({"members": [{"members": [{}]}]}, "outermost"),
    ],
)
@pytest.mark.long
def test_members_that_cannot_be_put_together(tmp_path: Path, few: list[str], options: dict[str, Any], why: str) -> None:
    with pytest.raises(KammilError, match=why):
        train(few[:20], validation=few[20:30], out=tmp_path / "model", **(small(model="blend") | options))
    assert not (tmp_path / "model").exists()


@pytest.mark.long
def test_the_first_epoch_knows_what_the_base_knew(tmp_path: Path, few: list[str]) -> None:
    options = small(epochs=12, learning_rate=0.02)
    train(few, out=tmp_path / "base", **options)
    again: list[float] = []
    for base in (None, str(tmp_path / "base")):
        trained = train(few, out=tmp_path / "again", replace=True, **small(epochs=1, learning_rate=1e-5, base=base))
        again.append(trained.history[0]["validation_bits"])
    assert again[1] < again[0] - 0.5


@pytest.mark.parametrize(
    ("base", "message"),
    [
        ({"model": "gru"}, "base names no source"),
        ("nowhere", "there is no model folder at"),
        ({"source": "sample", "hiden": 3}, "there is no option 'hiden'"),
    ],
)
def test_a_base_that_cannot_be_is_said_in_one_sentence(
    tmp_path: Path, few: list[str], base: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KammilError) as caught:
        train(few, out=tmp_path / "model", **small(base=base))
    assert message in str(caught.value) and one_sentence(str(caught.value))
    assert not list(tmp_path.iterdir())


def test_a_counter_is_no_base_and_is_named(tmp_path: Path, few: list[str]) -> None:
    train(few, out=tmp_path / "base", model="ngram")
    with pytest.raises(OptionError, match="family ngram"):
        train(few, out=tmp_path / "model", **small(base=str(tmp_path / "base")))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base", "base-report.html"]


def test_a_base_of_another_size_is_said_in_one_sentence(tmp_path: Path, few: list[str]) -> None:
    train(few, out=tmp_path / "base", **small(epochs=1))
    with pytest.raises(OptionError, match=r"the base model has 16 units and this model 8; give hidden=16, or more\."):
        train(few, out=tmp_path / "model", **small(hidden=8, base=str(tmp_path / "base")))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base", "base-report.html"]


@pytest.mark.parametrize("named", [{}, {"model": "blend"}])
def test_who_named_no_family_gets_the_counter_where_it_is_ahead(
    tmp_path: Path, few: list[str], named: dict[str, str]
) -> None:
    """A blend that learnt nothing loses; what was asked for by name is kept, and both are told."""
    events: list[Event] = []
    options: dict[str, Any] = small(epochs=1, learning_rate=1e-9) | named
    if not named:
        del options["model"]
    trained = train(few, out=tmp_path / "model", listen=events.append, **options)
    (told,) = [event for event in events if isinstance(event, CounterAhead)]
    assert told.counter_bits < told.model_bits
    assert told.published == (not named)
    model = folders.read(trained.folder)
    assert model.description.family == ("blend" if named else "ngram")
    figure = trained.evaluation.model.bits_per_character_with_end
    assert figure is not None
    assert figure.value == pytest.approx(told.model_bits if named else told.counter_bits, abs=1e-4)
    assert kammil.load(trained.folder).complete("شو").text is not None
