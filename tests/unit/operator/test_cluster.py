"""`KubernetesCluster` against a recording server: its requests, and the error for each answer."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port
from kubernetes.aio import client
from kubernetes.aio.config import ConfigException

from tunewright_operator.api.kinds import BASE_MODEL, CONFIG_MAP, EVENT, FINE_TUNE_JOB, JOB, SECRET, kind_of
from tunewright_operator.cluster import (
    AlreadyExistsError,
    ClusterError,
    ConflictError,
    ForbiddenError,
    InvalidError,
    KubernetesCluster,
    NotFoundError,
    UnavailableError,
)
from tunewright_operator.manifests.events import EventType

BODY = {
    "apiVersion": "tunewright.dev/v1alpha1",
    "kind": "FineTuneJob",
    "metadata": {"name": "j", "namespace": "ns", "uid": "u", "resourceVersion": "5"},
    "spec": {"a": 1},
    "status": {"old": True},
}


class Api:
    """Answers from a list, and records the requests."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, str], dict[str, str], Any]] = []
        self.answers: list[tuple[int, Any]] = []

    async def handle(self, request: web.Request) -> web.Response:
        text = await request.text()
        headers = {name: request.headers.get(name, "") for name in ("Accept", "Content-Type", "Authorization")}
        self.asked.append(
            (request.method, request.path, dict(request.query), headers, json.loads(text) if text else None)
        )
        status, answer = self.answers.pop(0)
        return answer if isinstance(answer, web.Response) else web.json_response(answer, status=status)


@pytest.fixture
async def api() -> Api:
    return Api()


@pytest.fixture
async def cluster(api: Api) -> AsyncIterator[KubernetesCluster]:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", api.handle)
    async with TestServer(application) as server:
        configuration = client.Configuration(host=str(server.make_url("")).rstrip("/"))
        configuration.api_key = {"BearerToken": "secret"}
        configuration.api_key_prefix = {"BearerToken": "Bearer"}
        port = KubernetesCluster(client.ApiClient(configuration))
        yield port
        await port.close()


async def test_get_reads_the_named_object(api: Api, cluster: KubernetesCluster):
    api.answers = [(200, BODY)]
    assert await cluster.get(FINE_TUNE_JOB, "ns", "j") == BODY
    method, path, _, headers, _ = api.asked[0]
    assert (method, path) == ("GET", "/apis/tunewright.dev/v1alpha1/namespaces/ns/finetunejobs/j")
    assert headers["Authorization"] == "Bearer secret"


async def test_a_missing_object_is_none(api: Api, cluster: KubernetesCluster):
    api.answers = [(404, {"reason": "NotFound", "message": "no"})]
    assert await cluster.get(BASE_MODEL, None, "m") is None
    assert api.asked[0][1] == "/apis/tunewright.dev/v1alpha1/basemodels/m"


async def test_only_the_metadata_of_a_secret_is_requested(api: Api, cluster: KubernetesCluster):
    api.answers = [(200, {"kind": "PartialObjectMetadata", "metadata": {"name": "s3"}})]
    await cluster.read_metadata(SECRET, "ns", "s3")
    assert api.asked[0][3]["Accept"] == "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"


async def test_list_follows_pages_and_names_the_kind(api: Api, cluster: KubernetesCluster):
    api.answers = [
        (200, {"metadata": {"continue": "next"}, "items": [{"metadata": {"name": "a"}}]}),
        (200, {"metadata": {}, "items": [{"metadata": {"name": "b"}}]}),
    ]
    items = await cluster.list(JOB, "ns", {"b": "2", "a": "1"})
    assert [item["metadata"]["name"] for item in items] == ["a", "b"]
    assert kind_of(items[0]) is JOB
    assert api.asked[0][2] == {"limit": "500", "labelSelector": "a=1,b=2"}
    assert api.asked[1][2]["continue"] == "next"


async def test_create_posts_to_the_collection(api: Api, cluster: KubernetesCluster):
    api.answers = [(201, BODY)]
    await cluster.create(BODY)
    method, path, query, _, sent = api.asked[0]
    assert (method, path) == ("POST", "/apis/tunewright.dev/v1alpha1/namespaces/ns/finetunejobs")
    assert query["fieldManager"] == "tunewright-operator"
    assert sent == BODY


async def test_apply_is_server_side_and_forced(api: Api, cluster: KubernetesCluster):
    api.answers = [(200, BODY)]
    await cluster.apply(BODY, "someone")
    method, path, query, headers, _ = api.asked[0]
    assert (method, path) == ("PATCH", "/apis/tunewright.dev/v1alpha1/namespaces/ns/finetunejobs/j")
    assert query == {"fieldManager": "someone", "force": "true"}
    assert headers["Content-Type"] == "application/apply-patch+yaml"


async def test_a_whole_status_is_replaced_with_the_observed_version(api: Api, cluster: KubernetesCluster):
    api.answers = [(200, BODY)]
    await cluster.replace_status(BODY, {"new": 1})
    method, path, _, _, sent = api.asked[0]
    assert (method, path) == ("PUT", "/apis/tunewright.dev/v1alpha1/namespaces/ns/finetunejobs/j/status")
    assert sent["status"] == {"new": 1}
    assert sent["metadata"]["resourceVersion"] == "5"
    assert BODY["status"] == {"old": True}


async def test_replacing_without_a_version_is_a_programming_error(cluster: KubernetesCluster):
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "ns"}}
    with pytest.raises(ValueError, match="resourceVersion"):
        await cluster.replace(body)


async def test_patch_metadata_sends_only_what_was_given(api: Api, cluster: KubernetesCluster):
    api.answers = [(200, BODY)]
    await cluster.patch_metadata(BASE_MODEL, None, "m", annotations={"a": None}, finalizers=[], resource_version="9")
    _, path, _, headers, sent = api.asked[0]
    assert path == "/apis/tunewright.dev/v1alpha1/basemodels/m"
    assert headers["Content-Type"] == "application/merge-patch+json"
    assert sent == {"metadata": {"annotations": {"a": None}, "finalizers": [], "resourceVersion": "9"}}


async def test_delete_carries_its_preconditions(api: Api, cluster: KubernetesCluster):
    api.answers = [(200, {"kind": "Status"}), (404, {"reason": "NotFound"})]
    assert await cluster.delete(CONFIG_MAP, "ns", "c", uid="u")
    assert api.asked[0][4] == {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "propagationPolicy": "Background",
        "preconditions": {"uid": "u"},
    }
    assert not await cluster.delete(CONFIG_MAP, "ns", "c")


@pytest.mark.parametrize(
    ("status", "reason", "error"),
    [
        (404, "NotFound", NotFoundError),
        (404, "", UnavailableError),
        (404, "ServiceNotFound", UnavailableError),
        (409, "AlreadyExists", AlreadyExistsError),
        (409, "Conflict", ConflictError),
        (403, "Forbidden", ForbiddenError),
        (422, "Invalid", InvalidError),
        (429, "TooManyRequests", UnavailableError),
        (500, "InternalError", UnavailableError),
        (504, "Timeout", UnavailableError),
    ],
)
async def test_each_answer_becomes_a_cluster_error(
    api: Api, cluster: KubernetesCluster, status: int, reason: str, error: type[ClusterError]
):
    api.answers = [(status, {"reason": reason, "message": "the server's message"})]
    with pytest.raises(ClusterError, match=r"POST .*the server's message") as caught:
        await cluster.create(BODY)
    assert type(caught.value) is error


async def test_an_object_is_absent_only_if_the_api_server_itself_says_so(api: Api, cluster: KubernetesCluster):
    # An API server that does not serve the CRD yet, and a proxy without a route, answer with a text of their own.
    api.answers = [(404, "404 page not found")] * 3
    with pytest.raises(UnavailableError, match="404 page not found"):
        await cluster.get(FINE_TUNE_JOB, "ns", "j")
    with pytest.raises(UnavailableError, match="404 page not found"):
        await cluster.read_metadata(SECRET, "ns", "s")
    with pytest.raises(UnavailableError, match="404 page not found"):
        await cluster.delete(JOB, "ns", "j")


DENIED = 'admission webhook "policy.example.com" denied the request: images must come from registry.example.com'
AWAY = 'Internal error occurred: failed calling webhook "policy.example.com": failed to call webhook: context deadline'
POLICY = "jobs.batch \"j\" is forbidden: ValidatingAdmissionPolicy 'small' with binding 'all' denied request: too large"


@pytest.mark.parametrize(
    ("status", "reason", "message"),
    [
        (400, "", DENIED),
        (403, "Forbidden", DENIED),
        (404, "NotFound", DENIED),
        (409, "Conflict", DENIED),
        (409, "AlreadyExists", DENIED),
        (422, "Invalid", POLICY),
        (413, "RequestEntityTooLarge", POLICY),
        (429, "TooManyRequests", DENIED),
        (503, "ServiceUnavailable", DENIED),
        (500, "InternalError", AWAY),
    ],
)
async def test_a_refusal_by_admission_is_one_whatever_its_status(
    api: Api, cluster: KubernetesCluster, status: int, reason: str, message: str
):
    api.answers = [(status, {"reason": reason, "message": message})]
    with pytest.raises(ForbiddenError) as caught:
        await cluster.create(BODY)
    assert message in str(caught.value)


async def test_list_selects_by_fields(api: Api, cluster: KubernetesCluster):
    api.answers = [(200, {"metadata": {}, "items": []})]
    assert await cluster.list(EVENT, "ns", fields={"reason": "FailedCreate", "involvedObject.uid": "u"}) == []
    _, path, query, _, _ = api.asked[0]
    assert path == "/api/v1/namespaces/ns/events"
    assert query == {"limit": "500", "fieldSelector": "involvedObject.uid=u,reason=FailedCreate"}


async def test_an_answer_that_is_no_json_is_unavailable(api: Api, cluster: KubernetesCluster):
    api.answers = [(200, web.Response(text="<html>Log in</html>"))]
    with pytest.raises(UnavailableError, match="not a JSON object"):
        await cluster.get(JOB, "ns", "j")


async def test_an_unreadable_token_is_unavailable(cluster: KubernetesCluster):
    def refuse(_configuration: client.Configuration) -> None:
        raise ConfigException("Token file exists but empty.")

    cluster._client.configuration.refresh_api_key_hook = refuse
    with pytest.raises(UnavailableError, match="Token file exists but empty"):
        await cluster.get(JOB, "ns", "j")


async def test_no_answer_is_unavailable():
    configuration = client.Configuration(host=f"http://127.0.0.1:{unused_port()}")
    cluster = KubernetesCluster(client.ApiClient(configuration))
    with pytest.raises(UnavailableError, match="did not answer"):
        await cluster.get(JOB, "ns", "j")
    await cluster.close()


async def test_an_event_that_cannot_be_recorded_raises_nothing(api: Api, cluster: KubernetesCluster):
    api.answers = [(201, {}), (403, {"reason": "Forbidden", "message": "no"})]
    await cluster.emit_event(BODY, EventType.WARNING, "Retrying", "m" * 2000)
    await cluster.emit_event(BODY, EventType.NORMAL, "Training", "t")
    _, path, _, _, event = api.asked[0]
    assert path == "/api/v1/namespaces/ns/events"
    assert event["involvedObject"]["uid"] == "u"
    assert len(event["message"]) == 1024
