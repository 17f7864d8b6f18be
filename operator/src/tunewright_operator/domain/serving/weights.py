"""The share of an alias' requests that each revision gets. It depends only on the status.

Weights sum to 100 if any revision may answer. A revision without weight is no target, and no pod falls back to it.
"""

from __future__ import annotations

from tunewright_operator.api.adapter_deployment import AdapterDeploymentStatus


def candidate_weight(status: AdapterDeploymentStatus) -> int:
    """Return the candidate's share in percent; without an incumbent, it answers all clients or none."""
    candidate = status.candidate
    if candidate is None or candidate.ending is not None:
        return 0
    if status.stable is None:
        return 100 if candidate.weight == 100 else 0
    return candidate.weight


def desired_targets(status: AdapterDeploymentStatus) -> dict[str, int]:
    """Return the weights by revision; empty if no revision may answer."""
    weight = candidate_weight(status)
    targets: dict[str, int] = {}
    if status.stable is not None and weight < 100:
        targets[status.stable.revision] = 100 - weight
    if status.candidate is not None and weight > 0:
        targets[status.candidate.revision] = weight
    return targets
