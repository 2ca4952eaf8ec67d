"""HTML of models and explanations for a notebook."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

from kammil.completion.completer import Completer
from kammil.completion.explain import Explanation
from kammil.views.heatmap import fragment
from kammil.views.tables import Table, markup

_METHOD = "_repr_html_"
"""Method by which a notebook gets HTML."""


def model_table(model: Completer) -> str:
    """Return the facts of a model as a table."""
    return Table(["model", model.name], [[name, fact] for name, fact in model.facts().items()]).fragment()


def sentences(texts: Sequence[str]) -> str:
    """Return each text as a paragraph."""
    return "".join(f"<p>{markup(text)}</p>" for text in texts)


def picture(png: bytes, what: str) -> str:
    """Return a PNG picture; `what` is its alternative text."""
    data = base64.b64encode(png).decode()
    return f'<img style="max-width: 100%" alt="{escape(what)}" src="data:image/png;base64,{data}">'


setattr(Completer, _METHOD, model_table)
setattr(Explanation, _METHOD, fragment)
