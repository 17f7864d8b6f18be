"""The newest observations of the ModelServer loops, for the rollouts that depend on them.

They are a cache in memory. After a restart it is empty, and rollouts wait until their server has been observed.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping

from tunewright_contracts.serving_plan import ServingPlan
from tunewright_operator.domain.evidence.observation import MAX_READING_GAP_SECONDS
from tunewright_operator.domain.serving.claim import Refusals
from tunewright_operator.domain.serving.pods import EngineFacts
from tunewright_operator.domain.serving.replica import PodView

MAX_AGE_SECONDS = MAX_READING_GAP_SECONDS
"""An older snapshot is ignored, and its time does not count in a window (`observation.count_time`)."""


@dataclasses.dataclass(frozen=True)
class ServerSnapshot:
    """One observation of a server: its plan, pods and engine, and what it refused to each deployment (by UID)."""

    taken_at: dt.datetime
    plan: ServingPlan
    pods: tuple[PodView, ...]
    refusals: Mapping[str, Refusals]
    engine: EngineFacts | None = None
    """See `ServerObservation.engine`."""


class ServerBoard:
    """The newest snapshot by ModelServer UID."""

    def __init__(self) -> None:
        self._snapshots: dict[str, ServerSnapshot] = {}

    def publish(self, server_uid: str, snapshot: ServerSnapshot) -> None:
        """Replace a server's snapshot. The write of the server's status, which follows, wakes the rollouts."""
        self._snapshots[server_uid] = snapshot

    def read(self, server_uid: str, now: dt.datetime) -> ServerSnapshot | None:
        """Return the newest snapshot; None when there is none or it is too old."""
        snapshot = self._snapshots.get(server_uid)
        if snapshot is None or (now - snapshot.taken_at).total_seconds() > MAX_AGE_SECONDS:
            return None
        return snapshot

    def forget(self, server_uid: str) -> None:
        """Remove the snapshot of a deleted server."""
        self._snapshots.pop(server_uid, None)
