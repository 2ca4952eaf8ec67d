"""Weights of `stock_phrases.sureness`, fitted to graded texts by logistic regression.

    python benchmarks/sureness.py

`sense/phrases-chosen.tsv` holds 2,655 texts after 520 prompts, phrases and the best draw: the share of the readers to
whom they make sense, their bits over the root of their length under each bundled model, and the likeness of their
message. Printed are the weights by model and for both, and, from ten folds by prompt, how many of the texts that the
weights put first make sense, by share of the surest prompts.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

TEXTS = Path(__file__).parent / "sense" / "phrases-chosen.tsv"
SHARES = (0.25, 0.4, 0.5, 1.0)
FOLDS = 10
Array = NDArray[np.float64]


def fitted(columns: Array, sense: Array) -> Array:
    """Return the weights of the columns, (N, C), and the bias, by Newton's method with a weak L2 penalty."""
    inputs = np.column_stack([columns, np.ones(len(columns))])
    weights, penalty = np.zeros(inputs.shape[1]), 0.01 * np.eye(inputs.shape[1])
    for _ in range(30):
        p = 1 / (1 + np.exp(-inputs @ weights))
        hessian = inputs.T @ (inputs * (p * (1 - p))[:, None]) + penalty
        weights -= np.linalg.solve(hessian, inputs.T @ (p - sense) + penalty @ weights)
    return weights


def main() -> None:
    """Fit and print."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    with TEXTS.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    columns = np.array([[float(row["root_bits"]), float(row["likeness"])] for row in rows])
    sense = np.array([float(row["sense"]) for row in rows])
    models, prompts = (np.array([row[name] for row in rows]) for name in ("model", "prompt"))
    for name in (*sorted(set(models)), "both"):
        of_model = (models == name) | (name == "both")
        bits, likeness, bias = fitted(columns[of_model], sense[of_model])
        print(f"{name:16} {of_model.sum():5} texts: {bias:.2f} {bits:+.3f} bits/root {likeness:+.2f} likeness")
        if name == "both":
            continue
        numbers = np.unique(prompts[of_model], return_inverse=True)[1]
        fold = np.random.default_rng(0).integers(0, FOLDS, numbers.max() + 1)[numbers]
        sure = np.zeros(len(fold))
        for i in range(FOLDS):
            weights = fitted(columns[of_model][fold != i], sense[of_model][fold != i])
            sure[fold == i] = columns[of_model][fold == i] @ weights[:-1] + weights[-1]
        first = [max(np.flatnonzero(numbers == n), key=lambda j: sure[j]) for n in range(numbers.max() + 1)]
        surest = sense[of_model][sorted(first, key=lambda j: -sure[j])]
        print(
            "  ",
            ", ".join(f"{share:.0%}: {100 * surest[: round(share * len(surest))].mean():.0f} %" for share in SHARES),
        )


if __name__ == "__main__":
    main()
