"""The files of docs/deploy.md work: the image's command, the unit, and the proxies before a server."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from tests.pages import ROOT, blocks
from tests.server.conftest import Running, serving, until

from kammil.server.settings import PORT

PAGE = {block.title: block.code for block in blocks((ROOT / "docs" / "deploy.md").read_text("utf-8")) if block.title}
SETTINGS = dict(line.split("=", 1) for line in PAGE["kammil.env"].splitlines())
KEY = {"Authorization": f"Bearer {SETTINGS['KAMMIL_API_KEY']}"}
NAME = "kammil.example.org"
UNIT = ROOT / "deploy" / "kammil.service"


def of_unit(name: str) -> list[str]:
    """The words of a setting of the unit."""
    (value,) = re.findall(rf"^{name}=(.*)$", UNIT.read_text("utf-8"), re.MULTILINE)
    return shlex.split(value)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[Running]:
    """The server that the unit starts, with the page's settings."""
    program, serve, options = of_unit("ExecStart")
    assert (Path(program).name, serve, options) == ("kammil", "serve", "$KAMMIL_OPTIONS")
    arguments = SETTINGS["KAMMIL_OPTIONS"].split()
    with serving(tmp_path_factory.mktemp("unit"), *arguments, KAMMIL_API_KEY=SETTINGS["KAMMIL_API_KEY"]) as running:
        yield running


def test_the_image_starts_a_server_that_its_health_check_finds(tmp_path: Path) -> None:
    text = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text("utf-8"))
    entry, command, check = (
        json.loads(re.findall(rf"^{instruction} (\[.*\])$", text, re.MULTILINE)[-1])
        for instruction in ("ENTRYPOINT", "CMD", "HEALTHCHECK .*CMD")
    )
    assert entry[:2] == ["kammil", "serve"] and check[:2] == ["python", "-c"] and f"EXPOSE {PORT}\n" in text
    with serving(tmp_path, *entry[2:], *command) as server:
        asked = [sys.executable, "-c", check[2].replace(f":{PORT}/", f":{server.port}/")]
        assert asked[2] != check[2]
        assert subprocess.run(asked, check=False).returncode == 0
        assert server.ask("/health", headers={"Host": "elsewhere.example"}).status == 403
    assert subprocess.run(asked, check=False, capture_output=True).returncode == 1


def test_the_unit_starts_a_server_with_the_key_and_the_names_of_the_page(server: Running) -> None:
    assert server.ask("/health").status == 200
    assert server.ask("/v1/models").status == server.ask("/metrics").status == 401
    assert server.ask("/v1/models", headers=KEY | {"Host": NAME}).status == 200
    assert server.ask("/v1/models", headers=KEY | {"Host": "elsewhere.example"}).status == 403
    told = [word.replace("$MAINPID", str(server.process.pid)) for word in of_unit("ExecReload")]
    subprocess.run(["sh", "-c", shlex.join(told)], check=True)  # which has `kill` where no package brings it
    until(lambda: "again" in server.log.read_text("utf-8"))


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze: apt-get install systemd")
def test_the_unit_is_valid_and_closed(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text("utf-8").replace(of_unit("ExecStart")[0], sys.executable), "utf-8")
    for command in (["verify", "--man=no"], ["security", "--offline=yes", "--threshold=20"]):
        done = subprocess.run(["systemd-analyze", *command, unit], check=False, capture_output=True, encoding="utf-8")
        assert done.returncode == 0, done.stdout + done.stderr
        assert command[0] != "verify" or not done.stderr, done.stderr


def nginx(folder: Path, config: str, port: int) -> list[str]:
    """Write what stands around the page's block; the command that starts it."""
    kept = "".join(f"{name}_temp_path {folder};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    config = config.replace("listen 443", f"listen 127.0.0.1:{port}").replace("/etc/ssl/kammil", str(folder))
    whole = f"daemon off; pid {folder}/pid; events {{}} http {{ access_log off; {kept} {config} }}"
    (folder / "nginx.conf").write_text(whole, "utf-8")
    return ["nginx", "-e", "stderr", "-c", str(folder / "nginx.conf")]


def caddy(folder: Path, config: str, port: int) -> list[str]:
    """The same for Caddy, which shall fetch no certificate here."""
    config = config.replace(f"{NAME} {{", f"{NAME} {{\nbind 127.0.0.1\ntls {folder}/cert.pem {folder}/key.pem", 1)
    own = f"admin off\nhttps_port {port}\nauto_https disable_redirects\nstorage file_system {folder}\n"
    (folder / "Caddyfile").write_text(f"{{\n{own}}}\n{config}", "utf-8")
    return ["caddy", "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


@pytest.mark.parametrize(("proxy", "title"), [(nginx, "kammil.conf"), (caddy, "Caddyfile")])
def test_a_proxy_with_tls_hands_on_names_and_streams(proxy: Any, title: str, server: Running, tmp_path: Path) -> None:
    for program in (proxy.__name__, "curl", "openssl"):
        if shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin") is None:
            pytest.skip("programs before a server: apt-get install nginx caddy curl openssl")
    made = f"openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -subj /CN={NAME} -days 2"
    names = ["-addext", f"subjectAltName=DNS:{NAME}"]
    subprocess.run([*made.split(), *names], cwd=tmp_path, check=True, capture_output=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = proxy(tmp_path, PAGE[title].replace(str(PORT), str(server.port)), port)
    environment = os.environ | {"PATH": f"{os.environ['PATH']}:/usr/sbin", "HOME": str(tmp_path)}
    with (tmp_path / "log").open("w") as log:
        running = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log)

    url, trusted = f"https://{NAME}:{port}", f"--cacert {tmp_path}/cert.pem --resolve {NAME}:{port}:127.0.0.1"
    curl = ["curl", "-sN", *trusted.split(), "-H", "Content-Type: application/json"]

    def status(**headers: str) -> str:
        named = {"Host": NAME} | KEY | headers
        given = [word for name, value in named.items() for word in ("-H", f"{name}: {value}")]
        asked = [*curl, *given, "-d", '{"prefix": "شو"}', "-o", "/dev/null", "-w", "%{http_code}", f"{url}/v1/suggest"]
        return subprocess.run(asked, check=False, capture_output=True, encoding="utf-8").stdout

    def listens() -> bool:
        assert running.poll() is None, (tmp_path / "log").read_text("utf-8")
        return status() != "000"  # of curl, for no answer

    try:
        until(listens)
        assert status(Origin=f"https://{NAME}") == "200"
        assert status(Origin="https://elsewhere.example") == "403"
        assert status(Authorization="Bearer wrong") == "401"
        if proxy is nginx:  # Caddy answers under its own names alone
            assert status(Host="elsewhere.example") == "403"
        body = {"prompt": "شو", "max_tokens": 2000, "seed": 1, "stream": True, "logit_bias": {"3": -100}}
        key = f"Authorization: {KEY['Authorization']}"
        asked = [*curl, "-H", key, "-d", json.dumps(body), f"{url}/v1/completions"]
        with subprocess.Popen(asked, stdout=subprocess.PIPE, bufsize=0) as streaming:
            assert streaming.stdout is not None
            assert streaming.stdout.readline().startswith(b"data: {")
            assert b"kammil_live_texts 1.0" in server.ask("/metrics", headers=KEY).body  # it came before the end
            assert streaming.stdout.readlines()[-2] == b"data: [DONE]\n"
    finally:
        running.terminate()
        running.wait(30)
