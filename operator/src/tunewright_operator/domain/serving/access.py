"""The access list of one ModelServer: a pure function of the clients in its tenants' namespaces and of its routes.

It has no time: pods end keys at their own time. A client has access only to aliases of its own namespace, which pods
check again when a request comes, by the plan in force.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from tunewright_contracts.clients.access_list import MAX_ACCESS_BYTES, AccessList, ClientEntry, KeyEntry
from tunewright_contracts.clients.client_key import HASH_PATTERN, ID_PATTERN
from tunewright_contracts.serving_plan import AccessState, PlanStatus, PodState, Route
from tunewright_operator.api.model_client import ClientAliases, ClientKey, ModelClient
from tunewright_operator.domain.serving.numbering import SIGNATURE_OVERHEAD_BYTES, number
from tunewright_operator.domain.serving.pods import ServerPod, trust_generation
from tunewright_operator.domain.times import parse_time

_ENTRY_OVERHEAD_BYTES = 1
"""The comma between two entries."""


@dataclasses.dataclass(frozen=True, slots=True)
class AccessDecision:
    """The access list that pods should have.

    ``changed``: it is a new generation, which must be written; otherwise it is the last list again.
    """

    access: AccessList
    changed: bool
    omitted: frozenset[str] = frozenset()
    """The UIDs of the clients for which the list has no room."""


def build_access_list(
    server_uid: str,
    clients: Iterable[ModelClient],
    previous: AccessList | None,
    pods: Iterable[AccessState],
    *,
    routes: Sequence[Route],
    labels: Mapping[str, Mapping[str, str]],
    anonymous: bool,
    status_generation: int = 0,
) -> AccessDecision:
    """Return the next access list.

    Args:
        server_uid: the ModelServer's UID.
        clients: those of the namespaces that the server admits and that have an AdapterDeployment on it.
        previous: the list in the ConfigMap, as read now.
        pods: the reports of the pods that answered.
        routes: the routes of the plan.
        labels: the labels of the AdapterDeployments by their UIDs, for clients that select aliases.
        anonymous: whether requests without a key are answered.
        status_generation: the highest generation in the ModelServer's status.
    """
    entries = {
        client.metadata.uid: (client, _build_entry(client, routes, labels))
        for client in clients
        if client.spec.keys and not client.spec.suspended and client.metadata.deletion_timestamp is None
    }
    kept, omitted = _fit(entries)
    content = AccessList(
        kind="AccessList", server_uid=server_uid, generation=1, anonymous=anonymous, clients=tuple(kept)
    )
    reports = tuple(pods)
    access, changed = number(
        content,
        previous,
        (trust_generation(report.generation) for report in reports),
        status_generation,
        disputed=any(_is_disputed(report, previous) for report in reports),
    )
    return AccessDecision(access, changed, omitted)


def find_pods_without_access(
    access: AccessList, pods: Iterable[ServerPod], states: Mapping[str, PodState]
) -> tuple[ServerPod, ...]:
    """Return the answering pods that have not applied this list or a later one.

    Pods of an earlier release take no list.
    """
    reports = ((pod, states[pod.uid].access) for pod in pods if pod.uid in states)
    return tuple(pod for pod, report in reports if report is not None and not has_applied(report, access))


def has_applied(report: AccessState, access: AccessList) -> bool:
    """Return whether a pod applies this list or a later one, also after a restart."""
    if report.generation > access.generation:
        return True
    return report.generation == access.generation and report.status is PlanStatus.APPLIED


def _build_entry(client: ModelClient, routes: Sequence[Route], labels: Mapping[str, Mapping[str, str]]) -> ClientEntry:
    """Return a client as pods know it.

    A key in a wrong form, which an older CRD admits, is left out: it must not stop the list for all other clients.
    """
    namespace, aliases = client.metadata.namespace or "", client.spec.aliases
    own = (route for route in routes if route.namespace == namespace and route.owner_uid in labels)
    selected = select_aliases(aliases, ((route.alias, labels[route.owner_uid]) for route in own))
    return ClientEntry(
        namespace=namespace,
        name=client.metadata.name,
        keys=tuple(
            KeyEntry(id=key.id, sha256=key.sha256, expires_at=find_end(key))
            for key in client.spec.keys
            if re.fullmatch(ID_PATTERN, key.id) and re.fullmatch(HASH_PATTERN, key.sha256)
        ),
        all_aliases=aliases.all_,
        aliases=() if aliases.all_ else tuple(sorted(selected)),
    )


def select_aliases(aliases: ClientAliases, own: Iterable[tuple[str, Mapping[str, str]]]) -> set[str]:
    """Return the aliases that a client names, and those of its namespace, given with their labels, that it selects."""
    selector = aliases.selector
    found = {alias for alias, labels in own if aliases.all_ or (selector is not None and selector.matches(labels))}
    return found | set(aliases.names)


def find_end(key: ClientKey) -> int | None:
    """Return the end of a key in seconds since 1970; a time that cannot be read is one that is over."""
    if key.not_after is None:
        return None
    try:
        return int(parse_time(key.not_after).timestamp())
    except (ValueError, OverflowError):
        return 0


def _fit(entries: Mapping[str, tuple[ModelClient, ClientEntry]]) -> tuple[list[ClientEntry], frozenset[str]]:
    """Return the entries for which the list has room, in a fixed order, and the UIDs of the other clients.

    The namespace that takes the most room loses its newest clients first: no team displaces another team's clients.
    """
    room = MAX_ACCESS_BYTES * 3 // 4 - 4 * SIGNATURE_OVERHEAD_BYTES
    sizes = {uid: len(entry.to_json().encode()) + _ENTRY_OVERHEAD_BYTES for uid, (_, entry) in entries.items()}
    used = Counter[str]()
    by_age: dict[str, list[str]] = {}
    for uid, (client, _) in sorted(entries.items(), key=lambda item: _age(item[1][0])):
        by_age.setdefault(client.metadata.namespace or "", []).append(uid)
        used[client.metadata.namespace or ""] += sizes[uid]
    omitted: set[str] = set()
    total = used.total()
    while total > room:
        largest = max(sorted(used), key=used.__getitem__)
        uid = by_age[largest].pop()
        omitted.add(uid)
        used[largest] -= sizes[uid]
        total -= sizes[uid]
    kept = (entry for uid, (_, entry) in entries.items() if uid not in omitted)
    return sorted(kept, key=lambda entry: (entry.namespace, entry.name)), frozenset(omitted)


def _age(client: ModelClient) -> tuple[str, str, str]:
    return client.metadata.creation_timestamp, client.metadata.namespace or "", client.metadata.name


def _is_disputed(report: AccessState, previous: AccessList | None) -> bool:
    """Return whether a pod has another list of the last generation than the written one."""
    if report.status is PlanStatus.CONFLICT:
        return True
    return previous is not None and report.generation == previous.generation and report.hash != previous.content_hash
