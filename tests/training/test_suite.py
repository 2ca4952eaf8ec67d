"""A whole comparison of two small families: what it measures, what it keeps, what it refuses."""

from __future__ import annotations

import dataclasses
import json
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

import kammil
from kammil import model_folder as folders
from kammil.cli import main
from kammil.data import sources
from kammil.data.splits import leaks
from kammil.errors import FolderError, OptionError
from kammil.evaluation import model_card, plots
from kammil.evaluation.evaluate import evaluate
from kammil.evaluation.measures import HELP, KEYS, TAKEN
from kammil.evaluation.ranking import Ranking
from kammil.evaluation.typing_report import simulate
from kammil.progress import EpochEnded, Event, Notice
from kammil.storage import run_lock
from kammil.training import comparison_report as report
from kammil.training import suite
from kammil.training import train as training
from kammil.training.recipe import Recipe
from kammil.training.record import ROW
from kammil.training.suite import compare, gather

TINY: dict[str, Any] = {
    "families": ["ngram", "gru"],
    "minutes": 1.0,
    "embedding": 8,
    "hidden": 16,
    "dropout": 0.0,
    "epochs": 2,
    "batch_size": 32,
    "device": "cpu",
    "threads": 1,
}
EARLY = 3
"""Points of a curve within the first epoch: after an eighth, a quarter and half of its few steps here."""
COUNTED: dict[str, Any] = {"families": ["ngram"], "minutes": 1.0}
BITS = {"target_bits_per_character", "bits_per_character_with_end"}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> Path:
    path = tmp_path_factory.mktemp("texts") / "texts.txt"
    path.write_text("".join(f"{text}\n" for text in texts[:200]), "utf-8")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("comparisons") / "one"


@pytest.fixture(scope="module")
def standings(file: Path, folder: Path) -> Ranking:
    return compare(file, out=folder, **TINY)


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory, file: Path) -> tuple[Path, Ranking]:
    """A comparison of the counter alone, to be copied."""
    folder = tmp_path_factory.mktemp("comparisons") / "counted"
    return folder, compare(file, out=folder, **COUNTED)


def test_every_row_has_what_it_can_have(standings: Ranking) -> None:
    assert [row.name for row in standings.rows] == ["uniform", "unigram", "LZMA", "PPMd", "ceiling", "ngram", "gru"]
    has = {name: set(figures) for name, figures in standings.figures.items()}
    measures = {*report.PREDICTS, *report.WRITES, *report.TYPES}
    suggests = {TAKEN + name for name in HELP}  # small networks say nothing probable enough to be suggested
    assert has["ngram"] == measures and has["gru"] >= measures - suggests
    assert has["unigram"] >= measures - suggests - {"new"}
    assert has["ceiling"] == {KEYS + name for name in HELP}
    assert has["uniform"] == BITS | {"target_top1", "target_top3"} and has["PPMd"] == BITS
    assert has["LZMA"] == {"bits_per_character_with_end"}
    assert standings.best == "ngram" and standings.differences["ngram"] == {}
    for name in HELP:
        most = standings.figures["ceiling"][KEYS + name]
        assert all(
            figures[KEYS + name].value <= most.value for figures in standings.figures.values() if KEYS + name in figures
        )
    for row in standings.rows:
        assert row.family == (row.name in ("ngram", "gru"))
        assert (row.parameters is not None and row.folder_bytes is not None) == row.family or row.name == "unigram"
        epochs = {"ngram": 1, "gru": 2}.get(row.name, 0)
        assert len(row.curve) == epochs + (EARLY if row.name == "gru" else 0)
        for name, figure in standings.figures[row.name].items():
            assert (figure.low is None) == (figure.high is None) == (row.name == "LZMA")
            if figure.low is not None and figure.high is not None:
                assert figure.low <= figure.value <= figure.high
            if row.name not in ("ngram",):
                difference = standings.differences[row.name][name]
                assert difference.value == pytest.approx(figure.value - standings.figures["ngram"][name].value)
    json.dumps(standings.to_dict(), allow_nan=False)


def test_families_are_measured_as_evaluate_does(standings: Ranking, file: Path, folder: Path) -> None:
    parts = gather(Recipe(), file)
    for name in ("ngram", "gru"):
        model = kammil.load(folder / name)
        made = evaluate(model, parts.test)
        for measure in ("target_bits_per_character", "bits_per_character_with_end", "target_top1", "target_top3"):
            assert standings.figures[name][measure] == getattr(made.model, measure)
    assert standings.figures["unigram"]["target_top1"] == made.baselines["unigram"].target_top1


def test_families_are_typed_with_as_evaluate_does(standings: Ranking, file: Path, folder: Path) -> None:
    parts = gather(Recipe(), file)
    assert len(parts.typed) == standings.data["typed_texts"] == len(parts.test)
    made = simulate(kammil.load(folder / "gru"), parts.typed)
    for name, saved in {**{str(w): each for w, each in made.model.lists.items()}, "ghost": made.model.ghost}.items():
        assert standings.figures["gru"][KEYS + name] == saved.keystrokes
        assert standings.figures["gru"].get(TAKEN + name) == saved.precision
        assert standings.figures["ceiling"][KEYS + name] == made.ceiling


def test_of_many_texts_the_seed_draws_those_that_are_typed(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "TYPED", 5)
    held_out = str(file)
    one, again, other = (gather(Recipe.of({"seed": seed}), file, held_out, held_out) for seed in (0, 0, 1))
    assert len(one.typed) == 5 and one.typed == again.typed != other.typed
    places = [one.test.index(text) for text in one.typed]
    assert places == sorted(places)
    assert one.key() != other.key()


def test_the_split_leaks_nothing(standings: Ranking, file: Path) -> None:
    parts = gather(Recipe(), file)
    assert leaks([*parts.train, *parts.validation], parts.test).near == 0
    assert leaks(parts.train, parts.validation).near == 0
    assert len(parts.test) == pytest.approx(20, abs=2) and len(parts.validation) == pytest.approx(20, abs=2)
    assert standings.data["test_near_leaks"] == 0


def test_given_files_are_taken_and_their_leaks_told(file: Path, tmp_path: Path, texts: list[str]) -> None:
    held_out = tmp_path / "test.txt"
    held_out.write_text("\n".join([texts[0], *texts[300:310]]), "utf-8")
    parts = gather(Recipe(), file, None, held_out)
    assert (len(parts.test), parts.leaks.exact) == (11, 1 if texts[0] in parts.train else 0)
    both = gather(Recipe(), file, held_out, held_out)
    assert (both.validation, both.test) == (both.test, both.validation)
    assert both.leaks.exact == 1 and len(both.train) == 200


@pytest.mark.parametrize("name", ["ngram", "gru"])
def test_the_split_lies_beside_the_models_and_their_cards_can_be_followed(
    standings: Ranking, file: Path, folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = gather(Recipe(), file)
    for part in ("train", "validation", "test"):
        assert (folder / f"{part}.txt").read_text("utf-8").splitlines() == list(getattr(parts, part))
    (line,) = [line for line in (folder / name / "README.md").read_text("utf-8").splitlines() if "--out" in line]
    command = shlex.split(line)
    assert command[:2] == ["kammil", "train"]
    monkeypatch.chdir(folder)
    (folder / "recipe.toml").write_text(model_card.reproducing(folders.read(folder / name).card, "toml"), "utf-8")
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as left:
        main()
    assert not left.value.code
    one, other = (folders.read(folder / made).description for made in (name, f"{name}-again"))
    assert one == other  # recipe, settings, texts
    shutil.rmtree(folder / f"{name}-again")


def test_texts_of_several_lines_are_kept_whole(file: Path, tmp_path: Path, texts: list[str]) -> None:
    odd = ["one\ntwo", "a\rb", *texts[:30]]
    parts = dataclasses.replace(gather(Recipe(), file), train=tuple(odd), validation=("x\ud800",))
    train, validation, _ = written = parts.write(tmp_path)
    assert tuple(sources.texts(train)) == parts.train
    assert sources.texts(validation) == ["x\N{REPLACEMENT CHARACTER}"]
    before = train.stat().st_mtime_ns
    assert parts.write(tmp_path) == written and train.stat().st_mtime_ns == before


def forbidden(*_: object, **__: object) -> None:
    raise AssertionError("a finished row was made again")


def test_finished_rows_are_kept(standings: Ranking, file: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "train_or_reuse", forbidden)
    monkeypatch.setattr(suite, "scorecard", forbidden)
    monkeypatch.setattr(suite.baselines, "ppmd", forbidden)
    heard: list[Event] = []
    again = compare(file, out=folder, listen=heard.append, report=False, **TINY)
    assert again.to_dict() == standings.to_dict()
    assert [event.sentence for event in heard if isinstance(event, Notice)][1:] == [
        f"{row.name}: done before" for row in standings.rows
    ]
    fewer = compare(file, out=folder, **dict[str, Any](TINY | {"families": ["gru"]}))
    assert fewer.best == "gru" and fewer.figures["gru"] == standings.figures["gru"]


@pytest.mark.usefixtures("standings")
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"hidden": 24}, "the row gru in .* has another hidden .16 then, 24 now.; give --replace"),
        ({"minutes": 2.0}, "the row .* in .* has another minutes"),
        ({"seed": 1}, "has another SHA-256"),
        ({"hiden": 24}, "there is no option 'hiden'"),
        ({"model": "gru"}, "model is no option of a comparison"),
        ({"base": "levantine"}, "base is no option of a comparison"),
        ({"families": ["gpt"]}, "model is 'gpt', but it must be one of"),
        ({"families": []}, "no family to compare"),
    ],
)
def test_what_does_not_fit_is_refused(file: Path, folder: Path, changed: dict[str, Any], message: str) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_dir()}
    with pytest.raises(OptionError, match=message) as caught:
        compare(file, out=folder, **(TINY | changed))
    assert "\n" not in str(caught.value)
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_dir()}


@pytest.mark.long
def test_an_interrupted_training_goes_on(file: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = TINY | {"families": ["gru"], "epochs": 3}

    class Killed(BaseException):
        pass

    def kill(event: Event) -> None:
        if isinstance(event, EpochEnded) and event.epoch == 2:
            raise Killed

    with pytest.raises(Killed):
        compare(file, out=tmp_path / "x", listen=kill, **options)
    assert not (tmp_path / "x" / "gru").exists()
    epochs: list[int] = []

    def listen(event: Event) -> None:
        if isinstance(event, EpochEnded):
            epochs.append(event.epoch)

    made = compare(file, out=tmp_path / "x", listen=listen, **options)
    assert epochs == [3]
    assert len(made.rows[-1].curve) == 3 + EARLY


@pytest.mark.long
def test_a_trained_model_is_measured_without_being_trained_again(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(suite, "scorecard", _after_two(suite.scorecard))
        with pytest.raises(OSError, match="power"):
            compare(file, out=tmp_path / "x", **COUNTED)
    assert (tmp_path / "x" / "ngram" / "model.json").exists()
    monkeypatch.setattr(training, "Run", forbidden)
    assert compare(file, out=tmp_path / "x", **COUNTED).best == "ngram"


def _after_two(scorecard: Callable[..., object]) -> Callable[..., object]:
    """The first row is measured (unigram), then the power fails."""
    calls: list[int] = []

    def measure(*arguments: Any) -> object:
        calls.append(1)
        if len(calls) > 1:
            raise OSError("power")
        return scorecard(*arguments)

    return measure


@pytest.mark.long
def test_replace_makes_only_what_differs(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[str, Any] = TINY | {"epochs": 1}
    first = compare(file, out=tmp_path / "x", **options)
    heard: list[Event] = []
    second = compare(
        file, out=tmp_path / "x", replace=True, listen=heard.append, **dict[str, Any](options | {"hidden": 24})
    )
    said = [event.sentence for event in heard if isinstance(event, Notice)]
    assert [line for line in said if "at work" in line] == ["gru: at work"]
    assert second.figures["ngram"] == first.figures["ngram"]
    assert second.figures["gru"] != first.figures["gru"]


def test_what_replace_has_dropped_is_gone_where_it_is_stopped(
    file: Path, folder: Path, standings: Ranking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the same command goes on without `replace`."""

    def stop(sentence: str) -> None:
        if "at work" in sentence:
            raise KeyboardInterrupt

    copy = shutil.copytree(folder, tmp_path / "x")
    assert standings.rows and len([*copy.glob(f"*/{ROW}")]) == len(standings.rows)
    other: dict[str, Any] = TINY | {"hidden": 24}
    monkeypatch.setattr(suite, "note", stop)
    for replace in (True, False):
        with pytest.raises(KeyboardInterrupt):
            compare(file, out=copy, replace=replace, **other)
    assert not (copy / "gru" / ROW).exists() and (copy / "ngram" / ROW).exists()


@pytest.mark.parametrize("version", [1, 2, 3])
def test_rows_of_an_older_format_name_the_last_version_that_read_them(file: Path, tmp_path: Path, version: int) -> None:
    (tmp_path / "rows.json").write_text(json.dumps({"format": version, "rows": {}}))
    with pytest.raises(FolderError, match=rf"format {version}.* 0\.1\.0 .*--out"):
        compare(file, out=tmp_path, **TINY)
    assert [path.name for path in tmp_path.iterdir()] == ["rows.json"]


def test_another_folder_is_not_touched(file: Path, tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(FolderError, match="is no comparison; name another folder with --out"):
        compare(file, out=tmp_path, **TINY)
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


@pytest.mark.parametrize("content", ["", "[]", '{"format": 9}', '{"format": 4, "rows": {"gru": {}}}'])
def test_broken_rows_are_said(file: Path, tmp_path: Path, content: str) -> None:
    (tmp_path / "rows.json").write_text(content)
    with pytest.raises(FolderError, match=r"the rows in .* cannot be read"):
        compare(file, out=tmp_path, **TINY)


@pytest.mark.long
def test_what_is_not_installed_is_left_out_with_a_reason(
    standings: Ranking, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pyppmd", None)
    made = compare(file, out=tmp_path / "x", **COUNTED)
    assert made.left_out["PPMd"] == "PPMd needs pyppmd"  # without the folder of a clone, for a page that others read
    assert "PPMd" not in made.figures
    assert made.figures["ngram"] == standings.figures["ngram"]
    assert any("Left out: PPMd" in note for note in report.notes(made))


# ---- what people see


def test_tables_fit_a_terminal(standings: Ranking) -> None:
    predicts, writes, types = (table for table, _ in report.tables(standings))
    for table in (predicts, writes, types):
        assert {len(row) for row in table.rows} == {len(table.head)}
        heads = [max(map(len, head.split()), default=0) for head in table.head]  # a heading may take several lines
        widths = [max(head, *map(len, cells)) for head, cells in zip(heads, zip(*table.rows, strict=True), strict=True)]
        assert len("transformer") + sum(widths[1:]) + 3 * len(widths) <= 120
    assert [row[0] for row in predicts.rows] == ["uniform", "unigram", "LZMA", "PPMd", "ngram", "gru"]
    assert [row[0] for row in writes.rows] == ["unigram", "ngram", "gru"]
    assert [row[0] for row in types.rows] == ["unigram", "ceiling", "ngram", "gru"]
    assert predicts.rows[4][2] == "best"


def test_every_column_is_explained(standings: Ranking) -> None:
    for table, meanings in report.tables(standings):
        assert [meaning.partition(": ")[0] for meaning in meanings] == table.head[1:]
    (_, predicts), _, (_, types) = report.tables(standings)
    assert predicts[0].endswith("lower is better") and predicts[2].endswith("lower is better")
    assert all(meaning.endswith("higher is better") for meaning in types)
    page = report.markdown(standings)
    assert all(f"- {meaning}" in page for meaning in (*predicts[:1], *predicts[2:]))


def test_the_page_holds_all_figures(standings: Ranking) -> None:
    page = report.markdown(standings)
    assert page.startswith("# Model families on texts.txt\n")
    for signature in standings.signatures.values():
        assert signature in page
    gru = standings.figures["gru"][KEYS + "3"]
    assert gru.low is not None and gru.high is not None
    assert f"{100 * gru.value:.1f} % ({100 * gru.low:.1f}-{100 * gru.high:.1f})" in page
    assert "nan" not in page


def test_the_figure_holds_curves_and_intervals(standings: Ranking) -> None:
    figure = plots.figure(plots.comparison(standings))
    FigureCanvasAgg(figure).draw()
    left, right = figure.axes
    inked, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert inked.x0 >= -0.01 and inked.y0 >= -0.01 and inked.x1 <= width + 0.01 and inked.y1 <= height + 0.01
    drawn = {str(line.get_label()): line for line in left.get_lines()}
    for row in standings.rows[-2:]:
        bits = [b for _, b in row.curve]
        assert list(cast("list[float]", drawn[row.name].get_ydata())) == [min(bits[: i + 1]) for i in range(len(bits))]
        assert list(cast("list[float]", drawn[row.name].get_xdata())) == [seconds for seconds, _ in row.curve]
    names = [text.get_text() for text in right.texts[::2]]
    values = [standings.figures[name]["target_bits_per_character"].value for name in names]
    assert values == sorted(values)
    assert {"ngram", "PPMd"} <= set(names) and "uniform" not in names


def test_a_comparison_is_made_by_one_program_at_a_time(file: Path, tmp_path: Path) -> None:
    with run_lock(tmp_path / "both"), pytest.raises(FolderError, match="both is being made by another program"):
        compare(file, out=tmp_path / "both", **COUNTED)
    assert not list(tmp_path.iterdir())
