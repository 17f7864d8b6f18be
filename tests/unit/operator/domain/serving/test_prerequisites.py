"""The first problem that keeps a ModelServer from being created."""

from __future__ import annotations

import pytest

from support.worlds.server_observations import make_base_model, make_model_server
from tunewright_operator.api.base_model import BaseModel
from tunewright_operator.domain.secrets import SecretFacts
from tunewright_operator.domain.serving.prerequisites import find_problem

ALLOWED, MISSING = SecretFacts(exists=True, allowed=True), SecretFacts(exists=False)


@pytest.mark.parametrize(
    ("base_model", "secret", "reason", "words"),
    [
        (make_base_model(), ALLOWED, None, ""),
        (make_base_model(), MISSING, "SecretNotFound", "'s3'"),
        (make_base_model(""), ALLOWED, "BaseModelNotReady", "'smollm2'"),
        (None, MISSING, "BaseModelNotFound", "'smollm2'"),
    ],
)
def test_base_model_and_secret_are_checked_in_this_order(
    base_model: BaseModel | None, secret: SecretFacts, reason: str | None, words: str
) -> None:
    problem = find_problem(make_model_server(), base_model, {}, secret)
    assert (problem and problem.reason.value) == reason
    assert problem is None or words in problem.message
