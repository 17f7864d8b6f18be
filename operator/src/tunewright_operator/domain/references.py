"""What a spec refers to: one check of a storage Secret and one of a BaseModel, for every kind that names one."""

from __future__ import annotations

from collections.abc import Mapping

from tunewright_operator.api import labels
from tunewright_operator.api.base_model import BaseModel
from tunewright_operator.api.conditions import BaseModelCondition, find_condition
from tunewright_operator.domain.problem import Problem
from tunewright_operator.domain.reasons.common import CommonReason
from tunewright_operator.domain.secrets import SecretFacts


def check_secret(name: str, namespace: str, secret: SecretFacts) -> Problem | None:
    """Return why the Secret of `spec.storage.secretRef` may not be used; None when it may."""
    if not secret.exists:
        message = f"spec.storage.secretRef: there is no Secret {name!r} in namespace {namespace!r}."
        return Problem(CommonReason.SECRET_NOT_FOUND, f"{message} {CommonReason.SECRET_NOT_FOUND.remedy}")
    if not secret.allowed:
        message = (
            f"spec.storage.secretRef: Secret {name!r} does not carry the label {labels.USE}: {labels.USE_ALLOWED}."
            " If pods of this namespace may use it: "
            f"kubectl label secret {name} -n {namespace} {labels.USE}={labels.USE_ALLOWED}"
        )
        return Problem(CommonReason.SECRET_NOT_ALLOWED, message)
    return None


def check_base_model(
    name: str, namespace: str, base_model: BaseModel | None, namespace_labels: Mapping[str, str]
) -> Problem | None:
    """Return why the BaseModel of `spec.baseModelRef` may not be used from a namespace; None when it may.

    Args:
        name: the name in the reference.
        namespace: the namespace of the resource that refers to it.
        base_model: the BaseModel of that name, None when there is none.
        namespace_labels: the labels of that namespace.
    """
    if base_model is None:
        message = f"spec.baseModelRef: there is no BaseModel {name!r}. {CommonReason.BASE_MODEL_NOT_FOUND.remedy}"
        return Problem(CommonReason.BASE_MODEL_NOT_FOUND, message)
    if not base_model.admits(dict(namespace_labels)):
        message = f"spec.baseModelRef: BaseModel {name!r} does not admit namespace {namespace!r}."
        return Problem(CommonReason.BASE_MODEL_NOT_ALLOWED, f"{message} {CommonReason.BASE_MODEL_NOT_ALLOWED.remedy}")
    conditions = base_model.status.conditions
    ready = find_condition(conditions, BaseModelCondition.READY)
    if ready is None or not ready.is_true or not base_model.status.digest:
        detail = f" It says: {ready.reason}: {ready.message}" if ready is not None else ""
        return Problem(
            CommonReason.BASE_MODEL_NOT_READY,
            f"spec.baseModelRef: BaseModel {name!r} is not ready.{detail}",
            transient=find_condition(conditions, BaseModelCondition.STALLED) is None,
        )
    return None
