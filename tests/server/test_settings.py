"""What a server is started with decides who may teach it, and whether it warns."""

from __future__ import annotations

import pytest

from kammil.server.settings import ServerSettings

HERE = ["127.0.0.1", "127.8.9.1", "::1", "localhost"]
ELSEWHERE = ["0.0.0.0", "::", "192.168.1.5", "8.8.8.8", "fe80::1", "localhost.example", "my-machine"]


@pytest.mark.parametrize("host", HERE)
def test_where_only_this_machine_reaches_it_clients_may_teach(host: str) -> None:
    assert ServerSettings.of(host=host).learning_allowed
    assert not ServerSettings.of(host=host, learn=False).learning_allowed
    assert not ServerSettings.of(host=host, workers=2).learning_allowed  # the other one would not know it


@pytest.mark.parametrize("host", ELSEWHERE)
def test_where_others_reach_it_clients_may_teach_if_it_was_said(host: str) -> None:
    assert not ServerSettings.of(host=host).learning_allowed
    assert not ServerSettings.of(host=host, api_key="sesame").learning_allowed
    assert ServerSettings.of(host=host, learn=True).learning_allowed


def test_who_listens_to_others_without_a_key_is_warned() -> None:
    assert all(ServerSettings.of(host=host).warning is None for host in HERE)
    for host in ELSEWHERE:
        assert host in str(ServerSettings.of(host=host).warning)
        assert ServerSettings.of(host=host, api_key="sesame").warning is None
