"""What a rollout sees of its server and of each replica."""

from __future__ import annotations

from typing import Any

import pytest

from tunewright_contracts.serving_plan import AdapterPhase, AdapterState, PodState, Route, ServingPlan, Target
from tunewright_operator.domain.reasons.adapter_deployment import AdapterDeploymentReason
from tunewright_operator.domain.serving.claim import Refusal, Refusals
from tunewright_operator.domain.serving.replica import (
    AdapterFailure,
    PodView,
    ServerFacts,
    build_server_facts,
    view_pod,
)

DIGEST = "sha256:" + "0" * 64
REFUSED = Refusal(AdapterDeploymentReason.SOURCE_NOT_ALLOWED, "not allowed")


def adapter(name: str, phase: AdapterPhase, reason: str = "", message: str = "") -> AdapterState:
    return AdapterState(name=name, digest=DIGEST, phase=phase, reason=reason, message=message)


def pod(*adapters: AdapterState, generation: int = 3, ready: bool = True, answers: bool = True) -> PodView:
    state = PodState(pod_uid="p", boot_id="b", plan_generation=generation, adapters=adapters)
    return view_pod("p", "pool-1", ready=ready, state=state if answers else None)


def facts(*pods: PodView, **changes: Any) -> ServerFacts:
    return ServerFacts(**({"generation": 3, "targets": {"old": 80, "new": 20}, "pods": pods} | changes))


def test_the_adapters_of_a_pod_by_phase() -> None:
    view = pod(
        adapter("a", AdapterPhase.LOADED),
        adapter("b", AdapterPhase.FAILED, "PreflightFailed", "NaN"),
        adapter("c", AdapterPhase.RETRYING, "AccessDenied", "wrong key"),
        adapter("d", AdapterPhase.FETCHING),
        adapter("e", AdapterPhase.DRAINING),
    )
    assert view.loaded == {"a"}
    assert view.failed == {"b": AdapterFailure("PreflightFailed", "NaN")}
    assert view.retried == {"c": AdapterFailure("AccessDenied", "wrong key")}
    assert view.failures == {**view.failed, **view.retried}
    assert view.failures["b"].describe() == "PreflightFailed: NaN"
    assert view.generation == 3


def test_nothing_is_known_of_a_pod_that_does_not_answer() -> None:
    view = pod(adapter("a", AdapterPhase.LOADED), answers=False)
    assert (view.state, view.generation, view.loaded, view.failures) == (None, 0, frozenset(), {})


OLD, NEW = adapter("old", AdapterPhase.LOADED), adapter("new", AdapterPhase.LOADED)
BROKEN = adapter("new", AdapterPhase.FAILED)


@pytest.mark.parametrize(
    ("server", "loaded"),
    [
        (facts(), False),
        (facts(pod(OLD, NEW)), True),
        (facts(pod(OLD, NEW), pod(OLD)), False),
        (facts(pod(OLD, NEW), pod(OLD, ready=False)), True),
        (facts(pod(OLD, NEW, ready=False)), False),
    ],
    ids=["no pod", "one pod", "one of two pods", "the other one is not ready", "none is ready"],
)
def test_a_revision_is_loaded_if_every_ready_pod_and_at_least_one_has_it(server: ServerFacts, loaded: bool) -> None:
    assert server.has_loaded("new") is loaded


@pytest.mark.parametrize(
    ("server", "trouble"),
    [
        (facts(pod(OLD)), False),
        (facts(pod(OLD, BROKEN), pod(NEW)), True),
        (facts(pod(OLD, BROKEN, ready=False)), True),
        (facts(pod(NEW), refusals=Refusals(revisions={"new": REFUSED})), True),
        (facts(pod(NEW), refusals=Refusals(revisions={"old": REFUSED})), False),
    ],
)
def test_a_revision_has_trouble_if_the_server_refuses_it_or_a_pod_could_not_load_it(
    server: ServerFacts, trouble: bool
) -> None:
    assert server.has_trouble_with("new") is trouble


WANTED = {"old": 80, "new": 20}


@pytest.mark.parametrize(
    ("server", "routes", "everywhere"),
    [
        (facts(pod()), True, True),
        (facts(), True, True),
        (facts(pod(), pod(generation=4)), True, True),
        (facts(pod(), pod(generation=2)), True, False),
        (facts(pod(), pod(generation=2, ready=False)), True, True),
        (facts(pod(), pod(answers=False)), True, False),
        (facts(pod(), targets={"old": 100}), False, False),
        (facts(pod(), targets=None), False, False),
        (facts(pod(), targets={}, refusals=Refusals(revisions={"new": REFUSED})), True, True),
        (facts(pod(), refusals=Refusals(revisions={"new": REFUSED})), False, False),
        (facts(pod(), refusals=Refusals(revisions={"third": REFUSED})), True, True),
    ],
    ids=[
        "the plan is everywhere",
        "no pod",
        "a pod has a newer plan",
        "a pod has an older plan",
        "a pod that is not ready has an older plan",
        "a pod does not answer",
        "the plan has other weights",
        "the plan has no route",
        "a target is refused, and the plan has no target",
        "a target is refused, and the plan has it still",
        "another revision is refused",
    ],
)
def test_when_the_plan_and_the_pods_route_by_the_weights(server: ServerFacts, routes: bool, everywhere: bool) -> None:
    assert server.routes_by(WANTED) is routes
    assert server.is_everywhere(WANTED) is everywhere


def test_a_deployment_sees_only_its_own_route() -> None:
    route = Route(
        alias="support",
        namespace="team",
        owner_uid="uid",
        targets=(Target(name="old", weight=80), Target(name="new", weight=20)),
        slow_after_milliseconds=900,
    )
    plan = ServingPlan(server_uid="s", generation=7, base_model_digest=DIGEST, routes=(route,))
    view, refusals = pod(), Refusals(alias=REFUSED)
    seen = build_server_facts("uid", "support", plan, [view], refusals)
    assert seen == ServerFacts(7, WANTED, (view,), refusals, 900)
    assert build_server_facts("another", "support", plan, [view], None) == ServerFacts(7, None, (view,))
    assert build_server_facts("uid", "billing", plan, [view], None).targets is None
