"""How a ModelServer is: whether its pods may be replaced, and what its status says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from tunewright_contracts.serving_plan import ServingPlan
from tunewright_operator.api.conditions import ModelServerCondition as Type
from tunewright_operator.api.model_server import (
    AdapterCount,
    FailedAdapter,
    ModelServer,
    ModelServerStatus,
    PlanReference,
    PodStatus,
    UpdateStrategy,
)
from tunewright_operator.domain.conditions import Wanted, merge_conditions
from tunewright_operator.domain.problem import Problem
from tunewright_operator.domain.reasons.model_server import ModelServerReason as Why
from tunewright_operator.domain.serving.pods import ServerPod
from tunewright_operator.domain.serving.replica import PodView

MAX_REPORTED_PODS = 64
MAX_REPORTED_FAILURES = 8


@dataclass(frozen=True)
class PoolFacts:
    """One look at a server's pods. ``updated``: all run the wanted template."""

    pods: Sequence[ServerPod]
    views: Sequence[PodView]
    plan: ServingPlan | None
    replicas: int = 0
    """Pods that the Deployment has, ready or not."""
    updated: bool = True
    needs_surge: bool = False
    problem: Problem | None = None
    refused: str = ""
    """Why the API server creates no more pods."""
    endpoint: str = ""
    selector: str = ""


def must_hold_update(strategy: UpdateStrategy, *, replicas: int, ready_replicas: int) -> bool:
    """Whether a changed pod template must wait, since replacing the only pod would leave nobody to answer."""
    return replicas == 1 and ready_replicas > 0 and strategy.max_surge == 0


def report_pool(server: ModelServer, facts: PoolFacts, now: datetime) -> ModelServerStatus:
    """Return the server's status."""
    plan = facts.plan
    answering = [view for view in facts.views if view.ready and view.state is not None]
    wanted_names = {adapter.name for adapter in plan.adapters} if plan else set()
    everywhere = [name for name in wanted_names if answering and all(name in view.loaded for view in answering)]
    conditions = _assess(server, facts, len(answering))
    generation = server.metadata.generation
    return server.status.updated(
        observed_generation=generation,
        conditions=merge_conditions(server.status.conditions, conditions, generation=generation, now=now),
        endpoint=facts.endpoint,
        selector=facts.selector,
        replicas=facts.replicas,
        ready_replicas=sum(pod.ready for pod in facts.pods),
        plan=PlanReference(generation=plan.generation, hash=plan.content_hash()) if plan else server.status.plan,
        pods=tuple(_report_pod(view) for view in facts.views[:MAX_REPORTED_PODS]),
        adapters=AdapterCount(desired=len(wanted_names), converged=len(everywhere)),
    )


def _report_pod(view: PodView) -> PodStatus:
    failed = [
        FailedAdapter(name=name, reason=failure.reason, message=failure.message[:512])
        for name, failure in sorted(view.failures.items(), key=lambda item: item[0])
    ]
    return PodStatus(
        name=view.name,
        ready=view.ready,
        plan_generation=view.generation,
        adapters=len(view.loaded),
        failed=tuple(failed[:MAX_REPORTED_FAILURES]),
    )


def _assess(server: ModelServer, facts: PoolFacts, answering: int) -> list[Wanted]:
    spec = server.spec
    needed = max(1, spec.replicas - spec.update_strategy.max_unavailable)
    pods_said = "; ".join(
        [
            *(f"{pod.name}: {pod.problem}" for pod in facts.pods if pod.problem),
            *([facts.refused] if facts.refused else []),
        ]
    )
    counted = f"{answering} of {spec.replicas} replicas are ready and answer the operator."
    if spec.replicas == 0:
        ready = Wanted(Type.READY, "False", Why.SCALED_TO_ZERO, "spec.replicas is 0: nothing answers.")
    elif answering >= needed:
        ready = Wanted(Type.READY, "True", Why.SERVING, counted)
    elif facts.problem is not None and not facts.pods:
        ready = Wanted(Type.READY, "False", facts.problem.reason, facts.problem.message)
    else:
        reason = Why.REPLICAS_UNAVAILABLE if pods_said else Why.STARTING
        ready = Wanted(Type.READY, "False", reason, f"{counted} {pods_said}".strip())
    return [ready, *_assess_progress(server, facts, answering, counted, pods_said)]


def _assess_progress(
    server: ModelServer, facts: PoolFacts, answering: int, counted: str, pods_said: str
) -> list[Wanted]:
    if facts.problem is not None:
        return [Wanted(Type.STALLED, "True", facts.problem.reason, facts.problem.message)]
    if facts.needs_surge:
        message = (
            "the pod template changed, and replacing the only replica would be an outage. Set updateStrategy.maxSurge to 1,"
            " add a replica, or scale to 0 and back."
        )
        return [Wanted(Type.STALLED, "True", Why.NEEDS_SURGE, message)]
    if not facts.updated:
        return [
            Wanted(Type.RECONCILING, "True", Why.UPDATING, f"pods are being replaced. {counted} {pods_said}".strip())
        ]
    if answering < server.spec.replicas:
        return [Wanted(Type.RECONCILING, "True", Why.STARTING, f"{counted} {pods_said}".strip())]
    plan = facts.plan
    lagging = [view.name for view in facts.views if view.ready and plan and view.generation < plan.generation]
    if lagging and plan:
        message = f"plan {plan.generation} has not reached {', '.join(lagging)}."
        return [Wanted(Type.RECONCILING, "True", Why.CONVERGING, message)]
    return []
