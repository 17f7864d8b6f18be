"""How far a server's access list has come: which of its pods apply the newest entry of each client."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from tunewright_contracts.clients.access_list import AccessList, ClientEntry
from tunewright_contracts.serving_plan import PlanStatus, PodState
from tunewright_operator.api.model_client import ModelClient
from tunewright_operator.domain.serving.pods import ServerPod


@dataclasses.dataclass(frozen=True, slots=True)
class ListedClient:
    """A client, as the written list of a server has it."""

    generation: int
    """The generation of the client's spec that the list was built from."""
    since: int
    """The first generation of the list that has this entry, or none for a client without access.

    Pods that apply it, or a later one, apply the client's spec. So a change of one client concerns no other one.
    """
    omitted: bool = False
    """Whether the list has no room for the client."""


@dataclasses.dataclass(frozen=True, slots=True)
class Listing:
    """The written list of a server, and its clients by UID."""

    access: AccessList
    clients: Mapping[str, ListedClient]


@dataclasses.dataclass(frozen=True, slots=True)
class Reach:
    """How far one generation of the list has come."""

    applied: int
    """The number of pods that apply it."""
    behind: tuple[str, ...] = ()
    """The names of the pods that answer the operator and do not apply it."""
    silent: tuple[str, ...] = ()
    """The names of the pods that do not answer the operator, and have not reported it before."""

    @property
    def pods(self) -> int:
        """The number of pods that may answer requests."""
        return self.applied + len(self.behind) + len(self.silent)


@dataclasses.dataclass(frozen=True, slots=True)
class Presence:
    """A client on one server."""

    generation: int
    omitted: bool
    reach: Reach


def list_clients(
    last: Listing | None, access: AccessList, clients: Iterable[ModelClient], omitted: frozenset[str]
) -> Listing:
    """Return the listing of a written list, which was built from these clients.

    If it does not continue the last one, every client counts as changed.
    """
    before = {} if last is None else _index(last.access)
    after = _index(access)
    known = last is not None and continues(last.access, access)
    listed: dict[str, ListedClient] = {}
    for client in clients:
        uid, name = client.metadata.uid, (client.metadata.namespace or "", client.metadata.name)
        old = last.clients.get(uid) if last is not None and known else None
        is_same = old is not None and before.get(name) == after.get(name)
        since = old.since if old is not None and is_same else access.generation
        listed[uid] = ListedClient(client.metadata.generation, since, omitted=uid in omitted)
    return Listing(access, listed)


def find_applied(access: AccessList, states: Mapping[str, PodState], last: Mapping[str, int]) -> dict[str, int]:
    """Return the newest generation of the list that each pod has reported as applied and stored, by pod UID.

    Args:
        access: the written list. Another one with its number, or with a higher one, is replaced soon.
        states: the states of the pods that answer, by UID.
        last: the last result, for the same list or one that this list continues.
    """
    content_hash, applied = access.content_hash, dict(last)
    for uid, state in states.items():
        report = state.access
        if report is None or report.status is not PlanStatus.APPLIED:
            continue
        if report.generation < access.generation or (report.generation, report.hash) == (
            access.generation,
            content_hash,
        ):
            applied[uid] = max(applied.get(uid, 0), report.generation)
    return applied


def assess_reach(
    since: int, pods: Iterable[ServerPod], states: Mapping[str, PodState], applied: Mapping[str, int]
) -> Reach:
    """Return how far a generation of the list has come.

    A running pod counts if it is ready, or if it has any list: clients that are connected to it, or on its side of a
    broken network, can send requests. What a pod has reported once stays true while it does not answer.
    """
    count, behind, silent = 0, list[str](), list[str]()
    for pod in pods:
        state, known = states.get(pod.uid), applied.get(pod.uid, 0)
        has_list = known > 0 or (state is not None and state.access is not None and state.access.generation > 0)
        if not pod.ip or not (pod.ready or has_list):
            continue
        if known >= since:
            count += 1
        else:
            (silent if state is None else behind).append(pod.name)
    return Reach(count, tuple(behind), tuple(silent))


def _index(access: AccessList) -> dict[tuple[str, str], ClientEntry]:
    return {(entry.namespace, entry.name): entry for entry in access.clients}


def continues(last: AccessList, access: AccessList) -> bool:
    """Return whether a list is the last one, or the next one with another content.

    Otherwise, pods may have another list with the number of one of both.
    """
    if access.generation == last.generation:
        return access == last
    return access.generation == last.generation + 1 and access.content_hash != last.content_hash
