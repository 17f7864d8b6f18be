"""Let finished Jobs expire: Kubernetes then deletes them with their pods."""

from __future__ import annotations

import datetime as dt
from typing import Final

import structlog

from tunewright_operator.cluster import Body, Cluster
from tunewright_operator.domain.job_run import ExpireJob
from tunewright_operator.domain.reasons.common import CommonReason
from tunewright_operator.domain.sentences import join_sentences
from tunewright_operator.manifests.events import EventType
from tunewright_operator.manifests.jobs import build_job_expiry
from tunewright_operator.reconcile.refusals import REFUSED_WRITE

EXPIRY_FIELD_MANAGER: Final = "tunewright-expiry"
"""It owns nothing but the Job's expiry, so that no other field of the Job is claimed or removed."""

log = structlog.get_logger(__name__)


class JobExpiry:
    """Sets the expiry of finished Jobs: they are kept for some seconds after their end, for readers of their logs."""

    def __init__(self, cluster: Cluster, keep_seconds: int) -> None:
        self._cluster = cluster
        self._keep_seconds = keep_seconds
        self._refused: set[str] = set()

    async def expire(self, owner: Body, namespace: str, job: ExpireJob, now: dt.datetime) -> None:
        """Set the expiry of an owner's Job; its UID is the precondition.

        No result depends on it. So a refusal does not change the owner's conditions: it is an Event and a line of the
        log, once for each Job, and the Job stays until its owner is deleted or the operator starts again.

        Raises:
            ConflictError: the Job does not exist any more.
            ClusterError: the API server did not answer.
        """
        if job.uid in self._refused:
            return
        # Kubernetes counts from the end of the Job. It may have ended long ago, while no operator ran.
        passed = 0 if job.ended_at is None else max(0, int((now - job.ended_at).total_seconds()))
        body = build_job_expiry(namespace, job.name, job.uid, passed + self._keep_seconds)
        try:
            await self._cluster.apply(body, EXPIRY_FIELD_MANAGER)
        except REFUSED_WRITE as error:
            self._refused.add(job.uid)
            log.warning("job_not_expired", namespace=namespace, name=job.name, error=str(error))
            reason = CommonReason.JOB_NOT_EXPIRED
            message = join_sentences(f"Job {job.name} has ended and does not expire: {error}", reason.remedy)
            await self._cluster.emit_event(owner, EventType.WARNING, reason, message)
