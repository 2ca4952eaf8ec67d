"""`/docs` names every route and field, and lets no description become markup."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

from kammil.server.api import docs_page
from kammil.server.app import create
from kammil.server.settings import ServerSettings


class Page(HTMLParser):
    """Collects the tags and the text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_every_route_and_field_is_described() -> None:
    api: dict[str, Any] = create(ServerSettings.of()).openapi()
    page = Page(docs_page.render(api))
    assert "script" not in page.tags and "link" not in page.tags
    for path, methods in api["paths"].items():
        for method, route in methods.items():
            assert f"{method.upper()} {path}" in page.text
            assert " ".join(route["description"].split()) in " ".join(page.text.split())
    for name, schema in api["components"]["schemas"].items():
        if name.endswith("Request"):
            for field in schema["properties"].values():
                assert field["description"] in page.text


def test_descriptions_are_text_and_types_have_their_bounds() -> None:
    evil = "<script>alert(1)</script>"
    field = {"type": "integer", "minimum": 1, "maximum": 5, "description": evil, "default": evil}
    api = {
        "info": {"title": evil, "version": evil, "description": evil},
        "components": {"schemas": {"Body": {"properties": {evil: field, "words": {"type": "array"}}}}},
        "paths": {
            "/<b>": {
                "post": {
                    "description": evil,
                    "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Body"}}}},
                }
            }
        },
    }
    page = Page(docs_page.render(api))
    assert "script" not in page.tags and "b" not in page.tags
    assert page.text.count(evil) == 8  # title twice, version, two descriptions, and all of the field
    assert "integer, at least 1, at most 5" in page.text and "list of anything" in page.text
