"""The port to the Kubernetes API: a few verbs on plain dicts, with this project's exceptions.

No other module uses the Kubernetes client, and no exception of the client leaves this module. `KubernetesCluster`
implements the port. Tests use the in-memory ``tests/support/clusters/fake_cluster.py``, which has the same contract.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, Protocol

import aiohttp
import structlog
from kubernetes.aio import client, config
from kubernetes.aio.client.exceptions import ApiException

from tunewright_operator.api.kinds import Kind, kind_of
from tunewright_operator.manifests.events import EventType, build_event

Body = dict[str, Any]
"""A Kubernetes object as decoded JSON, with ``apiVersion``, ``kind`` and ``metadata``."""

Bodies = list[Body]

FIELD_MANAGER: Final = "tunewright-operator"
REQUEST_TIMEOUT_SECONDS: Final = 30
LIST_PAGE: Final = 500

_METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_MERGE_PATCH = "application/merge-patch+json"
_APPLY_PATCH = "application/apply-patch+yaml"

log = structlog.get_logger(__name__)


class ClusterError(Exception):
    """A request to the API server failed; the message has the verb, the object and the server's answer."""


class NotFoundError(ClusterError):
    """The object or its namespace does not exist."""


class AlreadyExistsError(ClusterError):
    """An object of that name exists already."""


class ConflictError(ClusterError):
    """The object changed since it was read, or its UID is not the expected one: observe again."""


class ForbiddenError(ClusterError):
    """RBAC, a quota or an admission policy refused the request."""


class InvalidError(ClusterError):
    """The server rejected the object: schema, CEL or field validation failed."""


class UnavailableError(ClusterError):
    """The server did not answer, or asked to retry later."""


_REFUSED_BY_ADMISSION: Final = re.compile(
    r"""admission\ webhook\ "[^"]*"\ denied | failed\ calling\ webhook | ValidatingAdmissionPolicy\ '[^']*'""",
    re.VERBOSE,
)
"""What the API server writes of a webhook or a policy; a webhook chooses the status, 404 and 503 included."""
_ERRORS_BY_REASON: Final[Mapping[tuple[int, str], type[ClusterError]]] = {
    # With another reason, or none, a 404 says nothing of the object: it is the answer of a proxy without a route, or of
    # an API server that does not serve the CRD yet.
    (404, "NotFound"): NotFoundError,
    (409, "AlreadyExists"): AlreadyExistsError,
}
_ERRORS_BY_STATUS: Final[Mapping[int, type[ClusterError]]] = {
    400: InvalidError,
    401: ForbiddenError,
    403: ForbiddenError,
    405: InvalidError,
    409: ConflictError,
    413: InvalidError,
    415: InvalidError,
    422: InvalidError,
}
"""Any other status means that the server is unavailable."""


class Propagation(StrEnum):
    """What happens to an object's dependents when it is deleted."""

    BACKGROUND = "Background"
    FOREGROUND = "Foreground"


class Cluster(Protocol):
    """What a loop may do in the cluster. ``namespace`` is None for cluster-scoped kinds and for "all namespaces".

    Every verb except `emit_event` can raise `ForbiddenError`, `InvalidError` and `UnavailableError`. A verb that can
    raise another `ClusterError` documents it.
    """

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Body | None:
        """Read one object from the server, never from a cache; return None when it does not exist."""

    async def list(
        self,
        kind: Kind,
        namespace: str | None = None,
        labels: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> Bodies:
        """Read all objects of a kind that have all the labels, in one namespace or in all.

        ``fields`` gives the values of fields by dotted paths, as far as the API server selects objects of the kind by
        them.
        """

    async def read_metadata(self, kind: Kind, namespace: str | None, name: str) -> Body | None:
        """Read only the metadata of an object (PartialObjectMetadata); return None when it does not exist.

        The operator reads the Secrets of tenants only with this verb.
        """

    async def create(self, body: Body) -> Body:
        """Create an object.

        Raises:
            AlreadyExistsError: the name is taken; the caller decides whether the existing object is the wanted one.
            NotFoundError: the namespace does not exist.
        """

    async def apply(self, body: Body, field_manager: str = FIELD_MANAGER) -> Body:
        """Apply an object server-side, with force.

        The field manager then owns the fields in ``body``; fields that it owned before and that are not in ``body``
        are removed.
        """

    async def replace(self, body: Body) -> Body:
        """Replace an object; ``metadata.resourceVersion`` is the precondition and must be set.

        Raises:
            ConflictError: the object changed since it was read.
            NotFoundError: the object does not exist any more.
        """

    async def replace_status(self, observed: Body, status: Mapping[str, Any]) -> Body:
        """Replace the whole status of an observed object; fields that are not in ``status`` are removed.

        Raises:
            ConflictError: the object changed since it was observed; the decision may be stale.
            NotFoundError: the object does not exist any more.
        """

    async def patch_metadata(
        self,
        kind: Kind,
        namespace: str | None,
        name: str,
        *,
        annotations: Mapping[str, str | None] | None = None,
        labels: Mapping[str, str | None] | None = None,
        finalizers: Sequence[str] | None = None,
        resource_version: str | None = None,
    ) -> Body:
        """Merge annotations and labels (None removes one) and replace the finalizers when given.

        Raises:
            ConflictError: ``resource_version`` is given and is not current. Always give it with ``finalizers``.
            NotFoundError: the object does not exist any more.
        """

    async def delete(
        self,
        kind: Kind,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
        propagation: Propagation = Propagation.BACKGROUND,
    ) -> bool:
        """Delete an object; return False when it did not exist.

        Raises:
            ConflictError: the object's UID is not ``uid``.
        """

    async def emit_event(self, regarding: Body, event_type: EventType, reason: str, message: str) -> None:
        """Record an Event about an object. A failure is logged and not raised, since nothing depends on an Event."""


class KubernetesCluster:
    """`Cluster` with a real API server."""

    def __init__(self, api_client: client.ApiClient, *, instance: str = "") -> None:
        self._client = api_client
        self._instance = instance or FIELD_MANAGER

    @classmethod
    async def connect(cls, *, instance: str = "") -> KubernetesCluster:
        """Connect with the pod's service account, or outside of a pod with the kubeconfig."""
        configuration = client.Configuration()
        try:
            config.load_incluster_config(client_configuration=configuration)
        except config.ConfigException:
            await config.load_kube_config(client_configuration=configuration)
        configuration.connection_pool_maxsize = 32
        return cls(client.ApiClient(configuration), instance=instance)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Body | None:
        """See `Cluster.get`."""
        return await self._read(_path(kind, namespace, name))

    async def read_metadata(self, kind: Kind, namespace: str | None, name: str) -> Body | None:
        """See `Cluster.read_metadata`."""
        return await self._read(_path(kind, namespace, name), accept=_METADATA_ONLY)

    async def list(
        self,
        kind: Kind,
        namespace: str | None = None,
        labels: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> Bodies:
        """See `Cluster.list`."""
        query = [("limit", str(LIST_PAGE))]
        for parameter, wanted in (("labelSelector", labels), ("fieldSelector", fields)):
            if wanted:
                query.append((parameter, ",".join(f"{key}={value}" for key, value in sorted(wanted.items()))))
        items: Bodies = []
        token = ""
        while True:
            page = await self._request("GET", _path(kind, namespace), [*query, ("continue", token)] if token else query)
            # The items of a list have no apiVersion and kind, but an object cannot be written without them.
            items += [{"apiVersion": kind.api_version, "kind": kind.name, **item} for item in page.get("items") or []]
            token = page["metadata"].get("continue") or ""
            if not token:
                return items

    async def create(self, body: Body) -> Body:
        """See `Cluster.create`."""
        kind, namespace, _ = _identify(body)
        return await self._request("POST", _path(kind, namespace), [("fieldManager", FIELD_MANAGER)], body)

    async def apply(self, body: Body, field_manager: str = FIELD_MANAGER) -> Body:
        """See `Cluster.apply`."""
        query = [("fieldManager", field_manager), ("force", "true")]
        return await self._request("PATCH", _path(*_identify(body)), query, body, content_type=_APPLY_PATCH)

    async def replace(self, body: Body) -> Body:
        """See `Cluster.replace`."""
        _require_resource_version(body)
        return await self._request("PUT", _path(*_identify(body)), [("fieldManager", FIELD_MANAGER)], body)

    async def replace_status(self, observed: Body, status: Mapping[str, Any]) -> Body:
        """See `Cluster.replace_status`."""
        _require_resource_version(observed)
        path = _path(*_identify(observed)) + "/status"
        body = {**observed, "status": dict(status)}
        return await self._request("PUT", path, [("fieldManager", FIELD_MANAGER)], body)

    async def patch_metadata(
        self,
        kind: Kind,
        namespace: str | None,
        name: str,
        *,
        annotations: Mapping[str, str | None] | None = None,
        labels: Mapping[str, str | None] | None = None,
        finalizers: Sequence[str] | None = None,
        resource_version: str | None = None,
    ) -> Body:
        """See `Cluster.patch_metadata`."""
        wanted = {
            "annotations": annotations and dict(annotations),
            "labels": labels and dict(labels),
            "finalizers": None if finalizers is None else [*finalizers],
            "resourceVersion": resource_version,
        }
        body = {"metadata": {key: value for key, value in wanted.items() if value is not None}}
        query = [("fieldManager", FIELD_MANAGER)]
        return await self._request("PATCH", _path(kind, namespace, name), query, body, content_type=_MERGE_PATCH)

    async def delete(
        self,
        kind: Kind,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
        propagation: Propagation = Propagation.BACKGROUND,
    ) -> bool:
        """See `Cluster.delete`."""
        options: Body = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation.value}
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        try:
            await self._request("DELETE", _path(kind, namespace, name), body=options)
        except NotFoundError:
            return False
        return True

    async def emit_event(self, regarding: Body, event_type: EventType, reason: str, message: str) -> None:
        """See `Cluster.emit_event`."""
        try:
            now = dt.datetime.now(dt.UTC)
            event = build_event(regarding, event_type, reason, message, instance=self._instance, now=now)
            await self.create(event)
        except ClusterError as error:
            log.warning("event_not_recorded", reason=reason, error=str(error))

    async def _read(self, path: str, accept: str = "application/json") -> Body | None:
        try:
            return await self._request("GET", path, accept=accept)
        except NotFoundError:
            return None

    async def _request(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]] | None = None,
        body: Body | None = None,
        *,
        accept: str = "application/json",
        content_type: str = "application/json",
    ) -> Body:
        headers = {"Accept": accept, "Content-Type": content_type}
        try:
            serialized = await self._client.param_serialize(
                method,
                path,
                query_params=[*(query or ())],
                header_params=headers,
                body=body,
                auth_settings=["BearerToken"],
            )
            response = await self._client.call_api(*serialized, _request_timeout=REQUEST_TIMEOUT_SECONDS)
            data = await response.read()
        except (aiohttp.ClientError, ApiException, config.ConfigException, OSError, TimeoutError) as error:
            raise UnavailableError(f"{method} {path}: the API server did not answer: {error!r}") from error
        if response.status >= 300:
            raise _to_error(method, path, response.status, data)
        try:
            decoded = json.loads(data)
        except ValueError:
            decoded = None
        if not isinstance(decoded, dict):
            raise UnavailableError(f"{method} {path}: the answer is not a JSON object")
        return decoded


@contextlib.asynccontextmanager
async def open_cluster(instance: str = "") -> AsyncIterator[KubernetesCluster]:
    """Connect as `KubernetesCluster.connect` does, and close the connections at the end of the context."""
    cluster = await KubernetesCluster.connect(instance=instance)
    try:
        yield cluster
    finally:
        await cluster.close()


def _identify(body: Body) -> tuple[Kind, str | None, str]:
    metadata = body["metadata"]
    return kind_of(body), metadata.get("namespace"), metadata.get("name", "")


def _path(kind: Kind, namespace: str | None, name: str = "") -> str:
    root = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
    scope = f"/namespaces/{namespace}" if kind.namespaced and namespace else ""
    return f"{root}{scope}/{kind.plural}" + (f"/{name}" if name else "")


def _require_resource_version(body: Body) -> None:
    if not body["metadata"].get("resourceVersion"):
        raise ValueError(
            f"{body['kind']} {body['metadata'].get('name')}: set metadata.resourceVersion to replace an object"
        )


def _to_error(method: str, path: str, status: int, data: bytes) -> ClusterError:
    try:
        answer = json.loads(data)
        message, reason = answer.get("message", ""), answer.get("reason", "")
    except (ValueError, AttributeError):
        message, reason = data[:200].decode(errors="replace"), ""
    error = _ERRORS_BY_REASON.get((status, reason)) or _ERRORS_BY_STATUS.get(status, UnavailableError)
    if _REFUSED_BY_ADMISSION.search(message):
        error = ForbiddenError
    return error(f"{method} {path}: {status} {reason}: {message}")
