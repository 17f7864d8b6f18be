"""Which revisions were allowed to answer, and when: computed from the written plans and the pods' reports.

A pod takes a plan at some time between the write and its first report of the plan, and never goes back. So at a given
time, a pod may route by any plan between the newest one that it had reported and the newest one that was written. An
answer is right if one of these plans of some pod, at a time during the answer, has its revision with a weight.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

GONE_SECONDS = 150.0
"""How long a pod that is no longer reported may still finish answers: more than a server pod's grace period."""


@dataclasses.dataclass(frozen=True)
class PlanEntry:
    """One written plan; times are seconds since the epoch.

    ``earliest`` is before the write and ``observed`` after it, because the API server records whole seconds, and a
    watch is delayed. ``shares`` has, by alias, the weight of each revision that has one.
    """

    generation: int
    earliest: float
    observed: float
    shares: Mapping[str, Mapping[str, int]]


@dataclasses.dataclass
class _Pod:
    """The reports of one pod: each generation with the time at which it was first seen."""

    seen_at: float
    last_at: float
    reports: list[tuple[float, int]] = dataclasses.field(default_factory=list)

    def least(self, at: float) -> int:
        """Return the oldest generation that the pod can have had at a time; 0 if it had not reported one yet."""
        return max((generation for time, generation in self.reports if time <= at), default=0)


class Ledger:
    """Record plans and reports, and answer questions about times."""

    def __init__(self) -> None:
        self._plans: dict[int, PlanEntry] = {}
        self._pods: dict[str, _Pod] = {}
        self._present: frozenset[str] = frozenset()

    def record_plan(self, plan: PlanEntry) -> None:
        """Record a plan; a known plan does not change."""
        self._plans.setdefault(plan.generation, plan)

    def record_pods(self, at: float, generations: Mapping[str, int]) -> None:
        """Record the generation that each existing pod reports."""
        self._present = frozenset(generations)
        for name, generation in generations.items():
            pod = self._pods.setdefault(name, _Pod(at, at))
            pod.last_at = at
            if generation > pod.least(at):
                pod.reports.append((at, generation))

    def allowed(self, alias: str, start: float, end: float) -> frozenset[str]:
        """Return the revisions that may have answered for an alias at some time from ``start`` to ``end``."""
        least = self._least_generation(start)
        plans = (plan for plan in self._plans.values() if plan.generation >= least and plan.earliest <= end)
        return frozenset(name for plan in plans for name in plan.shares.get(alias, {}))

    def serves_everywhere(self, alias: str) -> bool:
        """Return whether all existing pods have the newest plan, and the plan has a target for the alias."""
        if not self._plans or not self._present:
            return False
        newest = max(self._plans)
        everywhere = all(self._pods[name].least(self._pods[name].last_at) >= newest for name in self._present)
        return everywhere and bool(self._plans[newest].shares.get(alias))

    def shares(self, alias: str) -> Mapping[str, int]:
        """Return the newest plan's weights for an alias."""
        return self._plans[max(self._plans)].shares.get(alias, {}) if self._plans else {}

    def live_interval(self, alias: str, revision: str) -> tuple[float, float] | None:
        """Return when a plan first gave a revision a weight, and when a later plan removed it, or None."""
        begun: float | None = None
        for generation in sorted(self._plans):
            plan = self._plans[generation]
            has = revision in plan.shares.get(alias, {})
            if has and begun is None:
                begun = plan.observed
            if begun is not None and not has:
                return begun, plan.observed
        return None

    def largest_share(self, alias: str, revision: str) -> int:
        """Return the largest weight that a plan gave a revision, in percent."""
        return max((plan.shares.get(alias, {}).get(revision, 0) for plan in self._plans.values()), default=0)

    def convergence_seconds(self) -> dict[str, float]:
        """Return, by pod, the longest time between seeing a written plan and seeing the pod report it or a later one.

        Plans before the pod's first report do not count, because they would measure the pod's start.
        """
        longest: dict[str, float] = {}
        for name, pod in self._pods.items():
            waits = [self._wait(pod, plan) for plan in self._plans.values()]
            known = [wait for wait in waits if wait is not None]
            if known:
                longest[name] = max(known)
        return longest

    def _wait(self, pod: _Pod, plan: PlanEntry) -> float | None:
        if not pod.reports or plan.observed < pod.reports[0][0] or plan.generation <= pod.reports[0][1]:
            return None
        taken = [time for time, generation in pod.reports if generation >= plan.generation]
        return max(0.0, taken[0] - plan.observed) if taken else None

    def _least_generation(self, start: float) -> int:
        """Return the oldest generation that a pod that may have answered at ``start`` can have had."""
        alive = [pod for pod in self._pods.values() if pod.seen_at <= start and pod.last_at >= start - GONE_SECONDS]
        # There are no reports while nothing changes, so the pods of the last report are still alive.
        alive += [pod for name, pod in self._pods.items() if name in self._present and pod.seen_at <= start]
        return min((pod.least(start) for pod in alive), default=0)
