"""A plug-in for `llm` (llm.datasette.io): `llm -m kammil "شو حلو"` returns a completion without the prompt.

`-o folder my-model` chooses another model than the bundled one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import llm
from llm.parts import TextPart
from pydantic import Field

from kammil.completion.completer import Completer, load
from kammil.decoding.options import PRESET, DecodingOptions, Options


@llm.hookimpl
def register_models(register: Callable[[llm.Model], None]) -> None:
    """Register the model with `llm`."""
    register(Kammil())


@lru_cache(maxsize=1)
def _load(folder: Path) -> Completer:
    return load(folder)


def _field(option: str) -> Any:
    return Field(default=None, description=DecodingOptions.model_fields[option].description)


class Kammil(llm.Model):
    """A model folder as a model of `llm`."""

    model_id = "kammil"
    can_stream = True

    class Options(llm.Options):  # pyright: ignore[reportIncompatibleVariableOverride]  # so llm asks for it
        """The main options of `kammil complete`, with the same defaults."""

        folder: str = Field(default="levantine", description="Model folder, or the name of a bundled model.")
        preset: str | None = Field(default="sensible", description=PRESET)
        length: int | None = _field("length")
        temperature: float | None = _field("temperature")
        top_k: int | None = _field("top_k")
        top_p: float | None = _field("top_p")
        stop: str | None = _field("stop")
        best_of: int | None = _field("best_of")
        whole_words: bool | None = _field("whole_words")
        clause: bool | None = _field("clause")
        stock_phrases: bool | None = _field("stock_phrases")
        read_latin: bool | None = _field("read_latin")
        seed: int | None = _field("seed")
        allow_offensive: bool | None = _field("allow_offensive")

    def execute(
        self, prompt: llm.Prompt, stream: bool, response: llm.Response, conversation: llm.Conversation | None
    ) -> Iterator[str]:
        """Yield the completion, in pieces if streamed; the conversation so far is its context."""
        del conversation
        given: dict[str, object] = prompt.options.model_dump(exclude_none=True)
        model = _load(Path(str(given.pop("folder"))))
        if "stop" in given:
            given["stop"] = (given["stop"],)
        options: Options = given  # pyright: ignore[reportAssignmentType]  # llm has checked the types
        text = str(prompt.prompt or "")
        turns = [turn for turn in prompt.messages if turn.role in ("user", "assistant")]
        said = ["".join(part.text for part in turn.parts if isinstance(part, TextPart)) for turn in turns]
        model = model.in_context(said[: len(said) - bool(text)])
        written = ""
        checked = DecodingOptions.of(**options)
        refusals = model.refusals(allow_offensive=checked.allow_offensive)
        if checked.read_latin and (reading := model.reading(text, refusals=refusals)[0]):
            yield reading
        for piece in model.stream(text, **options) if stream else [model.complete(text, **options).text]:
            written += piece
            yield piece
        response.set_usage(input=len(model.normalise(text)), output=len(written))
