"""The notebook "Generative RNNs: Text Completion", trained as it is written, beside Kammil on the same tweets.

The notebook's model, its split and its training are rebuilt here from their description: half a tweet goes in, padded
at the end; the padding runs through the GRU; the decoder is fed nothing, so its 30 outputs are one and the same
distribution; 112 of its 200 test tweets stand in its training part. One answer for 30 places is why it stays at what
always a space scores: an oracle that knows the best single answer of every tweet has hardly more. Kammil trains on the
same 800 raw tweets (a tenth of them held out to choose by) and is judged on the same 200, and on those of the 200 that
are no near-duplicates of a training tweet: only they say something about new tweets. Then the notebook is mended in
three steps, with its own settings: it is fed the truth; it learns from every character; Kammil's blend takes its place.

Run: `python benchmarks/notebook.py` (needs the arsentd-lev data set; about 12 minutes on 2 cores). Writes
notebook.json and notebook_mended.json; `--mended` measures the three steps alone.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import platform
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

import kammil
from kammil.completion.completer import Completer
from kammil.data import sources
from kammil.data.splits import leaks
from kammil.models.family import NetworkLearner, NetworkTask, family
from kammil.progress import Event, TrainingProgress
from kammil.training.batches import make_rows, pad
from kammil.training.loop import fit
from kammil.training.recipe import TrainingOptions
from kammil.vocabulary import CharacterVocabulary, rare_characters

TARGET = 30
PLATEAU = 0.183
"""Share of target characters that are a space: where the notebook's model ends."""
BLOCKS, RUNS = 20, 20
Figures = dict[str, Any]


class NotebookRNN(nn.Module):
    """Embedding 128, GRU 256, dropout 0.3, one linear layer: 30 times the same answer from the last hidden state."""

    def __init__(self, size: int) -> None:
        """`size`: number of characters and the padding."""
        super().__init__()
        self.embedding = nn.Embedding(size, 128, padding_idx=0)
        self.rnn = nn.GRU(128, 256, batch_first=True)
        self.dropout = nn.Dropout(0.3)
        self.output = nn.Linear(256, size)

    def forward(self, ids: Tensor, targets: Tensor) -> Tensor:
        """Logits (B, 30, V) for padded inputs (B, T); of the targets (B, 30) only the number counts."""
        _, hidden = self.rnn(self.embedding(ids))  # (1, B, H)
        return torch.stack([self.output(self.dropout(hidden[0])) for _ in range(targets.shape[1])], dim=1)

    @torch.no_grad()
    def generate(self, ids: Tensor, temperature: float) -> Tensor:
        """30 sampled ids (B, 30), each fed back: what training never did."""
        _, hidden = self.rnn(self.embedding(ids))
        written: list[Tensor] = []
        for _ in range(TARGET):
            p = torch.softmax(self.output(hidden[0]) / temperature, dim=-1)
            drawn = torch.multinomial(p, 1)  # (B, 1)
            written.append(drawn[:, 0])
            _, hidden = self.rnn(self.embedding(drawn), hidden)
        return torch.stack(written, dim=1)


class FedTheTruth(NotebookRNN):
    """The first step: each of the 30 answers follows the true characters before it."""

    def forward(self, ids: Tensor, targets: Tensor) -> Tensor:
        """Logits (B, 30, V) for padded inputs (B, T) and targets (B, 30)."""
        _, hidden = self.rnn(self.embedding(ids))
        states, _ = self.rnn(self.embedding(targets[:, :-1]), hidden)
        return self.output(self.dropout(torch.cat([hidden[0][:, None], states], dim=1)))


class EveryCharacter(NotebookRNN):
    """The second step: a language model of whole tweets; padding comes after them."""

    def forward(self, ids: Tensor, targets: Tensor) -> Tensor:
        """Logits (B, T, V) for all characters but the last, (B, T)."""
        del targets  # each is the next of `ids`
        states, _ = self.rnn(self.embedding(ids))
        return self.output(self.dropout(states))


@dataclass
class Notebook:
    """The notebook's data, prepared as it does."""

    tweets: Sequence[str]
    ids: dict[str, int] = field(init=False)
    width: int = field(init=False)

    def __post_init__(self) -> None:
        """Characters of all tweets, test tweets included, in code-point order after the padding."""
        self.ids = {c: i + 1 for i, c in enumerate(sorted(set(" ".join(self.tweets))))}
        self.width = max(len(t) // 2 for t in self.tweets)

    def facts(self) -> Figures:
        """Numbers that the notebook speaks of."""
        parameters = sum(p.numel() for p in NotebookRNN(len(self.ids) + 1).parameters())
        return {
            "vocabulary": len(self.ids) + 1,
            "first_index": min(self.ids.values()),
            "last_index": max(self.ids.values()),
            "longest_half": self.width,
            "parameters": parameters,
        }

    def encode(self, tweets: Sequence[str]) -> tuple[Tensor, Tensor]:
        """First halves padded to one width (N, T), and the 30 characters after them (N, 30)."""
        inputs = torch.zeros(len(tweets), self.width, dtype=torch.long)
        targets = torch.zeros(len(tweets), TARGET, dtype=torch.long)
        for row, tweet in enumerate(tweets):
            half = len(tweet) // 2
            inputs[row, :half] = torch.tensor([self.ids[c] for c in tweet[:half]])
            targets[row] = torch.tensor([self.ids[c] for c in tweet[half : half + TARGET]])
        return inputs, targets

    def encode_whole(self, tweets: Sequence[str]) -> tuple[Tensor, Tensor]:
        """All characters but the last, and all but the first, padded at the end (N, T)."""
        rows = [torch.tensor([self.ids[c] for c in tweet]) for tweet in tweets]
        texts = nn.utils.rnn.pad_sequence(rows, batch_first=True)
        return texts[:, :-1], texts[:, 1:]

    def rows(self, model: NotebookRNN, tweets: Sequence[str], *, judged: bool = False) -> tuple[Tensor, Tensor]:
        """What a network reads and what it should say; where `judged`, no character but the 30 of the task."""
        if not isinstance(model, EveryCharacter):
            return self.encode(tweets)
        inputs, targets = self.encode_whole(tweets)
        if judged:
            for row, tweet in enumerate(tweets):
                first = len(tweet) // 2 - 1
                targets[row, :first] = targets[row, first + TARGET :] = 0
        return inputs, targets


def train_notebook(model: NotebookRNN, data: Notebook, train: Sequence[str], test: Sequence[str]) -> dict[str, Any]:
    """20 epochs of Adam as the notebook has them; accuracy on the test tweets after every epoch."""
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=1e-5)
    inputs, targets = data.rows(model, train)
    seconds, reached = 0.0, None
    curve: list[tuple[float, float]] = []
    for _ in range(20):
        started = time.monotonic()
        model.train()
        for batch in torch.randperm(len(train)).split(32):
            optimiser.zero_grad()
            loss = nn.functional.cross_entropy(
                model(inputs[batch], targets[batch]).flatten(0, 1), targets[batch].flatten(), ignore_index=0
            )
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimiser.step()
        seconds += time.monotonic() - started
        accuracy = score_notebook(model, data, test)["accuracy"]
        curve.append((round(seconds, 2), accuracy))
        if reached is None and accuracy >= PLATEAU:
            reached = seconds
    return {"training_seconds": seconds, "seconds_to_plateau": reached, "curve": curve}


@torch.no_grad()
def score_notebook(model: NotebookRNN, data: Notebook, test: Sequence[str]) -> dict[str, float]:
    """Accuracy and bits a target character."""
    model.eval()
    inputs, targets = data.rows(model, test, judged=True)
    logits = model(inputs, targets)
    bits = nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=0) / math.log(2)
    return {"accuracy": float((logits.argmax(-1) == targets)[targets != 0].float().mean()), "bits": float(bits)}


def made(network: type[NotebookRNN], data: Notebook) -> NotebookRNN:
    """A new network of one of the three kinds, with the notebook's seed."""
    torch.manual_seed(42)
    return network(len(data.ids) + 1)


def mended(data: Notebook, train: Sequence[str], test: Sequence[str], parts: Mapping[str, Sequence[str]]) -> Figures:
    """The three steps: accuracy and bits of each part."""
    steps: Figures = {}
    for name, network in (("truth", FedTheTruth), ("every", EveryCharacter)):
        model = made(network, data)
        train_notebook(model, data, train, test)
        scores = {part: score_notebook(model, data, texts) for part, texts in parts.items()}
        steps[name] = {f"{part}_{k}": v for part, score in scores.items() for k, v in score.items()}
    with tempfile.TemporaryDirectory() as folder:
        kammil.train(train, out=Path(folder) / "blend", raw=True, report=False)
        steps["blend"] = kammil_figures(kammil.load(Path(folder) / "blend"), parts)
    return steps


def kammil_figures(model: Completer, parts: Mapping[str, Sequence[str]]) -> Figures:
    """Accuracy and bits of each part."""
    figures = {name: kammil.evaluate(model, part).model for name, part in parts.items()}
    return {f"{name}_accuracy": _value(e.target_top1) for name, e in figures.items()} | {
        f"{name}_bits": _value(e.target_bits_per_character) for name, e in figures.items()
    }


def seconds_to_plateau(train: Sequence[str], test: Sequence[str]) -> float:
    """Seconds of training until Kammil's GRU has 18.3 % of the target characters of the test tweets right.

    Looked at every 5 steps; looking is not counted. Nothing is chosen by it: the run ends there.
    """
    vocabulary = CharacterVocabulary.from_texts(train)
    encoded = [vocabulary.encode(t) for t in train]
    batch = pad(make_rows([vocabulary.encode(t) for t in test], objective="completion", block=512))
    judged = batch.counted.copy()
    judged &= batch.targets != 3
    gru = family("gru").learner()
    assert isinstance(gru, NetworkLearner)
    options = TrainingOptions()
    torch.manual_seed(options.seed)
    network = gru.build(vocabulary.size, gru.settings())
    looking, answer = 0.0, math.nan

    class ReachedError(Exception):
        """The plateau is reached."""

    def listen(event: Event) -> None:
        nonlocal looking, answer
        if not isinstance(event, TrainingProgress) or event.step % 5:
            return
        started = time.monotonic()
        network.eval()
        with torch.no_grad():
            guesses = network(torch.from_numpy(np.ascontiguousarray(batch.inputs))).argmax(-1).numpy()
        network.train()
        accuracy = (guesses == batch.targets)[judged].mean()
        looking += time.monotonic() - started
        if accuracy >= PLATEAU:
            answer = event.elapsed - (looking - (time.monotonic() - started))
            raise ReachedError

    rare = [int(vocabulary.encode(c)[0]) for c in sorted(rare_characters(train))]
    data = NetworkTask(nn.Module, encoded, encoded[:8], rare=rare, unknown_bits=vocabulary.unknown_bits)
    with contextlib.suppress(ReachedError):
        fit(network, data, options, on_event=listen)
    return answer


def time_completions(
    notebook: NotebookRNN, data: Notebook, model: Completer, prompts: Sequence[str]
) -> tuple[list[float], list[float]]:
    """Milliseconds of one 30-character completion, one thread, in turns of twenty; only ours of full length count.

    Both read the prompt every time: each of ours is asked of a model that has read nothing before.
    """
    torch.set_num_threads(1)
    theirs: list[float] = []
    ours: list[float] = []
    inputs = torch.zeros(len(prompts), 1, data.width, dtype=torch.long)
    for row, prompt in enumerate(prompts):
        inputs[row, 0, : len(prompt)] = torch.tensor([data.ids[c] for c in prompt])
    for block in range(BLOCKS):
        turn = range(block * RUNS, (block + 1) * RUNS)
        for i in turn:
            prompt = inputs[i % len(prompts)]
            theirs.append(_milliseconds(lambda prompt=prompt: notebook.generate(prompt, 1.0)))
        for i in turn:
            began = time.perf_counter()
            text = (
                model.with_own_cache().complete(prompts[i % len(prompts)], length=TARGET, temperature=1.0, seed=i).text
            )
            took = 1000 * (time.perf_counter() - began)
            if len(text) == TARGET:
                ours.append(took)
    return theirs, ours


def _milliseconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - started)


def main() -> None:
    """Run everything, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mended", action="store_true", help="measure the three steps alone")
    given = parser.parse_args()
    tweets = sources.texts("arsentd-lev", where="Country = 'lebanon'")
    usable = [t for t in tweets if len(t) >= 60 and len(t) - len(t) // 2 >= TARGET]
    train, test = (list[str](part) for part in train_test_split(usable, test_size=0.2, random_state=42))
    leaked = leaks(train, test)
    clean = [t for i, t in enumerate(test) if i not in set(leaked.near_rows)]
    parts = {"all": test, "clean": clean}
    data = Notebook(usable)
    file = Path(__file__).with_suffix(".json")
    steps = {"data": data.facts()} | mended(data, train, test, parts)
    file.with_stem("notebook_mended").write_text(json.dumps(steps, indent=2) + "\n", "utf-8")
    if given.mended:
        return
    notebook = made(NotebookRNN, data)
    theirs = train_notebook(notebook, data, train, test)
    scores = {name: score_notebook(notebook, data, part) for name, part in parts.items()}
    plateau = seconds_to_plateau(train, test)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "gru"
        started = time.monotonic()
        trained = kammil.train(train, out=out, model="gru", raw=True)
        took = time.monotonic() - started
        model = kammil.load(out)
        ours = kammil_figures(model, parts)
        epochs = len(trained.history)
        prompts = [t[:65] for t in test[:50]]
        their_ms, our_ms = time_completions(notebook, data, model, prompts)
    result = {
        "machine": {"processor": platform.processor() or platform.machine(), "torch": torch.__version__},
        "tweets": {"train": len(train), "test": len(test), "test_in_train": leaked.exact, "test_near": leaked.near},
        "always_a_space": {name: _spaces(part) for name, part in parts.items()},
        "one_answer": {name: _one_answer(part) for name, part in parts.items()},
        "notebook": {
            **{f"{name}_{k}": v for name, score in scores.items() for k, v in score.items()},
            **theirs,
            "completion_ms": statistics.median(their_ms),
        },
        "kammil": {
            **ours,
            "training_seconds": trained.history[-1]["elapsed"],
            "whole_seconds": took,
            "epochs": epochs,
            "seconds_to_plateau": plateau,
            "completion_ms": statistics.median(our_ms),
        },
        "completion_ratio": statistics.median(their_ms) / statistics.median(our_ms),
        "plateau_ratio": theirs["training_seconds"] / plateau,
    }
    file.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    print_table(result)


def _spaces(texts: Sequence[str]) -> float:
    targets = "".join(t[len(t) // 2 :][:TARGET] for t in texts)
    return targets.count(" ") / len(targets)


def _one_answer(texts: Sequence[str]) -> float:
    """What an oracle scores that gives one answer for all places of a text: its target's most frequent character."""
    targets = [t[len(t) // 2 :][:TARGET] for t in texts]
    return sum(max(Counter(target).values()) for target in targets) / sum(map(len, targets))


def _value(figure: Any) -> float:
    return float(figure.value)


def print_table(result: dict[str, Any]) -> None:
    """The one table."""
    n, k, s, o = (result[name] for name in ("notebook", "kammil", "always_a_space", "one_answer"))
    t = result["tweets"]
    print(f"{t['train']} training tweets, {t['test']} test tweets; {t['test_in_train']} stand in both")
    head = ("", "always a space", "best answer", "notebook", "kammil gru")
    never = "never" if n["seconds_to_plateau"] is None else f"{n['seconds_to_plateau']:.1f}"
    rows = [
        ("characters right, all 200, %", _p(s["all"]), _p(o["all"]), _p(n["all_accuracy"]), _p(k["all_accuracy"])),
        (
            "characters right, new ones, %",
            _p(s["clean"]),
            _p(o["clean"]),
            _p(n["clean_accuracy"]),
            _p(k["clean_accuracy"]),
        ),
        ("bits per character, all 200", "", "", f"{n['all_bits']:.3f}", f"{k['all_bits']:.3f}"),
        ("bits per character, new ones", "", "", f"{n['clean_bits']:.3f}", f"{k['clean_bits']:.3f}"),
        ("training, s", "", "", f"{n['training_seconds']:.1f}", f"{k['training_seconds']:.1f}"),
        ("... until 18.3 % are right, s", "", "", never, f"{k['seconds_to_plateau']:.1f}"),
        ("30-character completion, ms", "", "", f"{n['completion_ms']:.2f}", f"{k['completion_ms']:.2f}"),
    ]
    for row in (head, *rows):
        print(f"{row[0]:<32}" + "".join(f"{cell:>16}" for cell in row[1:]))


def _p(share: float) -> str:
    return f"{100 * share:.1f}"


if __name__ == "__main__":
    main()
