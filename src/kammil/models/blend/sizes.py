"""Choose the size of a blend by how much text and time a training has (docs/log.md#what-should-minutes-buy).

What is chosen depends on these numbers alone, not on how fast a machine happens to be at the moment, so that a run that
is resumed, or repeated with as many threads, has the same sizes.
"""

from __future__ import annotations

SPEED = 8_000
"""Characters that a member of 384 units learns in a second of one core, counting and figures included."""
MEMBERS, PASSES = 4, 8
"""Most members, since a fourth brings 0.003 bits, and passes over the texts after which one over-fits."""
_FEWEST_PASSES = 6
"""Passes that a member must have time for before there is one more: six cost it less than another member gains."""

_WIDE = 4_000_000
"""Characters, of the text and learnt, from which on a network has 512 units. At 0.8 million these are as good as 384 in
the same time; that they gain beyond is assumed, not measured."""


def sizes(characters: int, minutes: float, threads: int) -> dict[str, int]:
    """Return `hidden`, `networks` and `epochs` for so many characters of text, minutes, and CPU threads of training.

    One member learns on one thread, so further members cost no time while there are threads for them.
    """
    learnt = SPEED * 60 * minutes  # characters that one thread learns
    passes = [learnt * min(1, threads / members) / max(1, characters) for members in range(1, MEMBERS + 1)]
    members = max(1, sum(enough >= _FEWEST_PASSES for enough in passes))
    hidden = 512 if min(characters, learnt) >= _WIDE else 384
    return {"hidden": hidden, "networks": members, "epochs": PASSES}
