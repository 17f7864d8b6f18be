"""Report on a ModelServer after a decision's actions: its status, and when to reconcile it again."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping

from tunewright_contracts.clients.access_list import AccessList
from tunewright_contracts.serving_plan import PodState, ServingPlan
from tunewright_contracts.values import show
from tunewright_operator.api import labels
from tunewright_operator.api.conditions import ModelServerCondition as Type
from tunewright_operator.api.model_server import (
    AccessReference,
    AdapterCount,
    FailedAdapter,
    ModelServer,
    ModelServerStatus,
    PlanReference,
    PodStatus,
)
from tunewright_operator.domain.conditions import Wanted, merge_conditions
from tunewright_operator.domain.problem import Problem
from tunewright_operator.domain.reasons.model_server import ModelServerReason as Why
from tunewright_operator.domain.sentences import join_sentences
from tunewright_operator.domain.serving.access import find_pods_without_access
from tunewright_operator.domain.serving.observation import ServerDecision, ServerObservation, ServerOutcome
from tunewright_operator.domain.serving.pods import DeploymentFacts, ServerPod
from tunewright_operator.domain.serving.polling import PollPlan, plan_polls
from tunewright_operator.domain.serving.replica import PodView, view_pod

PUSH_SECONDS = 2.0
"""Pause while a pod answers that did not take the plan: it is pushed again."""
PROBLEM_SECONDS = 10.0
"""Pause while something is wrong that no watch reports when it ends, such as a refused write."""
RESYNC_SECONDS = 60.0
"""Pause otherwise: the poller reads the pods, and wakes the server's loop when one of them changed."""
MAX_REPORTED_PODS = 64
MAX_REPORTED_FAILURES = 8
MAX_REPORTED_MESSAGE = 512


@dataclasses.dataclass(frozen=True, slots=True)
class ServerReport:
    """The result of reconciling a server: the status to record, how to poll its pods, and when to reconcile again."""

    status: ModelServerStatus
    polls: PollPlan
    reconcile_after_seconds: float


@dataclasses.dataclass(frozen=True, slots=True)
class _Pool:
    """The input of the conditions."""

    server: ModelServer
    pods: tuple[ServerPod, ...]
    views: tuple[PodView, ...]
    states: Mapping[str, PodState]
    deployment: DeploymentFacts | None
    plan: ServingPlan | None
    access: AccessList | None
    problem: Problem | None
    needs_surge: bool

    @property
    def answering(self) -> tuple[PodView, ...]:
        return tuple(view for view in self.views if view.ready and view.state is not None)

    @property
    def counted(self) -> str:
        return f"{len(self.answering)} of {self.server.spec.replicas} replicas are ready and answer the operator."

    @property
    def troubles(self) -> str:
        """The problems that Kubernetes and the pods report."""
        refused = self.deployment.refused if self.deployment is not None else ""
        pods = [
            f"{pod.name}: {join_sentences(pod.problem, pod.changes) if pod.changes else pod.problem}"
            for pod in self.pods
            if pod.problem
        ]
        return "; ".join([*pods, *([f"the Deployment reports: {refused}"] if refused else [])])

    @property
    def changes(self) -> str:
        """The sentences on resources that admission changed, each once: all replicas have one pod template."""
        return join_sentences(*dict.fromkeys(pod.changes for pod in self.pods))

    @property
    def lagging(self) -> tuple[str, ...]:
        """The names of the ready pods that apply an older plan."""
        plan = self.plan
        return tuple(view.name for view in self.views if view.ready and plan and view.generation < plan.generation)


def report(
    observation: ServerObservation, decision: ServerDecision, outcome: ServerOutcome, now: dt.datetime
) -> ServerReport:
    """Return the report on a server after the actions of a decision."""
    states = outcome.states
    views = tuple(view_pod(pod.uid, pod.name, ready=pod.ready, state=states.get(pod.uid)) for pod in observation.pods)
    pool = _Pool(
        server=observation.server,
        pods=observation.pods,
        views=views,
        states=states,
        deployment=observation.deployment,
        plan=outcome.plan,
        access=outcome.access,
        problem=outcome.problem or decision.problem,
        needs_surge=decision.needs_surge,
    )
    polls = plan_polls(observation.tenants, outcome.plan, views)
    return ServerReport(_build_status(pool, now), polls, _decide_pause(observation, pool))


def _decide_pause(observation: ServerObservation, pool: _Pool) -> float:
    if not observation.has_signing_key and pool.problem is None:
        return 0.0
    plan = pool.plan
    if plan is not None and any(view.state is not None and view.generation < plan.generation for view in pool.views):
        return PUSH_SECONDS
    if pool.access is not None and find_pods_without_access(pool.access, pool.pods, pool.states):
        return PUSH_SECONDS
    return RESYNC_SECONDS if pool.problem is None else PROBLEM_SECONDS


def _build_status(pool: _Pool, now: dt.datetime) -> ModelServerStatus:
    server, plan, answering = pool.server, pool.plan, pool.answering
    wanted_names = {adapter.name for adapter in plan.adapters} if plan else set()
    everywhere = [name for name in wanted_names if answering and all(name in view.loaded for view in answering)]
    generation = server.metadata.generation
    selector = labels.build_server_labels(server.metadata.name)
    return server.status.updated(
        observed_generation=generation,
        conditions=merge_conditions(server.status.conditions, _assess(pool), generation=generation, now=now),
        endpoint=server.endpoint,
        selector=",".join(f"{name}={value}" for name, value in selector.items()),
        replicas=pool.deployment.replicas if pool.deployment is not None else 0,
        ready_replicas=sum(pod.ready for pod in pool.pods),
        plan=PlanReference(generation=plan.generation, hash=plan.content_hash) if plan else server.status.plan,
        access=_refer_to(pool.access) or server.status.access,
        pods=tuple(report_pod(view) for view in pool.views[:MAX_REPORTED_PODS]),
        adapters=AdapterCount(desired=len(wanted_names), converged=len(everywhere)),
    )


def _refer_to(access: AccessList | None) -> AccessReference | None:
    return None if access is None else AccessReference(generation=access.generation, hash=access.content_hash)


def report_pod(view: PodView) -> PodStatus:
    """Return what a server's status shows of one pod."""
    failed = [
        FailedAdapter(name=name, reason=failure.reason, message=show(failure.message, MAX_REPORTED_MESSAGE))
        for name, failure in sorted(view.failures.items(), key=lambda item: item[0])
    ]
    return PodStatus(
        name=view.name,
        ready=view.ready,
        plan_generation=view.generation,
        access_generation=view.state.access.generation if view.state and view.state.access else 0,
        adapters=len(view.loaded),
        failed=tuple(failed[:MAX_REPORTED_FAILURES]),
    )


def _assess(pool: _Pool) -> list[Wanted]:
    spec, problem = pool.server.spec, pool.problem
    needed = max(1, spec.replicas - spec.update_strategy.max_unavailable)
    if spec.replicas == 0:
        ready = Wanted(Type.READY, "False", Why.SCALED_TO_ZERO, "spec.replicas is 0: no pod answers.")
    elif len(pool.answering) >= needed:
        # Less memory or CPU than the spec asks for makes a server slow, or ends it under load.
        ready = Wanted(Type.READY, "True", Why.SERVING, join_sentences(pool.counted, pool.changes))
    elif problem is not None and not pool.pods:
        ready = Wanted(Type.READY, "False", problem.reason, problem.message)
    else:
        reason = Why.REPLICAS_UNAVAILABLE if pool.troubles else Why.STARTING
        ready = Wanted(Type.READY, "False", reason, join_sentences(pool.counted, pool.troubles))
    progress = _assess_progress(pool)
    return [ready] if progress is None else [ready, progress]


def _assess_progress(pool: _Pool) -> Wanted | None:
    """Return the condition Stalled or Reconciling; None if the server is as its spec asks."""
    if pool.problem is not None:
        return Wanted(Type.STALLED, "True", pool.problem.reason, pool.problem.message)
    if pool.needs_surge:
        message = (
            "The pod template changed, and replacing the only replica would be an outage. "
            "Set updateStrategy.maxSurge to 1, add a replica, or scale to 0 and back."
        )
        return Wanted(Type.STALLED, "True", Why.NEEDS_SURGE, message)
    if pool.deployment is None or not pool.deployment.updated:
        message = join_sentences("Pods are being replaced.", pool.counted, pool.troubles)
        return Wanted(Type.RECONCILING, "True", Why.UPDATING, message)
    if len(pool.answering) < pool.server.spec.replicas:
        return Wanted(Type.RECONCILING, "True", Why.STARTING, join_sentences(pool.counted, pool.troubles))
    if pool.lagging and pool.plan:
        message = f"Plan {pool.plan.generation} has not reached {', '.join(pool.lagging)}."
        return Wanted(Type.RECONCILING, "True", Why.CONVERGING, message)
    return None
