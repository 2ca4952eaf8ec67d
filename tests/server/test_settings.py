"""The settings decide whether clients may teach the models, and whether the server warns."""

from __future__ import annotations

import pytest

from kammil.errors import OptionError
from kammil.server.settings import ServerSettings

HERE = ["127.0.0.1", "127.8.9.1", "::1", "localhost"]
ELSEWHERE = ["0.0.0.0", "::", "192.168.1.5", "8.8.8.8", "fe80::1", "localhost.example", "my-machine"]


@pytest.mark.parametrize("host", HERE)
def test_clients_may_teach_a_server_that_only_this_machine_reaches(host: str) -> None:
    assert ServerSettings.of(host=host).learning_allowed
    assert not ServerSettings.of(host=host, learn=False).learning_allowed
    assert not ServerSettings.of(host=host, hosts=["kammil.example.org"]).learning_allowed  # behind a proxy
    assert ServerSettings.of(host=host, hosts=["kammil.example.org"], learn=True).learning_allowed
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
        for key, said in (("sesame", "whoever"), (None, "KAMMIL_API_KEY. Whoever")):
            warning = ServerSettings.of(host=host, api_key=key, profile="me.jsonl").warning
            assert f"{said} uses this server can read out the texts of its profile." in str(warning)
    assert ServerSettings.of(profile="me.jsonl").warning is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"port": 70000}, "port is 70000, but it must be"),
        ({"queue": 0}, "queue is 0"),
        ({"host": ""}, "host is ''"),
        ({"origins": ["*"]}, "origins is '*'"),
        ({"origins": ["https://friend.example", "example.org"]}, "origins is 'example.org'"),
        ({"origins": ["https://example.org/page"]}, "origins is 'https://example.org/page'"),
        ({"timeout": float("inf")}, "timeout is inf"),
        ({"max_body": 1}, "max_body is 1"),
        ({"max_answer": "many"}, "max_answer is 'many'"),
        ({"folders": ["a/model", "b/model"]}, "two models are called 'model'"),
        ({"workers": 2, "learn": True}, "--workers 1"),
    ],
)
def test_what_is_wrong_is_named_in_one_sentence(options: dict[str, object], said: str) -> None:
    with pytest.raises(OptionError) as refused:
        ServerSettings.of(**options)
    assert said in str(refused.value) and str(refused.value).endswith(".") and ". " not in str(refused.value)


def test_every_setting_passes_to_workers() -> None:
    origins = ["https://friend.example", "http://[::1]:9000/", "chrome-extension://abc", "null"]
    settings = ServerSettings.of(folders=["a", "b"], port=1, api_key="sesame", origins=origins)
    assert ServerSettings.model_validate_json(settings.model_dump_json()) == settings
