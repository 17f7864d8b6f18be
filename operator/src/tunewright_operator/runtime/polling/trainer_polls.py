"""Polls of trainer pods: the newest progress of each running training."""

from __future__ import annotations

import dataclasses

from tunewright_contracts.progress import Progress
from tunewright_operator.domain.finetune.decision import PROGRESS_SECONDS
from tunewright_operator.progress import TrainerProgress
from tunewright_operator.runtime.key import Key, Urgency
from tunewright_operator.runtime.polling.poller import Outcome, Poller
from tunewright_operator.runtime.polling.server_board import Wake


@dataclasses.dataclass(slots=True)
class _Trainer:
    pod_uid: str
    ip: str
    progress: Progress | None = None
    """None before the first answer, and while the pod does not answer."""


@dataclasses.dataclass(frozen=True)
class _Job:
    """A job's trainer as a target of the poller."""

    polls: TrainerPolls
    key: Key

    @property
    def kind(self) -> str:
        return "trainer"

    async def poll(self) -> Outcome:
        return await self.polls.poll(self.key)


class TrainerPolls:
    """Follows the trainer pods of the jobs that are reconciled, and wakes a job when its trainer has something new."""

    def __init__(self, trainers: TrainerProgress, poller: Poller, wake: Wake) -> None:
        self._trainers = trainers
        self._poller = poller
        self._wake = wake
        self._followed: dict[Key, _Trainer] = {}

    def follow(self, job: Key, pod_uid: str, ip: str) -> Progress | None:
        """Poll the running trainer pod of a job from now on; return the newest progress."""
        known = self._followed.get(job)
        if known is None or (known.pod_uid, known.ip) != (pod_uid, ip):
            self.forget(job)
            known = self._followed[job] = _Trainer(pod_uid, ip)
            # The jobs of a namespace take turns with those of other namespaces.
            self._poller.follow(job, _Job(self, job), job.namespace, PROGRESS_SECONDS)
        return known.progress

    def forget(self, job: Key) -> None:
        """Do not poll a job's trainer any more."""
        if self._followed.pop(job, None) is not None:
            self._poller.forget(job)

    async def poll(self, job: Key) -> Outcome:
        """Read the progress of a job's trainer."""
        known = self._followed.get(job)
        if known is None:
            return Outcome.UNCHANGED
        progress = await self._trainers.fetch(known.ip)
        last, known.progress = known.progress, progress
        if progress is None:
            return Outcome.UNREACHABLE
        if last is not None and _is_same(last, progress):
            return Outcome.UNCHANGED
        if self._followed.get(job) is known:
            self._wake(job, Urgency.PROGRESS)
        return Outcome.CHANGED


def _is_same(last: Progress, progress: Progress) -> bool:
    """Return whether nothing is new but the time of the report."""
    return last.model_dump(exclude={"updated_at"}) == progress.model_dump(exclude={"updated_at"})
