"""Average the weights of two models, of which the second went on from the first: the mean has forgotten less.

A model that goes on with other texts, or with other shares of them, forgets a part of what it knew. Between its weights
before and after it mostly knows both (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models",
arXiv:2109.01903). Counts, the filter of known runs and the record of the training are those of the second model; its
figures on the validation texts are computed anew.
Run: `python recipes/average.py FIRST SECOND OUT --validation FILE [--share 0.5]`
"""

from __future__ import annotations

import argparse
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


def main() -> None:
    """Average, measure, describe."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("first", type=Path, help="model before the second")
    parser.add_argument("second", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--validation", required=True, help="the validation texts of the second model")
    parser.add_argument("--share", type=float, default=0.5, help="share of the second model's weights in the mean")
    given = parser.parse_args()
    first, second = folders.read(given.first), folders.read(given.second)
    weights = averaged(dict(first.artifacts.weights), dict(second.artifacts.weights), given.share)
    recipe = Recipe.model_validate(second.description.training["recipe"])
    with folders.new(given.out) as draft:
        shutil.copytree(given.second, draft, dirs_exist_ok=True)
        folders.write_arrays(draft / folders.WEIGHTS, weights)
        evaluation = evaluate(kammil.load(draft), load_normalised(recipe, given.validation).texts)
        mean = {"with": given.first.name, "share": given.share}
        folders.write_metrics(draft, {**second.metrics, "validation": evaluation.to_dict(), "averaged": mean})
        command = f"{model_card.command(second.card)}\npython recipes/average.py {given.first.name} "
        command += f"{given.out.name}-again averaged --validation {Path(given.validation).name} --share {given.share:g}"
        card = model_card.model_card(given.out.name, folders.read(draft), evaluation, command=command)
        files.write_atomic(draft / folders.CARD, card.encode())


def averaged(
    first: dict[str, NDArray[np.generic]], second: dict[str, NDArray[np.generic]], share: float
) -> dict[str, NDArray[np.generic]]:
    """Return the mean of the weights of two models, each as its folder holds them, with the tables of the second.

    Raises: `SystemExit` where their weights have other names or shapes.
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
        name: (1 - share) * before[name].astype(np.float32) + share * array.astype(np.float32)
        for name, array in weights.items()
    }
    return pack(after | mean, packed)


if __name__ == "__main__":
    main()
