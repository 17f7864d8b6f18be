"""Decide about a ModelClient: whether it can call its aliases, and whether every replica applies its spec.

Its loop only reports. The loops of the servers bring keys to the pods and take them away, also those of a client that
is deleted: it needs no finalizer, since a server's list is built from the clients that exist.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping

from tunewright_contracts.times import format_time
from tunewright_operator.api.conditions import ModelClientCondition as Type
from tunewright_operator.api.model_client import ClientServer, ModelClient, ModelClientStatus
from tunewright_operator.domain.conditions import Wanted, merge_conditions
from tunewright_operator.domain.reasons.model_client import ModelClientReason as Why
from tunewright_operator.domain.sentences import join_sentences
from tunewright_operator.domain.serving.access import find_end, select_aliases
from tunewright_operator.domain.serving.propagation import Presence

WARN_BEFORE = dt.timedelta(days=14)
"""How long before its end a client's last key is reported."""
MAX_REPORTED_SERVERS = 64
_MAX_NAMED = 5


@dataclasses.dataclass(frozen=True, slots=True)
class ServerOfClient:
    """A server that serves an alias of the client's namespace; ``presence`` is None until it was reconciled."""

    namespace: str
    name: str
    presence: Presence | None = None

    @property
    def path(self) -> str:
        """Return namespace and name."""
        return f"{self.namespace}/{self.name}"


@dataclasses.dataclass(frozen=True, slots=True)
class OwnAlias:
    """An alias of the client's namespace, and the labels of its AdapterDeployment."""

    alias: str
    labels: dict[str, str]


@dataclasses.dataclass(frozen=True, slots=True)
class ClientObservation:
    """A ModelClient as it is now, and what it can reach."""

    client: ModelClient
    servers: tuple[ServerOfClient, ...] = ()
    aliases: tuple[OwnAlias, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class ClientDecision:
    """The status to record, and when to reconcile again (None: at the next event)."""

    status: ModelClientStatus
    reconcile_after_seconds: float | None = None


def decide(observation: ClientObservation, now: dt.datetime) -> ClientDecision:
    """Return what to report of a ModelClient now."""
    client = observation.client
    if _waits_for_servers(observation):
        return ClientDecision(client.status)
    ends = [end for key in client.spec.keys if (end := find_end(key)) is not None]
    generation = client.metadata.generation
    propagated = _assess_propagated(observation)
    ready = _assess_ready(observation, propagated, now)
    wanted = [ready, propagated, *_assess_progress(ready, propagated)]
    status = client.status.updated(
        observed_generation=generation,
        conditions=merge_conditions(client.status.conditions, wanted, generation=generation, now=now),
        servers=tuple(_report_server(client, server) for server in observation.servers[:MAX_REPORTED_SERVERS]),
    )
    times = [time for end in ends for time in (end, end - WARN_BEFORE.total_seconds()) if time > now.timestamp()]
    return ClientDecision(status, max(1.0, min(times) - now.timestamp()) if times else None)


def _waits_for_servers(observation: ClientObservation) -> bool:
    """Return whether the last report is the best one: the operator has started, and does not know every server yet."""
    is_reported = observation.client.status.observed_generation == observation.client.metadata.generation
    return is_reported and any(server.presence is None for server in observation.servers)


def _assess_ready(observation: ClientObservation, propagated: Wanted, now: dt.datetime) -> Wanted:
    ends = {key.id: find_end(key) for key in observation.client.spec.keys}
    valid = {key: end for key, end in ends.items() if end is None or now.timestamp() < end}
    obstacle = _find_obstacle(observation, ends, valid)
    if obstacle is not None:
        return obstacle
    if propagated.status == "False":
        return Wanted(Type.READY, "False", propagated.reason, propagated.message)
    aliases = _describe_aliases(observation)
    last, end = max(valid.items(), key=lambda item: (item[1] is None, item[1] or 0))
    if end is not None and end - now.timestamp() <= WARN_BEFORE.total_seconds():
        text = format_time(dt.datetime.fromtimestamp(end, dt.UTC))
        message = join_sentences(f"The last key, {last}, expires at {text}", Why.KEY_EXPIRES_SOON.remedy, aliases)
        return Wanted(Type.READY, "True", Why.KEY_EXPIRES_SOON, message)
    return Wanted(Type.READY, "True", Why.KNOWN, join_sentences(f"Valid keys: {', '.join(sorted(valid))}", aliases))


def _find_obstacle(
    observation: ClientObservation, ends: Mapping[str, int | None], valid: Mapping[str, int | None]
) -> Wanted | None:
    """Return why no request of the client is answered, whatever the pods have applied; None if there is no reason."""
    full = [server.path for server in observation.servers if server.presence is not None and server.presence.omitted]
    if observation.client.spec.suspended:
        return _not_ready(Why.SUSPENDED)
    if not ends:
        return _not_ready(Why.NO_KEY)
    if not valid:
        return _not_ready(Why.KEYS_EXPIRED, f"Expired keys: {', '.join(sorted(ends))}")
    if not observation.servers:
        return _not_ready(Why.NO_SERVER)
    return _not_ready(Why.LIST_FULL, f"ModelServers without room: {', '.join(full[:_MAX_NAMED])}") if full else None


def _not_ready(reason: Why, detail: str = "") -> Wanted:
    return Wanted(Type.READY, "False", reason, join_sentences(reason.meaning, detail, reason.remedy))


def _assess_propagated(observation: ClientObservation) -> Wanted:
    if not observation.servers:
        return Wanted(Type.PROPAGATED, "True", Why.NO_SERVER, "There is no pod to reach.")
    lags = {server: _find_lag(observation.client, server) for server in observation.servers}
    # What is wrong must not be cut off.
    servers = sorted(observation.servers, key=lambda server: lags[server] == "")
    message = "; ".join(_describe_reach(observation.client, server, lags[server]) for server in servers)
    if any(lags.values()):
        return Wanted(Type.PROPAGATED, "False", Why.PROPAGATING, message)
    return Wanted(Type.PROPAGATED, "True", Why.PROPAGATED, message)


def _assess_progress(ready: Wanted, propagated: Wanted) -> list[Wanted]:
    if ready.reason in (Why.NO_KEY, Why.KEYS_EXPIRED, Why.LIST_FULL):
        return [Wanted(Type.STALLED, "True", ready.reason, ready.message)]
    for waiting in (ready, propagated):
        if waiting.status == "False" and waiting.reason in (Why.PROPAGATING, Why.NO_SERVER):
            return [Wanted(Type.RECONCILING, "True", waiting.reason, waiting.message)]
    return []


def _describe_reach(client: ModelClient, server: ServerOfClient, lag: str) -> str:
    """Return n/n for a server, with the names of the pods that are missing."""
    shown = _report_server(client, server)
    counted = f"{shown.converged}/{shown.replicas} pods of {server.path}"
    return f"{counted} ({lag})" if lag else counted


def _find_lag(client: ModelClient, server: ServerOfClient) -> str:
    """Return why a server's pods do not all apply the spec; an empty text if they do."""
    presence = server.presence
    if presence is None or presence.generation != client.metadata.generation:
        return "its list does not have this spec yet; see the conditions of the ModelServer if it stays so"
    reach = presence.reach
    parts = [
        f"{_name(reach.silent)} does not answer the operator" if reach.silent else "",
        f"{_name(reach.behind)} has an older list" if reach.behind else "",
    ]
    return ", ".join(part for part in parts if part)


def _name(pods: tuple[str, ...]) -> str:
    return " and ".join(pods[:_MAX_NAMED]) + (f" and {len(pods) - _MAX_NAMED} more" if len(pods) > _MAX_NAMED else "")


def _describe_aliases(observation: ClientObservation) -> str:
    """Return which aliases the client can call, and which names in its spec no AdapterDeployment has."""
    aliases = observation.client.spec.aliases
    allowed = select_aliases(aliases, ((own.alias, own.labels) for own in observation.aliases))
    known = {own.alias for own in observation.aliases}
    shown = sorted(allowed & known)
    listed = ", ".join(shown[:_MAX_NAMED]) + (", …" if len(shown) > _MAX_NAMED else "")
    unknown = sorted(allowed - known)
    return join_sentences(
        f"It can call: {listed}" if shown else "It can call no alias yet",
        f"No AdapterDeployment of this namespace has: {', '.join(unknown[:_MAX_NAMED])}" if unknown else "",
    )


def _report_server(client: ModelClient, server: ServerOfClient) -> ClientServer:
    presence = server.presence
    if presence is None:
        return ClientServer(namespace=server.namespace, name=server.name)
    is_listed = presence.generation == client.metadata.generation
    return ClientServer(
        namespace=server.namespace,
        name=server.name,
        replicas=presence.reach.pods,
        converged=presence.reach.applied if is_listed else 0,
    )
