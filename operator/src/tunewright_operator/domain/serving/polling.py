"""How often a server's pods are polled, and which changes of their states concern the server or one of its rollouts.

Requests change a pod's state all the time. A loop is woken only by a change that its next decision may depend on.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Sequence

from tunewright_contracts.serving_plan import AdapterPhase, PodState, RevisionCounters, Route, ServingPlan
from tunewright_operator.api.adapter_deployment import AdapterDeploymentStatus
from tunewright_operator.domain.serving.claim import Refusals
from tunewright_operator.domain.serving.observation import ObservedTenant
from tunewright_operator.domain.serving.replica import PodView

ROLLOUT_POLL_SECONDS = 2.0
"""Interval while something changes: a pod starts or has an older plan, or a rollout gathers evidence."""
QUIET_POLL_SECONDS = 10.0
CHANGING_PHASES = frozenset({AdapterPhase.PENDING, AdapterPhase.FETCHING, AdapterPhase.DRAINING})
"""An adapter in one of these phases will soon be in another one; a failed load is retried after a minute."""


@dataclasses.dataclass(frozen=True, slots=True)
class Interest:
    """What one AdapterDeployment uses of the states of its server's pods."""

    uid: str
    namespace: str
    name: str
    alias: str = ""
    revisions: frozenset[str] = frozenset()
    """The names of its stable revision and of its candidate."""
    observes: bool = False
    """Whether a window is open, so that the counters of its alias are evidence."""


@dataclasses.dataclass(frozen=True, slots=True)
class PollPlan:
    """How a server's pods are polled until it is reconciled again."""

    seconds: float
    """The interval between two polls of a pod."""
    interests: tuple[Interest, ...] = ()
    draining: frozenset[str] = frozenset()
    """The adapters that leave the plan when no pod has requests in flight for them."""


def plan_polls(tenants: Iterable[ObservedTenant], plan: ServingPlan | None, pods: Collection[PodView]) -> PollPlan:
    """Return how to poll the pods of a server with this plan; `pods` are viewed as they were last read."""
    interests = tuple(_read_interest(tenant) for tenant in tenants)
    wanted = {name for interest in interests for name in interest.revisions}
    draining = (
        frozenset(adapter.name for adapter in plan.adapters if adapter.name not in wanted) if plan else frozenset()
    )
    busy = bool(draining) or any(interest.observes for interest in interests) or not pods
    settled = not busy and all(_is_settled(pod, plan) for pod in pods)
    return PollPlan(QUIET_POLL_SECONDS if settled else ROLLOUT_POLL_SECONDS, interests, draining)


def _read_interest(tenant: ObservedTenant) -> Interest:
    metadata, deployment = tenant.metadata, tenant.deployment
    namespace = metadata.namespace or ""
    if deployment is None:
        return Interest(metadata.uid, namespace, metadata.name)
    status = deployment.status
    revisions = frozenset(revision.revision for revision in (status.stable, status.candidate) if revision is not None)
    return Interest(
        uid=metadata.uid,
        namespace=namespace,
        name=metadata.name,
        alias=deployment.spec.model_name,
        revisions=revisions,
        observes=is_observing(status),
    )


def is_observing(status: AdapterDeploymentStatus) -> bool:
    """Return whether the observation in the status belongs to the candidate's current step (`live_window.has_window`).

    The observation is not parsed: it is long, and a wrong answer changes only how often the pods are polled.
    """
    candidate = status.candidate
    if candidate is None or candidate.ending is not None or candidate.step_started_at is None:
        return False
    return candidate.observation is not None and candidate.observation.get("stepIndex") == candidate.step


def _is_settled(pod: PodView, plan: ServingPlan | None) -> bool:
    if plan is None or not pod.ready or pod.generation < plan.generation:
        return False
    return pod.state is not None and not any(adapter.phase in CHANGING_PHASES for adapter in pod.state.adapters)


def view_for_server(state: PodState | None, draining: Collection[str]) -> tuple[object, ...]:
    """Return the part of a pod's state that its server's plan and status depend on; of two equal ones, one is old news.

    `state` is None for a pod that does not answer.
    """
    if state is None:
        return ()
    return (
        state.boot_id,
        state.plan_generation,
        state.plan_hash,
        state.plan_status,
        state.access,
        state.settled,
        tuple((adapter.name, adapter.phase, adapter.reason, adapter.message) for adapter in state.adapters),
        tuple(adapter.name for adapter in state.adapters if adapter.name in draining and adapter.in_flight > 0),
    )


def view_for_rollout(
    interest: Interest,
    plan: ServingPlan,
    route: Route | None,
    refusals: Refusals | None,
    pods: Sequence[PodView],
) -> tuple[object, ...]:
    """Return everything except counters that a rollout reads of its server (`replica.ServerFacts`).

    A new plan for other aliases changes it only while a pod has not applied that plan.
    """
    converged = all(pod.generation >= plan.generation for pod in pods if pod.ready)
    return (
        route and (route.targets, route.slow_after_milliseconds),
        refusals or Refusals(),
        None if converged else plan.generation,
        tuple(_view_replica(pod, interest, plan) for pod in pods),
    )


def _view_replica(pod: PodView, interest: Interest, plan: ServingPlan) -> tuple[object, ...]:
    return (
        pod.uid,
        pod.name,
        pod.ready,
        pod.state is not None,
        pod.generation >= plan.generation,
        pod.loaded & interest.revisions,
        {name: failure for name, failure in pod.failed.items() if name in interest.revisions},
        {name: failure for name, failure in pod.retried.items() if name in interest.revisions},
    )


def counts_evidence(before: PodState | None, after: PodState | None, interest: Interest) -> bool:
    """Return whether a pod's new state has evidence for an open window that its last state did not have."""
    if not interest.observes or after is None:
        return False
    if before is None or before.boot_id != after.boot_id:
        return True
    return _list_counters(before, interest.alias) != _list_counters(after, interest.alias)


def _list_counters(state: PodState, alias: str) -> list[RevisionCounters]:
    return [counters for counters in state.counters if counters.alias == alias]
