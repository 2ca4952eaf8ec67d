"""What a model is: a folder a family, and `family`, which names them."""

from __future__ import annotations

from typing import Literal

FamilyName = Literal["ngram", "gru", "words", "subwords", "attention", "transformer", "pretrained", "blend"]
"""Names of the families, for type checkers and for the help of commands."""
