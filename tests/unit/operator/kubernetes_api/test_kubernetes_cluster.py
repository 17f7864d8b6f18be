"""`KubernetesCluster` against a recording server: its requests, and the error for each answer."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import unused_port

from support.clusters.recording_api import RecordingAPI, Tokens
from tunewright_operator.__main__ import RECURSION_LIMIT
from tunewright_operator.api.kinds import BASE_MODEL, CONFIG_MAP, EVENT, FINE_TUNE_JOB, JOB, SECRET, kind_of
from tunewright_operator.cluster import (
    AlreadyExistsError,
    ClusterError,
    ConflictError,
    ExpiredError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    UnavailableError,
)
from tunewright_operator.kubernetes_api.client import APIClient
from tunewright_operator.kubernetes_api.event_recorder import EventRecorder
from tunewright_operator.kubernetes_api.kubernetes_cluster import KubernetesCluster
from tunewright_operator.manifests.events import EventType

BODY = {
    "apiVersion": "tunewright.dev/v1alpha1",
    "kind": "FineTuneJob",
    "metadata": {"name": "j", "namespace": "ns", "uid": "u", "resourceVersion": "5"},
    "spec": {"a": 1},
    "status": {"old": True},
}


def connect(credentials: Tokens) -> KubernetesCluster:
    client = APIClient(credentials)
    return KubernetesCluster(client, EventRecorder(client))


@pytest.fixture
async def api() -> AsyncIterator[RecordingAPI]:
    async with RecordingAPI().serve() as api:
        yield api


@pytest.fixture
async def credentials(api: RecordingAPI) -> Tokens:
    return Tokens(api.url, "secret")


@pytest.fixture
async def cluster(credentials: Tokens) -> AsyncIterator[KubernetesCluster]:
    port = connect(credentials)
    yield port
    await port.close()


async def test_get_reads_the_named_object(api: RecordingAPI, cluster: KubernetesCluster):
    api.answers = [(200, BODY)]
    assert await cluster.get(FINE_TUNE_JOB, "ns", "j") == BODY
    asked = api.asked[0]
    assert (asked.method, asked.path) == ("GET", "/apis/tunewright.dev/v1alpha1/namespaces/ns/finetunejobs/j")
    assert asked.headers["Authorization"] == "Bearer secret"


async def test_a_missing_object_is_none(api: RecordingAPI, cluster: KubernetesCluster):
    api.answers = [(404, {"reason": "NotFound", "message": "no"})]
    assert await cluster.get(BASE_MODEL, None, "m") is None
    assert api.asked[0].path == "/apis/tunewright.dev/v1alpha1/basemodels/m"


async def test_only_the_metadata_of_a_secret_is_requested(api: RecordingAPI, cluster: KubernetesCluster):
    api.answers = [(200, {"kind": "PartialObjectMetadata", "metadata": {"name": "s3"}})]
    await cluster.read_metadata(SECRET, "ns", "s3")
    assert api.asked[0].headers["Accept"] == "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"


async def test_list_follows_pages_and_names_the_kind(api: RecordingAPI, cluster: KubernetesCluster):
    api.answers = [
        (200, {"metadata": {"continue": "next"}, "items": [{"metadata": {"name": "a"}}]}),
        (200, {"metadata": {}, "items": [{"metadata": {"name": "b"}}]}),
    ]
    items = await cluster.list(JOB, "ns", {"b": "2", "a": "1"})
    assert [item["metadata"]["name"] for item in items] == ["a", "b"]
    assert kind_of(items[0]) is JOB
    assert api.asked[0].query == {"limit": "500", "labelSelector": "a=1,b=2"}
    assert api.asked[1].query["continue"] == "next"


async def test_create_posts_to_the_collection(api: RecordingAPI, cluster: KubernetesCluster):
    api.answers = [(201, BODY)]
    await cluster.create(BODY)
    asked = api.asked[0]
    assert (asked.method, asked.path) == ("POST", "/apis/tunewright.dev/v1alpha1/namespaces/ns/finetunejobs")
    assert asked.query["fieldManager"] == "tunewright-operator"
    assert asked.body == BODY


async def test_apply_is_server_side_and_forced(api: RecordingAPI, cluster: KubernetesCluster):
    api.answers = [(200, BODY)]
    await cluster.apply(BODY, "someone")
    asked = api.asked[0]
    assert (asked.method, asked.path) == ("PATCH", "/apis/tunewright.dev/v1alpha1/namespaces/ns/finetunejobs/j")
    assert asked.query == {"fieldManager": "someone", "force": "true"}
    assert asked.headers["Content-Type"] == "application/apply-patch+yaml"


async def test_a_whole_status_is_replaced_with_the_observed_version(api: RecordingAPI, cluster: KubernetesCluster):
    api.answers = [(200, BODY)]
    await cluster.replace_status(BODY, {"new": 1})
    asked = api.asked[0]
    assert (asked.method, asked.path) == ("PUT", "/apis/tunewright.dev/v1alpha1/namespaces/ns/finetunejobs/j/status")
    assert asked.body["status"] == {"new": 1}
    assert asked.body["metadata"]["resourceVersion"] == "5"
    assert BODY["status"] == {"old": True}


async def test_replacing_without_a_version_is_a_programming_error(cluster: KubernetesCluster):
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "ns"}}
    with pytest.raises(ValueError, match="resourceVersion"):
        await cluster.replace(body)


async def test_patch_metadata_sends_only_what_was_given(api: RecordingAPI, cluster: KubernetesCluster):
    api.answers = [(200, BODY)]
    await cluster.patch_metadata(BASE_MODEL, None, "m", annotations={"a": None}, finalizers=[], resource_version="9")
    asked = api.asked[0]
    assert asked.path == "/apis/tunewright.dev/v1alpha1/basemodels/m"
    assert asked.headers["Content-Type"] == "application/merge-patch+json"
    assert asked.body == {"metadata": {"annotations": {"a": None}, "finalizers": [], "resourceVersion": "9"}}


async def test_delete_carries_its_preconditions(api: RecordingAPI, cluster: KubernetesCluster):
    api.answers = [(200, {"kind": "Status"}), (404, {"reason": "NotFound"})]
    assert await cluster.delete(CONFIG_MAP, "ns", "c", uid="u")
    assert api.asked[0].body == {
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
    api: RecordingAPI, cluster: KubernetesCluster, status: int, reason: str, error: type[ClusterError]
):
    api.answers = [(status, {"reason": reason, "message": "the server's message"})]
    with pytest.raises(ClusterError, match=r"POST .*the server's message") as caught:
        await cluster.create(BODY)
    assert type(caught.value) is error


async def test_an_object_is_absent_only_if_the_api_server_itself_says_so(api: RecordingAPI, cluster: KubernetesCluster):
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
    api: RecordingAPI, cluster: KubernetesCluster, status: int, reason: str, message: str
):
    api.answers = [(status, {"reason": reason, "message": message})]
    with pytest.raises(ForbiddenError) as caught:
        await cluster.create(BODY)
    assert message in str(caught.value)


async def test_a_namespaced_operator_lists_only_its_namespaces(api: RecordingAPI, cluster: KubernetesCluster):
    cluster._namespaces = ("a", "b")
    empty = (200, {"metadata": {}, "items": []})
    api.answers = [empty] * 6
    await cluster.list(JOB)
    assert [page async for page in cluster.list_metadata(JOB)] == [[], []]
    await cluster.list(JOB, "a")
    await cluster.list(BASE_MODEL)
    path = "/apis/batch/v1/namespaces/{}/jobs"
    expected = [path.format(name) for name in ("a", "b", "a", "b", "a")]
    assert [asked.path for asked in api.asked] == [*expected, "/apis/tunewright.dev/v1alpha1/basemodels"]


async def test_list_selects_by_fields(api: RecordingAPI, cluster: KubernetesCluster):
    api.answers = [(200, {"metadata": {}, "items": []})]
    assert await cluster.list(EVENT, "ns", fields={"reason": "FailedCreate", "involvedObject.uid": "u"}) == []
    asked = api.asked[0]
    assert asked.path == "/api/v1/namespaces/ns/events"
    assert asked.query == {"limit": "500", "fieldSelector": "involvedObject.uid=u,reason=FailedCreate"}


async def test_an_answer_that_is_no_json_is_unavailable(api: RecordingAPI, cluster: KubernetesCluster):
    api.answers = [(200, web.Response(text="<html>Log in</html>"))]
    with pytest.raises(UnavailableError, match="not a JSON object"):
        await cluster.get(JOB, "ns", "j")


async def test_an_unreadable_token_is_unavailable(cluster: KubernetesCluster, credentials: Tokens):
    credentials.unreadable = "token: the file exists but is empty"
    with pytest.raises(UnavailableError, match="the file exists but is empty"):
        await cluster.get(JOB, "ns", "j")


async def test_no_answer_is_unavailable():
    cluster = connect(Tokens(f"http://127.0.0.1:{unused_port()}"))
    with pytest.raises(UnavailableError, match="did not answer"):
        await cluster.get(JOB, "ns", "j")
    await cluster.close()


async def test_a_status_is_sent_without_what_the_server_takes_from_the_stored_object(
    api: RecordingAPI, cluster: KubernetesCluster
):
    metadata = {**BODY["metadata"], "labels": {"app": "a"}, "annotations": {"b": "c"}, "finalizers": ["f/g"]}
    api.answers = [(200, BODY)]
    await cluster.replace_status({**BODY, "metadata": {**metadata, "managedFields": [{}]}}, {"new": 1})
    # Without the labels, the API server would take them from the field manager that applied them.
    assert api.asked[0].body == {
        "apiVersion": BODY["apiVersion"],
        "kind": BODY["kind"],
        "metadata": metadata,
        "status": {"new": 1},
    }


async def test_an_object_with_the_depth_that_the_api_server_allows_does_not_hide_the_others(
    api: RecordingAPI, cluster: KubernetesCluster
):
    # orjson reads 1024 levels.
    deep = '{"a":' * 1_100 + "1" + "}" * 1_100
    first = f'{{"metadata": {{"name": "a"}}, "spec": {deep}}}'
    text = f'{{"metadata": {{}}, "items": [{first}, {{"metadata": {{"name": "b"}}}}]}}'
    api.answers = [(200, web.Response(text=text, content_type="application/json"))]
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(RECURSION_LIMIT)
    try:
        items = await cluster.list(FINE_TUNE_JOB)
    finally:
        sys.setrecursionlimit(limit)
    assert [item["metadata"]["name"] for item in items] == ["a", "b"]


async def test_an_expired_list_is_unavailable(api: RecordingAPI, cluster: KubernetesCluster):
    api.answers = [(410, {"reason": "Expired", "message": "the provided continue parameter is too old"})]
    with pytest.raises(ExpiredError):
        await cluster.list(JOB)
    assert issubclass(ExpiredError, UnavailableError)


async def test_names_cannot_change_the_path(api: RecordingAPI, cluster: KubernetesCluster):
    api.answers = [(404, {"reason": "NotFound"})]
    await cluster.read_metadata(SECRET, "ns", "a/b?c")
    assert api.asked[0].path == "/api/v1/namespaces/ns/secrets/a/b?c"
    assert api.asked[0].query == {}


async def test_an_event_is_recorded_later_and_a_refusal_raises_nothing(api: RecordingAPI, cluster: KubernetesCluster):
    api.answers = [(201, {}), (403, {"reason": "Forbidden", "message": "no"})]
    await cluster.emit_event(BODY, EventType.WARNING, "Retrying", "m" * 2000)
    await cluster.emit_event(BODY, EventType.NORMAL, "Training", "t")
    assert api.asked == []
    await cluster.flush_events()
    assert [asked.path for asked in api.asked] == ["/api/v1/namespaces/ns/events"] * 2
    event = api.asked[0].body
    assert event["involvedObject"]["uid"] == "u"
    assert len(event["message"]) == 1024
