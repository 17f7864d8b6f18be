"""The pod's service account: its files, its rotated token, its authority, and the proxy of the environment."""

from __future__ import annotations

import http.server
import json
from pathlib import Path
from typing import ClassVar

import pytest

from support.tls import Authority, serve_https
from tunewright_operator.api.kinds import JOB
from tunewright_operator.cluster import UnavailableError
from tunewright_operator.kubernetes_api.client import APIClient, Request, Verb
from tunewright_operator.kubernetes_api.credentials import (
    TOKEN_SECONDS,
    CredentialsError,
    ServiceAccount,
    find_proxy,
)

ENVIRONMENT = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    authority = Authority(tmp_path)
    (tmp_path / "ca.crt").write_bytes(authority.bundle.read_bytes())
    (tmp_path / "token").write_text("first\n")
    return tmp_path


def test_a_token_is_read_again_after_a_minute(folder: Path):
    now = [0.0]
    account = ServiceAccount(folder, ENVIRONMENT, now=lambda: now[0])
    (folder / "token").write_text("second")
    now[0] = TOKEN_SECONDS - 1
    assert account.authorization() == "Bearer first"
    now[0] = TOKEN_SECONDS
    assert account.authorization() == "Bearer second"


async def test_a_refused_token_is_read_again_at_once(folder: Path):
    account = ServiceAccount(folder, ENVIRONMENT)
    assert not await account.renew("Bearer first")
    (folder / "token").write_text("second")
    assert await account.renew("Bearer first")
    assert account.authorization() == "Bearer second"


@pytest.mark.parametrize(
    ("host", "url"),
    [("10.0.0.1", "https://10.0.0.1:443"), ("fd00::1", "https://[fd00::1]:443"), ("k8s", "https://k8s:443")],
)
def test_the_endpoint_is_that_of_the_environment(folder: Path, host: str, url: str):
    assert ServiceAccount(folder, {**ENVIRONMENT, "KUBERNETES_SERVICE_HOST": host}).endpoint.url == url


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("token", "", "token: the file exists but is empty"),
        ("token", None, "token: .*No such file"),
        ("ca.crt", "", "ca.crt: "),
        ("ca.crt", "no certificate", "ca.crt: "),
        ("ca.crt", None, "ca.crt: .*No such file"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(folder: Path, file: str, content: str | None, message: str):
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_text(content)
    with pytest.raises(CredentialsError, match=message):
        ServiceAccount(folder, ENVIRONMENT)


@pytest.mark.parametrize(
    ("missing", "mounted"), [(None, True), ("token", False), *[(name, False) for name in ENVIRONMENT]]
)
def test_a_pod_has_the_variables_and_a_token(folder: Path, missing: str | None, mounted: bool):
    environment = {name: value for name, value in ENVIRONMENT.items() if name != missing}
    if missing == "token":
        (folder / "token").unlink()
    assert ServiceAccount.is_mounted(folder, environment) is mounted


class Handler(http.server.BaseHTTPRequestHandler):
    tokens: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.tokens.append(self.headers["Authorization"])
        data = json.dumps({"kind": "Job"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_args: object) -> None:
        pass


@pytest.mark.parametrize("trusted", [True, False])
async def test_the_server_must_have_a_certificate_of_the_cluster(folder: Path, tmp_path: Path, trusted: bool):
    other = tmp_path / "other"
    other.mkdir()
    authority = Authority(other)
    if trusted:
        (folder / "ca.crt").write_bytes(authority.bundle.read_bytes())
    with serve_https(Handler, authority.issue("127.0.0.1")) as server:
        host, port = server.server_address[:2]
        environment = {"KUBERNETES_SERVICE_HOST": str(host), "KUBERNETES_SERVICE_PORT": str(port)}
        client = APIClient(ServiceAccount(folder, environment))
        try:
            if trusted:
                assert await client.request(Request(Verb.GET, JOB, "/jobs/j")) == {"kind": "Job"}
                assert Handler.tokens[-1] == "Bearer first"
            else:
                with pytest.raises(UnavailableError, match="certificate verify failed"):
                    await client.request(Request(Verb.GET, JOB, "/jobs/j"))
        finally:
            await client.close()


@pytest.mark.parametrize(
    ("environment", "url", "proxy"),
    [
        ({}, "https://10.0.0.1:443", None),
        ({"https_proxy": "http://proxy:3128"}, "https://10.0.0.1:443", "http://proxy:3128"),
        ({"https_proxy": "http://proxy:3128", "no_proxy": "10.0.0.1"}, "https://10.0.0.1:443", None),
        ({"https_proxy": "http://proxy:3128", "no_proxy": ".example.com"}, "https://api.example.com", None),
        ({"http_proxy": "http://proxy:3128"}, "https://10.0.0.1:443", None),
    ],
)
def test_the_proxy_is_that_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], url: str, proxy: str | None
):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert find_proxy(url) == proxy
