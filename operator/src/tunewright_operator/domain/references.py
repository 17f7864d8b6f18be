"""Check what a spec refers to: its storage and a BaseModel, for every kind that names one."""

from __future__ import annotations

from collections.abc import Mapping

from tunewright_operator.api import labels
from tunewright_operator.api.base_model import BaseModel
from tunewright_operator.api.conditions import BaseModelCondition, find_condition
from tunewright_operator.api.resource import Storage
from tunewright_operator.domain.problem import Problem
from tunewright_operator.domain.reasons.common import CommonReason
from tunewright_operator.domain.secrets import StorageFacts, UseFacts
from tunewright_operator.domain.sentences import join_sentences


def check_storage(storage: Storage, namespace: str, facts: StorageFacts) -> Problem | None:
    """Return why the Secret or the ServiceAccount of `spec.storage` may not be used; None when they may."""
    problem = None
    if storage.service_account_name is not None:
        problem = check_account(storage.service_account_name, namespace, facts.account)
    if problem is None and storage.secret_name is not None:
        problem = check_secret(storage.secret_name, namespace, facts.secret)
    return problem


def check_account(name: str, namespace: str, account: UseFacts) -> Problem | None:
    """Return why pods may not run as the ServiceAccount of `spec.storage.serviceAccountName`; None when they may."""
    where = f"spec.storage.serviceAccountName: ServiceAccount {name!r}"
    if not account.exists:
        reason = CommonReason.SERVICE_ACCOUNT_NOT_FOUND
        message = f"{where} does not exist in namespace {namespace!r}."
        return Problem(reason, join_sentences(message, reason.remedy))
    if not account.allowed:
        message = (
            f"{where} does not have the label {labels.USE}: {labels.USE_ALLOWED}."
            " If pods of this namespace may run as it, run"
            f" `kubectl label serviceaccount {name} -n {namespace} {labels.USE}={labels.USE_ALLOWED}`."
        )
        return Problem(CommonReason.SERVICE_ACCOUNT_NOT_ALLOWED, message)
    return None


def check_secret(name: str, namespace: str, secret: UseFacts) -> Problem | None:
    """Return why the Secret of `spec.storage.secretRef` may not be used; None when it may."""
    if not secret.exists:
        message = f"spec.storage.secretRef: Secret {name!r} does not exist in namespace {namespace!r}."
        remedy = CommonReason.SECRET_NOT_FOUND.remedy
        return Problem(CommonReason.SECRET_NOT_FOUND, join_sentences(message, remedy))
    if not secret.allowed:
        message = (
            f"spec.storage.secretRef: Secret {name!r} does not have the label {labels.USE}: {labels.USE_ALLOWED}."
            " If pods of this namespace may use it, run"
            f" `kubectl label secret {name} -n {namespace} {labels.USE}={labels.USE_ALLOWED}`."
        )
        return Problem(CommonReason.SECRET_NOT_ALLOWED, message)
    return None


def check_base_model(
    name: str, namespace: str, base_model: BaseModel | None, namespace_labels: Mapping[str, str]
) -> Problem | None:
    """Return why a namespace may not use the BaseModel of `spec.baseModelRef`; None when it may.

    Args:
        name: the name in the reference.
        namespace: the namespace of the resource with the reference.
        base_model: the BaseModel with that name, None when there is none.
        namespace_labels: the labels of that namespace.
    """
    if base_model is None:
        message = f"spec.baseModelRef: BaseModel {name!r} does not exist."
        remedy = CommonReason.BASE_MODEL_NOT_FOUND.remedy
        return Problem(CommonReason.BASE_MODEL_NOT_FOUND, join_sentences(message, remedy))
    if not base_model.admits(dict(namespace_labels)):
        message = f"spec.baseModelRef: BaseModel {name!r} does not allow namespace {namespace!r}."
        remedy = CommonReason.BASE_MODEL_NOT_ALLOWED.remedy
        return Problem(CommonReason.BASE_MODEL_NOT_ALLOWED, join_sentences(message, remedy))
    conditions = base_model.status.conditions
    ready = find_condition(conditions, BaseModelCondition.READY)
    if ready is None or not ready.is_true or not base_model.status.digest:
        detail = f"Its condition Ready: {ready.reason}: {ready.message}" if ready is not None else ""
        return Problem(
            CommonReason.BASE_MODEL_NOT_READY,
            join_sentences(f"spec.baseModelRef: BaseModel {name!r} is not ready.", detail),
            transient=find_condition(conditions, BaseModelCondition.STALLED) is None,
        )
    return None
