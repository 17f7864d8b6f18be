"""Credentials from a kubeconfig, by the Kubernetes client."""

from __future__ import annotations

import ssl
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.aio.config import kube_config

from support.clusters.recording_api import RecordingAPI
from support.tls import Authority
from tunewright_operator.api.kinds import JOB
from tunewright_operator.kubernetes_api import kubeconfig
from tunewright_operator.kubernetes_api.client import APIClient, Request, Verb
from tunewright_operator.kubernetes_api.credentials import CredentialsError
from tunewright_operator.kubernetes_api.kubeconfig import Kubeconfig

GET = Request(Verb.GET, JOB, "/jobs/j")
PLUGIN = """
import json, pathlib, sys
counter = pathlib.Path(sys.argv[1])
number = int(counter.read_text() or "0") + 1
counter.write_text(str(number))
print(json.dumps({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
                  "status": {"token": f"token-{number}"}}))
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that writes the kubeconfig of a user for a cluster."""
    path = tmp_path / "config"
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(path))

    def write(cluster: dict[str, Any], user: dict[str, Any]) -> None:
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
            "clusters": [{"name": "k", "cluster": cluster}],
            "users": [{"name": "u", "user": user}],
        }
        path.write_text(yaml.safe_dump(content))

    return write


@pytest.mark.parametrize(
    ("user", "header"),
    [
        ({"token": "t"}, "Bearer t"),
        ({"username": "me", "password": "pw"}, "Basic bWU6cHc="),
        ({}, None),
    ],
)
async def test_a_user_has_a_token_or_a_password(write: Any, user: dict[str, Any], header: str | None):
    write({"server": "http://10.0.0.1:8080/"}, user)
    credentials = await Kubeconfig.load()
    assert (credentials.authorization(), credentials.endpoint.url) == (header, "http://10.0.0.1:8080")


async def test_certificates_proxy_and_name_are_those_of_the_kubeconfig(write: Any, tmp_path: Path):
    authority = Authority(tmp_path)
    pair = str(authority.issue("10.0.0.1"))
    cluster = {
        "server": "https://10.0.0.1:6443",
        "certificate-authority": str(authority.bundle),
        "tls-server-name": "kubernetes",
        "proxy-url": "http://proxy:3128",
    }
    write(cluster, {"client-certificate": pair, "client-key": pair})
    endpoint = (await Kubeconfig.load()).endpoint
    assert (endpoint.server_name, endpoint.proxy) == ("kubernetes", "http://proxy:3128")
    assert endpoint.tls is not None
    assert len(endpoint.tls.get_ca_certs()) == 1
    assert endpoint.tls.verify_mode is ssl.CERT_REQUIRED


async def test_verification_can_be_switched_off(write: Any):
    write({"server": "https://10.0.0.1:6443", "insecure-skip-tls-verify": True}, {"token": "t"})
    endpoint = (await Kubeconfig.load()).endpoint
    assert endpoint.tls is not None
    assert (endpoint.tls.check_hostname, endpoint.tls.verify_mode) == (False, ssl.CERT_NONE)


@pytest.mark.parametrize(
    ("cluster", "user", "message"),
    [
        ({"server": "https://k", "certificate-authority": "missing.crt"}, {}, "missing.crt"),
        ({"server": "https://k", "certificate-authority-data": "bm8="}, {}, "certificates"),
    ],
)
async def test_a_kubeconfig_that_cannot_be_used_is_an_error(
    write: Any, cluster: dict[str, Any], user: dict[str, Any], message: str
):
    write(cluster, user)
    with pytest.raises(CredentialsError, match=message):
        await Kubeconfig.load()


async def test_a_missing_kubeconfig_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "missing"))
    with pytest.raises(CredentialsError, match="the kubeconfig cannot be used"):
        await Kubeconfig.load()


async def test_a_plugin_runs_again_when_its_token_is_refused_but_not_too_often(
    write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "count").write_text("")
    (tmp_path / "plugin.py").write_text(PLUGIN)
    command = [str(tmp_path / "plugin.py"), str(tmp_path / "count")]
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": sys.executable, "args": command}
    async with RecordingAPI().serve() as api:
        write({"server": api.url}, {"exec": {**plugin, "interactiveMode": "Never"}})
        credentials = await Kubeconfig.load()
        monkeypatch.setattr(kubeconfig, "RENEW_SECONDS", 0.0)
        client = APIClient(credentials)
        api.answers = [(401, {}), (200, {})]
        await client.request(GET)
        monkeypatch.setattr(kubeconfig, "RENEW_SECONDS", 1e9)
        assert not await credentials.renew("Bearer token-2")
        # Another request that was sent with the old token uses the new one.
        assert await credentials.renew("Bearer token-1")
        await client.close()
    assert [asked.headers["Authorization"] for asked in api.asked] == ["Bearer token-1", "Bearer token-2"]
