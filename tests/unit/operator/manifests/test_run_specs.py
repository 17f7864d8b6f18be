"""A run specification has the values of its job and base model."""

from __future__ import annotations

from typing import Any

import pytest

from tunewright_contracts.run_spec import RunSpec
from tunewright_operator.api.base_model import BaseModel
from tunewright_operator.api.fine_tune_job import FineTuneJob
from tunewright_operator.manifests.run_specs import build_base_model_source, build_run_spec

DIGEST = "sha256:" + "a" * 64
HUB = {"huggingFace": {"repository": "org/smol", "revision": "main"}}


def make_model(source: dict[str, Any] | None = None, revision: str = "commit") -> BaseModel:
    return BaseModel.from_body(
        {
            "metadata": {"name": "smol"},
            "spec": {
                "source": source or {"s3": {"uri": "s3://models/smol"}},
                "contextLength": 2048,
                "training": {"targetModules": ["q_proj"], "chatTemplate": "{{ x }}"},
            },
            "status": {"digest": DIGEST, "revision": revision, "linearModules": ["k_proj", "q_proj"]},
        }
    )


def build(*, attempt: int = 1, micro_batch_size: int | None = None, status: Any = None, **spec: Any) -> RunSpec:
    required = {
        "baseModelRef": {"name": "smol"},
        "storage": {"secretRef": {"name": "s3"}},
        "dataset": {"sources": [{"name": "a", "s3": {"uri": "s3://data/a/"}}]},
        "output": {"uri": "s3://models/out/"},
    }
    job = FineTuneJob.from_body(
        {
            "metadata": {"name": "tickets", "namespace": "team", "uid": "0123456789abcdef"},
            "spec": required | spec,
            "status": status or {},
        }
    )
    return build_run_spec(job, make_model(), attempt=attempt, micro_batch_size=micro_batch_size)


def test_a_run_names_its_job_its_attempt_and_its_folders() -> None:
    spec = build(attempt=3)
    assert (spec.job.namespace, spec.job.name, spec.job.uid) == ("team", "tickets", "0123456789abcdef")
    assert spec.attempt == 3
    assert spec.output_uri == "s3://models/out"
    assert spec.run_uri == "s3://models/out/runs/team/tickets-01234567"


def test_the_prepared_data_is_named_after_prepare() -> None:
    assert build().dataset_uri is None
    dataset = {"digest": DIGEST, "uri": "s3://models/out/datasets/x", "train": 8, "validation": 1, "evaluation": 1}
    assert build(status={"dataset": dataset}).dataset_uri == "s3://models/out/datasets/x"


def test_digests_and_the_checkpoint_of_the_status_go_with_the_run() -> None:
    dataset = {"digest": DIGEST, "uri": "s3://models/out/datasets/x", "train": 8, "validation": 1, "evaluation": 1}
    first = build(status={"dataset": dataset})
    assert (first.dataset_digest, first.dataset_manifest_digest, first.checkpoint_step) == (DIGEST, None, None)
    manifest = "sha256:" + "d" * 64
    resumed = build(status={"dataset": {**dataset, "manifestDigest": manifest}, "progress": {"checkpointStep": 50}})
    assert (resumed.dataset_manifest_digest, resumed.checkpoint_step) == (manifest, 50)


def test_the_base_model_is_pinned_to_what_inspection_found() -> None:
    source = build_base_model_source(make_model())
    assert source.to_wire() == {
        "name": "smol",
        "s3": {"uri": "s3://models/smol"},
        "digest": DIGEST,
        "revision": "commit",
        "contextLength": 2048,
        "chatTemplate": "{{ x }}",
        "targetModules": ["q_proj"],
        "linearModules": ["k_proj", "q_proj"],
    }
    hub = build_base_model_source(make_model(HUB)).hugging_face
    assert hub is not None
    assert (hub.repository, hub.revision) == ("org/smol", "commit")
    unresolved = build_base_model_source(make_model(HUB, revision="")).hugging_face
    assert unresolved is not None
    assert unresolved.revision == "main"


def test_a_base_model_without_a_digest_has_no_source() -> None:
    model = make_model()
    with pytest.raises(ValueError, match="digest"):
        build_base_model_source(model.updated(status=model.status.updated(digest="")))


def test_the_rules_of_the_dataset_are_copied() -> None:
    sources = [
        {"name": "a", "s3": {"uri": "s3://data/a/"}, "format": "Messages"},
        {"name": "b", "configMap": {"name": "records"}},
    ]
    dataset = {
        "sources": sources,
        "systemPrompt": "Answer briefly.",
        "split": {"validationPercent": 7, "evaluationPercent": 11},
        "deduplication": "None",
        "onInvalidRecord": "Fail",
        "maxInvalidPercent": 2,
    }
    assert build(dataset=dataset).dataset.to_wire() == {
        "sources": [
            {"name": "a", "s3": {"uri": "s3://data/a/"}, "configMap": False, "format": "Messages"},
            {"name": "b", "configMap": True, "format": "Auto"},
        ],
        "systemPrompt": "Answer briefly.",
        "validationPercent": 7,
        "evaluationPercent": 11,
        "deduplication": "None",
        "onInvalidRecord": "Fail",
        "maxInvalidPercent": 2,
    }


def test_hyperparameters_are_resolved() -> None:
    defaults = build().training
    assert (defaults.epochs, defaults.max_steps, defaults.max_sequence_length) == (3, None, 0)
    assert (defaults.learning_rate, defaults.micro_batch_size) == ("0.0002", None)
    assert defaults.lora.target_modules == (), "the BaseModel's modules are in base_model, where messages name them"
    training = {
        "quantization": "None",
        "lora": {"rank": 8, "alpha": 32, "dropout": "5e-2", "targetModules": ["v_proj"]},
        "maxSteps": 60,
        "learningRate": "1e-3",
        "batchSize": 16,
        "maxSequenceLength": 512,
        "seed": 7,
        "checkpointSteps": 5,
    }
    assert build(micro_batch_size=4, training=training).training.to_wire() == {
        "quantization": "None",
        "lora": {"rank": 8, "alpha": 32, "dropout": "0.05", "targetModules": ["v_proj"]},
        "epochs": 3,
        "maxSteps": 60,
        "learningRate": "0.001",
        "batchSize": 16,
        "microBatchSize": 4,
        "maxSequenceLength": 512,
        "seed": 7,
        "checkpointSteps": 5,
        "warmupPercent": 5,
    }


def test_metrics_of_the_evaluation_are_copied() -> None:
    metrics = [
        {"type": "JSONSchema", "schema": {"type": "object"}, "minimum": "0.9"},
        {"type": "Contains", "values": ["a", "b"]},
    ]
    evaluation = build(evaluation={"maxSamples": 9, "maxTokens": 32, "metrics": metrics}).evaluation
    assert (evaluation.max_samples, evaluation.max_tokens) == (9, 32)
    assert [metric.to_wire() for metric in evaluation.metrics] == [{"values": [], **metrics[0]}, metrics[1]]
