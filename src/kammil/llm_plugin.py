"""A plug-in for `llm` (llm.datasette.io): `llm -m kammil "شو حلو"` completes a text with the bundled model, locally.

`-o folder my-model` chooses another model folder. The response is the completion without the prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import llm
from pydantic import Field

from kammil.completion.completer import Completer, load
from kammil.decoding.options import Options


@llm.hookimpl
def register_models(register: Callable[[llm.Model], None]) -> None:
    """Register the model with `llm`."""
    register(Kammil())


@lru_cache(maxsize=1)
def _load(folder: Path) -> Completer:
    return load(folder)


class Kammil(llm.Model):
    """A model folder as a model of `llm`; the bundled one by default."""

    model_id = "kammil"
    can_stream = True
    supports_conversation = False

    class Options(llm.Options):  # pyright: ignore[reportIncompatibleVariableOverride]  # so llm asks for it
        """The main options of `kammil complete`, with the same defaults."""

        folder: str = Field(default="levantine", description="Model folder, or the name of a bundled model.")
        preset: str | None = Field(default=None, description="predictive, creative or exact; the others win over it.")
        length: int | None = Field(default=None, description="Characters at most.")
        temperature: float | None = Field(default=None, description="0: always the most probable.")
        top_k: int | None = Field(default=None, description="Keep exactly the k most probable.")
        top_p: float | None = Field(default=None, description="Keep the most probable that hold this much probability.")
        stop: str | None = Field(default=None, description="End before this string.")
        seed: int | None = Field(default=None, description="Same seed, same text.")

    def execute(
        self, prompt: llm.Prompt, stream: bool, response: llm.Response, conversation: llm.Conversation | None
    ) -> Iterator[str]:
        """Yield the completion of the prompt, in pieces if streamed; earlier prompts of a conversation are not read."""
        del conversation
        given: dict[str, object] = prompt.options.model_dump(exclude_none=True)
        model = _load(Path(str(given.pop("folder"))))
        if "stop" in given:
            given["stop"] = (given["stop"],)
        options: Options = given  # pyright: ignore[reportAssignmentType]  # llm has checked the types
        text = str(prompt.prompt or "")
        written = ""
        for piece in model.stream(text, **options) if stream else [model.complete(text, **options).text]:
            written += piece
            yield piece
        response.set_usage(input=len(model.normalise(text)), output=len(written))
