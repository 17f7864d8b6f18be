"""The share of each revision, from the status."""

from __future__ import annotations

from typing import Any

import pytest

from tunewright_operator.api.adapter_deployment import AdapterDeploymentStatus
from tunewright_operator.domain.serving.weights import candidate_weight, desired_targets

REVISION = {"digest": "d", "uri": "u", "rank": 8, "baseModelDigest": "b"}
STABLE = {**REVISION, "revision": "old", "since": "2026-01-01T00:00:00Z"}
ENDING = {"outcome": "Aborted", "reason": "Aborted"}


def make_status(*, stable: bool, weight: int | None = None, ending: dict[str, str] | None = None) -> Any:
    status: dict[str, Any] = {"stable": STABLE} if stable else {}
    if weight is not None:
        status["candidate"] = {
            **REVISION, "revision": "new", "acceptedAt": "2026-01-01T00:00:00Z", "weight": weight, "ending": ending,
        }  # fmt: skip
    return AdapterDeploymentStatus.model_validate(status)


@pytest.mark.parametrize(
    ("status", "weight", "targets"),
    [
        (make_status(stable=False), 0, {}),
        (make_status(stable=True), 0, {"old": 100}),
        (make_status(stable=True, weight=0), 0, {"old": 100}),
        (make_status(stable=True, weight=20), 20, {"old": 80, "new": 20}),
        (make_status(stable=True, weight=100), 100, {"new": 100}),
        (make_status(stable=True, weight=20, ending=ENDING), 0, {"old": 100}),
        (make_status(stable=True, weight=100, ending=ENDING), 0, {"old": 100}),
        (make_status(stable=False, weight=20), 0, {}),
        (make_status(stable=False, weight=100), 100, {"new": 100}),
        (make_status(stable=False, weight=100, ending=ENDING), 0, {}),
    ],
)
def test_weights_sum_to_100_if_any_revision_may_answer(
    status: AdapterDeploymentStatus, weight: int, targets: dict[str, int]
) -> None:
    assert candidate_weight(status) == weight
    assert desired_targets(status) == targets
