"""The methods of the custom resources' models, and how bodies are parsed."""

from __future__ import annotations

from typing import Any

import pytest

from tunewright_operator.api.adapter_deployment import AdapterDeployment, AdapterDeploymentStatus, Verb
from tunewright_operator.api.base_model import BaseModel
from tunewright_operator.api.conditions import Condition, find_condition
from tunewright_operator.api.fine_tune_job import FineTuneJob, FineTuneJobPhase, FineTuneJobStatus
from tunewright_operator.api.model_server import ModelServer
from tunewright_operator.api.resource import LabelSelector, ResourceError, plain_decimal

BASE_MODEL_SPEC = {"source": {"s3": {"uri": "s3://models/a"}}, "contextLength": 512}
SERVER_SPEC = {"baseModelRef": {"name": "a"}, "storage": {"secretRef": {"name": "s"}}}
JOB_SPEC = {
    "baseModelRef": {"name": "a"},
    "storage": {"secretRef": {"name": "s"}},
    "dataset": {"sources": [{"name": "d", "s3": {"uri": "s3://datasets/d"}}]},
    "output": {"uri": "s3://models/out"},
}
DEPLOYMENT_SPEC = {
    "modelName": "support",
    "serverRef": {"name": "pool"},
    "adapter": {"fineTuneJobRef": {"name": "job"}},
    "storage": {"secretRef": {"name": "s"}},
    "rollout": {"steps": [{"setWeight": 10}, {"pause": {}}]},
}


def body(spec: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": "x", "namespace": "team", **metadata}, "spec": spec}


@pytest.mark.parametrize(
    ("selector", "labels", "expected"),
    [
        ({}, {}, True),
        ({"matchLabels": {"a": "1"}}, {"a": "1", "b": "2"}, True),
        ({"matchLabels": {"a": "1"}}, {"a": "2"}, False),
        ({"matchLabels": {"a": "1", "b": "2"}}, {"a": "1"}, False),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["1", "2"]}]}, {"a": "2"}, True),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["1"]}]}, {}, False),
        ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]}, {"a": "1"}, False),
        ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]}, {}, True),
        ({"matchExpressions": [{"key": "a", "operator": "Exists"}]}, {"a": ""}, True),
        ({"matchExpressions": [{"key": "a", "operator": "Exists"}]}, {}, False),
        ({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}, {}, True),
        ({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}, {"a": ""}, False),
        ({"matchLabels": {"a": "1"}, "matchExpressions": [{"key": "b", "operator": "Exists"}]}, {"a": "1"}, False),
    ],
)
def test_label_selector(selector: dict[str, Any], labels: dict[str, str], expected: bool) -> None:
    assert LabelSelector.model_validate(selector).matches(labels) is expected


@pytest.mark.parametrize(
    ("text", "plain"), [("2e-4", "0.0002"), ("0.0002", "0.0002"), ("1", "1"), ("1E-10", "0.0000000001")]
)
def test_plain_decimal(text: str, plain: str) -> None:
    assert plain_decimal(text) == plain


@pytest.mark.parametrize(
    ("allowed", "labels", "expected"),
    [
        ({"from": "All"}, {}, True),
        ({"from": "Selector", "selector": {"matchLabels": {"team": "a"}}}, {"team": "a"}, True),
        ({"from": "Selector", "selector": {"matchLabels": {"team": "a"}}}, {"team": "b"}, False),
    ],
)
def test_base_model_admits(allowed: dict[str, Any], labels: dict[str, str], expected: bool) -> None:
    model = BaseModel.from_body(body({**BASE_MODEL_SPEC, "allowedNamespaces": allowed}))
    assert model.admits(labels) is expected


@pytest.mark.parametrize(
    ("allowed", "namespace", "labels", "expected"),
    [
        ({}, "team", {}, True),
        ({}, "other", {}, False),
        ({"from": "All"}, "other", {}, True),
        ({"from": "Selector", "selector": {"matchLabels": {"a": "1"}}}, "other", {"a": "1"}, True),
        ({"from": "Selector", "selector": {"matchLabels": {"a": "1"}}}, "other", {}, False),
        ({"from": "Selector", "selector": {"matchLabels": {"a": "1"}}}, "team", {}, True),
    ],
)
def test_server_admits(allowed: dict[str, Any], namespace: str, labels: dict[str, str], expected: bool) -> None:
    server = ModelServer.from_body(body({**SERVER_SPEC, "allowedNamespaces": allowed}))
    assert server.admits(namespace, labels) is expected


def test_an_error_names_the_body_and_the_field() -> None:
    with pytest.raises(ResourceError, match=r"(?s)FineTuneJob team/x does not fit.*baseModelRef.*install the CRDs"):
        FineTuneJob.from_body(body({key: value for key, value in JOB_SPEC.items() if key != "baseModelRef"}))


def test_unknown_fields_of_a_newer_version_are_ignored() -> None:
    job = FineTuneJob.from_body(body({**JOB_SPEC, "budget": {"maxGPUHours": "4"}}))
    assert job.spec.base_model_ref.name == "a"


def test_queue_is_read_from_the_label() -> None:
    assert FineTuneJob.from_body(body(JOB_SPEC)).queue_name is None
    assert FineTuneJob.from_body(body(JOB_SPEC, labels={"kueue.x-k8s.io/queue-name": "gpu"})).queue_name == "gpu"


@pytest.mark.parametrize(
    ("reference", "namespace"), [({"name": "p"}, "team"), ({"name": "p", "namespace": "serving"}, "serving")]
)
def test_server_namespace(reference: dict[str, str], namespace: str) -> None:
    assert AdapterDeployment.from_body(body({**DEPLOYMENT_SPEC, "serverRef": reference})).server_namespace == namespace


def test_empty_steps_differ_from_absent_ones() -> None:
    weight, pause = AdapterDeployment.from_body(body(DEPLOYMENT_SPEC)).spec.rollout.steps
    assert (weight.set_weight, weight.pause) == (10, None)
    assert pause.pause is not None


def test_status_leaves_unset_fields_out_and_round_trips() -> None:
    status = FineTuneJobStatus(observed_generation=3, phase=FineTuneJobPhase.TRAINING)
    wire = status.to_status()
    assert wire["phase"] == "Training"
    assert "progress" not in wire
    assert FineTuneJobStatus.model_validate(wire) == status
    assert "candidate" not in AdapterDeploymentStatus().to_status()


def test_requests_are_read_from_annotations() -> None:
    assert Verb.PROMOTE.annotation == "tunewright.dev/promote"


def test_find_condition() -> None:
    ready = Condition(type="Ready", status="True", reason="Serving", last_transition_time="2026-01-01T00:00:00Z")
    assert find_condition([ready], "Ready") is ready
    assert find_condition([ready], "Stalled") is None
    assert ready.is_true
