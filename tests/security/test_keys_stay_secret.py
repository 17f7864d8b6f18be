"""Someone who reads logs, conditions, metrics, Events or error messages looks for a client's key."""

import base64
import json
import logging
import subprocess
import sys
import traceback

import pytest
from prometheus_client import REGISTRY, generate_latest

import support.worlds.server_world as server
from support.worlds.cli_world import CliWorld, entry
from support.worlds.serving_world import SUPPORT, ServingWorld
from tunewright_cli.cluster import ClusterError, Resource
from tunewright_contracts.clients.client_key import build_client_key, find_key_id, hash_client_key
from tunewright_contracts.serving_plan import EVALUATE_HEADER
from tunewright_operator.api.kinds import MODEL_CLIENT

SECRET = "PLANTED" * 6 + "P"
KEY, REVOKED = (build_client_key(letter * 12, SECRET) for letter in "KR")
"""The two have the same secret, so that one search finds any part of either."""
CHAT = "/v1/chat/completions"


def assert_hidden(text, *keys):
    """Check that a text has no part of the secret of a key, plainly or in base64."""
    for secret in {SECRET, *(key[19:62] for key in keys)}:
        assert secret[:7] not in text
        assert secret[-7:] not in text
    for key in (KEY, REVOKED, *keys):
        assert base64.b64encode(key.encode()).decode()[28:60] not in text


# The plugin ---------------------------------------------------------------------------------------------------------


def find_keys(bodies):
    """Return the keys in the Secrets that a cluster got."""
    data = (body["data"]["OPENAI_API_KEY"] for body in bodies if body.get("kind") == "Secret" or "data" in body)
    return [base64.b64decode(value).decode() for value in data]


@pytest.mark.parametrize("error", [ClusterError, RuntimeError])
@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize("verb", ["create", "rotate"])
def test_a_cluster_that_quotes_each_request_gets_no_key_into_a_message(monkeypatch, capsys, verb, number, error):
    """An admission webhook, a proxy or a library may repeat what it refuses."""
    world = CliWorld()
    world.add_client(entry("A"))
    sent = []

    def quoting(call):
        def send(*arguments, **options):
            body = arguments[-1]
            sent.append(body)
            if len(sent) == number + 1:
                raise error(f"denied: {body} {json.dumps(body)}")
            return call(*arguments, **options)

        return send

    monkeypatch.setattr(world.cluster, "create", quoting(world.cluster.create))
    monkeypatch.setattr(world.cluster, "patch", quoting(world.cluster.patch))
    refused = number < (3 if verb == "create" else 4)
    assert world.run("key", verb, "web", "--to-secret", "web-key") == int(refused)
    keys = find_keys(sent)
    assert keys
    captured = capsys.readouterr()
    assert captured.out == ""
    assert ("denied" in captured.err) == refused
    assert_hidden(captured.err, *keys)
    everything = {name: body for name, body in world.cluster.objects.items() if name[0] is not Resource.SECRET}
    assert_hidden(json.dumps(list(everything.values())), *keys)


@pytest.mark.parametrize(
    "argv",
    [
        ["key", "revoke", "web", KEY],
        ["key", "revoke", "web", f"{KEY}x"],
        ["key", "rotate", KEY],
        ["key", "create", "web", "--alias", KEY, "--expires", KEY],
        ["key", "create", "web", "--selector", KEY],
        ["key", "create", "web", "--to-secret", KEY],
        ["key", "create", "web", "--env-file", f"none/{KEY}"],
        ["key", "create", "web", "--timeout", KEY],
        ["key", "list", "-n", "support", KEY],
        ["key", KEY],
        [KEY],
        [f"--{KEY}"],
    ],
)
def test_a_key_that_is_pasted_at_a_wrong_place_is_in_no_message(capsys, argv):
    world = CliWorld()
    world.add_client(entry("A"), {"id": find_key_id(KEY), "sha256": hash_client_key(KEY)})
    try:
        world.run(*argv)
    except SystemExit as error:
        assert error.code == 2  # noqa: PT017 - other commands return
    captured = capsys.readouterr()
    assert captured.err
    assert_hidden(captured.err)


def test_a_key_that_cannot_be_written_to_a_file_is_in_no_traceback(capsys, tmp_path, monkeypatch):
    world = CliWorld()
    world.add_client(entry("A"))

    def fail(path, text):
        raise ValueError(text)

    monkeypatch.setattr("pathlib.Path.write_text", fail)
    assert world.run("key", "create", "web", "--env-file", str(tmp_path / "web.env")) == 1
    messages = capsys.readouterr().err
    assert "ValueError: OPENAI_API_KEY=sk-tw-" in messages
    assert "_***" in messages
    assert list(tmp_path.iterdir()) == []
    assert world.key_ids() == ["A" * 12]


# The pods -----------------------------------------------------------------------------------------------------------

BEARER = {"authorization": f"Bearer {KEY}"}
REQUESTS = (
    ("POST", CHAT, BEARER, server.chat()),
    ("POST", CHAT, {"authorization": "", "api-key": KEY}, server.chat()),
    ("POST", CHAT, {"authorization": f"Bearer {REVOKED}"}, server.chat()),
    ("POST", CHAT, {"authorization": f"Basic {REVOKED}", "api-key": KEY}, server.chat()),
    ("POST", f"{CHAT}?api_key={KEY}", BEARER, server.chat()),
    ("POST", f"/{KEY}", BEARER, server.chat()),
    ("GET", f"/v1/models/{KEY}", BEARER, None),
    ("POST", CHAT, BEARER, server.chat("crash")),
    ("POST", CHAT, BEARER, server.chat("abort", stream=True)),
    ("POST", CHAT, BEARER, server.chat("error-event", stream=True)),
    ("POST", CHAT, BEARER, server.chat("500")),
    ("POST", CHAT, BEARER, server.chat(model=KEY)),
    ("POST", CHAT, BEARER, server.chat(**{KEY: 1})),
    ("POST", CHAT, {**BEARER, "origin": KEY, "x-session-id": KEY, "x-request-id": KEY}, server.chat()),
    ("POST", CHAT, {**BEARER, EVALUATE_HEADER: KEY}, server.chat()),
    ("GET", "/tunewright/v1/state", BEARER, None),
    ("PUT", "/tunewright/v1/access", BEARER, {"payload": KEY, "signature": KEY}),
    ("PUT", "/tunewright/v1/plan", BEARER, {"payload": base64.b64encode(KEY.encode()).decode(), "signature": "x"}),
)


async def test_no_log_state_metric_or_request_of_a_pod_has_a_key(pod, caplog, capsys):
    caplog.set_level(logging.DEBUG)
    await pod.push_access(server.make_access(5, server.make_client(KEY)))
    statuses = set()
    for method, path, headers, body in REQUESTS:
        try:
            response = await pod.client.request(method, path, headers=headers, json=body)
            statuses.add(response.status_code)
        except Exception:  # noqa: BLE001 - vLLM's crash, which its server logs with the traceback
            assert_hidden(traceback.format_exc())
    assert {200, 400, 401, 404} <= statuses
    captured = capsys.readouterr()
    assert "document_applied" in captured.out
    # httpx, the client of this test, logs the URLs that it asks for.
    own = "\n".join(
        record.getMessage() for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))
    )
    assert_hidden(captured.out + captured.err + own)
    assert_hidden(json.dumps(await pod.state()))
    metrics = generate_latest(REGISTRY).decode()
    assert "tunewright_refused_requests" in metrics
    assert_hidden(metrics)
    for headers in pod.vllm.headers:
        assert headers.keys().isdisjoint({"authorization", "api-key"})
        assert_hidden(json.dumps({name: value for name, value in headers.items() if value != KEY}))


def test_no_log_of_vllm_or_its_http_server_has_a_key():
    script = (
        "import logging; from tunewright_server.runtime import Runtime\n"
        "try: Runtime.from_environment(None)\nexcept OSError: pass\n"
        "logging.basicConfig(level='DEBUG')\n"
        f"logging.getLogger('uvicorn.error').debug('< %s', {{'authorization': {KEY!r}}})\n"
        f"raise RuntimeError({KEY!r})"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stderr.count("sk-tw-KKKKKKKKKKKK_***") == 2
    assert_hidden(done.stdout + done.stderr)


# The operator -------------------------------------------------------------------------------------------------------


async def test_no_condition_event_document_log_or_metric_of_the_operator_has_a_key(caplog, capsys):
    """Users write keys where none belong: into annotations, names of labels and Secrets of their own."""
    caplog.set_level(logging.DEBUG)
    world = ServingWorld()
    world.put_job("first")
    world.put_deployment()
    requirement = {"key": KEY, "operator": "Exists"}
    known = {"id": find_key_id(KEY), "sha256": hash_client_key(KEY)}
    world.put_client(known)
    world.put_client(known, name="selecting", aliases={"selector": {"matchExpressions": [requirement]}})
    for name, change in (("late", {"notAfter": "2025-01-01T00:00:00Z"}), ("odd", {"notAfter": KEY})):
        world.put_client({**known, **change}, name=name)

    def annotate(body):
        body["metadata"].setdefault("annotations", {})["example.com/key"] = KEY

    world.cluster.edit(MODEL_CLIENT, SUPPORT, "web", annotate)
    secret = {"metadata": {"name": "web-key", "namespace": SUPPORT}, "data": {"OPENAI_API_KEY": KEY}}
    world.cluster.put({"apiVersion": "v1", "kind": "Secret", **secret})
    await world.settle()
    world.cluster.edit(MODEL_CLIENT, SUPPORT, "web", lambda body: body["spec"].update(suspended=True))
    await world.settle()
    statuses = [body.get("status") for body in world.cluster.bodies()]
    assert find_key_id(KEY) in json.dumps(statuses)  # the public part names the key
    written = [body for body in world.cluster.bodies() if body["kind"] not in {"ModelClient", "Secret"}]
    assert {"ConfigMap", "Deployment"} <= {body["kind"] for body in written}
    captured = capsys.readouterr()
    logs = captured.out + captured.err + caplog.text
    assert "condition_changed" in logs
    assert_hidden(json.dumps([statuses, written, world.cluster.events]) + logs)
    assert_hidden(generate_latest(REGISTRY).decode())
