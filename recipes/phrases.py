"""Pack the messages whose ends are offered as phrases (`kammil.completion.stock_phrases`), and vectors of their words.

Run: `python recipes/phrases.py` (a minute). The messages of `messages/held-out` are left out. Words of the same
messages have vectors near each other: positive pointwise mutual information, its largest singular values.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.linalg import svds

from kammil.completion.stock_phrases import FILE, Themes, pack
from kammil.text import fold_spelling, words

MESSAGES = Path(__file__).parent / "messages"
WORDS, NUMBERS = 8000, 48
ARTICLES = ("وال", "بال", "فال", "عال", "هال", "لل", "ال")
PREFIXES = ("وب", "بت", "بي", "بن", "مت", "من", *"وبفلتينام")
SUFFIXES = (
    *("هون", "كون", "تني", "تها", "ناه", "لها", "لنا", "لكم", "لكن", "لهم", "هم", "هن", "كم"),
    *("كن", "ها", "نا", "ني", "لك", "لو", "لي", "وا", "ين", "ات", "تي", "تو"),
    *"هكياوتن",
)


def stem(word: str) -> str:
    """Return a folded word without one prefix and one suffix, of three letters at least."""
    prefixes = (each for group in (ARTICLES, PREFIXES) for each in group)
    word = word[next((len(each) for each in prefixes if word.startswith(each) and len(word) - len(each) >= 3), 0) :]
    return next((word[: -len(each)] for each in SUFFIXES if word.endswith(each) and len(word) - len(each) >= 3), word)


def themes(messages: Sequence[str]) -> Themes:
    """Return the vectors of the most frequent words; a rarer word has that of the most frequent of its stem."""
    texts = [[fold_spelling(message[begin:end]) for begin, end in words(message)] for message in messages]
    counts = Counter(word for text in texts for word in text)
    rows = {word: row for row, (word, _) in enumerate(counts.most_common(WORDS), 1)}
    held = [(text, row - 1) for text, each in enumerate(texts) for row in {rows.get(word, 0) for word in each} if row]
    within = csr_matrix((np.ones(len(held), np.float32), np.array(held).T), (len(texts), len(rows)))
    pairs = coo_matrix(within.T @ within)
    apart = pairs.row != pairs.col
    first, second, together = pairs.row[apart], pairs.col[apart], pairs.data[apart]
    shares: NDArray[np.float64] = np.bincount(first, together, len(rows)) / together.sum()
    smooth = shares**0.75 / (shares**0.75).sum()
    information = np.log(together / together.sum() / (shares[first] * smooth[second]))
    positive = information > 0
    table = csr_matrix((information[positive], (first[positive], second[positive])), (len(rows), len(rows)))
    left, sizes, _ = svds(table, k=NUMBERS, rng=0)
    vectors = left * np.sqrt(sizes)
    vectors *= 127 / np.abs(vectors).max(axis=1, keepdims=True)
    stems: dict[str, int] = {}
    for word, row in rows.items():
        stems.setdefault(stem(word), row)
    return {word: rows.get(word, stems.get(stem(word), 0)) for word in counts}, np.rint(vectors).astype(np.int8)


def main() -> None:
    """Pack them."""
    files = [*sorted(MESSAGES.glob("*.txt")), *sorted((MESSAGES / "talk").glob("*.txt"))]
    messages = [line for file in files for line in file.read_text("utf-8").splitlines()]
    with resources.as_file(resources.files("kammil.completion") / FILE) as file:
        pack(messages, file, themes(messages))


if __name__ == "__main__":
    main()
