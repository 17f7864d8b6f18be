"""The status of a ModelServer: the Ready condition, at most one of Stalled and Reconciling,
and when to reconcile again.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import pytest

from support.worlds.rollout_world import digest_of
from support.worlds.server_observations import PLAN, PODS, make_model_server, make_state, see
from tunewright_contracts.serving_plan import AdapterEntry, AdapterPhase, AdapterState
from tunewright_operator.domain.problem import Problem
from tunewright_operator.domain.reasons.common import CommonReason
from tunewright_operator.domain.serving.decision import decide
from tunewright_operator.domain.serving.observation import ServerObservation, ServerOutcome
from tunewright_operator.domain.serving.pods import DeploymentFacts
from tunewright_operator.domain.serving.status import ServerReport, report

NOW = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
REFUSED = Problem(CommonReason.JOB_REFUSED, "configmaps is forbidden: quota")
NO_PODS: dict[str, Any] = {"pods": (), "states": {}}
STARTING = {"pods": PODS[:1], "states": {"a": make_state("a")}}


def describe(observation: ServerObservation, **outcome: Any) -> ServerReport:
    done = {"plan": observation.plan.plan, "states": observation.states, **outcome}
    return report(observation, decide(observation), ServerOutcome(**done), NOW)


def conditions(report: ServerReport) -> dict[str, tuple[str, str]]:
    return {item.type: (item.status, item.reason) for item in report.status.conditions}


@pytest.mark.parametrize(
    ("observation", "outcome", "expected"),
    [
        (see(), {}, {"Ready": ("True", "Serving")}),
        (see(make_model_server(replicas=0), **NO_PODS), {}, {"Ready": ("False", "ScaledToZero")}),
        (
            see(base_model=None, **NO_PODS),
            {},
            {"Ready": ("False", "BaseModelNotFound"), "Stalled": ("True", "BaseModelNotFound")},
        ),
        (see(base_model=None), {}, {"Ready": ("True", "Serving"), "Stalled": ("True", "BaseModelNotFound")}),
        (see(), {"problem": REFUSED}, {"Ready": ("True", "Serving"), "Stalled": ("True", "JobRefused")}),
        (see(base_model=None), {"problem": REFUSED}, {"Ready": ("True", "Serving"), "Stalled": ("True", "JobRefused")}),
        (see(**STARTING), {}, {"Ready": ("True", "Serving"), "Reconciling": ("True", "Starting")}),
        (see(**NO_PODS), {}, {"Ready": ("False", "Starting"), "Reconciling": ("True", "Starting")}),
        (
            see(deployment=DeploymentFacts(refused="exceeded quota"), **NO_PODS),
            {},
            {"Ready": ("False", "ReplicasUnavailable"), "Reconciling": ("True", "Starting")},
        ),
        (
            see(deployment=DeploymentFacts(replicas=2, updated=False)),
            {},
            {"Ready": ("True", "Serving"), "Reconciling": ("True", "Updating")},
        ),
        (see(deployment=None, **NO_PODS), {}, {"Ready": ("False", "Starting"), "Reconciling": ("True", "Updating")}),
        (
            see(),
            {"plan": PLAN.updated(generation=4)},
            {"Ready": ("True", "Serving"), "Reconciling": ("True", "Converging")},
        ),
        (
            see(
                make_model_server(replicas=1, updateStrategy={"maxSurge": 0}),
                deployment=DeploymentFacts(replicas=1, ready_replicas=1),
                template_changed=True,
                **STARTING,
            ),
            {},
            {"Ready": ("True", "Serving"), "Stalled": ("True", "NeedsSurge")},
        ),
    ],
)
def test_conditions(observation: ServerObservation, outcome: dict[str, Any], expected: dict[str, tuple[str, str]]):
    assert conditions(describe(observation, **outcome)) == expected


@pytest.mark.parametrize(
    ("observation", "outcome", "seconds"),
    [
        (see(), {}, 60),
        (see(states={"a": make_state("a")}), {}, 60),
        (see(), {"plan": PLAN.updated(generation=4)}, 2),
        (see(states={}), {"plan": PLAN.updated(generation=4)}, 60),
        (see(**NO_PODS), {}, 60),
        (see(base_model=None), {}, 10),
        (see(), {"problem": REFUSED}, 10),
        (see(has_signing_key=False, **NO_PODS), {}, 0),
        (see(has_signing_key=False, **NO_PODS), {"problem": REFUSED}, 10),
    ],
)
def test_when_to_reconcile_again(observation: ServerObservation, outcome: dict[str, Any], seconds: float):
    assert describe(observation, **outcome).reconcile_after_seconds == seconds


def test_the_status_counts_pods_and_adapters():
    loaded, failed = f"support--{digest_of('one')[7:27]}", f"support--{digest_of('two')[7:19]}"
    entries = tuple(
        AdapterEntry(name=name, digest=digest_of(name), uri=f"s3://m/{name}", rank=8, namespace="team")
        for name in (loaded, failed)
    )
    plan = PLAN.updated(adapters=entries)
    states = {
        pod.uid: make_state(pod.uid).updated(
            adapters=(
                AdapterState(name=loaded, digest=digest_of(loaded), phase=AdapterPhase.LOADED),
                AdapterState(
                    name=failed,
                    digest=digest_of(failed),
                    phase=AdapterPhase.FAILED,
                    reason="PreflightFailed",
                    message="tensor holds Inf",
                ),
            )
        )
        for pod in PODS
    }
    report = describe(see(), plan=plan, states=states)
    status = report.status
    assert status.adapters is not None
    assert (status.adapters.desired, status.adapters.converged) == (2, 1)
    assert (status.replicas, status.ready_replicas, status.observed_generation) == (2, 2, 7)
    assert status.endpoint == "http://pool.serving.svc:8000"
    assert "tunewright.dev/name=pool" in status.selector
    assert [(pod.name, pod.ready, pod.plan_generation, pod.adapters) for pod in status.pods] == [
        ("a", True, 3, 1),
        ("b", True, 3, 1),
    ]
    (failure,) = status.pods[0].failed
    assert (failure.name, failure.reason, failure.message) == (failed, "PreflightFailed", "tensor holds Inf")
    assert status.plan is not None
    assert (status.plan.generation, status.plan.hash) == (3, plan.content_hash)
    assert report.polls.draining == {loaded, failed}, "no deployment wants them"


def test_the_last_known_plan_stays_in_the_status():
    status = describe(see(), plan=None).status
    assert status.plan is not None
    assert status.plan.generation == 3


CHANGED = "A limit range or an admission policy changed the pod's resources: limits.memory is 1Gi instead of 8Gi."


def test_resources_that_admission_changed_are_reported_once_while_the_server_works():
    pods = tuple(dataclasses.replace(pod, changes=CHANGED) for pod in PODS)
    observation = see(pods=pods)
    (ready,) = describe(observation).status.conditions
    assert ready.status == "True"
    assert ready.message == f"2 of 2 replicas are ready and answer the operator. {CHANGED}"


def test_resources_that_admission_changed_are_part_of_a_pods_problem():
    pods = (dataclasses.replace(PODS[0], ready=False, problem="ended with exit code 137", changes=CHANGED),)
    ready = describe(see(pods=pods, states={})).status.conditions[0]
    assert ready.message.endswith(f"a: ended with exit code 137. {CHANGED}")
