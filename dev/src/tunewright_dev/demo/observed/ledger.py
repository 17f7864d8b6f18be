"""Which revisions were allowed to answer, and when: from the plans that were written and what the pods reported.

A pod takes a plan at some moment between its write and the first report of it, and never goes back. So at a given time
a pod may route by any plan from the newest one that it had reported by then to the newest one that was written by then.
An answer is right when a plan that some pod may have had while it was given lists its revision with a weight.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

GONE_SECONDS = 150.0
"""How long a pod that is no longer reported may still be ending answers: a server pod's grace period, and some."""


@dataclasses.dataclass(frozen=True)
class PlanEntry:
    """One written plan; times are seconds since the epoch.

    ``earliest`` is before the write, ``observed`` after it: the API server notes whole seconds, and a watch lags.
    ``shares`` has, by alias, the weight of each revision that has one.
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
        """Return the generation that the pod had at least at a time; 0 when it had said nothing by then."""
        return max((generation for time, generation in self.reports if time <= at), default=0)


class Ledger:
    """Grows with every plan and every report; asked about intervals of time."""

    def __init__(self) -> None:
        self._plans: dict[int, PlanEntry] = {}
        self._pods: dict[str, _Pod] = {}
        self._present: frozenset[str] = frozenset()

    def record_plan(self, plan: PlanEntry) -> None:
        """Note a plan; one that is known stays as it was seen first."""
        self._plans.setdefault(plan.generation, plan)

    def record_pods(self, at: float, generations: Mapping[str, int]) -> None:
        """Note which generation each present pod reports."""
        self._present = frozenset(generations)
        for name, generation in generations.items():
            pod = self._pods.setdefault(name, _Pod(at, at))
            pod.last_at = at
            if generation > pod.least(at):
                pod.reports.append((at, generation))

    def allowed(self, alias: str, start: float, end: float) -> frozenset[str]:
        """Return the revisions that may have answered for an alias at some moment from ``start`` to ``end``."""
        least = self._least_generation(start)
        plans = (plan for plan in self._plans.values() if plan.generation >= least and plan.earliest <= end)
        return frozenset(name for plan in plans for name in plan.shares.get(alias, {}))

    def serves_everywhere(self, alias: str) -> bool:
        """Return whether every present pod routes the alias by the newest plan, and the plan has a target for it."""
        if not self._plans or not self._present:
            return False
        newest = max(self._plans)
        everywhere = all(self._pods[name].least(self._pods[name].last_at) >= newest for name in self._present)
        return everywhere and bool(self._plans[newest].shares.get(alias))

    def shares(self, alias: str) -> Mapping[str, int]:
        """Return the newest plan's weights for an alias."""
        return self._plans[max(self._plans)].shares.get(alias, {}) if self._plans else {}

    def live_interval(self, alias: str, revision: str) -> tuple[float, float] | None:
        """Return when a plan first gave a revision a weight and when a later one took it away; None: not both seen."""
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
        """Return, by pod, the longest time from seeing a plan written to seeing the pod report it or a later one.

        Plans from before the pod's first report are left out: how long a pod takes to start is another question.
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
        """Return the oldest generation that any pod that may have answered at ``start`` can have had."""
        alive = [pod for pod in self._pods.values() if pod.seen_at <= start and pod.last_at >= start - GONE_SECONDS]
        # Reports end when nothing changes, so the last present pods are alive however long ago that was.
        alive += [pod for name, pod in self._pods.items() if name in self._present and pod.seen_at <= start]
        return min((pod.least(start) for pod in alive), default=0)
