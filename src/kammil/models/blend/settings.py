"""Sizes of a blend, how they are chosen by text and time, and the names of its arrays in a model folder."""

from __future__ import annotations

import json
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from kammil.language_model import Settings

Kind = Literal[
    "o1", "o2", "o3", "o4", "o5", "o6", "o7", "o8", "o9", "o10", "o12", "o16", "w", "w1", "w2", "w1s"
]  # fmt: skip
OWN, BACKGROUND = "counts.", "background."
"""Prefixes of the arrays of the two tables."""
IN_WORD = "in_word"
SPEED = 8_000
"""Characters that a member of 384 units learns in a second of one core, counting and figures included."""
MEMBERS, PASSES = 4, 8
"""Maximum number of members, since a fourth brings 0.003 bits, and passes over the texts after which one over-fits."""
_FEWEST_PASSES = 6
"""Passes that a member must have time for before there is one more: six cost it less than another member gains."""
_WIDE = 4_000_000
"""Characters, of the text and learnt, from which on a network has 512 units. At 0.8 million these are as good as 384 in
the same time; that they gain beyond is assumed, not measured."""


class BlendSettings(Settings):
    """Sizes of the network and of the gate, and what is counted."""

    embedding: int = Field(default=128, ge=1, le=4096)
    """Numbers that stand for one character, E."""
    hidden: int = Field(default=384, ge=1, le=8192)
    """Numbers that the network carries from step to step, H."""
    networks: int = Field(default=1, ge=1, le=16)
    """Members, M, each a network with a gate and a seed of its own: they are trained side by side, each by itself, and
    their log-probabilities are averaged. Two take twice the arithmetic, learning and completing, for 0.015 bits a
    character, four four times as much for 0.025 (docs/log.md#what-should-minutes-buy)."""
    dropout: float = Field(default=0.4, ge=0, lt=1)
    """Share of the hidden numbers set to zero while learning, before output and gate."""
    gate: int = Field(default=96, ge=1, le=4096)
    """Width of the gate's hidden layer."""
    kinds: tuple[Kind, ...] = Field(
        default=("o1", "o2", "o3", "o4", "o5", "o6", "o8", "o10", "o12", "w", "w1", "w2", "w1s"), min_length=1
    )
    """Context types that are counted."""
    history: tuple[Kind, ...] = Field(
        default=("o1", "o2", "o3", "o4", "o5", "o6", "o8", "w", "w1"), validate_default=True
    )
    """Context types, of those in `kinds`, that are also looked up in the text cache, which holds what was read of the
    text itself."""
    most: int = Field(default=64, ge=1, le=65_535)
    """Followers kept of each context: rarer ones change little, and short contexts have hundreds."""
    min_count: int = Field(default=1, ge=1, le=1000)
    """Minimum number of times that a follower was seen after a context to be kept with it. Where `megabytes` leaves
    much out, 2 makes room for more contexts (docs/log.md#which-counts-earn-their-bytes)."""
    megabytes: float | None = Field(default=40, gt=0)
    """Maximum megabytes of the tables of counts in the folder; contexts that help least for their size are left out.
    The default leaves out nothing of less than about two million characters. None keeps all, whatever memory that
    takes. Counts that are kept of a base come on top."""
    base_counts: bool = True
    """Whether the counts of the model folder that training starts from stay beside the new ones, if that is a blend
    with the same `kinds`, which knows the characters of the texts; of two tables, those of the background. Its
    vocabulary is kept then. Give false where the base's texts are among the training texts, and so counted anew."""

    @field_validator("kinds", "history")
    @classmethod
    def _once(cls, named: tuple[Kind, ...]) -> tuple[Kind, ...]:
        if twice := [kind for i, kind in enumerate(named) if kind in named[:i]]:
            raise ValueError(f"{twice[0]} stands there twice")
        return named

    @field_validator("history")
    @classmethod
    def _counted(cls, named: tuple[Kind, ...], others: ValidationInfo) -> tuple[Kind, ...]:
        kinds = others.data.get("kinds", named)
        if missing := [kind for kind in named if kind not in kinds]:
            both = json.dumps([kind for kind in named if kind in kinds])
            raise ValueError(f"{missing[0]} is not among kinds; give history={both} too")
        return named


def member_prefixes(networks: int) -> list[str]:
    """Return the prefix of each network's arrays; that of the first is empty, as in a GRU alone."""
    return ["", *(f"others.{i}." for i in range(networks - 1))]


def sizes(characters: int, minutes: float, threads: int) -> dict[str, int]:
    """Return `hidden`, `networks` and `epochs` for a number of characters of text, minutes, and CPU threads.

    They depend on these numbers alone, so that a run that is repeated has the same sizes
    (docs/log.md#what-should-minutes-buy). One member learns on one thread.
    """
    learnt = SPEED * 60 * minutes  # characters that one thread learns
    passes = [learnt * min(1, threads / members) / max(1, characters) for members in range(1, MEMBERS + 1)]
    members = max(1, sum(enough >= _FEWEST_PASSES for enough in passes))
    hidden = 512 if min(characters, learnt) >= _WIDE else 384
    return {"hidden": hidden, "networks": members, "epochs": PASSES}
