"""What must hold before a ModelServer's objects are made or changed: a chain of checks, the first broken one is the answer."""

from __future__ import annotations

from collections.abc import Mapping

from tunewright_operator.api import labels
from tunewright_operator.api.base_model import BaseModel
from tunewright_operator.api.conditions import BaseModelCondition, find_condition
from tunewright_operator.api.model_server import ModelServer
from tunewright_operator.domain.reasons import CommonReason
from tunewright_operator.domain.secrets import SecretFacts
from tunewright_operator.domain.serving.status import Problem


def find_problem(
    server: ModelServer, base_model: BaseModel | None, namespace_labels: Mapping[str, str], secret: SecretFacts
) -> Problem | None:
    """Return why the server cannot be made as its spec says; None when it can."""
    return _check_base_model(server, base_model, namespace_labels) or check_secret(
        server.spec.storage.secret_ref.name, server.metadata.namespace or "", secret
    )


def check_secret(name: str, namespace: str, secret: SecretFacts) -> Problem | None:
    """Return why a Secret may not be used; None when it may."""
    if not secret.exists:
        message = f"spec.storage.secretRef: there is no Secret {name!r} in namespace {namespace!r}."
        return Problem(CommonReason.SECRET_NOT_FOUND, f"{message} {CommonReason.SECRET_NOT_FOUND.remedy}")
    if not secret.allowed:
        message = (
            f"spec.storage.secretRef: Secret {name!r} does not carry the label {labels.USE}: {labels.USE_ALLOWED}."
            f" If pods may use it: kubectl label secret {name} -n {namespace} {labels.USE}={labels.USE_ALLOWED}"
        )
        return Problem(CommonReason.SECRET_NOT_ALLOWED, message)
    return None


def _check_base_model(
    server: ModelServer, base_model: BaseModel | None, namespace_labels: Mapping[str, str]
) -> Problem | None:
    name = server.spec.base_model_ref.name
    if base_model is None:
        message = f"spec.baseModelRef: there is no BaseModel {name!r}. {CommonReason.BASE_MODEL_NOT_FOUND.remedy}"
        return Problem(CommonReason.BASE_MODEL_NOT_FOUND, message)
    if not base_model.admits(dict(namespace_labels)):
        message = (
            f"spec.baseModelRef: BaseModel {name!r} does not admit namespace {server.metadata.namespace!r}."
            f" {CommonReason.BASE_MODEL_NOT_ALLOWED.remedy}"
        )
        return Problem(CommonReason.BASE_MODEL_NOT_ALLOWED, message)
    ready = find_condition(base_model.status.conditions, BaseModelCondition.READY)
    if ready is None or not ready.is_true or not base_model.status.digest:
        detail = f" It says: {ready.reason}: {ready.message}" if ready is not None else ""
        return Problem(
            CommonReason.BASE_MODEL_NOT_READY, f"spec.baseModelRef: BaseModel {name!r} is not ready.{detail}"
        )
    return None
