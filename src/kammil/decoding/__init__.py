"""From log-probabilities to text: options, refusals and penalties, filters, choosers, drafts; drawing and beam search.

A step of a text goes through them in this order: what may follow at all, and penalties (`constraints`, made of
`automaton` and `no_copy`), `filters`, then `samplers`; a `hypothesis` takes the character. `sampling` draws texts,
`beam_search` searches for them.
"""

from kammil.decoding.beam_search import search, searching
from kammil.decoding.constraints import Guide
from kammil.decoding.filters import (
    Rows,
    filters,
    forbid,
    min_p,
    normalised,
    penalised,
    temperature,
    top_k,
    top_p,
    typical_p,
)
from kammil.decoding.hypothesis import Draft, FinishReason
from kammil.decoding.options import PRESETS, Decoding
from kammil.decoding.samplers import greedy, sample
from kammil.decoding.sampling import best, draw

__all__ = [
    "PRESETS",
    "Decoding",
    "Draft",
    "FinishReason",
    "Guide",
    "Rows",
    "best",
    "draw",
    "filters",
    "forbid",
    "greedy",
    "min_p",
    "normalised",
    "penalised",
    "sample",
    "search",
    "searching",
    "temperature",
    "top_k",
    "top_p",
    "typical_p",
]
