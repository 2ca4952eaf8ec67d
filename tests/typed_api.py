"""What a type checker says of calls of `kammil.train`: pyright reads this file (`make check`), nothing runs it.

A comment that silences an error which there is not is an error itself, so each of them is a test.
"""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import polars as pl

import kammil


def right(texts: list[str], path: Path, series: pd.Series, frame: pd.DataFrame, lines: Iterator[str]) -> None:
    kammil.train(texts, out="m", model="ngram", order=5)
    kammil.train(path, out=path, validation=texts, minutes=1, hidden=320, rules={"urls": False})
    kammil.train(series, out="m", epochs=None, seed=3)
    kammil.train(frame, out="m", column="Tweet")
    kammil.train(pl.DataFrame({"text": texts}), out="m", column="text", device="cpu", exclude=["lev30/test"])
    kammil.train(pl.Series(texts), out="m", validation=lines)
    kammil.evaluate(kammil.load("m"), frame, column="Tweet")
    kammil.plot("m", "a.png")
    kammil.plot(kammil.train(texts, out="m"))
    kammil.explain(kammil.load("m"), "text").words()


def wrong(texts: list[str]) -> None:
    kammil.train(texts, out="m", model="ngramm")  # pyright: ignore[reportArgumentType]
    kammil.train(texts, out="m", hiden=3)  # pyright: ignore[reportCallIssue]
    kammil.train(texts, out="m", minutes="1")  # pyright: ignore[reportArgumentType]
    kammil.train(texts, out="m", device="gpu")  # pyright: ignore[reportArgumentType]
    kammil.train(5, out="m")  # pyright: ignore[reportArgumentType]
    kammil.plot(5)  # pyright: ignore[reportArgumentType]
