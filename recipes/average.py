"""Average the weights of two models, of which the second went on from the first: the mean has forgotten less.

A model that goes on with other texts, or with other shares of them, forgets a part of what it knew. Between its weights
before and after it mostly knows both (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models",
arXiv:2109.01903). Counts, the filter of known runs and the record of the training are those of the second model; its
figures on the validation texts are computed anew.
Run: `python recipes/average.py FIRST SECOND OUT --validation FILE [--share 0.5]`
"""

from __future__ import annotations

import argparse
import shlex
import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import kammil
from kammil import files
from kammil import model_folder as folders
from kammil.engine.quantization import pack, unpack
from kammil.evaluation import model_card
from kammil.evaluation.evaluate import evaluate
from kammil.training.recipe import Recipe
from kammil.training.texts import load_normalised

TABLES = ("counts.", "background.", "in_word")
"""Beginnings of the names of arrays that are no weights: tables of counts, and which characters belong to words."""
OTHERS = shutil.ignore_patterns("*.png", "*.html", folders.EVENTS)
"""Files of the second model that show how it was trained, and figures of its own weights."""


def main() -> None:
    """Average, measure, describe."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("first", type=Path, help="model before the second")
    parser.add_argument("second", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--validation", required=True, help="the validation texts of the second model")
    parser.add_argument("--share", type=float, default=0.5, help="share of the second model's weights in the mean")
    given = parser.parse_args()
    if not 0 <= given.share <= 1:
        raise SystemExit(f"the share is {given.share:g}; give one from 0 to 1.")
    first, second = folders.read(given.first), folders.read(given.second)
    texts = [(model.vocabulary.to_json(), model.description.rules) for model in (first, second)]
    if texts[0] != texts[1]:
        raise SystemExit("the two models have other characters or rules: name one and what went on from it.")
    weights = averaged(dict(first.artifacts.weights), dict(second.artifacts.weights), given.share)
    recipe = Recipe.model_validate(second.description.training["recipe"])
    with folders.new(given.out) as draft:
        shutil.copytree(folders.locate(given.second), draft, dirs_exist_ok=True, ignore=OTHERS)
        folders.write_arrays(draft / folders.WEIGHTS, weights)
        evaluation = evaluate(kammil.load(draft), load_normalised(recipe, given.validation).texts)
        mean = {"with": given.first.name, "share": given.share}
        metrics = {name: value for name, value in second.metrics.items() if name != "memorisation"}
        folders.write_metrics(draft, {**metrics, "validation": evaluation.to_dict(), "averaged": mean})
        names = [given.first.name, f"{given.second.name}-again", "averaged"]
        options = ["--validation", Path(given.validation).name, "--share", f"{given.share:g}"]
        command = shlex.join(["python", "recipes/average.py", *names, *options])
        command = "\n".join(filter(None, (model_card.command(second.card), command)))
        card = model_card.model_card(given.out.name, folders.read(draft), evaluation, command=command)
        files.write_atomic(draft / folders.CARD, card.encode())


def averaged(
    first: dict[str, NDArray[np.generic]], second: dict[str, NDArray[np.generic]], share: float
) -> dict[str, NDArray[np.generic]]:
    """Return the mean of the weights of two models, each as its folder holds them, with the tables of the second.

    Raises: `SystemExit` where their weights have other names or shapes, as those of a model have that keeps the counts
    of its base beside its own.
    """
    packed = [name.removesuffix(".whole") for name in second if name.endswith(".whole")]
    before, after = unpack(first), unpack(second)
    weights = {name: array for name, array in after.items() if not name.startswith(TABLES)}
    others = {name: array.shape for name, array in before.items() if not name.startswith(TABLES)}
    if others != {name: array.shape for name, array in weights.items()}:
        raise SystemExit(
            "the weights of the two models have other names or shapes: the second did not go on from the first."
        )
    mean = {
        name: ((1 - share) * before[name].astype(np.float32) + share * array.astype(np.float32)).astype(array.dtype)
        for name, array in weights.items()
    }
    return pack(after | mean, packed)


if __name__ == "__main__":
    main()
