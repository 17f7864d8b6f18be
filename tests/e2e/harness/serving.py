"""A ModelServer on the tiny model, and clients that send requests to it."""

from __future__ import annotations

import base64
import concurrent.futures
import contextlib
import dataclasses
import datetime as dt
import threading
from collections.abc import Callable, Iterator
from typing import Any, Self

import httpx

from e2e.harness import adapters
from e2e.harness.bucket import Bucket
from e2e.harness.kubectl import Body, Kubectl, is_true
from tunewright_cli.new_key import create_key
from tunewright_contracts.adapter_manifest import revision_name
from tunewright_contracts.clients.client_key import find_key_id, hash_client_key
from tunewright_contracts.serving_plan import PLAN_KEY, PLAN_PATH, STATE_PATH, PodState, ServingPlan, SignedPlan
from tunewright_dev import chart
from tunewright_operator import signing
from tunewright_operator.manifests.model_server import plan_name
from tunewright_operator.reconcile.signing_keys import PRIVATE_KEY, SIGNING_KEY_SECRET

NAME = "pool"
PORT = 8000
HELD_OUT_KEY = "datasets/e2e/held-out.jsonl"
HELD_OUT = f"s3://tunewright/{HELD_OUT_KEY}"
CLIENT = "tests"
KEY = create_key(None).text
"""The key of the client `CLIENT` in every team's namespace."""


def build_server(namespace: str, replicas: int, **spec: Any) -> Body:
    """Return a ModelServer that all tenants may use, each with adapters below the prefix of its namespace."""
    defaults: Body = {
        "baseModelRef": {"name": "tiny"},
        "replicas": replicas,
        "storage": {"secretRef": {"name": "s3-read"}},
        "lora": {"maxRank": 16, "maxAdapters": 16, "rolloutSlots": 4, "maxActiveAdapters": 4},
        "vllm": {"maxModelLength": 256, "dtype": "BFloat16"},
        "allowedNamespaces": {"from": "Selector", "selector": {"matchLabels": {"tunewright.dev/tenant": "true"}}},
        "adapterSources": [{"uriPrefix": "s3://tunewright/adapters/{namespace}"}],
        "resources": {"requests": {"memory": "1Gi"}, "limits": {"memory": "5Gi"}},
    }
    return {
        "apiVersion": "tunewright.dev/v1alpha1",
        "kind": "ModelServer",
        "metadata": {"name": NAME, "namespace": namespace},
        "spec": {**defaults, **spec},
    }


def build_deployment(name: str, namespace: str, server_namespace: str, uri: str, **spec: Any) -> Body:
    """Return an AdapterDeployment whose alias is its name; by default any adapter passes its evaluation."""
    defaults: Body = {
        "modelName": name,
        "serverRef": {"name": NAME, "namespace": server_namespace},
        "adapter": {"uri": uri},
        "storage": {"secretRef": {"name": "s3"}},
        "rollout": {
            "steps": [{"evaluate": {}}],
            "stickyBy": [{"header": "x-session-id"}],
            "bakeSeconds": 0,
        },
        # A random model gives no right answer, so the minimum is 0.
        "evaluation": {"maxSamples": 4, "maxTokens": 4, "metrics": [{"type": "ExactMatch", "minimum": "0"}]},
        "analysis": {"metrics": [{"type": "ErrorRate", "maxRegression": "0.05"}]},
    }
    return {
        "apiVersion": "tunewright.dev/v1alpha1",
        "kind": "AdapterDeployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {**defaults, **spec},
    }


def build_client(namespace: str, *keys: str, name: str = CLIENT, **spec: Any) -> Body:
    """Return a ModelClient with these keys, which may call every alias of its namespace."""
    entries = [{"id": find_key_id(key), "sha256": hash_client_key(key)} for key in keys]
    return {
        "apiVersion": "tunewright.dev/v1alpha1",
        "kind": "ModelClient",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"keys": entries, "aliases": {"all": True}, **spec},
    }


def wait_known(kubectl: Kubectl, namespace: str, name: str = CLIENT) -> None:
    """Wait until every replica accepts a client's keys."""
    kubectl.wait_for("modelclient", name, namespace, lambda body: is_true(body, "Ready"), timeout=120)


def wait_ready(kubectl: Kubectl, namespace: str) -> None:
    """Wait until every replica is ready, since an earlier test may have killed one."""

    def complete(body: Body) -> bool:
        return is_true(body, "Ready") and body["status"]["readyReplicas"] == body["spec"]["replicas"]

    kubectl.wait_for("modelserver", NAME, namespace, complete, timeout=600)


def service_address(kubectl: Kubectl, namespace: str) -> str:
    """Return the Service's address, which this machine reaches as pods do."""
    service = kubectl.get("service", NAME, namespace)
    assert service is not None
    return f"http://{service['spec']['clusterIP']}:{PORT}"


def pod_addresses(kubectl: Kubectl, namespace: str) -> dict[str, str]:
    """Return the addresses of the running server pods, by pod name."""
    pods = kubectl.list("pods", namespace, "tunewright.dev/role=server")
    return {
        pod["metadata"]["name"]: f"http://{pod['status']['podIP']}:{PORT}"
        for pod in pods
        if pod["status"].get("podIP") and "deletionTimestamp" not in pod["metadata"]
    }


def is_ready(address: str) -> bool:
    """Return whether a pod is ready for requests."""
    try:
        return httpx.get(f"{address}/tunewright/v1/readyz", timeout=2, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def authorize(key: str) -> dict[str, str]:
    """Return the header with a key; none without a key."""
    return {"authorization": f"Bearer {key}"} if key else {}


def ask(address: str, alias: str, session: str = "s", key: str = KEY, **body: Any) -> httpx.Response:
    """Send a chat request for a few tokens."""
    message = {"role": "user", "content": f"What is the colour of thing {session}?"}
    request = {"model": alias, "messages": [message], "temperature": 0, "max_tokens": 4, **body}
    headers = {"x-session-id": session, **authorize(key)}
    return httpx.post(f"{address}/v1/chat/completions", json=request, headers=headers, timeout=60, trust_env=False)


def list_models(address: str, key: str = KEY, **headers: str) -> httpx.Response:
    """Ask for the models that a client can call."""
    return httpx.get(f"{address}/v1/models", headers={**authorize(key), **headers}, timeout=60, trust_env=False)


@dataclasses.dataclass(frozen=True)
class Answer:
    """One answer as a client received it; ``status`` is 0 when the connection failed."""

    status: int
    revision: str
    alias: str
    detail: str = ""


class Traffic:
    """Clients that send requests to one alias until the block ends: a few threads, each request a new session."""

    def __init__(self, address: str, alias: str, *, clients: int = 2, pause: float = 0.05) -> None:
        self._address = address
        self._alias = alias
        self._clients = clients
        self._pause = pause
        self._stop = threading.Event()
        self.answers: list[Answer] = []

    def __enter__(self) -> Self:
        self._pool = concurrent.futures.ThreadPoolExecutor(self._clients)
        self._work = [self._pool.submit(self._run, number) for number in range(self._clients)]
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._pool.shutdown()
        for work in self._work:
            work.result()

    def revisions(self, since: int = 0) -> set[str]:
        """Return the revisions that answered since an index into `answers`."""
        return {answer.revision for answer in self.answers[since:] if answer.status == 200}

    def failures(self) -> list[Answer]:
        """Return the answers that were no success."""
        return [answer for answer in self.answers if answer.status != 200]

    def _run(self, client: int) -> None:
        for number in range(100_000):
            if self._stop.wait(self._pause):
                return
            try:
                response = ask(self._address, self._alias, f"client-{client}-session-{number}")
            except httpx.HTTPError as error:
                self.answers.append(Answer(0, "", "", repr(error)))
                continue
            model = response.json().get("model", "") if response.status_code == 200 else ""
            detail = "" if response.status_code == 200 else response.text[:200]
            self.answers.append(
                Answer(response.status_code, response.headers.get("x-tunewright-revision", ""), model, detail)
            )


@contextlib.contextmanager
def operator_down(kubectl: Kubectl) -> Iterator[None]:
    """Stop the operator for a while."""
    where = ["-n", chart.NAMESPACE]
    kubectl.run(*where, "scale", "deployment/tunewright-operator", "--replicas=0")
    try:
        kubectl.run(*where, "wait", "pod", "-l", "app.kubernetes.io/name=tunewright", "--for=delete", "--timeout=60s")
        yield
    finally:
        kubectl.run(*where, "scale", "deployment/tunewright-operator", "--replicas=1")
        kubectl.run(*where, "rollout", "status", "deployment/tunewright-operator", "--timeout=120s")


def read_plan(kubectl: Kubectl, namespace: str) -> ServingPlan:
    """Return the pool's current plan from its ConfigMap."""
    body = kubectl.get("configmap", plan_name(NAME), namespace)
    assert body is not None
    return ServingPlan.from_json(SignedPlan.from_json(body["data"][PLAN_KEY]).payload_bytes())


def push_signed(kubectl: Kubectl, namespace: str, plan: ServingPlan) -> None:
    """Sign a plan with the operator's key and push it to every pod of the pool."""
    signed = _signing_key(kubectl).sign(plan, SignedPlan)
    for address in pod_addresses(kubectl, namespace).values():
        httpx.put(f"{address}{PLAN_PATH}", content=signed.to_json(), trust_env=False).raise_for_status()


def read_states(kubectl: Kubectl, namespace: str) -> list[PodState]:
    """Return what every pod of the pool reports to the operator."""
    server = kubectl.get("modelserver", NAME, namespace)
    assert server is not None
    token = _signing_key(kubectl).issue_state_token(server["metadata"]["uid"], dt.datetime.now(dt.UTC))
    headers = {"Authorization": f"Bearer {token}"}
    return [
        PodState.from_json(httpx.get(f"{address}{STATE_PATH}", headers=headers, trust_env=False).content)
        for address in pod_addresses(kubectl, namespace).values()
    ]


def _signing_key(kubectl: Kubectl) -> signing.SigningKey:
    secret = kubectl.get("secret", SIGNING_KEY_SECRET, chart.NAMESPACE)
    assert secret is not None
    return signing.SigningKey.from_pem(base64.b64decode(secret["data"][PRIVATE_KEY]))


def promoted(digest: str) -> Callable[[Body], bool]:
    """Return a check that a digest is stable and the deployment is Ready."""

    def check(body: Body) -> bool:
        return body.get("status", {}).get("stable", {}).get("digest") == digest and is_true(body, "Ready")

    return check


def digest_of(uri: str) -> str:
    """Return the digest that an adapter's URI ends in."""
    return uri.rpartition("/")[2].replace("-", ":", 1)


def revision_of(alias: str, uri: str) -> str:
    """Return the name under which an alias' adapter is loaded."""
    return revision_name(alias, digest_of(uri))


def deploy(kubectl: Kubectl, bucket: Bucket, pool: str, team: str, base: str, seed: int, alias: str) -> tuple[str, str]:
    """Roll out the first adapter of an alias; return its URI and revision."""
    wait_ready(kubectl, pool)
    uri = adapters.publish(bucket, team, base, seed, held_out=HELD_OUT)
    kubectl.apply(build_deployment(alias, team, pool, uri))
    kubectl.wait_for("adep", alias, team, promoted(digest_of(uri)), timeout=240)
    wait_known(kubectl, team)
    return uri, revision_of(alias, uri)
