"""How far a running evaluation is: what its pod reports, as the status and Events show it.

The pod runs in a tenant's namespace, so its numbers are checked and only shown.
"""

from __future__ import annotations

import datetime as dt

from tunewright_contracts.evaluation_report import EvaluationReport
from tunewright_contracts.progress import Progress
from tunewright_contracts.times import format_time
from tunewright_contracts.values import show
from tunewright_operator.api.adapter_deployment import CandidateRevision, EvaluationProgress
from tunewright_operator.domain.reasons.adapter_deployment import AdapterDeploymentReason as Why
from tunewright_operator.domain.rollout.observation import Notice
from tunewright_operator.domain.sentences import join_sentences
from tunewright_operator.domain.times import seconds_since

PROGRESS_SECONDS = 15.0
"""The shortest time between two records of the progress, since each is a write of the status."""
MAX_ANSWERS = 30_000
"""Three arms of the most records that the CRD allows."""
MAX_MESSAGE = 1024
"""The API server's limit on an Event's message."""
_QUARTERS = 4


def is_progress_due(candidate: CandidateRevision, now: dt.datetime) -> bool:
    """Return whether the pod's progress would be recorded now."""
    evaluation = candidate.evaluation
    if evaluation is None:
        return False
    # A clock that was set back, or was that of another replica, does not keep the progress from being recorded.
    return evaluation.updated_at is None or not 0 <= seconds_since(evaluation.updated_at, now) < PROGRESS_SECONDS


def follow_progress(
    candidate: CandidateRevision, progress: Progress | None, now: dt.datetime
) -> tuple[CandidateRevision, tuple[Notice, ...]]:
    """Return the candidate with the progress of its evaluation, and an Event when another quarter is done."""
    before = candidate.evaluation
    if before is None or progress is None or not is_progress_due(candidate, now):
        return candidate, ()
    answered, total = progress.evaluated, progress.to_evaluate
    if answered is None or total is None or not 0 <= answered <= total <= MAX_ANSWERS:
        return candidate, ()
    if (answered, total) == (before.answered, before.total):
        return candidate, ()
    after = before.updated(
        answered=answered, total=total, progress=f"{answered} of {total}", updated_at=format_time(now)
    )
    return candidate.updated(evaluation=after), _notice_quarter(candidate.revision, before, after)


def forget_progress(candidate: CandidateRevision) -> CandidateRevision:
    """Return the candidate without the numbers of an evaluation that an edit of the spec replaces."""
    if candidate.evaluation is None:
        return candidate
    return candidate.updated(evaluation=EvaluationProgress(engine=candidate.evaluation.engine))


def end_progress(candidate: CandidateRevision, report: EvaluationReport) -> CandidateRevision:
    """Return the candidate with the numbers of an evaluation that ended."""
    asked = sum(arm.asked for arm in report.arms)
    if candidate.evaluation is None or not 0 < asked <= MAX_ANSWERS:
        return candidate
    ended = candidate.evaluation.updated(
        answered=asked, total=asked, progress=f"{asked} of {asked}", dataset_digest=report.dataset_digest
    )
    return candidate.updated(evaluation=ended)


def describe_end(revision: str, report: EvaluationReport) -> str:
    """Return sentences with the verdict, and with how each arm got its answers."""
    arms = "; ".join(arm.describe() for arm in report.arms)
    return show(join_sentences(f"The evaluation of {revision} has the verdict {report.verdict}.", arms), MAX_MESSAGE)


def describe_progress(candidate: CandidateRevision) -> str:
    """Return a sentence with the recorded progress; empty if there is none."""
    evaluation = candidate.evaluation
    return f"{evaluation.progress} answers have arrived." if evaluation is not None and evaluation.progress else ""


def _notice_quarter(revision: str, before: EvaluationProgress, after: EvaluationProgress) -> tuple[Notice, ...]:
    """Return an Event after the first, the second and the third quarter; the end has an Event of its own."""
    last, now = _count_quarters(before), _count_quarters(after)
    if not last < now < _QUARTERS:
        return ()
    return (Notice(Why.EVALUATING, f"{revision}: {after.progress} answers of the evaluation have arrived."),)


def _count_quarters(evaluation: EvaluationProgress) -> int:
    return _QUARTERS * evaluation.answered // evaluation.total if evaluation.total else 0
