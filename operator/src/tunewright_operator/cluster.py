"""The port to the Kubernetes API: a few verbs on plain dicts, with this project's exceptions.

`kubernetes_api.kubernetes_cluster` implements the port, and no exception of its HTTP client leaves it. Tests use the
in-memory ``tests/support/clusters/fake_cluster.py``, which has the same contract.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, Protocol

from tunewright_operator.api.kinds import Kind
from tunewright_operator.manifests.events import EventType

Body = dict[str, Any]
"""A Kubernetes object as decoded JSON, with ``apiVersion``, ``kind`` and ``metadata``."""

Bodies = list[Body]

FIELD_MANAGER: Final = "tunewright-operator"


class ClusterError(Exception):
    """A request to the API server failed; the message has the verb, the object and the server's answer."""

    retry_after: float = 0.0
    """For how many seconds the server does not want to be asked again; 0 if it did not say so."""


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

    def __init__(self, message: str, *, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ExpiredError(UnavailableError):
    """The resource version of a watch, or the next page of a list, is too old: list again."""


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

    def list_metadata(self, kind: Kind, labels: Mapping[str, str] | None = None) -> AsyncIterator[Bodies]:
        """Read only the metadata of all objects of a kind that have all the labels, page by page."""

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
        are removed. ``metadata.uid`` is a precondition if it is set.

        Raises:
            ConflictError: ``metadata.uid`` is set, and no object exists with that name.
            InvalidError: ``metadata.uid`` is set, and the object has another one.
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

    async def emit_event(
        self,
        regarding: Body,
        event_type: EventType,
        reason: str,
        message: str,
        *,
        may_write: Callable[[], bool] = lambda: True,
    ) -> None:
        """Record an Event about an object, some time later: nothing waits for an Event, and nothing depends on it.

        A failure is logged and not raised. ``may_write`` is asked immediately before the Event is written.
        """
