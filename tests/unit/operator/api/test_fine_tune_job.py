"""The methods of a FineTuneJob, and its status on the wire."""

from __future__ import annotations

from typing import Any

from tunewright_operator.api.fine_tune_job import FineTuneJob, FineTuneJobPhase, FineTuneJobStatus

SPEC = {
    "baseModelRef": {"name": "a"},
    "storage": {"secretRef": {"name": "s"}},
    "dataset": {"sources": [{"name": "d", "s3": {"uri": "s3://datasets/d"}}]},
    "output": {"uri": "s3://models/out"},
}


def make_job(**metadata: Any) -> FineTuneJob:
    return FineTuneJob.from_body({"metadata": {"name": "x", "namespace": "team", **metadata}, "spec": SPEC})


def test_queue_is_read_from_the_label() -> None:
    assert make_job().queue_name is None
    assert make_job(labels={"kueue.x-k8s.io/queue-name": "gpu"}).queue_name == "gpu"


def test_status_leaves_unset_fields_out_and_round_trips() -> None:
    status = FineTuneJobStatus(observed_generation=3, phase=FineTuneJobPhase.TRAINING)
    wire = status.to_status()
    assert wire["phase"] == "Training"
    assert "progress" not in wire
    assert FineTuneJobStatus.model_validate(wire) == status
