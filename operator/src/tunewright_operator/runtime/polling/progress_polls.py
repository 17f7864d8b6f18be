"""Polls of pods that report their progress: those of trainings and of evaluations."""

from __future__ import annotations

import dataclasses

from tunewright_contracts.progress import Progress
from tunewright_operator.domain.finetune.decision import PROGRESS_SECONDS
from tunewright_operator.progress import TrainerProgress
from tunewright_operator.runtime.key import Key, Urgency
from tunewright_operator.runtime.polling.poller import Outcome, Poller
from tunewright_operator.runtime.polling.server_board import Wake


@dataclasses.dataclass(slots=True)
class _Followed:
    pod_uid: str
    ip: str
    progress: Progress | None = None
    """None before the first answer, and while the pod does not answer."""


@dataclasses.dataclass(frozen=True)
class _Pod:
    """The pod of a resource as a target of the poller."""

    polls: ProgressPolls
    key: Key

    @property
    def kind(self) -> str:
        return self.polls.kind

    async def poll(self) -> Outcome:
        return await self.polls.poll(self.key)


class ProgressPolls:
    """Follows at most one running pod of each resource, and wakes the resource when the pod has something new.

    ``kind`` is what the pods are, for the metrics.
    """

    def __init__(self, pods: TrainerProgress, poller: Poller, wake: Wake, *, kind: str = "trainer") -> None:
        self.kind = kind
        self._pods = pods
        self._poller = poller
        self._wake = wake
        self._followed: dict[Key, _Followed] = {}

    def follow(self, owner: Key, pod_uid: str, ip: str) -> Progress | None:
        """Poll the running pod of a resource from now on; return the newest progress."""
        known = self._followed.get(owner)
        if known is None or (known.pod_uid, known.ip) != (pod_uid, ip):
            self.forget(owner)
            known = self._followed[owner] = _Followed(pod_uid, ip)
            # The pods of a namespace take turns with those of other namespaces.
            self._poller.follow(owner, _Pod(self, owner), owner.namespace, PROGRESS_SECONDS)
        return known.progress

    def forget(self, owner: Key) -> None:
        """Do not poll the pod of a resource any more."""
        if self._followed.pop(owner, None) is not None:
            self._poller.forget(owner)

    async def poll(self, owner: Key) -> Outcome:
        """Read the progress of a resource's pod."""
        known = self._followed.get(owner)
        if known is None:
            return Outcome.UNCHANGED
        progress = await self._pods.fetch(known.ip)
        last, known.progress = known.progress, progress
        if progress is None:
            return Outcome.UNREACHABLE
        if last is not None and _is_same(last, progress):
            return Outcome.UNCHANGED
        if self._followed.get(owner) is known:
            self._wake(owner, Urgency.PROGRESS)
        return Outcome.CHANGED


def _is_same(last: Progress, progress: Progress) -> bool:
    """Return whether nothing is new but the time of the report."""
    return last.model_dump(exclude={"updated_at"}) == progress.model_dump(exclude={"updated_at"})
