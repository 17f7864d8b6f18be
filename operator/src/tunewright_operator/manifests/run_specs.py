"""Run specifications: what a FineTuneJob's pod gets, built from the job and its base model."""

from __future__ import annotations

from tunewright_contracts.adapter_manifest import JobReference
from tunewright_contracts.locations import BaseModelSource, HuggingFaceSource, S3Source
from tunewright_contracts.metrics import MetricSpec
from tunewright_contracts.run_spec import DatasetSource, DatasetSpec, EvaluationSpec, LoraSpec, RunSpec, TrainingSpec
from tunewright_contracts.storage_uri import StorageURI
from tunewright_operator.api.base_model import BaseModel
from tunewright_operator.api.fine_tune_job import DEFAULT_EPOCHS, Dataset, Evaluation, FineTuneJob
from tunewright_operator.api.resource import plain_decimal


def build_run_spec(job: FineTuneJob, base_model: BaseModel, *, attempt: int, micro_batch_size: int | None) -> RunSpec:
    """Return the run specification of one attempt; ``dataset_uri`` is set once the data is prepared."""
    metadata = job.metadata
    namespace = metadata.namespace or ""
    output = StorageURI.parse(job.spec.output.uri)
    dataset, progress = job.status.dataset, job.status.progress
    return RunSpec(
        job=JobReference(namespace=namespace, name=metadata.name, uid=metadata.uid),
        attempt=attempt,
        base_model=build_base_model_source(base_model),
        dataset=_build_dataset(job.spec.dataset),
        training=_build_training(job, micro_batch_size),
        evaluation=_build_evaluation(job.spec.evaluation),
        output_uri=str(output),
        run_uri=str(output.join("runs", namespace, f"{metadata.name}-{metadata.uid[:8]}")),
        dataset_uri=dataset.uri if dataset else None,
        dataset_digest=dataset.digest if dataset else None,
        dataset_manifest_digest=dataset.manifest_digest if dataset else None,
        checkpoint_step=progress.checkpoint_step if progress else None,
    )


def build_base_model_source(base_model: BaseModel) -> BaseModelSource:
    """Return the source of the weights, pinned to the inspected revision and digest.

    Raises:
        ValueError: the BaseModel has not been inspected; callers check that it is Ready.
    """
    source, status = base_model.spec.source, base_model.status
    hub = source.hugging_face
    return BaseModelSource(
        name=base_model.metadata.name,
        s3=S3Source(uri=source.s3.uri) if source.s3 else None,
        hugging_face=HuggingFaceSource(repository=hub.repository, revision=status.revision or hub.revision)
        if hub
        else None,
        digest=status.digest,
        revision=status.revision,
        context_length=base_model.spec.context_length,
        chat_template=base_model.spec.training.chat_template,
        target_modules=base_model.spec.training.target_modules,
        linear_modules=status.linear_modules,
    )


def _build_dataset(dataset: Dataset) -> DatasetSpec:
    sources = tuple(
        DatasetSource.model_validate(
            {
                "name": source.name,
                "s3": {"uri": source.s3.uri} if source.s3 else None,
                "config_map": source.config_map is not None,
                "format": source.format,
            }
        )
        for source in dataset.sources
    )
    return DatasetSpec(
        sources=sources,
        system_prompt=dataset.system_prompt,
        validation_percent=dataset.split.validation_percent,
        evaluation_percent=dataset.split.evaluation_percent,
        deduplication=dataset.deduplication,
        on_invalid_record=dataset.on_invalid_record,
        max_invalid_percent=dataset.max_invalid_percent,
    )


def _build_training(job: FineTuneJob, micro_batch_size: int | None) -> TrainingSpec:
    training = job.spec.training
    lora = training.lora
    length = training.max_sequence_length
    return TrainingSpec(
        quantization=training.quantization,
        lora=LoraSpec(
            rank=lora.rank,
            alpha=lora.alpha,
            dropout=plain_decimal(lora.dropout),
            target_modules=lora.target_modules,
        ),
        epochs=training.epochs or DEFAULT_EPOCHS,
        max_steps=training.max_steps,
        learning_rate=plain_decimal(training.learning_rate),
        batch_size=training.batch_size,
        micro_batch_size=micro_batch_size,
        max_sequence_length=0 if length == "Auto" else length,
        seed=training.seed,
        checkpoint_steps=training.checkpoint_steps,
    )


def _build_evaluation(evaluation: Evaluation) -> EvaluationSpec:
    return EvaluationSpec(
        max_samples=evaluation.max_samples,
        max_tokens=evaluation.max_tokens,
        metrics=tuple(MetricSpec.model_validate(metric.to_wire()) for metric in evaluation.metrics),
    )
