"""What runs a model for many callers at once: one thread a model, which never waits for the network.

`calls` are what may be asked; `prompts` are read and `batches` of texts step, for which `choosing` takes the next
characters; `answers` go back to the event loops; `batching` is the thread.
"""

from kammil.server.scheduler.requests import (
    Call,
    EndedError,
    EngineError,
    Learning,
    Piece,
    RoundError,
    Scoring,
    Suggesting,
    Token,
    Writing,
    Written,
)
from kammil.server.scheduler.scheduler import Engine

__all__ = [
    "Call",
    "EndedError",
    "Engine",
    "EngineError",
    "Learning",
    "Piece",
    "RoundError",
    "Scoring",
    "Suggesting",
    "Token",
    "Writing",
    "Written",
]
