"""The port to the cluster: a few requests, all in one namespace."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Protocol

from tunewright_cli.errors import CommandError

Body = dict[str, Any]
"""A Kubernetes object, or a part of one."""


class Resource(StrEnum):
    """The plural names of the kinds that commands use."""

    MODEL_CLIENT = "modelclients"
    SECRET = "secrets"  # noqa: S105 - the name of a kind


class ClusterError(CommandError):
    """The cluster refused a request, or did not answer it."""


class ConflictError(ClusterError):
    """The object has changed since it was read."""


class AlreadyExistsError(ClusterError):
    """Another writer created the object first."""


class Cluster(Protocol):
    """Objects in one namespace; each method raises `ClusterError` if the cluster refuses the request."""

    @property
    def namespace(self) -> str:
        """The namespace of all requests."""

    def get(self, resource: Resource, name: str) -> Body | None:
        """Return an object; None if it does not exist."""

    def list_all(self, resource: Resource) -> list[Body]:
        """Return all objects of a kind."""

    def create(self, resource: Resource, body: Body, *, dry_run: bool = False) -> Body:
        """Create an object, or only check whether the cluster would do so.

        Raises:
            AlreadyExistsError: there is one of this name.
        """

    def patch(self, resource: Resource, name: str, changes: Body, *, dry_run: bool = False) -> Body:
        """Merge changes into an object (RFC 7386); lists are replaced.

        Raises:
            ConflictError: the object no longer has the ``metadata.resourceVersion`` in the changes.
        """
