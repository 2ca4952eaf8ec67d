"""Weights of `stock_phrases.sureness`, fitted to graded texts by logistic regression.

    python benchmarks/sureness.py

`sense/phrases-chosen.tsv` holds 3,630 texts after 1,078 prompts, phrases and draws: the share of the readers to whom
they make sense, their bits over the root of their length under `levantine`, and the likeness and the theme of their
message. Printed are the weights, without the theme too, and, from ten folds by prompt, how many of the phrases that
the weights put first make sense, by share of the surest prompts.
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
NAMES = ("root_bits", "likeness", "theme")
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
    drawn = np.array([float(row["kind"] == "draw") for row in rows])
    every = np.column_stack([[[float(row[name]) for name in NAMES] for row in rows], drawn])
    sense = np.array([float(row["sense"]) for row in rows])
    numbers = np.unique([row["prompt"] for row in rows], return_inverse=True)[1]
    fold = np.random.default_rng(0).integers(0, FOLDS, numbers.max() + 1)[numbers]
    for used in ([0, 1, 3], [0, 1, 2, 3]):
        columns = every[:, used]
        *weights, bias = fitted(columns, sense)
        named = zip([*NAMES, "draw"], range(4), strict=True)
        print(
            f"{bias:+.2f}",
            *(f"{weights[used.index(i)]:+.2f} {name}" for name, i in named if i in used),
        )
        sure = np.zeros(len(fold))
        for i in range(FOLDS):
            *weights, bias = fitted(columns[fold != i], sense[fold != i])
            sure[fold == i] = columns[fold == i] @ weights + bias
        of = [np.flatnonzero((numbers == n) & (drawn == 0)) for n in range(numbers.max() + 1)]
        first = [max(texts, key=lambda j: sure[j]) for texts in of if len(texts)]
        surest = sense[sorted(first, key=lambda j: -sure[j])]
        print(
            "  ",
            ", ".join(f"{share:.0%}: {100 * surest[: round(share * len(surest))].mean():.1f} %" for share in SHARES),
        )


if __name__ == "__main__":
    main()
