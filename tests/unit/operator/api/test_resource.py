"""The parts that custom resources share, and how bodies are parsed."""

from __future__ import annotations

from typing import Any

import pytest

from tunewright_operator.api.fine_tune_job import FineTuneJob
from tunewright_operator.api.resource import LabelSelector, ResourceError, plain_decimal

JOB_SPEC = {
    "baseModelRef": {"name": "a"},
    "storage": {"secretRef": {"name": "s"}},
    "dataset": {"sources": [{"name": "d", "s3": {"uri": "s3://datasets/d"}}]},
    "output": {"uri": "s3://models/out"},
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


def test_an_error_names_the_body_and_the_field() -> None:
    with pytest.raises(ResourceError, match=r"(?s)FineTuneJob team/x does not match.*baseModelRef.*install the CRDs"):
        FineTuneJob.from_body(body({key: value for key, value in JOB_SPEC.items() if key != "baseModelRef"}))


def test_unknown_fields_of_a_newer_version_are_ignored() -> None:
    job = FineTuneJob.from_body(body({**JOB_SPEC, "budget": {"maxGPUHours": "4"}}))
    assert job.spec.base_model_ref.name == "a"
