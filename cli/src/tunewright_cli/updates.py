"""Reads and changes a ModelClient, with the version that was read as the precondition of each write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tunewright_cli.cluster import Body, Cluster, ConflictError, Resource
from tunewright_cli.errors import CommandError
from tunewright_cli.model_client import ModelClient, parse_client

ATTEMPTS: Final = 5
"""How often a change is decided again because another writer was faster."""


def find_client(cluster: Cluster, name: str) -> ModelClient | None:
    """Return a client; None if it does not exist."""
    body = cluster.get(Resource.MODEL_CLIENT, name)
    return None if body is None else parse_client(body)


def fetch_client(cluster: Cluster, name: str) -> ModelClient:
    """Return a client.

    Raises:
        CommandError: it does not exist.
    """
    client = find_client(cluster, name)
    if client is None:
        raise CommandError(
            f"namespace {cluster.namespace} has no ModelClient {name};"
            " `kubectl tunewright key list` shows those that exist, -n names another namespace"
        )
    return client


def update_client(cluster: Cluster, name: str, decide: Callable[[ModelClient], Body]) -> ModelClient:
    """Write what ``decide`` returns for the client as read now; an empty change writes nothing.

    Raises:
        CommandError: there is no such client, or other writers were always faster.
    """
    for _ in range(ATTEMPTS):
        client = fetch_client(cluster, name)
        changes = decide(client)
        if not changes:
            return client
        try:
            return parse_client(cluster.patch(Resource.MODEL_CLIENT, name, changes))
        except ConflictError:
            continue
    raise CommandError(f"ModelClient {name} was changed by another writer {ATTEMPTS} times; try again")
