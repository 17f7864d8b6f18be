"""The methods of an AdapterDeployment and of its parts."""

from __future__ import annotations

from typing import Any

import pytest

from tunewright_operator.api.adapter_deployment import (
    AdapterDeployment,
    AdapterDeploymentStatus,
    CandidateRevision,
    Verb,
)

SPEC = {
    "modelName": "support",
    "serverRef": {"name": "pool"},
    "adapter": {"fineTuneJobRef": {"name": "job"}},
    "storage": {"secretRef": {"name": "s"}},
    "rollout": {"steps": [{"setWeight": 10}, {"pause": {}}]},
}


def make_deployment(**spec: Any) -> AdapterDeployment:
    return AdapterDeployment.from_body({"metadata": {"name": "x", "namespace": "team"}, "spec": SPEC | spec})


@pytest.mark.parametrize(
    ("reference", "namespace"), [({"name": "p"}, "team"), ({"name": "p", "namespace": "serving"}, "serving")]
)
def test_the_namespace_of_the_server_is_by_default_that_of_the_deployment(
    reference: dict[str, str], namespace: str
) -> None:
    assert make_deployment(serverRef=reference).server_namespace == namespace


def test_empty_steps_differ_from_absent_ones() -> None:
    weight, pause = make_deployment().spec.rollout.steps
    assert (weight.set_weight, weight.pause) == (10, None)
    assert pause.pause is not None


def test_requests_are_read_from_annotations() -> None:
    assert Verb.PROMOTE.annotation == "tunewright.dev/promote"


def test_a_status_without_a_candidate_has_no_null_on_the_wire() -> None:
    assert "candidate" not in AdapterDeploymentStatus().to_status()


def test_a_history_entry_has_the_names_of_the_crd_on_the_wire() -> None:
    revision = {"revision": "a--1", "digest": "d", "uri": "u", "rank": 8, "baseModelDigest": "b"}
    entry = {**revision, "outcome": "Promoted", "reason": "Promoted", "from": "then", "to": "now", "reportURI": "r"}
    status = AdapterDeploymentStatus.model_validate({"history": [{**entry, "evaluationDatasetURI": "e"}]})
    (wire,) = status.to_status()["history"]
    assert wire == {**entry, "evaluationDatasetURI": "e", "message": ""}


def test_a_new_step_forgets_the_last_one_but_not_its_observation() -> None:
    candidate = CandidateRevision(
        revision="a--1",
        digest="d",
        uri="u",
        rank=8,
        base_model_digest="b",
        accepted_at="2026-01-01T00:00:00Z",
        weight=20,
        step=2,
        step_started_at="2026-01-01T00:01:00Z",
        plan_generation=7,
        verdict="Pass",
        reasons=("better",),
        detectable_drop="0.010",
        report_uri="s3://models/report.json",
        observation={"polls": 3},
    )
    begun = candidate.begin_step(3)
    assert begun == CandidateRevision(
        revision="a--1",
        digest="d",
        uri="u",
        rank=8,
        base_model_digest="b",
        accepted_at="2026-01-01T00:00:00Z",
        weight=20,
        step=3,
        report_uri="s3://models/report.json",
        observation={"polls": 3},
    )
