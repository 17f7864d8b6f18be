"""Map a refused write to the problem that the resource reports."""

from __future__ import annotations

from tunewright_operator.cluster import ForbiddenError, InvalidError
from tunewright_operator.domain.problem import Problem
from tunewright_operator.domain.reasons.common import CommonReason
from tunewright_operator.domain.sentences import join_sentences
from tunewright_operator.reconcile.children import NameTakenError

REFUSED_WRITE = (NameTakenError, ForbiddenError, InvalidError)
"""Exceptions of writes that a retry does not fix."""


def explain_refused_write(error: Exception) -> Problem:
    """Return the problem that a resource reports for one of `REFUSED_WRITE`."""
    if isinstance(error, NameTakenError):
        message = join_sentences(f"{error} exists and has another owner.", CommonReason.NAME_TAKEN.remedy)
        return Problem(CommonReason.NAME_TAKEN, message)
    return Problem(CommonReason.JOB_REFUSED, join_sentences(str(error), CommonReason.JOB_REFUSED.remedy))
