"""How far each server's access list has come, for the loops of the clients.

It is a cache in memory, as the board of the pods. After a restart it is empty, and a client waits until the servers of
its namespace have been reconciled: the board wakes it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from tunewright_contracts.clients.access_list import AccessList
from tunewright_contracts.serving_plan import PodState
from tunewright_operator.api.kinds import MODEL_CLIENT
from tunewright_operator.api.model_client import ModelClient
from tunewright_operator.domain.serving.pods import ServerPod
from tunewright_operator.domain.serving.propagation import (
    Listing,
    Presence,
    Reach,
    assess_reach,
    continues,
    find_applied,
    list_clients,
)
from tunewright_operator.runtime.key import Key, Urgency

Wake = Callable[[Key, Urgency], object]


@dataclasses.dataclass(slots=True)
class _Server:
    listing: Listing | None = None
    applied: dict[str, int] = dataclasses.field(default_factory=dict)
    presences: dict[str, Presence] = dataclasses.field(default_factory=dict)
    """By the UIDs of the clients."""
    keys: dict[str, Key] = dataclasses.field(default_factory=dict)


UNLISTED: Final = Presence(generation=0, omitted=False, reach=Reach(0))
"""The client is in no list of the server yet."""


class AccessBoard:
    """The clients of each server, by ModelServer UID."""

    def __init__(self, wake: Wake) -> None:
        self._wake = wake
        self._servers: dict[str, _Server] = {}

    def publish(
        self,
        server_uid: str,
        access: AccessList,
        clients: Iterable[ModelClient],
        omitted: frozenset[str],
        *,
        pods: tuple[ServerPod, ...],
        states: Mapping[str, PodState],
    ) -> None:
        """Replace what is known of a server's list, and wake the clients for which it differs.

        Args:
            server_uid: the ModelServer's UID.
            access: the written list.
            clients: the clients that it was built from.
            omitted: the UIDs of the clients for which it has no room.
            pods: the server's pods.
            states: the states of the pods that answer, by UID.
        """
        entry = self._servers.setdefault(server_uid, _Server())
        found = tuple(clients)
        known = {pod.uid for pod in pods}
        is_next = entry.listing is not None and continues(entry.listing.access, access)
        last = {uid: value for uid, value in entry.applied.items() if is_next and uid in known}
        entry.applied = find_applied(access, states, last)
        listing = entry.listing = list_clients(entry.listing, access, found, omitted)
        reaches = {
            since: assess_reach(since, pods, states, entry.applied)
            for since in {client.since for client in listing.clients.values()}
        }
        presences = {
            uid: Presence(client.generation, client.omitted, reaches[client.since])
            for uid, client in listing.clients.items()
        }
        keys = {client.metadata.uid: _key_of(client) for client in found}
        before, known_keys = entry.presences, {**entry.keys, **keys}
        entry.presences, entry.keys = presences, keys
        for uid in sorted(before.keys() | presences.keys()):
            if before.get(uid) != presences.get(uid):
                self._wake(known_keys[uid], _urgency(before.get(uid), presences.get(uid)))

    def read(self, server_uid: str, client_uid: str) -> Presence | None:
        """Return how far a client has come on a server; None if the server was not reconciled yet."""
        entry = self._servers.get(server_uid)
        return None if entry is None else entry.presences.get(client_uid, UNLISTED)

    def forget(self, server_uid: str) -> None:
        """Remove a deleted server; the store wakes its clients."""
        self._servers.pop(server_uid, None)


def _urgency(before: Presence | None, after: Presence | None) -> Urgency:
    """Return how urgent a difference is: the number of pods changes for all clients of a server at once."""
    if before is None or after is None:
        return Urgency.CHILD
    lagging = [bool(presence.reach.behind or presence.reach.silent) for presence in (before, after)]
    only_counts = lagging == [False, False] and before.generation == after.generation
    return Urgency.PROGRESS if only_counts else Urgency.CHILD


def _key_of(client: ModelClient) -> Key:
    return Key(MODEL_CLIENT, client.metadata.namespace, client.metadata.name)
