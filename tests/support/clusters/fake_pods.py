"""Server pods in memory: they apply plans as real pods do, load adapters, answer requests and count the answers.

`FakePod` is one process; `FakeServerPods` is the `ServerPods` port to all of them. Tests trigger loading and requests.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache

from tunewright_contracts.clients.access_list import AccessList, SignedAccessList
from tunewright_contracts.serving_plan import (
    BUCKETS,
    LATENCY_BOUNDS_MILLISECONDS,
    AccessState,
    AdapterPhase,
    AdapterState,
    PlanStatus,
    PodState,
    RevisionCounters,
    Route,
    ServingPlan,
    SignedPlan,
)
from tunewright_operator.serving import PodAddress, PodUnreachableError, StateAnswer

METRICS = ("ErrorRate", "Latency", "OutputContract")


UNCHECKED = "Unchecked"
"""A judge's word for an answer whose contract could not be checked in time."""
ABANDONED = "Abandoned"
"""A judge's word for a request whose client disconnects before the answer."""


@lru_cache(maxsize=100_000)
def _spread(salt: str, session: str, parts: int) -> int:
    """Return the part of a session. The cache helps crash tests, which use the same sessions once per write."""
    return int.from_bytes(hashlib.sha256(f"{salt}\0{session}".encode()).digest()) % parts


class Counters:
    def __init__(self) -> None:
        self.answers = [0] * BUCKETS
        self.requests = [0] * BUCKETS
        self.abandoned = [0] * BUCKETS
        self.bad = {metric: [0] * BUCKETS for metric in METRICS}
        self.unchecked = [0] * BUCKETS
        self.latency = [0] * (len(LATENCY_BOUNDS_MILLISECONDS) + 1)

    def count(self, bucket: int, bad: set[str]) -> None:
        self.requests[bucket] += 1
        if ABANDONED in bad:
            self.abandoned[bucket] += 1
            return
        self.answers[bucket] += 1
        self.latency[12] += 1
        for metric in bad - {UNCHECKED}:
            self.bad[metric][bucket] += 1
        self.unchecked[bucket] += UNCHECKED in bad


class FakePod:
    """One server process.

    Adapters in ``broken`` fail permanently with that message (and the reason in ``reasons``).
    Those in ``retrying`` fail and are retried; those in ``slow`` are not loaded yet.
    """

    def __init__(self, uid: str, *, boot: int = 1) -> None:
        self.uid = uid
        self.boot = boot
        self.ready = True
        self.reachable = True
        self.plan: ServingPlan | None = None
        self.plan_status = PlanStatus.NONE
        self.loaded: set[str] = set()
        self.broken: dict[str, str] = {}
        self.retrying: dict[str, str] = {}
        self.reasons: dict[str, str] = {}
        self.slow: set[str] = set()
        self.in_flight: dict[str, int] = {}
        self.counters: dict[tuple[str, str], Counters] = {}
        self.unloaded: list[str] = []
        self.access: AccessList | None = None
        self._hashed: tuple[ServingPlan | None, str] = (None, "")

    @property
    def generation(self) -> int:
        return self.plan.generation if self.plan else 0

    @property
    def plan_hash(self) -> str:
        """The plan's hash, computed once for each plan."""
        if self._hashed[0] is not self.plan:
            self._hashed = (self.plan, self.plan.content_hash if self.plan else "")
        return self._hashed[1]

    @property
    def settled(self) -> bool:
        """Return whether each adapter of the plan is loaded or has failed permanently."""
        return all(
            entry.name in self.loaded | self.broken.keys() for entry in (self.plan.adapters if self.plan else ())
        )

    def apply(self, plan: ServingPlan) -> None:
        """Apply a higher generation, refuse a lower one, report a conflict for an equal one with another hash."""
        if self.plan is not None and plan.generation < self.plan.generation:
            self.plan_status = PlanStatus.REFUSED
            return
        if self.plan is not None and plan.generation == self.plan.generation and plan.content_hash != self.plan_hash:
            self.plan_status = PlanStatus.CONFLICT
            return
        self.plan, self.plan_status = plan, PlanStatus.APPLIED
        wanted = {adapter.name for adapter in plan.adapters}
        self.unloaded += sorted(self.loaded - wanted)
        self.loaded &= wanted
        self.load()

    def apply_access(self, access: AccessList) -> None:
        """Apply a higher generation, and ignore others."""
        if self.access is None or access.generation > self.access.generation:
            self.access = access

    def load(self) -> None:
        """Load all adapters of the plan that are not broken, retrying or slow."""
        if self.plan is not None:
            names = {adapter.name for adapter in self.plan.adapters}
            self.loaded |= names - self.broken.keys() - self.retrying.keys() - self.slow

    def restart(self, mounted: ServingPlan | None = None) -> None:
        """Start a new process, with counters at zero and the plan of the mounted file."""
        self.boot += 1
        self.plan, self.plan_status = None, PlanStatus.NONE
        self.loaded, self.counters, self.in_flight = set(), {}, {}
        if mounted is not None:
            self.apply(mounted)

    def ask(self, alias: str, session: str, judge: Callable[[str], set[str]] = lambda _: set()) -> str | None:
        """Answer one request; return the revision that answered, or None for a 503 or 404."""
        route = next((route for route in (self.plan.routes if self.plan else ()) if route.alias == alias), None)
        if route is None:
            return None
        revision = self._choose(route, session)
        if revision is None:
            return None
        if (alias, revision) not in self.counters:
            self.counters[alias, revision] = Counters()
        self.counters[alias, revision].count(_spread("bucket", session, BUCKETS), judge(revision))
        return revision

    def choose(self, alias: str, session: str) -> str | None:
        """Return the revision that would answer."""
        route = next((route for route in (self.plan.routes if self.plan else ()) if route.alias == alias), None)
        return None if route is None else self._choose(route, session)

    def _choose(self, route: Route, session: str) -> str | None:
        point = _spread(route.salt, session, 100)
        order: list[str] = []
        reached = 0
        for target in sorted(route.targets, key=lambda target: target.name):
            reached += target.weight
            if point < reached and not order:
                order = [target.name, route.fallback]
        return next((name for name in order if name in self.loaded), None)

    def state(self) -> PodState:
        adapters = self.plan.adapters if self.plan else ()
        bucketed = {route.alias for route in (self.plan.routes if self.plan else ()) if route.count_by_key_bucket}
        return PodState(
            pod_uid=self.uid,
            boot_id=f"{self.uid}-{self.boot}",
            plan_generation=self.generation,
            plan_hash=self.plan_hash,
            plan_status=self.plan_status,
            access=self._report_access(),
            settled=self.settled,
            adapters=tuple(
                AdapterState(
                    name=adapter.name,
                    digest=adapter.digest,
                    phase=self._phase(adapter.name),
                    reason=self._reason(adapter.name),
                    message=(self.retrying | self.broken).get(adapter.name, ""),
                    in_flight=self.in_flight.get(adapter.name, 0),
                )
                for adapter in adapters
            ),
            counters=tuple(
                RevisionCounters(
                    alias=alias,
                    revision=revision,
                    answers=sum(counted.answers),
                    requests=sum(counted.requests),
                    abandoned=sum(counted.abandoned),
                    requests_by_bucket=tuple(counted.requests) if alias in bucketed else (),
                    abandoned_by_bucket=tuple(counted.abandoned) if alias in bucketed else (),
                    bad={metric: sum(bad) for metric, bad in counted.bad.items()},
                    answers_by_bucket=tuple(counted.answers) if alias in bucketed else (),
                    bad_by_bucket={metric: tuple(bad) for metric, bad in counted.bad.items() if any(bad)}
                    if alias in bucketed
                    else {},
                    unchecked_by_bucket=tuple(counted.unchecked)
                    if alias in bucketed and any(counted.unchecked)
                    else (),
                    latency_milliseconds=tuple(counted.latency),
                )
                for (alias, revision), counted in sorted(self.counters.items())
            ),
        )

    def _report_access(self) -> AccessState:
        if self.access is None:
            return AccessState()
        generation, content_hash = self.access.generation, self.access.content_hash
        return AccessState(generation=generation, hash=content_hash, status=PlanStatus.APPLIED)

    def _reason(self, name: str) -> str:
        if name in self.broken:
            return self.reasons.get(name, "PreflightFailed")
        return "AccessDenied" if name in self.retrying else ""

    def _phase(self, name: str) -> AdapterPhase:
        if name in self.loaded:
            return AdapterPhase.LOADED
        if name in self.broken:
            return AdapterPhase.FAILED
        return AdapterPhase.RETRYING if name in self.retrying else AdapterPhase.FETCHING


class FakeServerPods:
    """`tunewright_operator.serving.ServerPods` over fake pods, by UID."""

    def __init__(self) -> None:
        self.pods: dict[str, FakePod] = {}
        self.calls: list[tuple[str, str]] = []

    def add(self, uid: str) -> FakePod:
        self.pods[uid] = FakePod(uid)
        return self.pods[uid]

    async def fetch_state(self, pod: PodAddress, token: str, known: StateAnswer | None = None) -> StateAnswer:
        assert token
        state = self._reach("state", pod).state()
        return known if known is not None and known.state == state else StateAnswer(state)

    async def push_plan(self, pod: PodAddress, signed: SignedPlan) -> None:
        self._reach("push", pod).apply(ServingPlan.from_json(signed.payload_bytes()))

    async def push_access(self, pod: PodAddress, signed: SignedAccessList) -> None:
        self._reach("push access", pod).apply_access(AccessList.from_json(signed.payload_bytes()))

    def _reach(self, call: str, address: PodAddress) -> FakePod:
        self.calls.append((call, address.name))
        pod = self.pods.get(address.uid)
        if pod is None or not pod.reachable:
            raise PodUnreachableError(f"pod {address.name} does not answer")
        return pod
