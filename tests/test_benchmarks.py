"""What benchmarks measure is what they say."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

import kammil
from kammil.completion.unsolicited import is_function_word
from kammil.models.family import FAMILIES
from kammil.text import words
from kammil.training.recipe import Recipe

ROOT = Path(__file__).parent.parent


def script(path: str) -> ModuleType:
    """A script that is no part of the package."""
    name = Path(path).stem
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, ROOT / path)
        assert spec is not None and spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "benchmarks").glob("*.py")))
def test_a_script_says_what_it_does_and_starts_nothing_that_it_does_not_know(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))  # a script imports others beside it
    main: Callable[[], None] = script(f"benchmarks/{name}").main
    for argument, status in (("--help", 0), ("--no-such-option", 2)):
        monkeypatch.setattr(sys, "argv", [name, argument])
        with pytest.raises(SystemExit) as left:
            main()
        assert left.value.code == status
    shown = capsys.readouterr()
    assert shown.out.startswith(f"usage: {name}") and "usage:" in shown.err


def test_the_notebook_is_beaten_by_completions_that_read_their_prompt(
    folder_of: Callable[[str], Path], texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = script("benchmarks/notebook.py")
    monkeypatch.setattr(notebook, "BLOCKS", 2)
    monkeypatch.setattr(notebook, "RUNS", 3)
    threads = torch.get_num_threads()
    model = kammil.load(folder_of("gru"))
    prompts = [text[:20] for text in texts[:2]]
    data = notebook.Notebook(texts[:40])
    network = notebook.NotebookRNN(len(data.ids) + 1)
    before = len(model.state_cache)
    theirs, ours = notebook.time_completions(network, data, model, prompts)
    torch.set_num_threads(threads)
    assert len(theirs) == 6
    assert len(ours) <= 6
    assert len(model.state_cache) == before  # whatever it had read would be known to the next completion


def test_the_best_single_answer_of_a_text_is_its_most_frequent_character() -> None:
    notebook = script("benchmarks/notebook.py")
    assert notebook._one_answer(["x" * 30 + "a" * 10 + "b" * 20, "x" * 30 + "c" * 30]) == 50 / 60


def test_every_model_of_the_benchmark_has_a_row() -> None:
    lev30, refresh = script("benchmarks/lev30.py"), script("docs/refresh.py")
    runs: dict[str, dict[str, Any]] = lev30.RUNS
    assert set(refresh.LEV30) == set(runs)
    families = {name for name, each in FAMILIES.items() if not each.needs_base}
    assert {options["model"] for options in runs.values()} == families
    for options in runs.values():
        assert Recipe.of(options).model == options["model"]
    # The row of a family's own name is what its default does in the budget.
    assert all(runs[name].keys() <= {"model", "raw", "minutes"} for name in families)
    assert all(runs[name]["raw"] for name in families)
    assert runs["blend-normalised"] == {k: v for k, v in runs["blend-1"].items() if k != "raw"}


def test_the_table_shows_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    refresh = script("docs/refresh.py")
    measured: dict[str, Any] = json.loads((ROOT / "benchmarks" / "lev30.json").read_text("utf-8"))
    every = {name: {**measured["ngram"], "training_seconds": 100 + i} for i, name in enumerate(refresh.LEV30)}

    def result(_: str) -> dict[str, Any]:
        return measured | every

    monkeypatch.setattr(refresh, "result", result)
    lines: list[str] = refresh.lev30().split("\n")
    for i, title in enumerate(refresh.LEV30.values()):
        assert sum(line.startswith(f"| {title} |") and line.endswith(f"| {100 + i} s |") for line in lines) == 1


def test_a_step_of_the_dial_is_proposed_from_what_was_found(
    folder_of: Callable[[str], Path], texts: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ghost = script("benchmarks/ghost.py")
    (tmp_path / "validation.tsv").write_text("kind\ttext\n" + "".join(f"a\t{t}\n" for t in texts[:12]), "utf-8")
    monkeypatch.setattr(ghost, "RESULTS", tmp_path / "ghost.json")
    monkeypatch.setattr(sys, "argv", ["ghost.py", str(tmp_path / "validation.tsv"), "--model", str(folder_of("ngram"))])
    ghost.main()
    result: dict[str, Any] = json.loads((tmp_path / "ghost.json").read_text("utf-8"))
    rows: list[dict[str, Any]] = result["validation.tsv"]["rules"]
    assert result["validation.tsv"]["texts"] == 12
    assert len(rows) >= len(ghost.THRESHOLDS) * len(ghost.CHARGES)
    most = max(row["shown"]["value"] for row in rows)
    assert rows[0]["shown"]["value"] == most  # the lowest threshold without a charge
    tried = rows[: len(ghost.THRESHOLDS) * len(ghost.CHARGES)]
    assert result["proposed"]["eager"]["desktop"]["value"] == max(row["desktop"]["value"] for row in tried)
    for step in ("quiet", "balanced"):
        row = result["proposed"][step]
        assert row is None or row["right"]["value"] >= 0.75


def test_lists_are_counted_at_every_word(folder_of: Callable[[str], Path], texts: list[str]) -> None:
    lists, model = script("benchmarks/lists.py"), kammil.load(folder_of("ngram"))
    sample = [model.normalise(text).rstrip() for text in texts[:6]]
    rows = lists.figures(model, sample)
    expected = np.zeros((4, 4))
    for text in sample:
        for begin, end in words(text):
            for n in range(min(4, end - begin)):
                found = [one.text for one in model.suggest(text[: begin + n], 3, correct=False)]
                alone = bool(found) and all(map(is_function_word, found))
                expected[n] += found[:1] == [text[begin:end]], text[begin:end] in found, alone, 1
    assert [row["places"] for row in rows] == expected[:, 3].tolist()
    for i, title in enumerate(lists.SHARES):
        shares = 100 * expected[:, i] / expected[:, 3]
        assert [row[title]["value"] for row in rows] == pytest.approx(shares, abs=0.051)


def test_texts_beyond_those_of_the_data_are_halves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scale = script("benchmarks/scale.py")
    monkeypatch.setenv("KAMMIL_DATA_DIR", str(tmp_path))
    lines = {"levantine": ["كلمة " * n for n in range(1, 9)], "arabic": ["نص طويل شوي " * n for n in range(1, 5)]}
    for folder, texts in lines.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.txt").write_text("\n".join(map(str.strip, texts)), "utf-8")
    assert len(scale.read(6)) == 6
    whole = [text.strip() for texts in lines.values() for text in texts]
    assert sorted(scale.read(12)) == sorted(whole)
    more: list[str] = scale.read(20)
    assert len(more) == 20 and all(text == text.strip() != "" for text in more)
    assert sorted(" ".join(more).split()) == sorted(" ".join(whole).split())  # cut between words, and none is lost
    assert max(map(len, more)) < max(map(len, whole))


def test_a_larger_budget_stores_more_and_costs_fewer_bits(tmp_path: Path, texts: list[str]) -> None:
    scale = script("benchmarks/scale.py")
    for name, part in (("train", texts[:400]), ("validation", texts[400:440])):
        (tmp_path / name).write_text("".join(f"{line}\n" for line in ["text", *part]), "utf-8")
    few, all_counts = (scale.budget(tmp_path / "train", tmp_path / "validation", mb) for mb in (0.05, None))
    assert few["stored_mb"] <= 0.1 < all_counts["stored_mb"]
    assert few["bits"] > all_counts["bits"] > 1
    assert few["texts"] == all_counts["texts"] == 400


def test_grades_are_counted_for_every_way_that_wrote_a_completion(folder_of: Callable[[str], Path]) -> None:
    sense = script("benchmarks/sense.py")
    folder = str(folder_of("gru"))
    items, key = sense.written([folder], ["predictive", "plain"], ["صباح", "كيفك يا"], seed=3)
    assert len(items) == len(set(items)) == len({text.number for texts in key.values() for text in texts})
    model = kammil.load(folder)
    for i, prompt in enumerate(["صباح", "كيفك يا"]):
        made = model.complete(prompt, preset="plain", seed=3 + i)
        text = key[f"{folder} plain"][i]
        shown = items[text.number - 1]
        assert shown[0] == prompt and made.text.startswith(shown[1]) and text.characters == len(made.text)
        assert text.mean_bits == pytest.approx(made.mean_bits, abs=1e-4)


def test_the_surest_texts_that_both_readers_like_are_counted() -> None:
    sense = script("benchmarks/sense.py")
    texts = [sense.Text(1, 0.5, 9), sense.Text(2, 2.0, 5), sense.Text(3, 1.0, 7), sense.Text(2, 3.0, 5)]
    first = {1: (2, False), 2: (0, True), 3: (2, False)}
    second = {1: (2, False), 2: (0, False), 3: (1, False)}
    every, surest = (sense.counted(texts, [first, second], share) for share in (1.0, 0.5))
    assert (every["sense"], every["none"], every["disturbing"]) == (25, 50, 50)
    assert (surest["texts"], surest["sense"], surest["characters"], surest["bits"]) == (2, 50, 9, 1.0)
    assert sense.kappa(first, first) == 1
    # Agreed on two of three; by chance (2/3 x 1/3 + 1/3 x 2/3).
    assert sense.kappa(first, second) == pytest.approx((2 / 3 - 4 / 9) / (1 - 4 / 9))


def test_the_prompts_are_60_different_ones() -> None:
    prompts = (ROOT / "benchmarks/prompts.txt").read_text("utf-8").splitlines()
    assert len(set(prompts)) == len(prompts) == 60
    assert all(prompt == prompt.strip() != "" for prompt in prompts)


def test_a_list_keyboard_shows_the_words_of_its_list_by_frequency() -> None:
    lines = ["dictionary=main:en", " word=the,f=200", "  bigram=then,f=210", " word=then,f=150", " word=them,f=160"]
    keyboard = script("benchmarks/words.py").ListKeyboard([*lines, " word=theft,f=220,possibly_offensive=true"])
    assert keyboard.suggest("", "th") == ["the", "them", "then"]
    assert keyboard.suggest("the", "th") == ["then", "the", "them"]
    assert keyboard.suggest("the", "then") == keyboard.suggest("", "x") == []
    hits = keyboard.hits("the then")
    assert hits.right[:, 0].tolist() == [True, True, True, False, True, True, True, True, False]
    assert hits.saved[4].tolist() == [4, 3, 4, 0, 0]
