"""`Cluster` with a real API server."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Final

import structlog

from tunewright_operator.api.kinds import Kind, kind_of
from tunewright_operator.cluster import FIELD_MANAGER, Bodies, Body, ForbiddenError, NotFoundError, Propagation
from tunewright_operator.kubernetes_api.client import APIClient, Request, Verb
from tunewright_operator.kubernetes_api.credentials import Credentials, ServiceAccount
from tunewright_operator.kubernetes_api.event_recorder import EventRecorder
from tunewright_operator.kubernetes_api.kubeconfig import Kubeconfig
from tunewright_operator.kubernetes_api.paths import build_path, format_selector
from tunewright_operator.kubernetes_api.rate_limit import RateLimit, TokenBucket
from tunewright_operator.manifests.events import EventType

LIST_PAGE: Final = 500

_METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_OWNED = (("fieldManager", FIELD_MANAGER),)

log = structlog.get_logger(__name__)


class KubernetesCluster:
    """`Cluster` with a real API server."""

    def __init__(self, client: APIClient, events: EventRecorder, *, namespaces: tuple[str, ...] = ()) -> None:
        self._client = client
        self._events = events
        self._namespaces = namespaces

    async def flush_events(self) -> None:
        """Write the Events that wait, for a bounded time: call it before this replica's term ends."""
        await self._events.flush()

    async def close(self) -> None:
        """Drop the Events that wait, and close the connections."""
        await self._events.close()
        await self._client.close()

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Body | None:
        """See `Cluster.get`."""
        return await self._read(Request(Verb.GET, kind, build_path(kind, namespace, name)))

    async def read_metadata(self, kind: Kind, namespace: str | None, name: str) -> Body | None:
        """See `Cluster.read_metadata`."""
        return await self._read(Request(Verb.GET, kind, build_path(kind, namespace, name), accept=_METADATA_ONLY))

    async def list(
        self,
        kind: Kind,
        namespace: str | None = None,
        labels: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> Bodies:
        """See `Cluster.list`."""
        query = _select(labels, fields)
        if namespace is not None:
            lists = self._list_pages(Request(Verb.LIST, kind, build_path(kind, namespace), query))
        else:
            lists = self._list_everywhere(Request(Verb.LIST, kind, "", query))
        pages = [page async for page in lists]
        # The items of a list have no apiVersion and kind, but an object cannot be written without them.
        return [{"apiVersion": kind.api_version, "kind": kind.name, **item} for page in pages for item in page]

    async def list_metadata(self, kind: Kind, labels: Mapping[str, str] | None = None) -> AsyncIterator[Bodies]:
        """See `Cluster.list_metadata`."""
        request = Request(Verb.LIST, kind, "", _select(labels), accept=_METADATA_LIST)
        async for page in self._list_everywhere(request):
            yield page

    async def _list_everywhere(self, request: Request) -> AsyncIterator[Bodies]:
        """Yield the pages of all objects of the request's kind that the operator may see, whatever its path.

        A namespace without rights for the operator is left out, so that its tenants do not stop what all need.
        """
        kind = request.kind
        if not (kind.namespaced and self._namespaces):
            async for page in self._list_pages(dataclasses.replace(request, path=build_path(kind, None))):
                yield page
            return
        for namespace in self._namespaces:
            try:
                async for page in self._list_pages(dataclasses.replace(request, path=build_path(kind, namespace))):
                    yield page
            except ForbiddenError as error:
                log.warning("namespace_without_rights", kind=kind.name, namespace=namespace, error=str(error))

    async def _list_pages(self, request: Request) -> AsyncIterator[Bodies]:
        token = ""
        while True:
            query = [*request.query, ("continue", token)] if token else request.query
            page = await self._client.request(dataclasses.replace(request, query=query))
            yield page.get("items") or []
            token = page["metadata"].get("continue") or ""
            if not token:
                return

    async def create(self, body: Body) -> Body:
        """See `Cluster.create`."""
        kind, namespace, _ = _identify(body)
        return await self._client.request(Request(Verb.CREATE, kind, build_path(kind, namespace), _OWNED, body))

    async def apply(self, body: Body, field_manager: str = FIELD_MANAGER) -> Body:
        """See `Cluster.apply`."""
        kind, namespace, name = _identify(body)
        query = [("fieldManager", field_manager), ("force", "true")]
        return await self._client.request(Request(Verb.APPLY, kind, build_path(kind, namespace, name), query, body))

    async def replace(self, body: Body) -> Body:
        """See `Cluster.replace`."""
        _require_resource_version(body)
        kind, namespace, name = _identify(body)
        return await self._client.request(Request(Verb.UPDATE, kind, build_path(kind, namespace, name), _OWNED, body))

    async def replace_status(self, observed: Body, status: Mapping[str, Any]) -> Body:
        """See `Cluster.replace_status`.

        The spec and the managed fields are not sent, which is half of an object. The API server takes both from the
        stored object when it updates a status (apiextensions-apiserver, customresource/status_strategy.go;
        apimachinery, managedfields/internal/fieldmanager.go). It takes labels and annotations from there, too. But they
        must be sent: it compares those of the request with the stored ones, and would take each missing one from the
        field manager that owns it.
        """
        _require_resource_version(observed)
        kind, namespace, name = _identify(observed)
        body = {
            "apiVersion": observed["apiVersion"],
            "kind": observed["kind"],
            "metadata": {key: value for key, value in observed["metadata"].items() if key != "managedFields"},
            "status": dict(status),
        }
        path = build_path(kind, namespace, name, "status")
        return await self._client.request(Request(Verb.UPDATE_STATUS, kind, path, _OWNED, body))

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
        return await self._client.request(Request(Verb.PATCH, kind, build_path(kind, namespace, name), _OWNED, body))

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
            await self._client.request(
                Request(Verb.DELETE, kind, build_path(kind, namespace, name), body=options),
            )
        except NotFoundError:
            return False
        return True

    async def emit_event(
        self,
        regarding: Body,
        event_type: EventType,
        reason: str,
        message: str,
        *,
        may_write: Callable[[], bool] = lambda: True,
    ) -> None:
        """See `Cluster.emit_event`."""
        self._events.emit(regarding, event_type, reason, message, may_write=may_write)

    async def _read(self, request: Request) -> Body | None:
        try:
            return await self._client.request(request)
        except NotFoundError:
            return None


@contextlib.asynccontextmanager
async def open_cluster(
    instance: str = FIELD_MANAGER, *, limit: RateLimit | None = None, namespaces: tuple[str, ...] = ()
) -> AsyncIterator[KubernetesCluster]:
    """Connect to the API server, and close the connections at the end of the context.

    Args:
        instance: the name of this replica, in its Events.
        limit: how many requests may be sent; None for the few requests of the Lease, which must never wait.
        namespaces: the namespaces that it may list objects of; empty: all.

    Raises:
        CredentialsError: there are no usable credentials.
    """
    client = APIClient(await load_credentials(), limit=None if limit is None else TokenBucket(limit))
    cluster = KubernetesCluster(client, EventRecorder(client, instance=instance), namespaces=namespaces)
    try:
        yield cluster
    finally:
        await cluster.close()


async def load_credentials() -> Credentials:
    """Return those of the pod's service account, or outside of a pod those of the kubeconfig.

    Raises:
        CredentialsError: they cannot be used.
    """
    return ServiceAccount() if ServiceAccount.is_mounted() else await Kubeconfig.load()


def _select(labels: Mapping[str, str] | None, fields: Mapping[str, str] | None = None) -> list[tuple[str, str]]:
    query = [("limit", str(LIST_PAGE))]
    for parameter, wanted in (("labelSelector", labels), ("fieldSelector", fields)):
        if wanted:
            query.append((parameter, format_selector(wanted)))
    return query


def _identify(body: Body) -> tuple[Kind, str | None, str]:
    metadata = body["metadata"]
    return kind_of(body), metadata.get("namespace"), metadata.get("name", "")


def _require_resource_version(body: Body) -> None:
    if not body["metadata"].get("resourceVersion"):
        raise ValueError(
            f"{body['kind']} {body['metadata'].get('name')}: set metadata.resourceVersion to replace an object"
        )
