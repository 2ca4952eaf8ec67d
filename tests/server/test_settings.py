"""The settings decide whether clients may teach the models, and whether the server warns."""

from __future__ import annotations

import pytest

from kammil.server.settings import ServerSettings

HERE = ["127.0.0.1", "127.8.9.1", "::1", "localhost"]
ELSEWHERE = ["0.0.0.0", "::", "192.168.1.5", "8.8.8.8", "fe80::1", "localhost.example", "my-machine"]


@pytest.mark.parametrize("host", HERE)
def test_clients_may_teach_a_server_that_only_this_machine_reaches(host: str) -> None:
    assert ServerSettings.of(host=host).learning_allowed
    assert not ServerSettings.of(host=host, learn=False).learning_allowed
    assert not ServerSettings.of(host=host, workers=2).learning_allowed  # the other worker would not know the text


@pytest.mark.parametrize("host", ELSEWHERE)
def test_clients_may_teach_a_server_that_others_reach_only_with_learn(host: str) -> None:
    assert not ServerSettings.of(host=host).learning_allowed
    assert not ServerSettings.of(host=host, api_key="sesame").learning_allowed
    assert ServerSettings.of(host=host, learn=True).learning_allowed


def test_a_server_that_others_reach_warns_without_a_key() -> None:
    assert all(ServerSettings.of(host=host).warning is None for host in HERE)
    for host in ELSEWHERE:
        assert host in str(ServerSettings.of(host=host).warning)
        assert ServerSettings.of(host=host, api_key="sesame").warning is None
