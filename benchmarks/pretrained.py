"""Fine-tuning: a small model of Llama's shape on the benchmark's tweets, and what one of AraGPT2-base's shape needs.

Weights are random, so nothing is fetched: the first says what `--model pretrained` makes of 2,487 tweets alone, beside
the blend; the second what a step, a character and the folder of a real base cost (GPT-2's shape: 12 layers, width 768,
64,000 tokens, 135 million parameters). Time is CPU time, since other programs may run: on a free core it is wall time.
Run: `python benchmarks/pretrained.py [llama | aragpt2]` (arsentd-lev for the first; 10 CPU minutes, and about five).
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, PreTrainedTokenizerFast

import kammil
from kammil.completion.scoring import score_texts
from kammil.data import sources
from kammil.models.pretrained import checkpoint
from kammil.models.pretrained.model import PretrainedSettings
from kammil.models.pretrained.network import PretrainedNetwork, with_lora
from kammil.training.loss import teacher_forced
from kammil.training.optim import make_optimiser
from kammil.training.recipe import TrainingOptions
from kammil.vocabulary import SPECIALS

RESULTS = Path(__file__).with_suffix(".json")
MINUTES = 10.0
TOKENS = 4000
BATCH, LENGTH = 8, 48
"""Texts of a step, and tokens of each: a batch of tweets in subwords that were trained on Arabic."""
SHAPE: dict[str, Any] = {"vocab_size": 64_000, "n_embd": 768, "n_layer": 12, "n_head": 12, "n_positions": 1024}
SIZES: dict[str, Any] = {
    **{"hidden_size": 320, "intermediate_size": 864, "num_hidden_layers": 6},
    **{"num_attention_heads": 5, "num_key_value_heads": 5, "max_position_embeddings": 512},
}
"""Configuration of a network of Llama's shape."""
KINDS = {"all weights": 0, "LoRA, rank 8": 8}


def main() -> None:
    """Measure what is named, and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=["llama", "aragpt2", []], metavar="NAME")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="CPU minutes of fine-tuning")
    parser.add_argument("--step", choices=[*KINDS], help=argparse.SUPPRESS)
    named = parser.parse_args()
    if named.step is not None:
        print(json.dumps(_step(KINDS[named.step])))
        return
    for name in named.names or ("aragpt2", "llama"):
        measured = {name: _llama(named.minutes) if name == "llama" else _aragpt2()}
        print(json.dumps(measured, indent=2), flush=True)
        results: dict[str, Any] = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}
        RESULTS.write_text(json.dumps(results | measured, indent=2) + "\n", "utf-8")


def _llama(minutes: float) -> dict[str, Any]:
    """Fine-tune ten million random weights, of which the tokenizer alone knows the training texts."""
    train, validation = "lev30/train+lev30/train_other", "lev30/validation"
    texts = [*sources.texts("lev30/train"), *sources.texts("lev30/train_other")]
    with tempfile.TemporaryDirectory() as place:
        base, out = Path(place) / "base", Path(place) / "model"
        write_base(base, texts)
        began = time.process_time()
        result = kammil.train(
            train,
            validation=validation,
            out=out,
            model="pretrained",
            base=str(base),
            raw=True,
            minutes=minutes,
            clock="processor",
            learning_rate=1.5e-3,
            threads=1,
            device="cpu",
            listen=lambda event: print(event, file=sys.stderr) if type(event).__name__ == "EpochEnded" else None,
        )
        took = time.process_time() - began
        model = kammil.load(out)
        assert model.model is not None
        figures = result.evaluation.model
        blend = json.loads(RESULTS.with_name("lev30.json").read_text("utf-8"))["blend-1"]["validation"]
        seen = [model.normalise(text) for text in sources.texts(validation)[:32]]
        began = time.process_time()
        score_texts(model.language_model, model.vocabulary, seen)
        reading = time.process_time() - began
        return {
            "parameters": model.model.metrics["parameters"],
            "cpu_minutes": minutes,
            "cpu_seconds": round(took, 1),
            "epochs": len(result.history),
            "history": [[round(e["elapsed"], 1), round(e["validation_bits"], 4)] for e in result.history],
            "validation": {name: _rounded(getattr(figures, name)) for name in MEASURES},
            "blend": {name: blend[name] for name in MEASURES},
            "bytes": sum(file.stat().st_size for file in out.iterdir()),
            "milliseconds_a_character": round(1000 * reading / sum(map(len, seen)), 2),
        }


MEASURES = ("bits_per_character_with_end", "target_bits_per_character", "target_top1")


def _rounded(figure: Any) -> list[float]:
    return [round(figure.value, 4), round(figure.low, 4), round(figure.high, 4)]


def write_base(folder: Path, texts: list[str], *, tokens: int = TOKENS, **sizes: Any) -> None:
    """Write a model of Llama's shape: 10 million random weights, and byte-pair encoding learnt from the texts.

    `tokens` are the most of the tokenizer; `sizes` are other ones of `LlamaConfig`.
    """
    tokenizer = Tokenizer(models.BPE(byte_fallback=False, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="never")
    special = ["<unk>", "<s>", "</s>"]
    tokenizer.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=tokens, special_tokens=special, show_progress=False)
    )
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=tokenizer.get_vocab_size(), **(SIZES | sizes))
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder)


def _aragpt2() -> dict[str, Any]:
    """Measure a step of each kind in a process of its own, whose peak memory is its own too."""
    steps: dict[str, Any] = {}
    for kind in KINDS:
        command = [sys.executable, __file__, "--step", kind]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        steps[kind] = json.loads(done.stdout.splitlines()[-1])
    return {"batch": [BATCH, LENGTH], "threads": 1, "steps": steps}


def _step(rank: int) -> dict[str, Any]:
    """Time steps of gradient descent on a model of AraGPT2-base's shape, then the reading of texts token by token."""
    torch.set_num_threads(1)
    empty = _peak()
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(GPT2Config(bos_token_id=0, eos_token_id=0, **SHAPE))
    parameters = sum(value.numel() for value in checkpoint.own_weights(model).values())
    network = PretrainedNetwork(
        with_lora(model, PretrainedSettings(lora_rank=rank)), unknown=1, bos=0, eos=0, window=512
    )
    loaded = _peak()
    optimiser = make_optimiser(network, TrainingOptions(learning_rate=1e-4))
    ids = torch.from_numpy(np.random.default_rng(0).integers(SPECIALS + 2, SHAPE["vocab_size"], (BATCH, LENGTH + 1)))
    counted = torch.ones((BATCH, LENGTH), dtype=torch.bool)
    network.train()

    def step() -> None:
        totals = teacher_forced(network(ids[:, :-1]), ids[:, 1:], counted)
        optimiser.zero_grad()
        (totals.nats / totals.count).backward()
        optimiser.step()

    seconds = _seconds(step, 2)
    trained = sum(value.numel() for value in network.parameters() if value.requires_grad)
    figures = {
        "parameters": parameters,
        "trained_parameters": trained,
        "step_seconds": round(seconds, 2),
        "peak_megabytes": round(_peak()),
        "of_these_libraries": round(empty),
        "after_loading": round(loaded),
    }
    if not rank:
        from kammil.models.pretrained.checkpoint import KeyValueCache

        del optimiser
        contexts = KeyValueCache(network.model.eval())  # pyright: ignore[reportArgumentType]
        prompt = tuple(range(2, 22))
        figures["prompt_of_20_tokens_seconds"] = round(_seconds(lambda: contexts.log_probabilities([prompt]), 1), 3)
        four = iter(range(100, 100_000))
        figures["four_new_cuts_seconds"] = round(
            _seconds(lambda: contexts.log_probabilities([(*prompt, next(four)) for _ in range(4)]), 3), 3
        )
    return figures


def _seconds(call: Callable[[], object], times: int) -> float:
    """Return the fewest CPU seconds of some calls."""
    taken: list[float] = []
    for _ in range(times):
        began = time.process_time()
        call()
        taken.append(time.process_time() - began)
    return min(taken)


def _peak() -> float:
    """Return the most memory that this process has had, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
