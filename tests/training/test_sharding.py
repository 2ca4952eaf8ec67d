"""A network that is divided among processes learns what a whole one learns, and goes on in any number of processes."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from tests.models.pretrained.bases import gpt2, llama
from torch import nn

import kammil
from kammil.errors import OptionError
from kammil.models.pretrained.checkpoint import open_base
from kammil.models.pretrained.model import PretrainedSettings
from kammil.models.pretrained.network import PretrainedNetwork, with_lora
from kammil.training.sharding import part_of, whole

Launch = Callable[..., "list[subprocess.CompletedProcess[str]]"]

TRAIN = """
import json
from pathlib import Path
import kammil
given = json.loads(Path("given.json").read_text("utf-8"))

class Stop(Exception):
    pass

def stop(event):
    if isinstance(event, EpochEnded) and event.epoch == 1:
        raise Stop

for name, options in given["runs"].items():
    listen = stop if options.pop("stopped", False) else lambda event: None
    try:
        result = kammil.train(given["texts"], validation=given["validation"], out=name, listen=listen, **options)
        print(json.dumps([name, result.evaluation.model.bits_per_character_with_end.value]), flush=True)
    except Stop:
        import os
        os._exit(0)
"""
OPTIONS: dict[str, Any] = {
    **{"model": "pretrained", "epochs": 2, "batch_size": 5, "learning_rate": 3e-3, "window": 16, "seed": 3},
    **{"device": "cpu", "precision": "float32", "threads": 1, "report": False, "shard": True},
}
"""The window is shorter than the texts, so that the layers are computed several times in a step."""
TOLERANCE = 1e-4
"""Largest difference of weights after one or two epochs: sums are rounded in another order. Seen: 7e-7 of all weights,
2e-5 of what LoRA adds, which was multiplied by 200 there and is by 20 here."""


@pytest.fixture(scope="module")
def texts_of(texts: list[str]) -> dict[str, list[str]]:
    return {"texts": texts[:20], "validation": sorted(texts[40:80], key=len)[:2]}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> dict[str, dict[str, Any]]:
    """Options of two runs: all weights of a model whose output matrix is its embedding, and LoRA."""
    place = tmp_path_factory.mktemp("bases")
    still: dict[str, Any] = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    return {
        "tied": OPTIONS | {"base": str(gpt2(place / "gpt2", texts[:60], **still))},
        "lora": OPTIONS | {"base": str(llama(place / "llama", texts[:60])), "lora_rank": 2, "lora_alpha": 40.0},
    }


@pytest.fixture(scope="module")
def whole_runs(
    tmp_path_factory: pytest.TempPathFactory, texts_of: dict[str, list[str]], runs: dict[str, dict[str, Any]]
) -> tuple[Path, dict[str, float]]:
    """The same in one process, and the bits."""
    place, bits = tmp_path_factory.mktemp("whole"), dict[str, float]()
    for name, options in runs.items():
        result = kammil.train(texts_of["texts"], validation=texts_of["validation"], out=place / name, **options)
        figure = result.evaluation.model.bits_per_character_with_end
        assert figure is not None
        bits[name] = figure.value
    return place, bits


@pytest.mark.long
def test_two_processes_that_divide_a_model_train_that_of_one(
    tmp_path: Path,
    texts_of: dict[str, list[str]],
    runs: dict[str, dict[str, Any]],
    whole_runs: tuple[Path, dict[str, float]],
    launch: Launch,
) -> None:
    """A third run is stopped after an epoch; one process goes on with it."""
    again = runs["tied"] | {"stopped": True}
    (tmp_path / "given.json").write_text(json.dumps(texts_of | {"runs": runs | {"again": again}}), "utf-8")
    done = launch(TRAIN, 2, tmp_path)
    place, bits = whole_runs
    for process in done:
        told = dict(json.loads(line) for line in process.stdout.splitlines() if line.startswith("["))
        assert told == pytest.approx(bits, abs=0.001), process.stderr[-2000:]
    kammil.train(
        texts_of["texts"], validation=texts_of["validation"], out=tmp_path / "again", resume=True, **runs["tied"]
    )
    for name, other in (("tied", "tied"), ("lora", "lora"), ("again", "tied")):
        one, two = (load_file(folder / "weights.safetensors") for folder in (tmp_path / name, place / other))
        assert one.keys() == two.keys()
        histories = [
            json.loads((folder / "metrics.json").read_text())["history"] for folder in (tmp_path / name, place / other)
        ]
        for mine, theirs in zip(*histories, strict=True):  # the weights are those of the best epoch, these of every one
            for figure in ("train_bits", "validation_bits"):
                assert mine[figure] == pytest.approx(theirs[figure], abs=0.001), (name, figure)
        base = load_file(Path(runs[other]["base"]) / "model.safetensors")
        assert max(np.abs(two[array] - base[array]).max() for array in base) > 100 * TOLERANCE  # it learnt
        for array, value in two.items():
            assert one[array] == pytest.approx(value, abs=TOLERANCE), (name, array)
    shutil.rmtree(tmp_path / "again")


def test_only_networks_that_say_their_layers_are_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    from kammil.training import sharding

    with pytest.raises(OptionError, match="shard is true, but only a pretrained model is divided"):
        sharding.sharded(nn.Linear(2, 2), torch.device("cpu"))


def test_one_process_divides_nothing() -> None:
    tensor = torch.ones(3)
    assert whole(tensor) is tensor and part_of(tensor, tensor) is tensor


@pytest.mark.parametrize("rank", [0, 2])
def test_layers_are_those_of_the_model(tmp_path: Path, texts: list[str], rank: int) -> None:
    base = open_base(str(llama(tmp_path / "llama", texts[:60])))
    model = with_lora(base.model, PretrainedSettings(lora_rank=rank))
    layers = PretrainedNetwork(model, unknown=0, bos=1, eos=2, window=16).layers_to_shard()
    assert [type(layer).__name__ for layer in layers] == ["LlamaDecoderLayer"] * 2
