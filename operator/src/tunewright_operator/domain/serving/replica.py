"""What rollouts use of a server and of each replica: parts of the plan and of the pods' reports."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping, Sequence

from tunewright_contracts.serving_plan import AdapterPhase, AdapterState, PodState, ServingPlan
from tunewright_operator.domain.serving.claim import Refusals
from tunewright_operator.domain.serving.pods import EngineFacts


@dataclasses.dataclass(frozen=True)
class AdapterFailure:
    """Why a pod has not loaded an adapter, as the pod reported it; ``reason`` is a word in CamelCase."""

    reason: str
    message: str

    def describe(self) -> str:
        """Return reason and message as one text."""
        return f"{self.reason}: {self.message}"


@dataclasses.dataclass(frozen=True)
class PodView:
    """One pod of the server; ``state`` is None if the pod did not answer the last poll."""

    uid: str
    name: str
    ready: bool
    state: PodState | None = None
    loaded: frozenset[str] = frozenset()
    failed: Mapping[str, AdapterFailure] = dataclasses.field(default_factory=dict)
    """Adapters that the pod has refused permanently, by name."""
    retried: Mapping[str, AdapterFailure] = dataclasses.field(default_factory=dict)
    """Adapters that the pod could not load but tries to load again, since the cause is not the adapter; by name."""
    read_at: dt.datetime | None = None
    """When the state was read; None: now."""

    @property
    def generation(self) -> int:
        """The generation of the plan that the pod applies; 0 if it is unknown."""
        return self.state.plan_generation if self.state else 0

    @property
    def failures(self) -> dict[str, AdapterFailure]:
        """The adapters that the pod could not load, including those that it tries again."""
        return {**self.failed, **self.retried}


@dataclasses.dataclass(frozen=True)
class ServerFacts:
    """What a ModelServer does with a deployment: the last plan, as read back from the API server, and the pods."""

    generation: int
    targets: Mapping[str, int] | None
    """The alias' targets and weights in that plan; None if the plan has no route of this deployment."""
    pods: tuple[PodView, ...]
    refusals: Refusals = dataclasses.field(default_factory=Refusals)
    slow_after_milliseconds: int | None = None
    engine: EngineFacts | None = None
    """None if it is unknown, for example while a changed template is not applied yet."""

    @property
    def ready_pods(self) -> tuple[PodView, ...]:
        """The pods that clients reach."""
        return tuple(pod for pod in self.pods if pod.ready)

    def routes_by(self, targets: Mapping[str, int]) -> bool:
        """Return whether the plan routes by these targets.

        If the server refuses one of them, because its owner now allows less, the plan routes to none of them, and this
        counts as the final state.
        """
        refused = any(name in self.refusals.revisions for name in targets)
        return dict(self.targets or {}) == ({} if refused else dict(targets))

    def is_everywhere(self, targets: Mapping[str, int]) -> bool:
        """Return whether every ready pod routes by these targets; True if there is no ready pod."""
        return self.routes_by(targets) and all(pod.generation >= self.generation for pod in self.ready_pods)

    def has_loaded(self, revision: str) -> bool:
        """Return whether every ready pod, and at least one, has loaded a revision."""
        return bool(self.ready_pods) and all(revision in pod.loaded for pod in self.ready_pods)

    def has_trouble_with(self, revision: str) -> bool:
        """Return whether the server refuses a revision, or a pod could not load it."""
        return revision in self.refusals.revisions or any(revision in pod.failures for pod in self.pods)


def build_server_facts(
    deployment_uid: str,
    alias: str,
    plan: ServingPlan,
    pods: Sequence[PodView],
    refusals: Refusals | None,
    *,
    engine: EngineFacts | None = None,
) -> ServerFacts:
    """Return what a deployment's rollout uses of its server."""
    route = next((route for route in plan.routes if route.alias == alias and route.owner_uid == deployment_uid), None)
    return ServerFacts(
        generation=plan.generation,
        targets=None if route is None else {target.name: target.weight for target in route.targets},
        pods=tuple(pods),
        refusals=refusals or Refusals(),
        slow_after_milliseconds=route.slow_after_milliseconds if route else None,
        engine=engine,
    )


def view_pod(
    uid: str, name: str, *, ready: bool, state: PodState | None, read_at: dt.datetime | None = None
) -> PodView:
    """Return what rollouts use of one pod; `read_at` is when its state was read."""
    adapters = state.adapters if state else ()
    return PodView(
        uid=uid,
        name=name,
        ready=ready,
        state=state,
        loaded=frozenset(adapter.name for adapter in adapters if adapter.phase is AdapterPhase.LOADED),
        failed=_list_failures(adapters, AdapterPhase.FAILED),
        retried=_list_failures(adapters, AdapterPhase.RETRYING),
        read_at=read_at,
    )


def _list_failures(adapters: Sequence[AdapterState], phase: AdapterPhase) -> dict[str, AdapterFailure]:
    return {
        adapter.name: AdapterFailure(adapter.reason, adapter.message) for adapter in adapters if adapter.phase is phase
    }
