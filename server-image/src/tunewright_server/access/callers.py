"""Decide who sends a request, and which aliases this caller may call: pure functions of the access list and the time.

Clients are found by the hash of their whole key. A caller cannot choose the hash of a text, so the time of the search
shows nothing about a stored hash; and a key that is unknown, expired or revoked takes the same path.
"""

from __future__ import annotations

import dataclasses

from tunewright_contracts.clients.access_list import AccessList, ClientEntry
from tunewright_contracts.clients.client_key import KEY_PREFIX, find_key_id, hash_client_key
from tunewright_contracts.serving_plan import Route


@dataclasses.dataclass(frozen=True, slots=True)
class Client:
    """A client, and what it may call: aliases of its own namespace."""

    namespace: str
    name: str
    aliases: frozenset[str] | None
    """None: every alias of its namespace."""

    def may_call(self, route: Route) -> bool:
        """Return whether the client may call an alias."""
        return route.namespace == self.namespace and (self.aliases is None or route.alias in self.aliases)


@dataclasses.dataclass(frozen=True, slots=True)
class Caller:
    """The sender of a request, who has a key of every client in ``clients``, usually of one.

    With several, the caller may call what any of them may call. Anyone who can read the hash of another team's key
    can repeat it in an own ModelClient; this takes nothing from the other team.
    """

    clients: tuple[Client, ...] = ()
    key_id: str = ""
    is_anonymous: bool = False
    """The request has no key, and the pool answers such requests for every alias."""

    def may_call(self, route: Route) -> bool:
        """Return whether the caller may call an alias."""
        return self.is_anonymous or any(client.may_call(route) for client in self.clients)


ANONYMOUS = Caller(is_anonymous=True)


class Callers:
    """The clients of an access list, by the hashes of their keys."""

    def __init__(self, access: AccessList) -> None:
        self._anonymous = access.anonymous
        self._by_hash: dict[str, tuple[tuple[Client, int | None], ...]] = {}
        for entry in access.clients:
            client = _read_client(entry)
            for key in entry.keys:
                known = self._by_hash.get(key.sha256, ())
                self._by_hash[key.sha256] = (*known, (client, key.expires_at))

    def identify(self, token: str | None, now: float) -> Caller | None:
        """Return who sends a request; None for a key that is not valid, and for no key if the pool needs one.

        Args:
            token: what the request has in place of a key. Libraries send a fixed word if their user has none.
            now: seconds since 1970.
        """
        if token is None or not token.startswith(KEY_PREFIX):
            return ANONYMOUS if self._anonymous else None
        key_id = find_key_id(token)
        if key_id is None:
            return None
        found = self._by_hash.get(hash_client_key(token), ())
        clients = tuple(client for client, expires_at in found if expires_at is None or now < expires_at)
        return Caller(clients, key_id) if clients else None


def _read_client(entry: ClientEntry) -> Client:
    return Client(entry.namespace, entry.name, None if entry.all_aliases else frozenset(entry.aliases))
