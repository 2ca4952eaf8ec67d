"""Metrics count requests by known paths only, so no client can add a label."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from kammil.server.metrics import Metrics

ROUTES = ("/v1/suggest", "/")


@given(st.lists(st.tuples(st.sampled_from(ROUTES) | st.text(max_size=12), st.sampled_from([200, 404])), max_size=20))
def test_unknown_paths_add_no_labels(asked: list[tuple[str, int]]) -> None:
    metrics = Metrics(ROUTES)
    for path, status in asked:
        metrics.count_request({"path": path}, status, 0.1)
    page = metrics.render()[0].decode()
    for name, some in (("requests", asked), ("errors", [one for one in asked if one[1] == 404])):
        found = dict(re.findall(rf'^kammil_{name}_total{{route="(.*)",status="\d+"}} (\S+)$', page, re.MULTILINE))
        wanted = {path if path in ROUTES else "other" for path, _ in some}
        assert set(found) == wanted
        counts = re.findall(rf"^kammil_{name}_total{{.*}} (\S+)$", page, re.MULTILINE)
        assert sum(map(float, counts)) == len(some)
    assert set(re.findall(r'^kammil_request_seconds_count{route="(.*)"}', page, re.MULTILINE)) == {
        path if path in ROUTES else "other" for path, _ in asked
    }
