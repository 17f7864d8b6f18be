"""How often pods are polled, and which changes of their states concern whom."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from support.clusters.fake_cluster import Clock
from support.worlds.rollout_world import digest_of, make_deployment_body
from support.worlds.server_observations import PLAN, make_state
from tunewright_contracts.serving_plan import (
    AdapterEntry,
    AdapterPhase,
    AdapterState,
    PlanStatus,
    PodState,
    RevisionCounters,
    Route,
    Target,
)
from tunewright_operator.api.adapter_deployment import AdapterDeployment
from tunewright_operator.api.resource import Metadata
from tunewright_operator.domain.reasons.adapter_deployment import AdapterDeploymentReason as Why
from tunewright_operator.domain.serving.claim import Refusal, Refusals
from tunewright_operator.domain.serving.observation import ObservedTenant
from tunewright_operator.domain.serving.polling import (
    Interest,
    counts_evidence,
    plan_polls,
    view_for_rollout,
    view_for_server,
)
from tunewright_operator.domain.serving.replica import PodView, view_pod

STABLE, CANDIDATE, OTHER = "support--1", "support--2", "other--1"


def entry(name: str) -> AdapterEntry:
    return AdapterEntry(name=name, digest=digest_of(name), uri=f"s3://m/{name}", rank=8, namespace="team")


def adapter(name: str = STABLE, phase: AdapterPhase = AdapterPhase.LOADED, **fields: Any) -> AdapterState:
    return AdapterState(name=name, digest=digest_of(name), phase=phase, **fields)


def counters(alias: str = "support", answers: int = 1) -> RevisionCounters:
    return RevisionCounters(alias=alias, revision=STABLE, answers=answers)


def revision(name: str) -> dict[str, Any]:
    return {"revision": name, "digest": digest_of(name), "uri": f"s3://m/{name}", "rank": 8, "baseModelDigest": "x"}


def tenant(candidate: dict[str, Any] | None = None) -> ObservedTenant:
    body = make_deployment_body(Clock())
    body["status"] = {"stable": {**revision(STABLE), "since": Clock().text}}
    if candidate is not None:
        body["status"]["candidate"] = {**revision(CANDIDATE), "acceptedAt": Clock().text, **candidate}
    deployment = AdapterDeployment.from_body(body)
    return ObservedTenant(deployment.metadata, namespace_allowed=True, deployment=deployment)


OPEN_WINDOW = {"step": 2, "stepStartedAt": Clock().text, "observation": {"stepIndex": 2}}
ENDING = {"ending": {"outcome": "Aborted", "reason": "Aborted", "message": ""}}
STATE = make_state("a").updated(adapters=(adapter(),), settled=True)
READY = view_pod("a", "a", ready=True, state=STATE)


@pytest.mark.parametrize(
    ("candidate", "observes"),
    [
        (None, False),
        ({}, False),
        (OPEN_WINDOW, True),
        (OPEN_WINDOW | {"step": 3}, False),
        (OPEN_WINDOW | {"stepStartedAt": None}, False),
        (OPEN_WINDOW | {"observation": None}, False),
        (OPEN_WINDOW | ENDING, False),
    ],
    ids=["no candidate", "new", "open", "window of the last step", "step not begun", "pause", "withdrawn"],
)
def test_what_a_rollout_uses_of_the_pods(candidate: dict[str, Any] | None, observes: bool) -> None:
    item = tenant(candidate)
    (interest,) = plan_polls([item], PLAN, [READY]).interests
    assert (interest.uid, interest.namespace, interest.name, interest.alias) == (
        "deployment-uid", "team", "support", "support",
    )  # fmt: skip
    assert interest.revisions == ({STABLE} if candidate is None else {STABLE, CANDIDATE})
    assert interest.observes is observes


def test_a_deployment_that_cannot_be_read_is_known_by_its_name() -> None:
    metadata = Metadata(name="new", namespace="team", uid="u", creation_timestamp=Clock().text)
    (interest,) = plan_polls([ObservedTenant(metadata, namespace_allowed=True, deployment=None)], PLAN, []).interests
    assert interest == Interest("u", "team", "new")


def see(**fields: Any) -> PodView:
    ready = fields.pop("ready", True)
    return view_pod("a", "a", ready=ready, state=STATE.updated(**fields))


@pytest.mark.parametrize(
    ("tenants", "adapters", "pods", "seconds"),
    [
        ([tenant()], [STABLE], [READY], 10),
        ([tenant({})], [STABLE, CANDIDATE], [READY], 10),
        ([tenant(OPEN_WINDOW)], [STABLE, CANDIDATE], [READY], 2),
        ([tenant()], [STABLE, OTHER], [READY], 2),
        ([tenant()], [STABLE], [READY, see(ready=False)], 2),
        ([tenant()], [STABLE], [see(plan_generation=2)], 2),
        ([tenant()], [STABLE], [see(adapters=(adapter(phase=AdapterPhase.FETCHING),))], 2),
        ([tenant()], [STABLE], [see(adapters=(adapter(phase=AdapterPhase.DRAINING),))], 2),
        ([tenant()], [STABLE], [see(adapters=(adapter(phase=AdapterPhase.RETRYING),))], 10),
        ([tenant()], [STABLE], [see(adapters=(adapter(phase=AdapterPhase.FAILED),))], 10),
        ([tenant()], [STABLE], [view_pod("a", "a", ready=True, state=None)], 2),
        ([tenant()], [STABLE], [], 2),
        ([], [], [READY], 10),
    ],
    ids=[
        "quiet", "a candidate that waits", "evidence", "an adapter drains", "a pod starts", "a pod has an older plan",
        "an adapter is loaded", "an adapter is unloaded", "a load is retried", "a load failed", "no answer", "no pods",
        "no tenants",
    ],
)  # fmt: skip
def test_the_interval(tenants: list[ObservedTenant], adapters: list[str], pods: list[PodView], seconds: float) -> None:
    plan = PLAN.updated(adapters=tuple(entry(name) for name in adapters))
    polls = plan_polls(tenants, plan, pods)
    assert polls.seconds == seconds
    assert polls.draining == ({OTHER} if OTHER in adapters else set())


def test_without_a_plan_something_converges() -> None:
    assert plan_polls([], None, [READY]).seconds == 2


FULL = STATE.updated(
    adapters=(adapter(STABLE, in_flight=1), adapter(OTHER, in_flight=1)), counters=(counters(), counters("other"))
)
INTEREST = Interest("u", "team", "support", "support", frozenset({STABLE, CANDIDATE}), observes=True)
FAILED = {"phase": AdapterPhase.FAILED, "reason": "DigestMismatch", "message": "no"}

CHANGES: dict[str, tuple[PodState | None, PodState | None, bool, bool]] = {
    # before, after, the server is concerned, the window of the alias is concerned
    "nothing": (FULL, FULL.updated(), False, False),
    "no answer any more": (FULL, None, True, False),
    "still no answer": (None, None, False, False),
    "an answer again": (None, FULL, True, True),
    "another process": (FULL, FULL.updated(boot_id="b"), True, True),
    "another plan": (FULL, FULL.updated(plan_generation=4), True, False),
    "another hash": (FULL, FULL.updated(plan_hash="sha256:1"), True, False),
    "a refused plan": (FULL, FULL.updated(plan_status=PlanStatus.REFUSED), True, False),
    "settled": (FULL, FULL.updated(settled=False), True, False),
    "a phase": (FULL, FULL.updated(adapters=(adapter(phase=AdapterPhase.FETCHING), *FULL.adapters[1:])), True, False),
    "another cause": (
        FULL.updated(adapters=(adapter(**FAILED),)),
        FULL.updated(adapters=(adapter(**FAILED | {"message": "still no"}),)),
        True,
        False,
    ),
    "a request to an adapter that stays": (
        FULL,
        FULL.updated(adapters=(adapter(STABLE, in_flight=2), FULL.adapters[1])),
        False,
        False,
    ),
    "a request fewer to an adapter that leaves": (
        FULL.updated(adapters=(FULL.adapters[0], adapter(OTHER, in_flight=2))),
        FULL,
        False,
        False,
    ),
    "the last request to an adapter that leaves": (
        FULL,
        FULL.updated(adapters=(FULL.adapters[0], adapter(OTHER))),
        True,
        False,
    ),
    "an answer for the alias": (FULL, FULL.updated(counters=(counters(answers=2), counters("other"))), False, True),
    "an answer for another alias": (FULL, FULL.updated(counters=(counters(), counters("other", 2))), False, False),
    "memory": (FULL, FULL.updated(peak_memory_mebibytes=5), False, False),
}


@pytest.mark.parametrize("change", CHANGES)
def test_whom_a_change_concerns(change: str) -> None:
    before, after, server, window = CHANGES[change]
    assert (view_for_server(before, {OTHER}) != view_for_server(after, {OTHER})) is server
    assert counts_evidence(before, after, INTEREST) is window
    assert not counts_evidence(before, after, dataclasses.replace(INTEREST, observes=False))


ROUTE = Route(alias="support", namespace="team", owner_uid="u", targets=(Target(name=STABLE, weight=100),))
REFUSALS = Refusals(alias=Refusal(Why.PLAN_TOO_LARGE, "too large"))
LOADING = STATE.updated(adapters=(adapter(), adapter(CANDIDATE, AdapterPhase.FETCHING)))


def view(plan_generation: int = 3, route: Route | None = ROUTE, refusals: Refusals | None = None, **pod: Any) -> object:
    state, ready = pod.get("state", LOADING), pod.get("ready", True)
    pods = () if pod.get("gone") else (view_pod("a", "a", ready=ready, state=state),)
    return view_for_rollout(INTEREST, PLAN.updated(generation=plan_generation), route, refusals, pods)


@pytest.mark.parametrize(
    ("changed", "concerned"),
    [
        (view(), False),
        (view(refusals=Refusals()), False),
        (view(state=LOADING.updated(counters=(counters(),), peak_memory_mebibytes=7)), False),
        (view(4, state=LOADING.updated(plan_generation=4)), False),
        (view(state=LOADING.updated(adapters=(*LOADING.adapters, adapter(OTHER)))), False),
        (view(4), True),
        (view(route=None), True),
        (view(route=ROUTE.updated(targets=())), True),
        (view(route=ROUTE.updated(slow_after_milliseconds=9)), True),
        (view(route=ROUTE.updated(salt="s")), False),
        (view(refusals=REFUSALS), True),
        (view(gone=True), True),
        (view(ready=False), True),
        (view(state=None), True),
        (view(state=LOADING.updated(adapters=(adapter(), adapter(CANDIDATE)))), True),
        (view(state=LOADING.updated(adapters=(adapter(), adapter(CANDIDATE, **FAILED)))), True),
        (view(state=LOADING.updated(adapters=(adapter(), adapter(CANDIDATE, AdapterPhase.RETRYING)))), True),
    ],
    ids=[
        "nothing", "no refusals", "counters", "a plan that all pods have", "an adapter of another alias",
        "a plan that a pod lacks", "no route", "targets", "latency limit", "salt", "refused", "pod gone",
        "pod not ready", "no answer", "loaded", "failed", "retried",
    ],
)  # fmt: skip
def test_which_changes_concern_a_rollout(changed: object, concerned: bool) -> None:
    assert (changed != view()) is concerned


def test_two_plans_that_a_pod_lacks_differ() -> None:
    assert view(4) != view(5)
