"""Which answers in S3 later evaluations may reuse: the status records their digests.

The records are those of the base model and of every revision that can be stable: the stable one, the candidate, and
those of the history, which a rollback can bring back.
"""

from __future__ import annotations

from tunewright_contracts.evaluation_report import ArmAnswers, EvaluationReport, Verdict
from tunewright_contracts.serving_plan import BASE_MODEL_TARGET
from tunewright_contracts.storage_uri import StorageURI
from tunewright_contracts.stored_answers import KnownAnswers, answers_uri
from tunewright_operator.api.adapter_deployment import (
    AdapterDeploymentStatus,
    CandidateRevision,
    EvaluationProgress,
    StoredAnswers,
)
from tunewright_operator.domain.serving.replica import ServerFacts

MAX_RECORDS = 16
"""The CRD's limit on `status.storedAnswers`."""


def begin_evaluation(server: ServerFacts) -> EvaluationProgress:
    """Return the record of an evaluation that begins now."""
    engine = server.engine
    return EvaluationProgress(engine=engine.identity if engine is not None and engine.everywhere else None)


def follow_engine(candidate: CandidateRevision, server: ServerFacts) -> CandidateRevision:
    """Return the candidate without its evaluation's engine if the server has applied another one since the step began.

    After the verdict, the engine has no influence.
    """
    if candidate.evaluation is None or candidate.verdict is not None or not _has_changed(candidate, server):
        return candidate
    return candidate.updated(evaluation=candidate.evaluation.updated(engine=None))


def find_engine(candidate: CandidateRevision, server: ServerFacts) -> str | None:
    """Return the engine whose stored answers a new evaluation may reuse; None if it may not."""
    known = candidate.evaluation.engine if candidate.evaluation is not None else None
    return None if _has_changed(candidate, server) else known


def is_mixed(candidate: CandidateRevision, report: EvaluationReport) -> bool:
    """Return whether a report with a verdict compares reused answers with answers of another engine."""
    reuses = any(arm.reused for arm in report.arms)
    return report.verdict is not Verdict.ERROR and reuses and not _is_of_one_engine(candidate, report)


def list_known(status: AdapterDeploymentStatus) -> tuple[KnownAnswers, ...]:
    """Return the recorded files for an evaluation's request."""
    return tuple(
        KnownAnswers(target=item.target, key=item.key, digest=item.digest, answers=item.answers, uri=item.uri)
        for item in status.stored_answers
    )


def record_answers(
    status: AdapterDeploymentStatus, candidate: CandidateRevision, report: EvaluationReport, report_uri: str
) -> AdapterDeploymentStatus:
    """Return the status with the records of the files that an evaluation wrote and reused.

    Args:
        status: the status before.
        candidate: the candidate with the evaluation's record.
        report: the evaluation's report, which need not have a verdict: a complete arm need not be asked again.
        report_uri: the address of the report, as in the evaluation's request.
    """
    if not _is_of_one_engine(candidate, report):
        return status
    records = {item.target: item for item in status.stored_answers}
    address = StorageURI.parse(report_uri)
    folder = StorageURI(address.bucket, address.key.rpartition("/")[0])
    wanted = _list_targets(status, candidate)
    for arm in report.arms:
        if arm.target in wanted:
            record = _update(records.get(arm.target), arm, folder, candidate.step_started_at or candidate.accepted_at)
            if record is not None:
                records[arm.target] = record
    kept = [records[target] for target in wanted if target in records]
    return status.updated(stored_answers=tuple(kept[:MAX_RECORDS]))


def _update(last: StoredAnswers | None, arm: ArmAnswers, folder: StorageURI, moment: str) -> StoredAnswers | None:
    reused_at = moment if arm.reused else None
    if arm.stored is None or arm.stored.target != arm.target:
        return last.updated(reused_at=reused_at) if last is not None and reused_at else last
    return StoredAnswers(
        target=arm.target,
        key=arm.stored.key,
        digest=arm.stored.digest,
        uri=str(answers_uri(folder, arm.stored)),
        answers=arm.stored.answers,
        asked_at=moment,
        reused_at=reused_at,
    )


def _list_targets(status: AdapterDeploymentStatus, candidate: CandidateRevision) -> tuple[str, ...]:
    """Return the targets whose answers may be needed again, the most probable first."""
    stable = [status.stable.revision] if status.stable is not None else []
    history = [entry.revision for entry in status.history]
    return tuple(dict.fromkeys([BASE_MODEL_TARGET, *stable, candidate.revision, *history]))


def _has_changed(candidate: CandidateRevision, server: ServerFacts) -> bool:
    known = candidate.evaluation.engine if candidate.evaluation is not None else None
    return known is not None and server.engine is not None and server.engine.identity != known


def _is_of_one_engine(candidate: CandidateRevision, report: EvaluationReport) -> bool:
    known = candidate.evaluation.engine if candidate.evaluation is not None else None
    return known is not None and report.engine == known
