"""A checkpoint brings a run back to the bit, or says in one sentence why it cannot."""

from __future__ import annotations

import resource
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.optim import AdamW

from kammil.errors import FolderError
from kammil.progress import EpochEnded
from kammil.training.checkpoint import Checkpoint

EVENTS = (
    EpochEnded(1, 4.2, 0.1, 4.0, 0.15, 1e-3, 1.5, True),
    EpochEnded(2, 1 / 3, 0.3, 3.9999999999999996, 0.16, 9e-4, 2.5, False),
)


def network(seed: int, width: int = 6) -> tuple[nn.Module, AdamW]:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Embedding(5, width), nn.Linear(width, 5))
    return model, AdamW(model.parameters(), lr=0.01)


def learn(model: nn.Module, optimiser: AdamW, steps: int) -> None:
    for step in range(steps):
        optimiser.zero_grad()
        model(torch.tensor([step % 5, 1])).square().sum().backward()
        optimiser.step()


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@contextmanager
def small_disk(largest: int) -> Generator[None]:
    """No file may grow beyond so many bytes: the system refuses, as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_is_loaded_is_what_was_saved(tmp_path: Path) -> None:
    model, optimiser = network(0)
    learn(model, optimiser, 3)
    best = weights(model)
    learn(model, optimiser, 4)
    checkpoint = Checkpoint(tmp_path)
    assert not checkpoint.exists()
    checkpoint.save(model, optimiser, best, EVENTS)
    assert checkpoint.exists()
    assert len(list(tmp_path.iterdir())) == 1  # no draft beside it

    other, other_optimiser = network(1)
    kept, history = checkpoint.load(other, other_optimiser, Checkpoint(tmp_path).read())
    assert history == EVENTS
    assert equal(kept, best)
    assert equal(weights(other), weights(model))
    # The optimiser's memory too: both go on to the very same weights.
    learn(model, optimiser, 5)
    learn(other, other_optimiser, 5)
    assert equal(weights(other), weights(model))


def test_saving_again_replaces(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path)
    model, optimiser = network(0)
    checkpoint.save(model, optimiser, weights(model), [])
    learn(model, optimiser, 2)
    checkpoint.save(model, optimiser, weights(model), EVENTS)
    other, other_optimiser = network(1)
    assert checkpoint.load(other, other_optimiser, checkpoint.read())[1] == EVENTS
    assert equal(weights(other), weights(model))


def test_a_full_disk_leaves_the_last_state(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path)
    model, optimiser = network(0)
    learn(model, optimiser, 1)
    checkpoint.save(model, optimiser, weights(model), EVENTS)
    (file,) = tmp_path.iterdir()
    before = file.read_bytes()
    learn(model, optimiser, 1)
    with small_disk(len(before) // 2), pytest.raises(FolderError, match=r"cannot write .*: File too large; free some"):
        checkpoint.save(model, optimiser, weights(model), EVENTS)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [before]


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    model, optimiser = network(0)
    with pytest.raises(FolderError, match=r"cannot write .*: No such file or directory; free some space or name"):
        Checkpoint(tmp_path / "missing").save(model, optimiser, weights(model), EVENTS)


def test_weights_may_lie_in_memory_as_they_like(tmp_path: Path) -> None:
    model = nn.Linear(5, 6, bias=False)
    model.weight = nn.Parameter(torch.arange(30.0).reshape(5, 6).T)  # column by column
    optimiser = AdamW(model.parameters(), lr=0.01)
    model(torch.ones(2, 5)).square().sum().backward()
    optimiser.step()
    Checkpoint(tmp_path).save(model, optimiser, weights(model), EVENTS)
    other = nn.Linear(5, 6, bias=False)
    kept, _ = Checkpoint(tmp_path).load(other, AdamW(other.parameters()), Checkpoint(tmp_path).read())
    assert equal(weights(other), weights(model)) and equal(kept, weights(model))


def test_another_model_is_refused(tmp_path: Path) -> None:
    model, optimiser = network(0)
    learn(model, optimiser, 1)
    Checkpoint(tmp_path).save(model, optimiser, weights(model), EVENTS)
    with pytest.raises(FolderError, match="does not fit this training run; remove"):
        Checkpoint(tmp_path).load(*network(0, width=7), Checkpoint(tmp_path).read())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.floats(0, 1, exclude_max=True), st.binary(max_size=30))
def test_a_damaged_file_is_refused(tmp_path: Path, share: float, tail: bytes) -> None:
    model, optimiser = network(0)
    learn(model, optimiser, 1)
    checkpoint = Checkpoint(tmp_path)
    checkpoint.save(model, optimiser, weights(model), EVENTS)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    cut = whole[: int(share * len(whole))] + tail
    if len(cut) == len(whole):
        return  # other numbers in whole tensors: no format can tell
    file.write_bytes(cut)
    with pytest.raises(FolderError, match="remove"):
        checkpoint.load(*network(1), checkpoint.read())


def test_foreign_tensors_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    model, optimiser = network(0)
    Checkpoint(tmp_path).save(model, optimiser, weights(model), EVENTS)
    (file,) = tmp_path.iterdir()
    for metadata in (None, {"history": "[]"}, {"history": "no JSON"}, {"history": '[{"epoch": 1}]'}):
        save_file({"something": torch.zeros(3)}, file, metadata)
        with pytest.raises(FolderError, match="does not fit"):
            Checkpoint(tmp_path).load(model, optimiser, Checkpoint(tmp_path).read())
