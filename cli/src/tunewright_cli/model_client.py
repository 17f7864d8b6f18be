"""A ModelClient as the commands see it, and the pure changes that they make to one."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from tunewright_cli.cluster import Body
from tunewright_cli.errors import CommandError
from tunewright_cli.new_key import NewKey
from tunewright_contracts.times import format_time

API_VERSION: Final = "tunewright.dev/v1alpha1"
KIND: Final = "ModelClient"
MAX_KEYS: Final = 8
"""What the API server accepts in ``spec.keys``."""
FORGET_AFTER: Final = dt.timedelta(days=1)
"""A rotation removes keys that ended at least this long ago, however wrong the clock of this machine is."""


@dataclasses.dataclass(frozen=True)
class Key:
    """An entry of ``spec.keys``; ``body`` is the whole entry."""

    id: str
    not_after: dt.datetime | None
    body: Mapping[str, Any]

    def ends_by(self, moment: dt.datetime) -> bool:
        """Return whether the key is invalid from a time on, or earlier."""
        return self.not_after is not None and self.not_after <= moment


@dataclasses.dataclass(frozen=True)
class Condition:
    """A condition of a ModelClient's current spec; ``status`` is Unknown as long as the operator has not reported."""

    status: str
    message: str

    @property
    def is_true(self) -> bool:
        """Return whether the condition holds."""
        return self.status == "True"


UNREPORTED: Final = Condition("Unknown", "the operator has not reported on this change; check that it runs")


@dataclasses.dataclass(frozen=True)
class ModelClient:
    """A ModelClient object. Of its servers' ``pods``, ``converged`` are known to apply the spec."""

    name: str
    namespace: str
    resource_version: str
    keys: tuple[Key, ...]
    aliases: Mapping[str, Any]
    suspended: bool
    ready: Condition
    propagated: Condition
    pods: int
    converged: int

    @property
    def key_ids(self) -> str:
        """The ids of all keys, for messages."""
        return ", ".join(key.id for key in self.keys) or "none"


def parse_client(body: Body) -> ModelClient:
    """Return the client in an object of the cluster."""
    metadata, spec, status = body["metadata"], body["spec"], body.get("status") or {}
    conditions = {
        condition["type"]: Condition(condition["status"], condition.get("message", ""))
        for condition in status.get("conditions") or ()
        if int(condition.get("observedGeneration") or 0) >= int(metadata["generation"])
    }
    servers = status.get("servers") or ()
    return ModelClient(
        name=metadata["name"],
        namespace=metadata["namespace"],
        resource_version=metadata["resourceVersion"],
        keys=tuple(_parse_key(entry) for entry in spec.get("keys") or ()),
        aliases=spec.get("aliases") or {},
        suspended=bool(spec.get("suspended")),
        ready=conditions.get("Ready", UNREPORTED),
        propagated=conditions.get("Propagated", UNREPORTED),
        pods=sum(int(server.get("replicas") or 0) for server in servers),
        converged=sum(int(server.get("converged") or 0) for server in servers),
    )


def build_client(name: str, namespace: str | None, aliases: Body | None, key: NewKey) -> Body:
    """Return the manifest of a client with one key.

    Without aliases it is a fragment, which adds the key to a client that exists (server-side apply).
    """
    metadata = {"name": name} if namespace is None else {"name": name, "namespace": namespace}
    spec: Body = {"keys": [key.to_entry()]}
    if aliases is not None:
        spec["aliases"] = aliases
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": spec}


def add_key(client: ModelClient, key: NewKey, now: dt.datetime, *, forget: bool = False) -> Body:
    """Return the change that adds a key.

    Args:
        client: the client as read.
        key: the new key; it can be there already if the answer to an earlier attempt was lost.
        now: the time.
        forget: whether keys that ended long ago are removed.

    Raises:
        CommandError: the client has no room for another key.
    """
    kept = [one for one in client.keys if not (forget and one.ends_by(now - FORGET_AFTER))]
    if any(one.id == key.id for one in kept):
        return {}
    if len(kept) >= MAX_KEYS:
        ended = ", ".join(one.id for one in kept if one.ends_by(now))
        advice = f"remove those that have ended ({ended})" if ended else "remove one that is not used"
        raise CommandError(
            f"ModelClient {client.name} has {len(kept)} keys, the most that it can have ({client.key_ids});"
            f" {advice}: kubectl tunewright key revoke {client.name} ID"
        )
    return _change(client, keys=[*(dict(one.body) for one in kept), key.to_entry()])


def end_keys(client: ModelClient, key_ids: Collection[str], end: dt.datetime) -> Body:
    """Return the change that lets keys end at a time, or at their own if that is earlier."""
    keys = [
        {**key.body, "notAfter": format_time(end)} if key.id in key_ids and not key.ends_by(end) else dict(key.body)
        for key in client.keys
    ]
    return {} if keys == [key.body for key in client.keys] else _change(client, keys=keys)


def remove_keys(client: ModelClient, key_ids: Collection[str]) -> Body:
    """Return the change that removes keys."""
    kept = [dict(key.body) for key in client.keys if key.id not in key_ids]
    return {} if len(kept) == len(client.keys) else _change(client, keys=kept)


def suspend(client: ModelClient) -> Body:
    """Return the change that stops all keys without removing them."""
    return {} if client.suspended else _change(client, suspended=True)


def check_key_ids(client: ModelClient, key_ids: Sequence[str]) -> None:
    """Check that the client has keys.

    Raises:
        CommandError: it has not; a wrong id must not look like a revoked key.
    """
    unknown = [key_id for key_id in key_ids if all(key.id != key_id for key in client.keys)]
    if unknown:
        raise CommandError(
            f"ModelClient {client.name} in namespace {client.namespace} has no key {', '.join(unknown)};"
            f" its keys: {client.key_ids}"
        )


def choose_ended_keys(client: ModelClient, key_ids: Sequence[str], end: dt.datetime) -> tuple[str, ...]:
    """Return the keys that a new one replaces: the given ones, or the only one that does not end soon anyway.

    Raises:
        CommandError: the client does not have one of them, or several come into question.
    """
    check_key_ids(client, key_ids)
    if key_ids:
        return tuple(key_ids)
    lasting = tuple(key.id for key in client.keys if not key.ends_by(end))
    if len(lasting) > 1:
        raise CommandError(
            f"ModelClient {client.name} has {len(lasting)} keys that do not end by {format_time(end)}:"
            f" {', '.join(lasting)}; name those that the new key replaces, or --all"
        )
    return lasting


def _parse_key(entry: Body) -> Key:
    end = entry.get("notAfter")
    return Key(entry["id"], None if end is None else dt.datetime.fromisoformat(end), entry)


def _change(client: ModelClient, **spec: Any) -> Body:
    """Return a merge patch that fails if the object is no longer the one that was read.

    It is no server-side apply: with that, the keys of an earlier apply would have to be repeated in each later one, and
    nothing would stop two users from adding a ninth key.
    """
    return {"metadata": {"resourceVersion": client.resource_version}, "spec": spec}
