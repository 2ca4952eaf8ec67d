"""Runs a model for many clients at once: one thread per model, which never waits for the network.

`requests` are what a scheduler can do; `prefill` reads prompts; `decode` steps batches of texts, for which `sample`
takes the next characters; `replies` go back to the event loops; `scheduler` is the thread.
"""

from kammil.server.scheduler.requests import (
    Delta,
    EngineRequest,
    GeneratedText,
    Generation,
    ModelUpdate,
    RoundError,
    SchedulerError,
    ScoreCall,
    StoppedError,
    SuggestCall,
    TokenLogprobs,
)
from kammil.server.scheduler.scheduler import Scheduler

__all__ = [
    "Delta",
    "EngineRequest",
    "GeneratedText",
    "Generation",
    "ModelUpdate",
    "RoundError",
    "Scheduler",
    "SchedulerError",
    "ScoreCall",
    "StoppedError",
    "SuggestCall",
    "TokenLogprobs",
]
