"""What must hold before a FineTuneJob gets a Job: a chain of checks, the first broken one is the answer."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from tunewright_contracts.reasons import Reason
from tunewright_contracts.storage_uri import StorageURI, StorageURIError
from tunewright_operator.api import labels
from tunewright_operator.api.conditions import BaseModelCondition, find_condition
from tunewright_operator.domain.finetune.observation import FineTuneObservation
from tunewright_operator.domain.output_schemas import explain_bad_metric
from tunewright_operator.domain.reasons import CommonReason, FineTuneJobReason


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """Why no Job may be created now. ``passing``: nobody need act; ``final``: no other object's change can mend it."""

    reason: Reason
    message: str
    passing: bool = False
    final: bool = False


def find_problem(observation: FineTuneObservation) -> Problem | None:
    """Return the first thing that keeps the job from starting, None when it may."""
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
            message = f"{field}: {error}. The spec cannot change: delete this job and create a corrected one."
            return Problem(CommonReason.INVALID_URI, message, final=True)
    return None


def _check_metrics(observation: FineTuneObservation) -> Problem | None:
    problem = explain_bad_metric(observation.job.spec.evaluation.metrics)
    if problem is None:
        return None
    message = f"{problem}. The spec cannot change: delete this job and create a corrected one."
    return Problem(CommonReason.INVALID_SCHEMA, message, final=True)


def _check_base_model(observation: FineTuneObservation) -> Problem | None:
    name = observation.job.spec.base_model_ref.name
    model = observation.base_model
    if model is None:
        return Problem(
            CommonReason.BASE_MODEL_NOT_FOUND,
            f"spec.baseModelRef: there is no BaseModel {name!r}. {CommonReason.BASE_MODEL_NOT_FOUND.remedy}",
        )
    if not model.admits(dict(observation.namespace_labels)):
        return Problem(
            CommonReason.BASE_MODEL_NOT_ALLOWED,
            f"spec.baseModelRef: BaseModel {name!r} does not admit namespace {observation.job.metadata.namespace!r}. "
            f"{CommonReason.BASE_MODEL_NOT_ALLOWED.remedy}",
        )
    ready = find_condition(model.status.conditions, BaseModelCondition.READY)
    if ready is None or not ready.is_true or not model.status.digest:
        stalled = find_condition(model.status.conditions, BaseModelCondition.STALLED)
        detail = f" It says: {ready.reason}: {ready.message}" if ready is not None else ""
        return Problem(
            CommonReason.BASE_MODEL_NOT_READY,
            f"spec.baseModelRef: BaseModel {name!r} is not ready.{detail}",
            passing=stalled is None,
        )
    return None


def _check_secret(observation: FineTuneObservation) -> Problem | None:
    name = observation.job.spec.storage.secret_ref.name
    namespace = observation.job.metadata.namespace
    if not observation.secret.exists:
        return Problem(
            CommonReason.SECRET_NOT_FOUND,
            f"spec.storage.secretRef: there is no Secret {name!r} in namespace {namespace!r}. "
            f"{CommonReason.SECRET_NOT_FOUND.remedy}",
        )
    if not observation.secret.allowed:
        return Problem(
            CommonReason.SECRET_NOT_ALLOWED,
            f"spec.storage.secretRef: Secret {name!r} does not carry the label {labels.USE}: {labels.USE_ALLOWED}. "
            f"If jobs may use it: kubectl label secret {name} -n {namespace} {labels.USE}={labels.USE_ALLOWED}",
        )
    return None


def _check_config_maps(observation: FineTuneObservation) -> Problem | None:
    if not observation.missing_config_maps:
        return None
    names = ", ".join(repr(name) for name in observation.missing_config_maps)
    return Problem(
        FineTuneJobReason.CONFIG_MAP_NOT_FOUND,
        f"spec.dataset.sources: no ConfigMap {names} in namespace {observation.job.metadata.namespace!r}. "
        f"{FineTuneJobReason.CONFIG_MAP_NOT_FOUND.remedy}",
    )


_CHECKS: tuple[Callable[[FineTuneObservation], Problem | None], ...] = (
    _check_addresses,
    _check_metrics,
    _check_base_model,
    _check_secret,
    _check_config_maps,
)
