"""Derive `languages/arabic/dialects.json`, by which `kammil data check` guesses dialects, from labelled corpora.

Run: `python recipes/dialects.py corpus.tsv`, a table that `recipes/gather.py` wrote; it also reads nadi2021 (for Iraq)
and arsarcasm-v2 (for standard Arabic). A multinomial logistic regression learns from the words of all labelled sources
but DART, whose tweets people have labelled; with the tweets of arsarcasm-v2 labelled standard, DART is what the errors
are measured on. A word enters if 20 texts have it, and the file holds nothing but words and numbers.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import regex
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression

from kammil import storage
from kammil.data import sources
from kammil.data.cleaning import CleaningRules
from kammil.data.dialects import DIALECTS, Counts, keys, likely

OUT = Path(__file__).parent.parent / "src/kammil/languages/arabic/dialects.json"
HELD_OUT = "dart"
"""Beginning of the names of the sources that errors are measured on."""
MIN_TEXTS, WORDS = 20, 2500
MIN_LENGTH = 15
"""Characters of a text; a shorter one tells little."""
PER_SOURCE, PER_DIALECT = 5000, 3000
"""Most texts of a source to learn from, and of a dialect to measure on."""
REGULARISATION = 0.05


def main() -> None:
    """Learn, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    learnt, held_out = labelled(parser.parse_args().corpus)
    found = derive(learnt)
    measured = measure(found, held_out)
    scale = float(max(np.abs(weights).max() for weights in (*found.words.values(), found.bias))) / 127
    rows = {word: np.rint(weights / scale).astype(int).tolist() for word, weights in sorted(found.words.items())}
    described = {"scale": scale, "bias": np.rint(found.bias / scale).astype(int).tolist()} | measured
    content = json.dumps(described | {"words": rows}, ensure_ascii=False, separators=(",", ":"))
    storage.write_atomic(OUT, content.replace("],", "],\n").encode())
    print(json.dumps(measured, indent=1), f"{len(content.encode()):,} bytes")


def labelled(corpus: Path) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return the texts to learn from and those to measure on, each with its dialect."""
    table = pl.read_csv(corpus, separator="\t", infer_schema=False)
    columns = (table[name].to_list() for name in ("source", "dialect", "text"))
    rows = [row for row in zip(*columns, strict=True) if row[1] in DIALECTS]
    clean = CleaningRules().clean
    iraq = sources.texts("nadi2021", where="\"#3_country_label\" = 'Iraq'")
    standard = sources.texts("arsarcasm-v2", where="dialect = 'msa'")
    rows += [("nadi2021", "Iraqi", text) for text in iraq]
    rows += [(f"{HELD_OUT} and arsarcasm-v2", "standard", clean(text)) for text in standard]
    rows = [row for row in rows if len(row[2]) >= MIN_LENGTH]
    order = np.random.default_rng(0).permutation(len(rows)).tolist()
    taken = Counter[tuple[bool, str]]()
    learnt: list[tuple[str, str]] = []
    held_out: list[tuple[str, str]] = []
    for source, dialect, text in (rows[i] for i in order):
        test = source.startswith(HELD_OUT)
        group = (test, dialect if test else source)
        if taken[group] < (PER_DIALECT if test else PER_SOURCE):
            taken[group] += 1
            (held_out if test else learnt).append((dialect, text))
    return learnt, held_out


def derive(learnt: list[tuple[str, str]]) -> Counts:
    """Return the words that tell most of the dialects, and their weights; each dialect counts the same."""
    held = [keys(text) for _, text in learnt]
    label = np.array([DIALECTS.index(dialect) for dialect, _ in learnt])
    frequency = Counter(key for text in held for key in text)
    candidates = sorted(
        key for key, count in frequency.items() if count >= MIN_TEXTS and not regex.search("[0-9a-z]", key)
    )
    matrix = presence(held, candidates)
    share = np.stack([np.asarray(matrix[label == i].mean(0)).ravel() for i in range(len(DIALECTS))]) + 1e-5
    told = (share * np.log(share / share.mean(0))).sum(0)  # mutual information, but for a constant
    chosen = np.argsort(-told, kind="stable")[:WORDS]
    model = LogisticRegression(C=REGULARISATION, class_weight="balanced", max_iter=300).fit(matrix[:, chosen], label)
    weights = model.coef_.T
    return Counts({candidates[i]: weights[n] for n, i in enumerate(chosen.tolist())}, model.intercept_, {}, {})


def presence(texts: list[set[str]], words: list[str]) -> csr_matrix:
    """Return a matrix, (texts, words), that is 1 where a text has a word."""
    number = {word: i for i, word in enumerate(words)}
    columns = [sorted(number[key] for key in text if key in number) for text in texts]
    begins = np.cumsum([0, *map(len, columns)])
    indices = np.array([i for row in columns for i in row], np.int64)
    return csr_matrix((np.ones(len(indices), np.float32), indices, begins), (len(texts), len(words)))


def measure(found: Counts, held_out: list[tuple[str, str]]) -> dict[str, dict[str, float]]:
    """Return precision and recall of each dialect, where each has equally many texts."""
    guesses = Counter((dialect, likely(text, found)) for dialect, text in held_out)
    size = Counter(dialect for dialect, _ in held_out)
    share = {pair: count / size[pair[0]] for pair, count in guesses.items()}
    called = {name: sum(share.get((dialect, name), 0.0) for dialect in DIALECTS) for name in DIALECTS}
    return {
        "precision": {name: round(share.get((name, name), 0.0) / called[name], 2) for name in DIALECTS},
        "recall": {name: round(share.get((name, name), 0.0), 2) for name in DIALECTS},
    }


if __name__ == "__main__":
    main()
