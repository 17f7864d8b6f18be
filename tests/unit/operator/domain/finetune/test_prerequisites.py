"""The first problem that keeps a FineTuneJob from starting, as a table."""

from __future__ import annotations

from typing import Any

import pytest

from tunewright_operator.api.base_model import BaseModel
from tunewright_operator.api.fine_tune_job import FineTuneJob
from tunewright_operator.domain.finetune.observation import FineTuneObservation
from tunewright_operator.domain.finetune.prerequisites import find_problem
from tunewright_operator.domain.secrets import StorageFacts, UseFacts

READY = {"type": "Ready", "status": "True", "reason": "Inspected", "lastTransitionTime": "2026-01-01T00:00:00Z"}
MODEL = BaseModel.from_body(
    {
        "metadata": {"name": "smol"},
        "spec": {"source": {"s3": {"uri": "s3://models/smol"}}, "contextLength": 1},
        "status": {"digest": "sha256:1", "conditions": [READY]},
    }
)
ALLOWED = UseFacts(exists=True, allowed=True)
SOURCES = [{"name": "a", "configMap": {"name": "records"}}, {"name": "b", "s3": {"uri": "s3://bucket/x"}}]


def see(
    base_model: BaseModel | None = MODEL,
    secret: UseFacts = ALLOWED,
    missing_config_maps: tuple[str, ...] = (),
    **spec: Any,
) -> FineTuneObservation:
    required = {
        "baseModelRef": {"name": "smol"},
        "storage": {"secretRef": {"name": "s3"}},
        "dataset": {"sources": SOURCES},
        "output": {"uri": "s3://bucket/out"},
    }
    job = FineTuneJob.from_body({"metadata": {"name": "j", "namespace": "ns"}, "spec": required | spec})
    return FineTuneObservation(
        job=job,
        base_model=base_model,
        namespace_labels={},
        storage=StorageFacts(secret=secret),
        missing_config_maps=missing_config_maps,
    )


BAD_OUTPUT = {"output": {"uri": "s3://bucket/../x"}}
BAD_SOURCE = {"dataset": {"sources": [*SOURCES, {"name": "c", "s3": {"uri": "/data"}}]}}
OWN_OUTPUT = {"dataset": {"sources": [*SOURCES, {"name": "c", "s3": {"uri": "s3://bucket/out/datasets/x/"}}]}}
ABOVE_OUTPUT = {"dataset": {"sources": [{"name": "a", "s3": {"uri": "s3://bucket"}}]}}
BAD_SCHEDULING = {"scheduling": {"tolerations": [{"operator": "Exists"}]}}
BAD_METRIC = {"evaluation": {"metrics": [{"type": "JSONSchema", "schema": {"type": 7}}]}}


@pytest.mark.parametrize(
    ("observation", "reason", "final", "words"),
    [
        (see(**BAD_OUTPUT), "InvalidURI", True, "spec.output.uri: "),
        (see(**BAD_SOURCE), "InvalidURI", True, "spec.dataset.sources[2].s3.uri: "),
        (
            see(**OWN_OUTPUT),
            "SourceOverlapsOutput",
            True,
            "spec.dataset.sources[2].s3.uri s3://bucket/out/datasets/x/ ",
        ),
        (see(**ABOVE_OUTPUT), "SourceOverlapsOutput", True, "overlaps spec.output.uri s3://bucket/out"),
        (see(**BAD_METRIC), "InvalidSchema", True, "spec.evaluation.metrics[0].schema: "),
        (see(**BAD_SCHEDULING), "SchedulingNotAllowed", False, "spec.scheduling.tolerations[0]"),
        (see(None), "BaseModelNotFound", False, "'smol'"),
        (see(secret=UseFacts(exists=False)), "SecretNotFound", False, "'s3'"),
        (see(secret=UseFacts(exists=True)), "SecretNotAllowed", False, "'s3'"),
        (see(missing_config_maps=("a", "b")), "ConfigMapNotFound", False, "'a', 'b'"),
    ],
)
def test_each_problem_is_reported_with_its_place(
    observation: FineTuneObservation, reason: str, final: bool, words: str
) -> None:
    problem = find_problem(observation)
    assert problem is not None
    assert (problem.reason.value, problem.final) == (reason, final)
    assert words in problem.message


@pytest.mark.parametrize(
    ("observation", "reason"),
    [
        (see(None, **BAD_OUTPUT, **BAD_METRIC), "InvalidURI"),
        (see(None, **OWN_OUTPUT, **BAD_METRIC), "SourceOverlapsOutput"),
        (see(None, **BAD_METRIC), "InvalidSchema"),
        (see(None, **BAD_SCHEDULING), "SchedulingNotAllowed"),
        (see(None, UseFacts(exists=False)), "BaseModelNotFound"),
        (see(secret=UseFacts(exists=False), missing_config_maps=("a",)), "SecretNotFound"),
    ],
)
def test_a_problem_that_no_change_of_another_object_solves_comes_first(
    observation: FineTuneObservation, reason: str
) -> None:
    problem = find_problem(observation)
    assert problem is not None
    assert problem.reason.value == reason


def test_a_job_without_a_problem_may_start() -> None:
    assert find_problem(see()) is None
