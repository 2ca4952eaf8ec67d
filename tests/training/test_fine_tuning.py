"""Fine-tuning from texts to a folder that completes, offline: models of GPT-2's and of Llama's shape."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from tests.models.pretrained.bases import gpt2, llama
from transformers import AutoModelForCausalLM, AutoTokenizer

import kammil
from kammil.cli import main
from kammil.completion.scoring import score_texts
from kammil.errors import FolderError, OptionError
from kammil.evaluation import model_card
from kammil.language_model import CONFIG, TOKENIZER
from kammil.models.pretrained.checkpoint import open_base, own_weights
from kammil.progress import EpochEnded, Event
from kammil.training.suite import _recipes  # pyright: ignore[reportPrivateUsage]
from kammil.training.train import train
from kammil.vocabulary import BOS, EOS

OPTIONS: dict[str, Any] = {
    "model": "pretrained",
    "epochs": 2,
    "batch_size": 8,
    "learning_rate": 3e-3,
    "window": 64,
    "device": "cpu",
    "threads": 1,
}
WHOLE, LORA = "gpt2, all weights", "llama, LoRA"


@pytest.fixture(scope="module")
def learnt(texts: list[str]) -> tuple[list[str], list[str]]:
    """Training and validation texts."""
    return texts[:40], [text for text in texts[40:60] if len(text) < 50][:4]


@pytest.fixture(scope="module", params=[WHOLE, LORA])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def options(kind: str, tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> dict[str, Any]:
    place = tmp_path_factory.mktemp("bases")
    if kind == WHOLE:
        return OPTIONS | {"base": str(gpt2(place / "gpt2", texts[:100]))}
    return OPTIONS | {"base": str(llama(place / "llama", texts[:100])), "lora_rank": 2}


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory, learnt: tuple[list[str], list[str]], options: dict[str, Any]
) -> Path:
    out = tmp_path_factory.mktemp("tuned") / "model"
    train(learnt[0], validation=learnt[1], out=out, **options)
    return out


@pytest.fixture(scope="module")
def model(folder: Path) -> kammil.Completer:
    return kammil.load(folder)


def test_the_folder_holds_arrays_and_json(folder: Path, kind: str, options: dict[str, Any]) -> None:
    names = {path.name for path in folder.iterdir()}
    assert names == {
        *("model.json", "vocabulary.json", "weights.safetensors", "seen.safetensors", "baselines.safetensors"),
        *("metrics.json", "README.md", "events.jsonl", "config.json", "tokenizer.json"),
    }
    weights = load_file(folder / "weights.safetensors")
    assert not any("lora" in name for name in weights)
    config = json.loads((folder / "config.json").read_text())
    card = (folder / "README.md").read_text("utf-8")
    base = Path(options["base"])
    hashed = json.loads((folder / "model.json").read_text("utf-8"))["training"]["sha256"]["base"]
    assert f"It was fine-tuned from {base.name} (SHA-256 `{hashed}`), whose licence" in card
    for name in ("model.json", "metrics.json", "README.md", "events.jsonl", "config.json"):
        assert str(base.parent) not in (folder / name).read_text("utf-8")  # no place of this machine
    assert config["model_type"] == kind.split(",", maxsplit=1)[0]
    assert not {"auto_map", "_name_or_path", "_attn_implementation", "dtype"} & config.keys()


def test_it_learns(folder: Path, kind: str, options: dict[str, Any]) -> None:
    history = json.loads((folder / "metrics.json").read_text())["history"]
    assert history[1]["train_bits"] < history[0]["train_bits"]
    base = AutoModelForCausalLM.from_pretrained(options["base"])
    weights = load_file(folder / "weights.safetensors")
    same = {name for name, value in own_weights(base).items() if np.array_equal(value.detach().numpy(), weights[name])}
    assert bool(same) == (kind == LORA)
    assert not any("proj" in name or "c_attn" in name for name in same)


def test_it_completes_within_a_word_and_suggests_whole_ones(model: kammil.Completer) -> None:
    assert model.complete("شو حل", seed=0, length=8).text
    assert all(word.text.startswith("حل") for word in model.suggest("شو حل", k=3))
    assert sum(2**-bits for bits in model.score("شو").bits) > 0
    one, other = (model.complete("صباح الخي", temperature=0, length=12).text for _ in range(2))
    assert one == other
    assert "".join(model.stream("صباح الخي", temperature=0, length=12)) == one


def test_it_is_evaluated_as_any_other(model: kammil.Completer, learnt: tuple[list[str], list[str]]) -> None:
    evaluation = kammil.evaluate(model, learnt[1])
    bits = evaluation.model.bits_per_character_with_end
    assert bits is not None and 1 < bits.value < 9
    assert kammil.evaluate(model, learnt[0][:3]).seen_texts == 3


def test_the_sum_over_cuts_costs_no_more_than_the_tokenizers_cut(
    model: kammil.Completer, folder: Path, texts: list[str]
) -> None:
    """The bits of the tokenizer's own tokens are an upper bound; a space before the text is given."""
    plain, tokenizer = standard(folder)
    config = json.loads((folder / "config.json").read_text())
    compared: list[str] = []
    for text in map(model.normalise, texts[:60]):
        tokens = tokenizer.encode(text, add_special_tokens=False)
        whole = not any("<0x" in token for token in tokenizer.convert_ids_to_tokens(tokens)) and max(text) < "\uffff"
        if len(compared) == 6 or not whole or not set(text) <= set(model.vocabulary.characters):
            continue
        compared.append(text)
        (found,) = score_texts(model.language_model, model.vocabulary, [text])
        ids = torch.tensor([[config["bos_token_id"], *tokens, config["eos_token_id"]]])
        with torch.no_grad():
            scores = torch.log_softmax(plain(input_ids=ids).logits[0], -1)
        cut = -scores[range(ids.shape[1] - 1), ids[0, 1:]].double().sum() / np.log(2)
        assert 0.5 * float(cut) < found.bits.sum() <= float(cut) + 0.05
    assert len(compared) == 6


def standard(folder: Path) -> tuple[Any, Any]:
    """Open a folder's parts with transformers alone."""
    place = folder.parent / "standard"
    place.mkdir(exist_ok=True)
    shutil.copy(folder / "weights.safetensors", place / "model.safetensors")
    for name in ("config.json", "tokenizer.json"):
        shutil.copy(folder / name, place / name)
    return AutoModelForCausalLM.from_pretrained(place).eval(), AutoTokenizer.from_pretrained(place)


def test_its_parts_are_a_plain_checkpoint(folder: Path, model: kammil.Completer, kind: str) -> None:
    plain, _ = standard(folder)
    weights = load_file(folder / "weights.safetensors")
    for name, value in own_weights(plain).items():
        assert np.array_equal(value.detach().numpy(), weights[name])
    with torch.no_grad():
        p = torch.softmax(plain(input_ids=torch.tensor([[plain.config.bos_token_id]])).logits[0, -1], -1)
    if kind == WHOLE:  # else a space is read before anything
        ours, _ = model.language_model.forward(np.array([[BOS]]), model.language_model.initial_state(1))
        assert np.exp(ours[0, 0, EOS]) == pytest.approx(float(p[plain.config.eos_token_id]), abs=1e-5)


class KilledError(Exception):
    """What ends a run from outside."""


def killed_in_the_second_epoch(event: Event) -> None:
    if not isinstance(event, EpochEnded) and getattr(event, "epoch", 1) == 2:
        raise KilledError


@pytest.mark.long
def test_a_resumed_run_ends_with_the_same_bytes(
    tmp_path: Path, folder: Path, learnt: tuple[list[str], list[str]], options: dict[str, Any]
) -> None:
    out = tmp_path / "model"
    with pytest.raises(KilledError):
        train(learnt[0], validation=learnt[1], out=out, listen=killed_in_the_second_epoch, **options)
    assert not out.exists()
    train(learnt[0], validation=learnt[1], out=out, resume=True, **options)
    for name in ("weights.safetensors", "config.json", "tokenizer.json", "vocabulary.json", "model.json"):
        assert (out / name).read_bytes() == (folder / name).read_bytes()


@pytest.mark.long
def test_a_resumed_run_notices_another_base(
    tmp_path: Path, learnt: tuple[list[str], list[str]], options: dict[str, Any]
) -> None:
    base = tmp_path / "base"
    shutil.copytree(options["base"], base)
    given: dict[str, Any] = options | {"base": str(base), "report": False}
    with pytest.raises(KilledError):
        train(learnt[0], validation=learnt[1], out=tmp_path / "model", listen=killed_in_the_second_epoch, **given)
    weights = load_file(base / "model.safetensors")
    name = next(iter(weights))
    save_file(weights | {name: weights[name] + np.float32(1)}, base / "model.safetensors", {"format": "pt"})
    with pytest.raises(
        OptionError, match=r"has another SHA-256 of the base folder \(.*\); give the same, or --replace"
    ):
        train(learnt[0], validation=learnt[1], out=tmp_path / "model", resume=True, **given)
    (base / "README.md").write_text("about it", "utf-8")
    save_file(weights, base / "model.safetensors", {"format": "pt"})
    train(learnt[0], validation=learnt[1], out=tmp_path / "model", resume=True, **given)


@pytest.mark.long
def test_a_folder_of_its_own_is_a_base(
    tmp_path: Path, folder: Path, learnt: tuple[list[str], list[str]], options: dict[str, Any]
) -> None:
    again: dict[str, Any] = options | {"base": str(folder), "epochs": 1, "learning_rate": 1e-9}
    train(learnt[0], validation=[*learnt[1], learnt[0][0]], out=tmp_path / "model", **again)
    assert json.loads((tmp_path / "model" / "metrics.json").read_text("utf-8"))["learnt_by_base"] == 1
    one, other = (load_file(path / "weights.safetensors") for path in (folder, tmp_path / "model"))
    for name, value in one.items():
        assert other[name] == pytest.approx(value, abs=1e-5), name
    assert (tmp_path / "model" / "tokenizer.json").read_text() == (folder / "tokenizer.json").read_text()


@pytest.mark.parametrize("content", ["", "{}", "[" * 100_000, '{"a":' * 500 + "1" + "}" * 500])
@pytest.mark.parametrize("name", [CONFIG, TOKENIZER])
def test_a_damaged_folder_of_its_own_is_refused(tmp_path: Path, folder: Path, name: str, content: str) -> None:
    place = tmp_path / "damaged"
    shutil.copytree(folder, place)
    (place / name).write_text(content, "utf-8")
    with pytest.raises(FolderError, match=r"damaged .*; copy the model folder again"):
        open_base(str(place))


def test_bases_that_will_not_do(tmp_path: Path, few: list[str], folder_of: Callable[[str], Path]) -> None:
    with pytest.raises(OptionError, match=r"^the pretrained family needs a model to start from; give --base with"):
        train(few, out=tmp_path / "model", model="pretrained")
    with pytest.raises(OptionError, match=r"base is '.*ngram', a model of family ngram; name a pretrained model"):
        train(few, out=tmp_path / "model", model="pretrained", base=str(folder_of("ngram")))
    assert not list(tmp_path.iterdir())


def test_a_base_too_large_for_a_folder_is_refused(
    tmp_path: Path, few: list[str], options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kammil.models.pretrained.network.MAX_PARAMETERS", 5000)
    with pytest.raises(OptionError, match=r"with 0 million parameters, and a model folder holds 0 million; name a"):
        train(few, out=tmp_path / "model", **options)


@pytest.mark.long
def test_the_command_and_its_repetition(
    tmp_path: Path, learnt: tuple[list[str], list[str]], options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, part in zip(("texts.txt", "validation.txt"), learnt, strict=True):
        Path(name).write_text("\n".join(part), "utf-8")
    rest = {k: v for k, v in options.items() if k not in ("model", "epochs", "base")}
    settings = [part for name, value in rest.items() for part in ("--set", f"{name}={value}")]
    named = ["--model", "pretrained", "--base", options["base"], "--epochs", "1", "--validation", "validation.txt"]
    monkeypatch.setattr(sys, "argv", ["kammil", "train", "texts.txt", *named, *settings])
    with contextlib.suppress(SystemExit):
        main()
    card = Path("texts-pretrained", "README.md").read_text("utf-8")
    assert "kammil train texts.txt" in card and "--config recipe.toml" in card
    repeated = tomllib.loads(model_card.reproducing(card, "toml"))
    assert (repeated["model"], repeated["base"], repeated["epochs"]) == ("pretrained", Path(options["base"]).name, 1)
    assert {name: repeated[name] for name in rest} == rest


def test_it_is_compared_where_a_base_is_named() -> None:
    options = {"base": "somewhere", "lora_rank": 4, "epochs": 1, "hidden": 8}
    recipes, _ = _recipes(["gru", "pretrained"], options)
    assert recipes["pretrained"].settings["base"] == "somewhere" and recipes["pretrained"].settings["lora_rank"] == 4
    assert recipes["gru"].base is None and recipes["gru"].settings["hidden"] == 8
    assert "pretrained" in _recipes(None, {"base": "somewhere"})[0]
    assert "pretrained" not in _recipes(None, {})[0]
    with pytest.raises(OptionError, match="the pretrained family needs a model to start from"):
        _recipes(["ngram", "pretrained"], {})
    with pytest.raises(OptionError, match="base is no option of a comparison"):
        _recipes(["ngram", "gru"], {"base": "somewhere"})


@pytest.mark.long
def test_without_transformers_it_says_what_to_install(folder: Path) -> None:
    code = f"""
import sys
sys.modules["transformers"] = None
import kammil
from kammil.errors import MissingExtraError
from kammil.models.family import family
for call in (lambda: kammil.load({str(folder)!r}), lambda: family("pretrained").learner()):
    try:
        call()
    except MissingExtraError as error:
        print(error)
"""
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.splitlines()
    assert len(said) == 2 and all("needs transformers" in line and "[hf]" in line for line in said)


def test_a_damaged_folder_is_refused(tmp_path: Path, folder: Path) -> None:
    for name in ("config.json", "weights.safetensors"):
        broken = tmp_path / name
        shutil.copytree(folder, broken)
        (broken / name).unlink()
        with pytest.raises(FolderError):
            kammil.load(broken)
