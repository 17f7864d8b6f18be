"""The checks before a FineTuneJob gets a Job. They run in order; the first problem is reported."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from tunewright_contracts.storage_uri import StorageURI, StorageURIError
from tunewright_operator.domain.finetune.observation import FineTuneObservation
from tunewright_operator.domain.output_schemas import explain_bad_metric
from tunewright_operator.domain.problem import Problem
from tunewright_operator.domain.reasons.common import CommonReason
from tunewright_operator.domain.reasons.finetune_job import FineTuneJobReason
from tunewright_operator.domain.references import check_base_model, check_storage
from tunewright_operator.domain.sentences import join_sentences

IMMUTABLE = "The spec cannot be changed: delete this job and create a corrected one."


def find_problem(observation: FineTuneObservation) -> Problem | None:
    """Return the first problem that keeps the job from starting; None when it may start."""
    for check in _CHECKS:
        problem = check(observation)
        if problem is not None:
            return problem
    return None


def _check_addresses(observation: FineTuneObservation) -> Problem | None:
    spec = observation.job.spec
    addresses = [("spec.output.uri", spec.output.uri)]
    addresses += [
        (f"spec.dataset.sources[{index}].s3.uri", source.s3.uri)
        for index, source in enumerate(spec.dataset.sources)
        if source.s3 is not None
    ]
    for field, text in addresses:
        try:
            StorageURI.parse(text)
        except StorageURIError as error:
            return Problem(CommonReason.INVALID_URI, join_sentences(f"{field}: {error}", IMMUTABLE), final=True)
    return None


def _check_overlap(observation: FineTuneObservation) -> Problem | None:
    """Check that no source is the output, or above or below it: the job would train on what jobs wrote there."""
    spec = observation.job.spec
    output = StorageURI.parse(spec.output.uri)
    for index, source in enumerate(spec.dataset.sources):
        if source.s3 is None or not StorageURI.parse(source.s3.uri).overlaps(output):
            continue
        reason = FineTuneJobReason.SOURCE_OVERLAPS_OUTPUT
        message = f"spec.dataset.sources[{index}].s3.uri {source.s3.uri} overlaps spec.output.uri {spec.output.uri}."
        return Problem(reason, join_sentences(message, reason.remedy, IMMUTABLE), final=True)
    return None


def _check_metrics(observation: FineTuneObservation) -> Problem | None:
    problem = explain_bad_metric(observation.job.spec.evaluation.metrics)
    if problem is None:
        return None
    return Problem(CommonReason.INVALID_SCHEMA, join_sentences(problem, IMMUTABLE), final=True)


def _check_scheduling(observation: FineTuneObservation) -> Problem | None:
    spec = observation.job.spec
    problem = observation.allowed_scheduling.find_problem(spec.scheduling, spec.resources)
    if problem is None:
        return None
    return dataclasses.replace(problem, message=join_sentences(problem.message, IMMUTABLE))


def _check_base_model(observation: FineTuneObservation) -> Problem | None:
    job = observation.job
    return check_base_model(
        job.spec.base_model_ref.name,
        job.metadata.namespace or "",
        observation.base_model,
        observation.namespace_labels,
    )


def _check_storage(observation: FineTuneObservation) -> Problem | None:
    job = observation.job
    return check_storage(job.spec.storage, job.metadata.namespace or "", observation.storage)


def _check_config_maps(observation: FineTuneObservation) -> Problem | None:
    if not observation.missing_config_maps:
        return None
    names = ", ".join(repr(name) for name in observation.missing_config_maps)
    message = f"spec.dataset.sources: namespace {observation.job.metadata.namespace!r} has no ConfigMap {names}."
    reason = FineTuneJobReason.CONFIG_MAP_NOT_FOUND
    return Problem(reason, join_sentences(message, reason.remedy))


_CHECKS: tuple[Callable[[FineTuneObservation], Problem | None], ...] = (
    _check_addresses,
    _check_overlap,
    _check_metrics,
    _check_scheduling,
    _check_base_model,
    _check_storage,
    _check_config_maps,
)
