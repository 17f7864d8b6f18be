"""The checks before a ModelServer's objects are created or changed. The first problem is reported."""

from __future__ import annotations

from tunewright_operator.domain.problem import Problem
from tunewright_operator.domain.references import check_base_model, check_storage
from tunewright_operator.domain.serving.observation import ServerObservation


def find_problem(observation: ServerObservation) -> Problem | None:
    """Return why the server's objects cannot be created as its spec asks; None when they can."""
    spec, namespace = observation.server.spec, observation.server.metadata.namespace or ""
    return (
        observation.allowed_scheduling.find_problem(spec.scheduling, spec.resources)
        or check_base_model(spec.base_model_ref.name, namespace, observation.base_model, observation.namespace_labels)
        or check_storage(spec.storage, namespace, observation.storage)
    )
