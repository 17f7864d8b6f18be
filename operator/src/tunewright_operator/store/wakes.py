"""Which loops a change wakes: pure rules, one for each way in which a resource depends on another object.

A rule compares the old and the new entry of an object, and finds the resources whose decision can change, by the
store's indices. docs/explanation/architecture.md has the table of the rules, which is generated from them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tunewright_operator.api.adapter_deployment import AdapterDeployment
from tunewright_operator.api.base_model import BaseModel
from tunewright_operator.api.conditions import BaseModelCondition, find_condition
from tunewright_operator.api.kinds import (
    ADAPTER_DEPLOYMENT,
    BASE_MODEL,
    DEPLOYMENT,
    FINE_TUNE_JOB,
    JOB,
    MODEL_CLIENT,
    MODEL_SERVER,
    OWN_KINDS,
    POD,
    Kind,
)
from tunewright_operator.api.resource import Metadata
from tunewright_operator.domain.rollout.jobs import SelectableJob
from tunewright_operator.domain.serving.claim import Tenant, build_tenant
from tunewright_operator.domain.serving.polling import is_observing
from tunewright_operator.runtime.key import Key, Urgency
from tunewright_operator.store.entries import Entry, StoredChild, StoredJob, StoredResource
from tunewright_operator.store.store import Store

Find = Callable[[Any, Any, Store], Iterable[Key]]
"""Return the resources to wake after a change from an old to a new entry of the rule's kind, of which one may be None.

They exist in the store, which has the new entry already."""


@dataclasses.dataclass(frozen=True, slots=True)
class Rule:
    """One line of the table: what changes, and whose loop it wakes."""

    kinds: tuple[Kind, ...]
    change: str
    wakes: str
    urgency: Urgency
    find: Find


@dataclasses.dataclass(frozen=True, slots=True)
class Wake:
    """A resource to reconcile, and how urgently."""

    key: Key
    urgency: Urgency


def find_wakes(kind: Kind, old: Entry | None, new: Entry | None, store: Store) -> Iterator[Wake]:
    """Return the resources whose decision can change with this change of an object."""
    for rule in _RULES_BY_KIND.get(kind, ()):
        for key in rule.find(old, new, store):
            yield Wake(key, rule.urgency)


def find_first_wakes(store: Store) -> Iterator[Wake]:
    """Return the resources to reconcile after the first listing: all except jobs that have ended and need nothing."""
    for kind in OWN_KINDS:
        for entry in store.entries(kind):
            if not isinstance(entry, StoredJob) or not entry.ended or _has_open_job(entry, store):
                yield Wake(key_of(kind, entry), Urgency.LISTING)


def key_of(kind: Kind, entry: Entry) -> Key:
    """Return the key of a custom resource's entry."""
    return Key(kind, entry.origin.namespace, entry.origin.name)


# The rules -----------------------------------------------------------------------------------------------------------


def _find_itself(kind: Kind) -> Find:
    """Return the rule of a resource that its own loop reconciles."""

    def find(old: StoredJob | StoredResource[Any] | None, new: StoredJob | StoredResource[Any] | None, _: Store) -> Any:
        if new is None or (isinstance(new, StoredJob) and new.ended):
            return
        if old is None or _essence(old) != _essence(new):
            yield key_of(kind, new)

    return find


def _essence(entry: StoredJob | StoredResource[Any]) -> tuple[Any, ...]:
    """Return what people change of a resource, and its UID: all but the status."""
    uid = entry.origin.uid
    if isinstance(entry, StoredJob):
        return uid, entry.generation, entry.deleting, entry.labels
    metadata: Metadata = entry.metadata
    return (
        uid,
        metadata.generation,
        metadata.deletion_timestamp,
        metadata.labels,
        metadata.annotations,
        metadata.finalizers,
    )


def _find_owner(old: StoredChild | None, new: StoredChild | None, store: Store) -> Iterator[Key]:
    """Find the resource that a child belongs to, if a field that a decision reads changed."""
    child = new or old
    if child is None or child.owner is None or (old is not None and new is not None and not _differ(old, new)):
        return
    owner = store.find(child.owner.kind, child.owner.namespace, child.owner.name)
    if owner is None:
        return
    if isinstance(owner, StoredJob) and owner.ended and not _has_open_job(owner, store):
        return
    yield child.owner


def _has_open_job(job: StoredJob, store: Store) -> bool:
    return store.has_open_job(job.origin.namespace, job.origin.uid)


def _differ(old: StoredChild, new: StoredChild) -> bool:
    return old.origin.uid != new.origin.uid or old.document != new.document


def _find_deployments_of_job(old: StoredJob | None, new: StoredJob | None, store: Store) -> Iterator[Key]:
    """Find the AdapterDeployments that name a job, and those whose selector matches it if it has or had a result."""
    before = old.selectable if old is not None else None
    after = new.selectable if new is not None else None
    job = new or old
    if before == after or job is None:
        return
    has_result = any(item is not None and item.result is not None for item in (before, after))
    for entry in store.list_deployments(job.origin.namespace):
        deployment: AdapterDeployment | None = entry.resource
        if deployment is not None and _chooses(deployment, before, after, has_result=has_result):
            yield key_of(ADAPTER_DEPLOYMENT, entry)


def _chooses(
    deployment: AdapterDeployment, before: SelectableJob | None, after: SelectableJob | None, *, has_result: bool
) -> bool:
    adapter = deployment.spec.adapter
    if adapter.fine_tune_job_ref is not None:
        return any(job is not None and job.name == adapter.fine_tune_job_ref.name for job in (before, after))
    selector = adapter.fine_tune_job_selector
    if selector is None or not has_result:
        return False
    return any(job is not None and selector.matches(job.labels) for job in (before, after))


def _find_server_of_deployment(
    old: StoredResource[AdapterDeployment] | None, new: StoredResource[AdapterDeployment] | None, store: Store
) -> Iterator[Key]:
    """Find the server that an AdapterDeployment names, and the one that it named, if their plan can change."""
    before, after = _plan_inputs(old), _plan_inputs(new)
    if before == after:
        return
    servers = {entry.refers_to: None for entry in (old, new) if entry is not None and entry.refers_to is not None}
    for namespace, name in servers:
        if store.find(MODEL_SERVER, namespace, name) is not None:
            yield Key(MODEL_SERVER, namespace, name)


def _plan_inputs(entry: StoredResource[AdapterDeployment] | None) -> tuple[Any, ...] | None:
    """Return all that a server reads of an AdapterDeployment: for its plan, and for how often it polls its pods."""
    if entry is None or entry.metadata.deletion_timestamp is not None:
        return None  # A deployment that is being deleted has no route.
    tenant: Tenant | None = None
    observes = False
    if entry.resource is not None:
        tenant = build_tenant(entry.resource, namespace_allowed=True, previous=None, states=())
        observes = is_observing(entry.resource.status)
    metadata = entry.metadata  # ModelClients select aliases by the labels
    return entry.origin.uid, metadata.generation, metadata.labels, entry.refers_to, tenant, observes


def _find_servers_of_client(
    old: StoredResource[Any] | None, new: StoredResource[Any] | None, store: Store
) -> Iterator[Key]:
    """Find the servers that serve an alias of a client's namespace, if what they read of the client changed."""
    client = new or old
    if client is None or _client_inputs(old) == _client_inputs(new):
        return
    servers = {entry.refers_to: None for entry in store.list_deployments(client.origin.namespace) if entry.refers_to}
    for namespace, name in servers:
        if store.find(MODEL_SERVER, namespace, name) is not None:
            yield Key(MODEL_SERVER, namespace, name)


def _find_clients_of_deployment(
    old: StoredResource[AdapterDeployment] | None, new: StoredResource[AdapterDeployment] | None, store: Store
) -> Iterator[Key]:
    """Find the clients of an AdapterDeployment's namespace, if what they report of it changed."""
    deployment = new or old
    if deployment is None or _alias_of(old) == _alias_of(new):
        return
    for entry in store.list_clients(deployment.origin.namespace):
        yield key_of(MODEL_CLIENT, entry)


def _alias_of(entry: StoredResource[AdapterDeployment] | None) -> tuple[Any, ...] | None:
    if entry is None or entry.metadata.deletion_timestamp is not None:
        return None
    alias = None if entry.resource is None else entry.resource.spec.model_name
    return entry.refers_to, alias, entry.metadata.labels


def _find_clients_of_server(
    old: StoredResource[Any] | None, new: StoredResource[Any] | None, store: Store
) -> Iterator[Key]:
    """Find the clients whose aliases a server serves that appears or goes."""
    server = new or old
    if server is None or (old is not None and new is not None and not _is_replaced(old, new)):
        return
    tenants = store.list_tenants(server.origin.namespace, server.origin.name)
    for namespace in dict.fromkeys(entry.origin.namespace for entry in tenants):
        for entry in store.list_clients(namespace):
            yield key_of(MODEL_CLIENT, entry)


def _client_inputs(entry: StoredResource[Any] | None) -> tuple[Any, ...] | None:
    if entry is None or entry.metadata.deletion_timestamp is not None:
        return None
    return entry.origin.uid, entry.metadata.generation, entry.resource is None


def _find_deployments_of_server(
    old: StoredResource[Any] | None, new: StoredResource[Any] | None, store: Store
) -> Iterator[Key]:
    """Find the AdapterDeployments that name a server which appears or goes.

    What the server does with each of them is on the board, which wakes them.
    """
    server = new or old
    if server is None or (old is not None and new is not None and not _is_replaced(old, new)):
        return
    for entry in store.list_tenants(server.origin.namespace, server.origin.name):
        yield key_of(ADAPTER_DEPLOYMENT, entry)


def _is_replaced(old: StoredResource[Any], new: StoredResource[Any]) -> bool:
    """Return whether it is another object of the same name, or can be read now, or no longer."""
    return old.origin.uid != new.origin.uid or (old.resource is None) != (new.resource is None)


def _find_open_jobs_of_model(
    old: StoredResource[BaseModel] | None, new: StoredResource[BaseModel] | None, store: Store
) -> Iterator[Key]:
    """Find the jobs on a base model that have not ended, if what they train on changed."""
    model = new or old
    if model is not None and _offer(old) != _offer(new):
        for job in store.list_open_jobs(model.origin.name):
            yield key_of(FINE_TUNE_JOB, job)


def _find_servers_of_model(
    old: StoredResource[BaseModel] | None, new: StoredResource[BaseModel] | None, store: Store
) -> Iterator[Key]:
    """Find the servers of a base model, if what they serve changed."""
    model = new or old
    if model is not None and _offer(old) != _offer(new):
        for server in store.list_servers(model.origin.name):
            yield key_of(MODEL_SERVER, server)


def _offer(entry: StoredResource[BaseModel] | None) -> tuple[Any, ...] | None:
    """Return what jobs and servers read of a base model: all but the messages of its conditions."""
    if entry is None:
        return None
    if entry.resource is None:
        return entry.origin.uid, entry.problem
    model = entry.resource
    ready = find_condition(model.status.conditions, BaseModelCondition.READY)
    found = model.status.updated(conditions=(), observed_generation=0)
    state = (ready.status, ready.reason) if ready is not None else None
    return entry.origin.uid, entry.metadata.generation, entry.metadata.deletion_timestamp, found, state


def _find_deleted_model_of_job(old: StoredJob | None, new: StoredJob | None, store: Store) -> Iterator[Key]:
    """Find the base model whose deletion waited for a job that has ended or is gone."""
    if old is not None and not old.ended and (new is None or new.ended):
        yield from _find_deleted_model(old.base_model, store)


def _find_deleted_model_of_server(
    old: StoredResource[Any] | None, new: StoredResource[Any] | None, store: Store
) -> Iterator[Key]:
    """Find the base model whose deletion waited for a server that is gone."""
    if old is not None and new is None and old.refers_to is not None:
        yield from _find_deleted_model(old.refers_to[1], store)


def _find_deleted_model(name: str, store: Store) -> Iterator[Key]:
    model = store.find(BASE_MODEL, None, name)
    if isinstance(model, StoredResource) and model.metadata.deletion_timestamp is not None:
        yield key_of(BASE_MODEL, model)


RULES: tuple[Rule, ...] = (
    *(
        Rule((kind,), "spec, labels, annotations, finalizers, deletion", "itself", Urgency.USER, _find_itself(kind))
        for kind in OWN_KINDS
        if kind != FINE_TUNE_JOB
    ),
    Rule(
        (FINE_TUNE_JOB,),
        "spec, labels, deletion; not of a job that has ended, unless a raised limit continues it",
        "itself",
        Urgency.USER,
        _find_itself(FINE_TUNE_JOB),
    ),
    Rule(
        (FINE_TUNE_JOB,),
        "it appears or goes, it gets a result or another adapter, its labels change",
        "the AdapterDeployments that name it, and those whose selector matches it once it has a result",
        Urgency.CHILD,
        _find_deployments_of_job,
    ),
    Rule(
        (FINE_TUNE_JOB,),
        "it ends or is gone",
        "its BaseModel, if that is being deleted",
        Urgency.CHILD,
        _find_deleted_model_of_job,
    ),
    Rule(
        (ADAPTER_DEPLOYMENT,),
        "anything that the plan depends on: spec, revisions, weight, the end of a candidate, deletion",
        "its ModelServer, and the one that it named before",
        Urgency.CHILD,
        _find_server_of_deployment,
    ),
    Rule(
        (ADAPTER_DEPLOYMENT,),
        "it appears or goes, it names another server, its alias or its labels change",
        "the ModelClients of its namespace",
        Urgency.PROGRESS,
        _find_clients_of_deployment,
    ),
    Rule(
        (MODEL_SERVER,),
        "it appears or goes (the rest comes from the board of its clients)",
        "the ModelClients of the namespaces of the AdapterDeployments that name it",
        Urgency.PROGRESS,
        _find_clients_of_server,
    ),
    Rule(
        (MODEL_CLIENT,),
        "spec, deletion",
        "the ModelServers that serve an alias of its namespace",
        Urgency.USER,
        _find_servers_of_client,
    ),
    Rule(
        (MODEL_SERVER,),
        "it appears or goes (the rest comes from the board of its pods)",
        "the AdapterDeployments that name it",
        Urgency.CHILD,
        _find_deployments_of_server,
    ),
    Rule(
        (MODEL_SERVER,),
        "it is gone",
        "its BaseModel, if that is being deleted",
        Urgency.CHILD,
        _find_deleted_model_of_server,
    ),
    Rule(
        (BASE_MODEL,),
        "spec, digest, readiness, deletion",
        "the ModelServers that name it",
        Urgency.CHILD,
        _find_servers_of_model,
    ),
    Rule(
        (BASE_MODEL,),
        "spec, digest, readiness, deletion",
        "the FineTuneJobs that name it and have not ended",
        Urgency.PROGRESS,
        _find_open_jobs_of_model,
    ),
    Rule(
        (JOB, POD, DEPLOYMENT),
        "any field that a decision reads",
        "the resource that its labels name; not a job that has ended and whose Jobs have ended and expire",
        Urgency.CHILD,
        _find_owner,
    ),
)

_RULES_BY_KIND = {kind: tuple(rule for rule in RULES if kind in rule.kinds) for rule in RULES for kind in rule.kinds}
