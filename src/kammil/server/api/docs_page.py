"""`/docs`: describes the API on one page without a script. FastAPI's own page loads a script from another server."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from html import escape
from typing import Any

_STYLE = """
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: start; vertical-align: top; padding: .2rem .6rem; }
th, td { border-bottom: 1px solid #8886; } code { font-family: ui-monospace, monospace; }
:root { color-scheme: light dark; }
"""
_BOUNDS = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; style-src 'sha256-"
    + base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    + "'; frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
}


def render(api: Mapping[str, Any]) -> str:
    """Render an OpenAPI document as HTML."""
    info = api["info"]
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        f"<title>{escape(info['title'])}: API</title><style>{_STYLE}</style>",
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1><p>{escape(info['description'])}",
        " As a document for programs: <a href=openapi.json>openapi.json</a>.",
    ]
    schemas = api.get("components", {}).get("schemas", {})
    for path, methods in api["paths"].items():
        for method, route in methods.items():
            parts.append(f"<h2><code>{method.upper()} {escape(path)}</code></h2><p>{escape(route['description'])}")
            body = route.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            rows = _fields(schemas.get(str(body.get("$ref", "")).rpartition("/")[2], {}))
            for parameter in route.get("parameters", []):
                rows.append((parameter["name"], _type_name(parameter["schema"]), "", parameter.get("description", "")))
            if rows:
                parts.append("<table><tr><th>field<th>type<th>default<th>")
                parts += ["<tr>" + "".join(f"<td>{escape(cell)}" for cell in row) for row in rows]
                parts.append("</table>")
    return "".join(parts)


def _fields(schema: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """Return name, type, default and description of each field."""
    required = schema.get("required", [])
    return [
        (
            name,
            _type_name(field),
            "required" if name in required else str(field.get("default", "")),
            str(field.get("description", "")),
        )
        for name, field in schema.get("properties", {}).items()
    ]


def _type_name(schema: Mapping[str, Any]) -> str:
    """Describe a type in a few words, with its bounds."""
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_type_name(one) for one in schema["anyOf"] if one.get("type") != "null"))
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if schema.get("type") == "array":
        return f"list of {_type_name(schema.get('items', {}))}"
    bounds = [f"{word} {schema[key]:g}" for key, word in _BOUNDS.items() if key in schema]
    return ", ".join([str(schema.get("type", "anything")), *bounds])
