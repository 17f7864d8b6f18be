"""The requests that the API server gets, and what each of its refusals means."""

import asyncio
import base64
import http.server
import json
from typing import ClassVar

import pytest
import yaml

from support.clusters.recording_api import RecordingAPI
from support.tls import Authority, serve_https
from support.worlds.cli_world import entry, make_key
from tunewright_cli.__main__ import main

KEYS = "/apis/tunewright.dev/v1alpha1/namespaces/support/modelclients"
SECRETS = "/api/v1/namespaces/support/secrets"
TOKEN = "a-token-of-the-user"


def client_body(*keys, propagated="True"):
    metadata = {"name": "web", "namespace": "support", "resourceVersion": "7", "generation": 3}
    condition = {"type": "Propagated", "status": propagated, "observedGeneration": 3, "message": "1/1 pods."}
    spec = {"keys": list(keys), "aliases": {"names": ["triage"]}}
    return {"metadata": metadata, "spec": spec, "status": {"conditions": [condition]}}


def refusal(code, reason="", message="", kind=""):
    return code, {"kind": "Status", "code": code, "reason": reason, "message": message, "details": {"kind": kind}}


MISSING = refusal(404, "NotFound", 'modelclients "web" not found', "modelclients")
NO_SECRET = refusal(404, "NotFound", 'secrets "web-key" not found', "secrets")


@pytest.fixture
async def api():
    async with RecordingAPI().serve() as api:
        yield api


@pytest.fixture
def kubeconfig(api, tmp_path):
    """Return a function that writes a kubeconfig with two contexts and returns its path."""
    contexts = [
        {"name": "main", "context": {"cluster": "c", "user": "u", "namespace": "support"}},
        {"name": "plain", "context": {"cluster": "c", "user": "u"}},
    ]
    body = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "main",
        "contexts": contexts,
        "clusters": [{"name": "c", "cluster": {"server": api.url}}],
        "users": [{"name": "u", "user": {"token": TOKEN}}],
    }
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(body))
    return path


async def run(kubeconfig, *argv):
    return await asyncio.to_thread(main, ["key", *argv, "--kubeconfig", str(kubeconfig)])


def requests(api):
    return [f"{asked.method} {asked.path}" for asked in api.asked]


async def test_a_new_client(api, kubeconfig, capsys):
    api.answers = [MISSING, (201, client_body())]
    assert await run(kubeconfig, "create", "web", "--alias", "triage") == 0
    key = capsys.readouterr().out.strip()
    assert requests(api) == [f"GET {KEYS}/web", f"POST {KEYS}"]
    posted = api.asked[1]
    assert posted.headers["Authorization"] == f"Bearer {TOKEN}"
    assert posted.query == {"fieldManager": "kubectl-tunewright"}
    assert posted.body["metadata"] == {"name": "web", "namespace": "support"}
    assert posted.body["spec"]["keys"][0]["id"] == key[6:18]
    assert key[19:] not in str(api.asked)


async def test_another_key_is_a_merge_patch_of_the_version_that_was_read(api, kubeconfig):
    api.answers = [(200, client_body(entry("A")))] * 2 + [(200, client_body())]
    assert await run(kubeconfig, "create", "web") == 0
    assert requests(api)[-1] == f"PATCH {KEYS}/web"
    patch = api.asked[-1]
    assert patch.headers["Content-Type"] == "application/merge-patch+json"
    assert patch.body["metadata"] == {"resourceVersion": "7"}
    assert patch.body["spec"]["keys"][0] == entry("A")
    assert patch.body["spec"].keys() == {"keys"}


async def test_a_conflict_is_decided_again(api, kubeconfig):
    conflict = refusal(409, "Conflict", "the object has been modified", "modelclients")
    one, both = (200, client_body(entry("A"))), (200, client_body(entry("A"), entry("B")))
    api.answers = [one, one, conflict, both, (200, client_body()), (200, {"items": []})]
    assert await run(kubeconfig, "revoke", "web", "A" * 12, "--no-wait") == 0
    assert api.asked[4].body["spec"]["keys"] == [entry("B")]


async def test_a_secret_is_checked_before_and_created_after(api, kubeconfig):
    api.answers = [NO_SECRET, (201, {}), MISSING, (201, client_body()), (201, {})]
    assert await run(kubeconfig, "create", "web", "--all-aliases", "--to-secret", "web-key") == 0
    assert requests(api) == [
        f"GET {SECRETS}/web-key",
        f"POST {SECRETS}",
        f"GET {KEYS}/web",
        f"POST {KEYS}",
        f"POST {SECRETS}",
    ]
    assert [asked.query.get("dryRun") for asked in api.asked] == [None, "All", None, None, None]
    assert api.asked[1].body == api.asked[4].body
    assert base64.b64decode(api.asked[4].body["data"]["OPENAI_API_KEY"]).startswith(b"sk-tw-")


async def test_a_secret_is_replaced_with_a_precondition(api, kubeconfig):
    metadata = {"name": "web-key", "resourceVersion": "9", "annotations": {"tunewright.dev/model-client": "web"}}
    found = (200, {"metadata": metadata, "data": {"OPENAI_API_KEY": base64.b64encode(b"old").decode()}})
    client = (200, client_body(entry("A")))
    api.answers = [client, found, found, client, client, client, found, client, client]
    assert await run(kubeconfig, "rotate", "web", "--to-secret", "web-key") == 0
    patches = [asked for asked in api.asked if asked.path.startswith(SECRETS) and asked.method == "PATCH"]
    assert [patch.query.get("dryRun") for patch in patches] == ["All", None]
    assert {patch.body["metadata"]["resourceVersion"] for patch in patches} == {"9"}
    assert {patch.headers["Content-Type"] for patch in patches} == {"application/merge-patch+json"}


@pytest.mark.parametrize(
    ("options", "namespace"),
    [([], "support"), (["--context", "plain"], "default"), (["--context", "plain", "-n", "team"], "team")],
)
async def test_the_namespace(api, kubeconfig, capsys, options, namespace):
    api.answers = [(200, {"items": []})]
    assert await run(kubeconfig, "list", *options) == 0
    assert requests(api) == [f"GET {KEYS.replace('support', namespace)}"]
    assert namespace in capsys.readouterr().err


async def test_the_kubeconfig_of_the_environment(api, kubeconfig, monkeypatch, tmp_path):
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'none'}:{kubeconfig}")
    api.answers = [(200, {"items": []})]
    assert await asyncio.to_thread(main, ["key", "list"]) == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_no_proxy_is_asked_for_a_cluster_on_this_machine(api, kubeconfig, monkeypatch, host):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    kubeconfig.write_text(kubeconfig.read_text().replace("127.0.0.1", host))
    api.answers = [(200, {"items": []})]
    assert await run(kubeconfig, "list") == 0


async def test_a_proxy_of_the_kubeconfig_is_asked(api, kubeconfig):
    body = yaml.safe_load(kubeconfig.read_text())
    body["clusters"][0]["cluster"] = {"server": "http://cluster.invalid", "proxy-url": api.url}
    kubeconfig.write_text(yaml.safe_dump(body))
    api.answers = [(200, {"items": []})]
    assert await run(kubeconfig, "list") == 0


FORBIDDEN = 'modelclients.tunewright.dev is forbidden: User "a" cannot create resource'
CREATE = ("create", "web", "--alias", "a")
TO_SECRET = (*CREATE, "--to-secret", "web-key")
REFUSED = (
    (CREATE, [(404, "404 page not found")], "error: the cluster has no ModelClients: install the chart, or upgrade it"),
    (CREATE, [refusal(404, "NotFound", "the server could not find the requested resource")], "has no ModelClients"),
    (
        CREATE,
        [MISSING, refusal(404, "NotFound", 'namespaces "support" not found', "namespaces")],
        "error: namespace support does not exist; create it, or name another with -n",
    ),
    (
        CREATE,
        [MISSING, refusal(403, "Forbidden", FORBIDDEN, "modelclients")],
        f"error: you may not create ModelClients in namespace support: {FORBIDDEN}",
    ),
    (CREATE, [refusal(401, "Unauthorized", "Unauthorized")], "does not accept your credentials; log in again"),
    (
        CREATE,
        [MISSING, refusal(422, "Invalid", "spec.aliases.names[0]: Too long", "modelclients")],
        "error: the API server did not create the ModelClient: spec.aliases.names[0]: Too long",
    ),
    (CREATE, [(502, "Bad Gateway")], "error: the API server did not get the ModelClient: status 502"),
    (("list",), [refusal(403, "Forbidden", FORBIDDEN)], "you may not list ModelClients in namespace support"),
    (("revoke", "web", "--all"), [MISSING], "namespace support has no ModelClient web"),
    (TO_SECRET, [refusal(403, "Forbidden", "no", "secrets")], "you may not get Secrets in namespace support: no"),
    (TO_SECRET, [NO_SECRET, refusal(403, "Forbidden", "no", "secrets")], "you may not create Secrets"),
    (
        TO_SECRET,
        [NO_SECRET, refusal(409, "AlreadyExists", 'secrets "web-key" already exists', "secrets")],
        "Secret web-key exists, so it is not replaced; name another Secret",
    ),
    (
        TO_SECRET,
        [NO_SECRET, refusal(404, "NotFound", 'namespaces "support" not found', "namespaces")],
        "namespace support does not exist",
    ),
)


@pytest.mark.parametrize(("argv", "answers", "message"), REFUSED)
async def test_each_refusal_is_explained(api, kubeconfig, capsys, argv, answers, message):
    api.answers = list(answers)
    assert await run(kubeconfig, *argv) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert TOKEN not in captured.err
    assert api.answers == []


BROKEN = (
    ("", "cannot be used"),
    ("- a list", "cannot be used"),
    (json.dumps({"contexts": [], "clusters": [], "users": []}), "cannot be used"),
)


@pytest.mark.parametrize(("content", "message"), BROKEN)
async def test_a_kubeconfig_that_cannot_be_used(tmp_path, capsys, content, message):
    path = tmp_path / "broken"
    path.write_text(content)
    assert await run(path, "list") == 1
    assert f"error: no cluster: the kubeconfig {path} {message}" in capsys.readouterr().err


async def test_a_context_that_does_not_exist(kubeconfig, capsys):
    assert await run(kubeconfig, "list", "--context", "other") == 1
    assert "cannot be used: Invalid kube-config file. Expected object with name other" in capsys.readouterr().err


async def test_no_server_answers(api, kubeconfig, capsys, unused_tcp_port):
    kubeconfig.write_text(kubeconfig.read_text().replace(api.url, f"http://127.0.0.1:{unused_tcp_port}"))
    assert await run(kubeconfig, "list") == 1
    assert f"error: the API server at http://127.0.0.1:{unused_tcp_port} cannot be reached" in capsys.readouterr().err


async def test_a_key_in_an_answer_is_masked(api, kubeconfig, capsys):
    api.answers = [MISSING, refusal(400, "BadRequest", f"cannot decode {make_key('A')}")]
    assert await run(kubeconfig, *CREATE) == 1
    messages = capsys.readouterr().err
    assert "cannot decode sk-tw-AAAAAAAAAAAA_***" in messages


class EmptyList(http.server.BaseHTTPRequestHandler):
    """An API server with TLS and no ModelClients."""

    seen: ClassVar[list[str]] = []

    def do_GET(self):
        self.seen.append(f"{self.path} {self.headers['Authorization']}")
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"items": []}')

    def log_message(self, *arguments):
        pass


def test_in_a_pod_the_service_account_is_used(monkeypatch, tmp_path, capsys):
    authority = Authority(tmp_path)
    token, namespace = tmp_path / "token", tmp_path / "namespace"
    token.write_text(TOKEN)
    namespace.write_text("support\n")
    monkeypatch.setattr("tunewright_cli.kubernetes_cluster._POD_NAMESPACE", namespace)
    monkeypatch.setattr("kubernetes.config.incluster_config.SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr("kubernetes.config.incluster_config.SERVICE_CERT_FILENAME", str(authority.bundle))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with serve_https(EmptyList, authority.issue("127.0.0.1")) as server:
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.server_port))
        assert main(["key", "list"]) == 0
    assert EmptyList.seen == [f"{KEYS} bearer {TOKEN}"]
    assert "no keys in namespace support" in capsys.readouterr().err
