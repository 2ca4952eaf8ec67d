"""Requests that fit the OpenAPI document, or nearly do, get the responses that it describes, and never a failure."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from tests.server.conftest import Running

from kammil.server.app import create
from kammil.server.settings import ServerSettings

schemathesis = pytest.importorskip("schemathesis")
from schemathesis.checks import not_a_server_error  # noqa: E402
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance  # noqa: E402

schema = schemathesis.openapi.from_dict(create(ServerSettings.of()).openapi())


@schema.parametrize()
@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.function_scoped_fixture],
)
def test_responses_are_those_of_the_document(case: Any, server: Running) -> None:
    case.call_and_validate(
        base_url=server.url,
        checks=[not_a_server_error, response_schema_conformance, content_type_conformance],
        timeout=60,
    )


def test_every_route_and_field_is_described(server: Running) -> None:
    api = server.ask("/openapi.json").json
    assert all(route["description"] for methods in api["paths"].values() for route in methods.values())
    for name, described in api["components"]["schemas"].items():
        if name.endswith("Request"):
            assert all(field["description"] for field in described["properties"].values()), name
