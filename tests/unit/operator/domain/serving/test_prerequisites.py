"""The first problem that keeps a ModelServer from being created."""

from __future__ import annotations

from typing import Any

import pytest

from support.worlds.server_observations import make_base_model, make_model_server
from tunewright_operator.api.base_model import BaseModel
from tunewright_operator.domain.secrets import StorageFacts, UseFacts
from tunewright_operator.domain.serving.observation import ServerObservation
from tunewright_operator.domain.serving.prerequisites import find_problem

ALLOWED, MISSING = UseFacts(exists=True, allowed=True), UseFacts(exists=False)


@pytest.mark.parametrize(
    ("spec", "base_model", "secret", "reason", "words"),
    [
        ({}, make_base_model(), ALLOWED, None, ""),
        ({}, make_base_model(), MISSING, "SecretNotFound", "'s3'"),
        ({}, make_base_model(""), ALLOWED, "BaseModelNotReady", "'smollm2'"),
        ({}, None, MISSING, "BaseModelNotFound", "'smollm2'"),
        ({"scheduling": {"priorityClassName": "x"}}, None, MISSING, "SchedulingNotAllowed", "'x'"),
    ],
)
def test_scheduling_base_model_and_secret_are_checked_in_this_order(
    spec: dict[str, Any], base_model: BaseModel | None, secret: UseFacts, reason: str | None, words: str
) -> None:
    observation = ServerObservation(
        make_model_server(**spec), base_model, {}, StorageFacts(secret=secret), has_signing_key=True
    )
    problem = find_problem(observation)
    assert (problem and problem.reason.value) == reason
    assert problem is None or words in problem.message
