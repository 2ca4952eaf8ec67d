"""From log-probabilities to text: `constraints` say what may follow and add penalties, `filters` and samplers choose, a
`hypothesis` takes the character. `sampling` draws texts, `beam_search` searches for them."""

from kammil.decoding.beam_search import beam_search, beam_steps
from kammil.decoding.constraints import Constraints
from kammil.decoding.filters import (
    LogWeights,
    apply_penalties,
    filters,
    forbid,
    greedy,
    log_softmax,
    sample,
)
from kammil.decoding.hypothesis import FinishReason, Hypothesis
from kammil.decoding.options import PRESETS, DecodingOptions
from kammil.decoding.sampling import SequenceGroup, decode_step, generate, is_sound, keep_best

__all__ = [
    "PRESETS",
    "Constraints",
    "DecodingOptions",
    "FinishReason",
    "Hypothesis",
    "LogWeights",
    "SequenceGroup",
    "apply_penalties",
    "beam_search",
    "beam_steps",
    "decode_step",
    "filters",
    "forbid",
    "generate",
    "greedy",
    "is_sound",
    "keep_best",
    "log_softmax",
    "sample",
]
