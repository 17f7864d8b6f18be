"""What a resource reports when the cluster refuses a write: the server's own message, and then what to do."""

from __future__ import annotations

import pytest

from tunewright_operator.cluster import (
    AlreadyExistsError,
    ConflictError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    UnavailableError,
)
from tunewright_operator.domain.problem import Problem
from tunewright_operator.domain.reasons.common import CommonReason
from tunewright_operator.reconcile.children import NameTakenError
from tunewright_operator.reconcile.refusals import REFUSED_WRITE, explain_refused_write

QUOTA = "create Job support/j-prepare-1: exceeded quota: small, limited: count/jobs.batch=0"


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (
            ForbiddenError(QUOTA),
            Problem(CommonReason.JOB_REFUSED, f"{QUOTA}. {CommonReason.JOB_REFUSED.remedy}"),
        ),
        (
            InvalidError("POST /apis/batch/v1/namespaces/support/jobs: 422: spec is immutable."),
            Problem(
                CommonReason.JOB_REFUSED,
                "POST /apis/batch/v1/namespaces/support/jobs: 422: spec is immutable. "
                f"{CommonReason.JOB_REFUSED.remedy}",
            ),
        ),
        (
            NameTakenError("Job support/j-prepare-1"),
            Problem(
                CommonReason.NAME_TAKEN,
                f"Job support/j-prepare-1 exists and has another owner. {CommonReason.NAME_TAKEN.remedy}",
            ),
        ),
    ],
)
def test_what_was_refused_and_what_to_do_are_separate_sentences(error: Exception, problem: Problem):
    assert explain_refused_write(error) == problem
    assert isinstance(error, REFUSED_WRITE)


@pytest.mark.parametrize("error", [ConflictError, UnavailableError, AlreadyExistsError, NotFoundError])
def test_errors_that_a_retry_solves_are_no_refusals(error: type[Exception]):
    assert not issubclass(error, REFUSED_WRITE)
