"""Learning rate as a function of progress."""

from __future__ import annotations

import math


def warmup_then_cosine(progress: float, *, warmup: float, floor: float) -> float:
    """Factor on the peak learning rate, in [floor, 1], at `progress` in [0, 1] of the whole run.

    Linear from near 0 over the first `warmup` share, then half a cosine down to `floor` (Loshchilov & Hutter 2017,
    arXiv:1608.03983, without restarts). Progress, not steps, so that the same curve serves a run that is bounded by
    epochs and one that is bounded by minutes.
    """
    progress = min(max(progress, 0.0), 1.0)
    if progress < warmup:
        return max(floor, progress / warmup)
    fallen = (progress - warmup) / max(1e-9, 1 - warmup)
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * fallen))
