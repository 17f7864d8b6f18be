"""The checks before a ModelServer's objects are created or changed. The first problem is reported."""

from __future__ import annotations

from collections.abc import Mapping

from tunewright_operator.api.base_model import BaseModel
from tunewright_operator.api.model_server import ModelServer
from tunewright_operator.domain.problem import Problem
from tunewright_operator.domain.references import check_base_model, check_secret
from tunewright_operator.domain.secrets import SecretFacts


def find_problem(
    server: ModelServer, base_model: BaseModel | None, namespace_labels: Mapping[str, str], secret: SecretFacts
) -> Problem | None:
    """Return why the server's objects cannot be created as its spec asks; None when they can."""
    namespace = server.metadata.namespace or ""
    return check_base_model(server.spec.base_model_ref.name, namespace, base_model, namespace_labels) or check_secret(
        server.spec.storage.secret_ref.name, namespace, secret
    )
