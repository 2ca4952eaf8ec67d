"""Several trainings on one split, measured on the same test texts: `compare` ranks families, `curve` adds texts.

Each model or baseline has a folder with its row: figures as sums over texts, and a key of what they depend on. A second
call makes the missing rows.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, cast

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from kammil import __version__, distributed, storage
from kammil.completion.completer import Completer, load
from kammil.data.splits import Leakage, file_contents, leaks, split
from kammil.errors import FolderError, MissingExtraError, OptionError
from kammil.evaluation import baselines, text_overlap
from kammil.evaluation.bootstrap import Array
from kammil.evaluation.measures import Columns
from kammil.evaluation.metrics import target_span
from kammil.evaluation.ranking import (
    CurvePoint,
    LearningCurve,
    Ranking,
    Row,
    bits_only,
    ceiling,
    completion_seconds,
    learning_curve,
    rank,
    scorecard,
)
from kammil.evaluation.report import REPORT
from kammil.models.family import FAMILIES, family
from kammil.progress import Listener, ignore, listening, note
from kammil.storage import run_lock
from kammil.text import RAW, printable
from kammil.training.comparison_report import comparison_report, repeat_command
from kammil.training.recipe import Recipe, options_toml
from kammil.training.record import ROW, RunRequest, difference, fingerprint, sha256, without_folders
from kammil.training.texts import Dataset, held_out_share, load_normalised, name_of, prepare
from kammil.training.train import train_or_reuse
from kammil.vocabulary import UNK, CharacterVocabulary

Maker = Callable[[], tuple[Row, Columns]]

TYPED = 150
"""Maximum number of test texts that are typed, drawn by the seed
(docs/log.md#what-does-typing-cost-in-a-comparison)."""
SHARES = (1 / 8, 1 / 4, 1 / 2, 1.0)
RESULTS, CURVE, CURVE_FIGURE = "results.json", "curve.json", "curve.png"
_SUITE, _FORMAT = "suite.json", 5
_OLD_ROWS, _OLD_SUMS, _OLD_FORMAT = "rows.json", "rows.safetensors", 4
"""Files of all rows, as Kammil 0.1.0 wrote them."""
_READ_ONCE: dict[str, object] = {
    **dict.fromkeys(("column", "where", "delimiter", "sheet", "sender")),
    **{"encoding": "utf-8", "exclude": (), "unique": False},
}
"""Options for texts that were read and cleared of near-duplicates before."""


@dataclass(frozen=True)
class Split:
    """Normalised texts, the same for all rows."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    typed: tuple[str, ...]
    """Test texts that a simulated user types."""
    source: str
    test_source: str
    leaks: Leakage
    least: int

    def key(self, recipe: Recipe | None = None) -> dict[str, Any]:
        """Return what a row depends on: version, hashes of texts, options of its model."""
        parts = {"training": self.train, "validation": self.validation, "test": self.test, "typed": self.typed}
        sums = {f"SHA-256 of the {name} texts": sha256(texts)[:16] for name, texts in parts.items()}
        options = fingerprint(recipe, {}) if recipe is not None else {}
        return {"Kammil": __version__, "least": self.least} | sums | options

    def to_dict(self) -> dict[str, Any]:
        """Describe sources, sizes, and near-duplicates across parts."""
        return {
            "source": self.source,
            "test": self.test_source,
            "training_texts": len(self.train),
            "training_characters": sum(map(len, self.train)),
            "validation_texts": len(self.validation),
            "test_texts": len(self.test),
            "test_characters": sum(map(len, self.test)),
            "typed_texts": len(self.typed),
            "typed_characters": sum(map(len, self.typed)),
            "test_exact_leaks": self.leaks.exact,
            "test_near_leaks": self.leaks.near,
        } | self.key()

    def write(self, folder: Path, *, train: str = "train") -> tuple[Path, Path, Path]:
        """Write the parts unless they are there; `train` names the first file."""
        contents = file_contents({train: self.train, "validation": self.validation, "test": self.test})
        for name, content in contents.items():
            if not (folder / name).exists() or (folder / name).read_bytes() != content:
                storage.write_atomic(folder / name, content)
        first, second, third = contents
        return folder / first, folder / second, folder / third


def gather(
    recipe: Recipe, source: str | Path, validation: str | Path | None = None, test: str | Path | None = None
) -> Split:
    """Read and split the texts; training drops what resembles other parts or `exclude`."""
    loaded = load_normalised(recipe, source)
    files = {"validation": validation, "test": test}
    held_out = {part: load_normalised(recipe, file).texts for part, file in files.items() if file is not None}
    remaining, shares = loaded.texts, dict.fromkeys(files.keys() - held_out.keys(), held_out_share(len(loaded.texts)))
    if shares:
        drawn = split(remaining, **({"validation": 0.0, "test": 0.0} | shares), seed=recipe.training.seed)
        held_out |= {part: [loaded.texts[i] for i in getattr(drawn, part)] for part in shares}
        remaining = [loaded.texts[i] for i in drawn.train]
    cleared = prepare(recipe, remaining, held_out["validation"])
    texts = held_out["test"]
    typed = np.random.default_rng(recipe.training.seed).permutation(len(texts))[:TYPED]
    return Split(
        cleared.train,
        cleared.validation,
        tuple(texts),
        tuple(texts[i] for i in sorted(typed.tolist())),
        loaded.name,
        f"{len(texts)} texts of the same file" if test is None else name_of(test),
        leaks(cleared.train, texts),
        recipe.least,
    )


def compare(
    source: str | Path,
    *,
    minutes: float,
    out: str | Path,
    families: Sequence[str] | None = None,
    validation: str | Path | None = None,
    test: str | Path | None = None,
    replace: bool = False,
    report: bool = True,
    listen: Listener = ignore,
    **options: Any,
) -> Ranking:
    """Train or reuse a model of each family, measure all on the test texts beside baselines, and rank them.

    Args:
        source: a file of texts, or a data set's name.
        minutes: time limit of each family.
        out: the folder of the comparison, whose finished rows are kept, after an error too.
        families: names; None takes all whose libraries are installed.
        validation, test: files; otherwise a leak-free tenth of `source`, 5,000 texts at most.
        replace: make rows again whose texts or options have changed, instead of an error.
        report: write `report.html`, which quotes a few test texts.
        options: of `Recipe`, `TrainingOptions` and the families' settings; a setting goes to the families that have it.
    """
    signatures = text_overlap.signatures()  # first: a missing library must be reported before hours of training
    recipes, left_out = _recipes(families, options | {"minutes": minutes})
    with _Suite.locked(Path(out), "comparison", listen) as suite:
        parts = gather(next(iter(recipes.values())), source, validation, test)
        made = baseline_rows(parts)
        keys = {name: parts.key() for name in made} | {name: parts.key(recipe) for name, recipe in recipes.items()}
        suite.open(keys, replace=replace)
        files = parts.write(suite.path)
        note(
            f"{_sizes(parts)}: {parts.leaks.exact} of these stand in the training part, "
            f"{parts.leaks.near} are near-duplicates of its texts"
        )
        left_out |= suite.complete(made, optional=True)
        suite.train({name: (recipe, parts, files) for name, recipe in recipes.items()}, replace=replace)
        done = [name for name in (*made, *recipes) if name in suite.rows]
        ranking = rank([suite.rows[name] for name in done], {name: suite.columns[name] for name in done})
        described = parts.to_dict() | {"minutes": minutes}
        ranking = dataclasses.replace(ranking, data=described, signatures=signatures, left_out=left_out)
        suite.write(RESULTS, ranking.to_dict())
        if report:
            command = repeat_command(source, minutes, families, validation, test)
            page = comparison_report(
                ranking,
                parts.train,
                parts.test,
                load(suite.path / ranking.best),
                name=printable(suite.path.resolve().name),
                command=command,
                toml=options_toml(without_folders(options)),
            )
            storage.write_atomic(suite.path / REPORT, page.encode("utf-8", "replace"))
        return ranking


def curve(
    source: str | Path,
    *,
    out: str | Path,
    shares: Sequence[float] = SHARES,
    validation: str | Path | None = None,
    test: str | Path | None = None,
    replace: bool = False,
    listen: Listener = ignore,
    **options: Any,
) -> LearningCurve:
    """Train or reuse a model on each share of the training texts, and measure all on the same test texts.

    Args:
        source, out, validation, test, replace: as of `compare`.
        shares: of the training texts, more than 0 and at most 1; a larger one holds all texts of a smaller one.
        options: of `kammil.train`, such as `minutes`, for each model.
    """
    recipe = Recipe.of(options)
    if not shares or not all(0 < share <= 1 for share in shares):
        raise OptionError(f"shares is {list(shares)}, but each must be more than 0 and at most 1, such as 0.5.")
    with _Suite.locked(Path(out), "curve", listen) as suite:
        whole = gather(recipe, source, validation, test)
        parts = {f"{len(part.train)}-texts": part for part in subsets(whole, shares, recipe.training.seed)}
        suite.open({name: part.key(recipe) for name, part in parts.items()}, replace=replace)
        note(_sizes(whole))
        models = {name: (recipe, part, part.write(suite.path, train=f"{name}-train")) for name, part in parts.items()}
        suite.train(models, replace=replace)
        points = [
            CurvePoint(name, len(p.train), sum(map(len, p.train)), suite.rows[name].training_seconds or 0.0, {}, {})
            for name, p in parts.items()
        ]
        described = whole.to_dict() | {"model": recipe.model, "minutes": recipe.training.minutes}
        _, random = baseline_rows(whole)["uniform"]()
        result = learning_curve(points, {name: suite.columns[name] for name in parts}, random, described)
        suite.write(CURVE, result.to_dict())
        return result


def _sizes(parts: Split) -> str:
    return f"{len(parts.train):,} training, {len(parts.validation):,} validation, {len(parts.test):,} test texts"


def _recipes(names: Sequence[str] | None, options: Mapping[str, Any]) -> tuple[dict[str, Recipe], dict[str, str]]:
    """Return a recipe for each family, with the settings that it has, and why others are left out."""
    chosen, left_out = {}, dict[str, str]()
    every = [name for name, each in FAMILIES.items() if not each.needs_base or "base" in options]
    for name in dict.fromkeys(every if names is None else names):
        try:
            chosen[name] = family(name).learner().settings.model_fields
        except MissingExtraError as error:
            if names is not None:
                raise
            left_out[name] = error.what
    if not chosen:
        raise OptionError(f"there is no family to compare; name some of {', '.join(FAMILIES)}.")
    settings = {setting for fields in chosen.values() for setting in fields}
    refused = {"model": "name the families instead", "base": "all rows learn from the same texts alone"}
    for option in refused.keys() & options.keys() - settings:
        raise OptionError(f"{option} is no option of a comparison; {refused[option]}.")
    recipes = {
        name: Recipe.of({k: v for k, v in options.items() if k in fields or k not in settings} | {"model": name})
        for name, fields in chosen.items()
    }
    for name, recipe in recipes.items():
        family(name).check_base(recipe.settings)
    return recipes, left_out


def subsets(whole: Split, shares: Sequence[float], seed: int) -> list[Split]:
    """Return nested splits with shares of the training texts, the smallest first."""
    order = np.random.default_rng(seed).permutation(len(whole.train)).tolist()
    sizes = sorted({math.ceil(share * len(order)) for share in shares})
    return [dataclasses.replace(whole, train=tuple(whole.train[i] for i in sorted(order[:n]))) for n in sizes]


class _Suite:
    def __init__(self, path: Path, what: str, listen: Listener) -> None:
        self.path, self._what, self._listen = path, what, listen
        self.rows: dict[str, Row] = {}
        self.columns: dict[str, Columns] = {}
        self._keys: Mapping[str, Mapping[str, Any]] = {}

    @classmethod
    @contextmanager
    def locked(cls, path: Path, what: str, listen: Listener) -> Generator[_Suite]:
        """Hold the lock of the folder, and listen; errors name `what` it holds."""
        if distributed.is_launched():
            raise OptionError(f"a {what} runs in one process; start it without a launcher.")
        with run_lock(path), listening(listen):
            yield cls(path, what, listen)

    def open(self, keys: Mapping[str, Mapping[str, Any]], *, replace: bool) -> None:
        """Read the finished rows; `OptionError` for one of another key, unless `replace` drops it."""
        try:
            stored = self._stored()
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise FolderError(
                f"the rows in {self.path} cannot be read ({error}); remove the folder or name another with --out."
            ) from error
        for name, (key, row, columns) in stored.items():
            changed = difference(key, keys.get(name, {}))
            if not changed:
                self.rows[name], self.columns[name] = row, columns
            elif not replace:
                raise OptionError(
                    f"the row {name} in {self.path} has another {changed}; give --replace to make it anew, or another "
                    "--out."
                )
            else:
                (self.path / name / ROW).unlink(missing_ok=True)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FolderError(f"cannot write {self.path}: {error.strerror}; name another place with --out.") from error
        self._keys = keys
        self.write(_SUITE, {"format": _FORMAT})

    def write(self, file: str, content: Mapping[str, Any]) -> None:
        storage.write_atomic(self.path / file, json.dumps(content, ensure_ascii=False, indent=2).encode())

    def complete(self, makers: Mapping[str, Maker], *, optional: bool = False) -> dict[str, str]:
        """Make missing rows; return why `optional` ones are left out."""
        left_out: dict[str, str] = {}
        for name, make in makers.items():
            if name in self.rows:
                note(f"{name}: done before")
                continue
            note(f"{name}: at work")
            try:
                row, columns = make()
            except MissingExtraError as error:
                if not optional:
                    raise
                left_out[name] = error.what
                note(f"{name}: left out: {error}")
                continue
            described = json.dumps({"row": asdict(row), "key": self._keys[name]})
            contiguous = {measure: np.ascontiguousarray(sums) for measure, sums in columns.items()}
            (self.path / name).mkdir(exist_ok=True)
            storage.write_atomic(self.path / name / ROW, save_arrays(contiguous, {"row": described}))
            self.rows[name], self.columns[name] = row, columns
        return left_out

    def train(self, models: Mapping[str, tuple[Recipe, Split, tuple[Path, Path, Path]]], *, replace: bool) -> None:
        first = next(iter(models.values()))[0].model_copy(update=_READ_ONCE)

        @cache
        def data(train: Path, validation: Path) -> Dataset:
            return prepare(first, train, validation)

        def make(name: str) -> tuple[Row, Columns]:
            (recipe, parts, files), out = models[name], self.path / name
            recipe, texts = recipe.model_copy(update=_READ_ONCE), data(*files[:2])
            train_or_reuse(
                RunRequest(recipe=recipe, data=texts, out=out, resume=True, replace=replace, listen=self._listen)
            )
            model = load(out)
            return _model_row(out, model, recipe, parts), scorecard(model, parts.test, parts.typed)

        self.complete({name: partial(make, name) for name in models})

    def _stored(self) -> dict[str, tuple[Mapping[str, Any], Row, Columns]]:
        found: dict[str, tuple[Mapping[str, Any], Row, Columns]] = {}
        if not self.path.exists() or (self.path.is_dir() and not any(self.path.iterdir())):
            return found
        if (self.path / _OLD_ROWS).is_file():
            state = cast(dict[str, Any], json.loads((self.path / _OLD_ROWS).read_text("utf-8")))
            if state["format"] in (1, 2, 3):
                raise FolderError(
                    f"the rows in {self.path} have format {state['format']}, and Kammil 0.1.0 was the last version to "
                    "read it; name another folder with --out."
                )
            if state["format"] != _OLD_FORMAT:
                raise ValueError(f"format {state['format']!r}")
            sums = cast(dict[str, Array], load_arrays((self.path / _OLD_SUMS).read_bytes()))
            for name, entry in cast(dict[str, dict[str, Any]], state["rows"]).items():
                found[name] = entry["key"], _row(entry["row"]), {m: sums[f"{name}/{m}"] for m in entry["measures"]}
        elif not (self.path / _SUITE).is_file():
            raise FolderError(f"{self.path} exists and is no {self._what}; name another folder with --out.")
        elif (state := json.loads((self.path / _SUITE).read_text("utf-8")))["format"] != _FORMAT:
            raise ValueError(f"format {state['format']!r}")
        for path in sorted(self.path.glob(f"*/{ROW}")):
            with safe_open(path, "np") as file:
                described: dict[str, Any] = json.loads(file.metadata()["row"])
                columns = {measure: file.get_tensor(measure) for measure in file.keys()}  # noqa: SIM118
            found[path.parent.name] = described["key"], _row(described["row"]), columns
        return found


def _row(fields: dict[str, Any]) -> Row:
    curve = tuple((float(seconds), float(bits)) for seconds, bits in fields.pop("curve"))
    return Row(**fields, curve=curve)


def _model_row(path: Path, model: Completer, recipe: Recipe, parts: Split) -> Row:
    assert model.model is not None
    metrics, settings = model.model.metrics, model.model.description.settings
    chosen = {k: v for k, v in settings.items() if recipe.settings.get(k) is None and v is not None}
    points = [(*epoch.get("early", ()), (epoch["elapsed"], epoch["validation_bits"])) for epoch in metrics["history"]]
    curve = [(float(seconds), float(bits)) for epoch in points for seconds, bits in epoch]
    if not curve:  # a counter: one point, of the measure that judges epochs
        measure = "bits_per_character_with_end" if recipe.training.objective == "text" else "target_bits_per_character"
        curve = [(float(metrics["training_seconds"]), float(metrics["validation"]["model"][measure]["value"]))]
    return Row(
        path.name,
        family=True,
        note=", ".join(f"{name} {value}" for name, value in chosen.items()),
        parameters=int(metrics["parameters"]),
        folder_bytes=sum(file.stat().st_size for file in path.iterdir() if file.is_file()),
        training_seconds=float(metrics["training_seconds"]),
        completion_seconds=completion_seconds(model, parts.test),
        curve=tuple(curve),
    )


def baseline_rows(parts: Split) -> dict[str, Maker]:
    """Return makers of the rows that need no training."""
    vocabulary = CharacterVocabulary.from_texts(parts.train, least=parts.least)
    spans = [target_span(text) for text in parts.test]

    def uniform() -> tuple[Row, Columns]:
        bits = [baselines.uniform(vocabulary, text) for text in parts.test]
        target = np.array([b[span].sum() for b, span in zip(bits, spans, strict=True)])
        columns = bits_only(parts.test, target, np.array([b.sum() for b in bits]))
        known = np.array([(vocabulary.encode(t[s]) != UNK).sum() for t, s in zip(parts.test, spans, strict=True)])
        for k in (1, 3):  # of V equal characters, any k are the most probable
            guessed = known * min(k, vocabulary.size) / vocabulary.size
            columns[f"target_top{k}"] = np.stack([guessed, columns["target_bits_per_character"][:, 1]], axis=1)
        return Row("uniform", family=False), columns

    def unigram() -> tuple[Row, Columns]:
        counted = baselines.count([vocabulary.encode(text) for text in parts.train], vocabulary.size)
        runner = baselines.load_baselines(counted, vocabulary.size)["unigram"]
        model = Completer(runner, vocabulary, RAW)
        return Row("unigram", family=False, parameters=vocabulary.size), scorecard(model, parts.test, parts.typed)

    def lzma() -> tuple[Row, Columns]:
        bits = baselines.lzma_bits(parts.train, parts.test)
        sums = np.array([[bits, sum(len(text) + 1 for text in parts.test)]], np.float64)
        return Row("LZMA", family=False), {"bits_per_character_with_end": sums}

    def ppmd() -> tuple[Row, Columns]:
        result = baselines.ppmd(parts.train, parts.validation, parts.test, spans)
        columns = bits_only(parts.test, result.target_bits, result.bits_with_end)
        return Row("PPMd", family=False, note=f"order {result.order} bytes"), columns

    def typing_ceiling() -> tuple[Row, Columns]:
        return Row("ceiling", family=False), ceiling(parts.typed)

    return {"uniform": uniform, "unigram": unigram, "LZMA": lzma, "PPMd": ppmd, "ceiling": typing_ceiling}
