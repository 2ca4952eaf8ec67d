"""The options of suggestions: one definition, of which everything else is made."""

from __future__ import annotations

from inspect import signature
from typing import Any, get_type_hints

import pytest

from kammil.completion.completer import Completer, Session
from kammil.completion.options import GhostKeywords, ListKeywords, SuggestOptions
from kammil.errors import OptionError


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"k": 0}, "k"),
        ({"threshold": 1.5}, "threshold"),
        ({"threshold": float("nan")}, "threshold"),
        ({"words": 0}, "words"),
        ({"ghost": "loud"}, "ghost"),
        ({"forbid": "ab"}, "forbid"),
        ({"forbid": [""]}, "forbid"),
        ({"corect": True}, "corect"),
    ],
)
def test_an_error_names_the_option(options: Any, name: str) -> None:
    with pytest.raises(OptionError, match=name) as caught:
        SuggestOptions.of(**options)
    assert caught.value.option == name


def test_type_checkers_know_every_option() -> None:
    lists, ghosts = get_type_hints(ListKeywords), get_type_hints(GhostKeywords)
    assert {"k", *lists, *ghosts} == SuggestOptions.model_fields.keys()


def test_a_request_has_every_option_with_its_default() -> None:
    schemas = pytest.importorskip("kammil.server.api.schemas")
    request = schemas.SuggestRequest(prefix="").model_dump()
    for name, field in SuggestOptions.model_fields.items():
        if name != "words":  # called `phrase` there, 0 for none
            assert request[name] == (list(field.default) if name == "forbid" else field.default)


@pytest.mark.parametrize("name", ["complete", "samples", "stream", "suggest", "phrase"])
def test_a_session_asks_as_its_model_is_asked_but_for_the_text(name: str) -> None:
    of_model, of_session = (signature(getattr(kind, name)) for kind in (Completer, Session))
    text = next(each for each in of_model.parameters if each in ("prompt", "prefix"))
    assert [*of_session.parameters] == [each for each in of_model.parameters if each != text]
    assert getattr(Session, name).__doc__ == getattr(Completer, name).__doc__
