"""Bits a character for a minute of one core: networks whose time axis is parallel beside recurrent ones.

Each learns the benchmark's training tweets by the same schedule within the same CPU seconds (not wall seconds: other
programs may run), and is judged on validation. It says which kinds are worth a family.
Run: `python benchmarks/networks.py [NAME ...]` (arsentd-lev; 90 CPU seconds each). What is named is measured anew.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kammil.data import sources
from kammil.models.gru.network import GRU
from kammil.models.transformer.network import Transformer, TransformerSettings
from kammil.training.batches import batches, make_rows
from kammil.training.loss import teacher_forced
from kammil.training.optim import warmup_then_cosine
from kammil.vocabulary import PAD, UNK, CharacterVocabulary, rare_characters

SECONDS = 90.0
BATCH = 16
RESULTS = Path(__file__).with_suffix(".json")


class PlainGRU(GRU):
    """PyTorch's own backward pass, to compare with the one written by hand."""

    def forward(self, ids: Tensor) -> Tensor:
        """(B, T) -> (B, T, V)."""
        h, _ = self.gru(self.embedding(ids))
        return self.output(self.dropout(h))


class Half(nn.Module):
    """A network whose products take factors in bfloat16, on processors that multiply such numbers by themselves."""

    def __init__(self, network: nn.Module) -> None:
        """Wrap it."""
        super().__init__()
        self.network = network

    def forward(self, ids: Tensor) -> Tensor:
        """(B, T) -> (B, T, V), in single precision."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.training):
            logits: Tensor = self.network(ids)
        return logits.float()


class _Scan(torch.autograd.Function):
    """h_t = a_t h_(t-1) + b_t along axis 0, from zero; (T, B, D) each."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        h = torch.empty_like(b)
        h[0] = b[0]
        for t in range(1, len(b)):
            torch.addcmul(b[t], a[t], h[t - 1], out=h[t])
        ctx.save_for_backward(a, h)
        return h

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        a, h = cast(tuple[Tensor, ...], ctx.saved_tensors)
        d_b = torch.empty_like(h)
        d_b[-1] = grads[0][-1]
        for t in range(len(h) - 2, -1, -1):
            torch.addcmul(grads[0][t], a[t + 1], d_b[t + 1], out=d_b[t])
        d_a = torch.zeros_like(a)
        torch.mul(d_b[1:], h[:-1], out=d_a[1:])
        return d_a, d_b


class MinGRU(nn.Module):
    """Gates see the input alone, so all but an elementwise scan is parallel (Feng et al. 2024, arXiv:2410.01201)."""

    def __init__(self, size: int, width: int, layers: int, dropout: float) -> None:
        """Set up the layers."""
        super().__init__()
        self.embedding = nn.Embedding(size, width, padding_idx=PAD)
        self.near = nn.ModuleList(nn.Conv1d(width, width, 4, groups=width) for _ in range(layers))
        self.norm = nn.ModuleList(nn.LayerNorm(width) for _ in range(layers + 1))
        self.gates = nn.ModuleList(nn.Linear(width, 2 * width) for _ in range(layers))
        self.out = nn.ModuleList(nn.Linear(width, width) for _ in range(layers))
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(width, size)

    def forward(self, ids: Tensor) -> Tensor:
        """(B, T) -> (B, T, V)."""
        x = self.embedding(ids).transpose(0, 1)  # (T, B, D)
        for near, norm, gates, out in zip(self.near, self.norm, self.gates, self.out, strict=False):
            y = norm(x).permute(1, 2, 0)  # (B, D, T)
            y = near(F.pad(y, (3, 0))).permute(2, 0, 1)  # (T, B, D)
            z, new = gates(y).chunk(2, -1)
            z = z.sigmoid()
            x = x + out(_Scan.apply(1 - z, z * new))
        return self.output(self.dropout(self.norm[-1](x))).transpose(0, 1)  # (B, T, V)


class Convolutions(nn.Module):
    """Gated causal convolutions, dilated by powers of two (van den Oord et al. 2016; Dauphin et al. 2017)."""

    def __init__(self, size: int, width: int, dilations: tuple[int, ...], dropout: float) -> None:
        """Set up the layers."""
        super().__init__()
        self.embedding = nn.Embedding(size, width, padding_idx=PAD)
        self.layers = nn.ModuleList(nn.Conv1d(width, 2 * width, 3, dilation=d) for d in dilations)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(width, size)
        self.dilations = dilations

    def forward(self, ids: Tensor) -> Tensor:
        """(B, T) -> (B, T, V)."""
        x = self.embedding(ids).transpose(1, 2)  # (B, D, T)
        for layer, dilation in zip(self.layers, self.dilations, strict=True):
            x = x + F.glu(layer(F.pad(x, (2 * dilation, 0))), 1)
        return self.output(self.dropout(x.transpose(1, 2)))


def half_of(build: Callable[[int], nn.Module]) -> Callable[[int], nn.Module]:
    """The same network in bfloat16."""
    return lambda size: Half(build(size))


PLAIN: dict[str, tuple[Callable[[int], nn.Module], float]] = {
    "GRU 384": (lambda v: GRU(v, 128, 384, 0.3), 6e-3),
    "GRU 384, PyTorch's backward pass": (lambda v: PlainGRU(v, 128, 384, 0.3), 6e-3),
    "minGRU 2 x 384": (lambda v: MinGRU(v, 384, 2, 0.3), 3e-3),
    "minGRU 3 x 256": (lambda v: MinGRU(v, 256, 3, 0.3), 3e-3),
    "convolutions 6 x 192": (lambda v: Convolutions(v, 192, (1, 2, 4, 8, 16, 32), 0.3), 3e-3),
    "Transformer 3 x 128": (lambda v: Transformer(v, TransformerSettings()), 2e-3),
}
HALVED = {f"{name}, bfloat16": (half_of(build), rate) for name, (build, rate) in PLAIN.items()}
CANDIDATES = PLAIN | HALVED
"""Name -> network of V ids, and a peak learning rate usual for its kind: no search was made for any."""


def main() -> None:
    """Measure what is named, and print one line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*CANDIDATES, []], metavar="NAME")
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--rate", type=float, help="another peak learning rate; nothing is written")
    named = parser.parse_args()
    torch.set_num_threads(1)
    results: dict[str, Any] = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}
    results |= {"cores": os.cpu_count(), "cpu_seconds": named.seconds, "torch": torch.__version__}
    for name in named.names or CANDIDATES:
        build, rate = CANDIDATES[name]
        made = learn(build, named.rate or rate, named.seconds)
        results[name] = made
        print(
            f"{name}: {made['curve'][-1][1]:.3f} bits, {made['passes']:.1f} passes, {made['parameters']:,}", flush=True
        )
    if named.rate is None:
        RESULTS.write_text(json.dumps(results, indent=2) + "\n", "utf-8")


def learn(build: Callable[[int], nn.Module], peak: float, seconds: float) -> dict[str, Any]:
    """Train within a budget of CPU seconds; validation bits (whole texts with their ends) along the way."""
    texts, held_out = (sources.texts(part) for part in ("lev30/train+lev30/train_other", "lev30/validation"))
    vocabulary = CharacterVocabulary.from_texts(texts)
    rows, judged = (
        make_rows([vocabulary.encode(t) for t in part], objective="text", block=512) for part in (texts, held_out)
    )
    rare = np.array([int(vocabulary.encode(c)[0]) for c in sorted(rare_characters(texts))], np.int64)
    torch.manual_seed(0)
    model = build(vocabulary.size)
    optimiser = torch.optim.AdamW(model.parameters(), lr=peak, betas=(0.9, 0.99), weight_decay=0.01)
    generator = np.random.default_rng(0)
    curve: list[tuple[float, float]] = []
    spent, steps = 0.0, 0
    while spent < seconds:
        for batch in batches(rows, BATCH, rare=rare, generator=generator):
            began = time.process_time()
            for group in optimiser.param_groups:
                group["lr"] = peak * warmup_then_cosine(spent / seconds, warmup=0.05)
            ids, targets, counted = (
                torch.from_numpy(np.ascontiguousarray(a)) for a in (batch.inputs, batch.targets, batch.counted)
            )
            totals = teacher_forced(model(ids), targets, counted)
            optimiser.zero_grad()
            (totals.nats / totals.count).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            spent, steps = spent + time.process_time() - began, steps + 1
            if spent >= seconds:
                break
            if spent >= seconds * (len(curve) + 1) / 6:
                curve.append((round(spent, 1), judge(model, judged, vocabulary)))
    curve.append((round(spent, 1), judge(model, judged, vocabulary)))
    return {
        "learning_rate": peak,
        "parameters": sum(p.numel() for p in model.parameters()),
        "passes": steps * BATCH / len(rows),
        "curve": curve,
    }


@torch.no_grad()
def judge(model: nn.Module, rows: Sequence[Any], vocabulary: CharacterVocabulary) -> float:
    """Bits per character and end of text, unknown characters charged in full."""
    model.eval()
    bits, count = 0.0, 0
    for batch in batches(rows, 64):
        ids, targets, counted = (
            torch.from_numpy(np.ascontiguousarray(a)) for a in (batch.inputs, batch.targets, batch.counted)
        )
        totals = teacher_forced(model(ids), targets, counted)
        unknown = int(((batch.targets == UNK) & batch.counted).sum())
        bits += totals.nats.item() / math.log(2) + unknown * vocabulary.unknown_bits
        count += totals.count
    model.train()
    return round(bits / count, 4)


if __name__ == "__main__":
    main()
