"""What ModelServer loops saw last, for the rollouts that depend on it.

A cache of observations, not a durable fact: after a restart it is empty until each server was polled, and
rollouts wait.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping

from tunewright_contracts.serving_plan import ServingPlan
from tunewright_operator.domain.serving.claim import Refusals
from tunewright_operator.domain.serving.replica import PodView

MAX_AGE_SECONDS = 30.0
"""An older look is no look: time must not pass in a window that nobody reads."""


@dataclasses.dataclass(frozen=True)
class ServerSnapshot:
    """One look at a server: its plan as read back, its pods, and what was refused to whom (by deployment UID)."""

    taken_at: dt.datetime
    plan: ServingPlan
    pods: tuple[PodView, ...]
    refusals: Mapping[str, Refusals]


class ServerBoard:
    """The newest snapshot by ModelServer UID."""

    def __init__(self) -> None:
        self._snapshots: dict[str, ServerSnapshot] = {}

    def publish(self, server_uid: str, snapshot: ServerSnapshot) -> None:
        """Replace a server's snapshot. Rollouts are woken by the server's status write, which follows."""
        self._snapshots[server_uid] = snapshot

    def read(self, server_uid: str, now: dt.datetime) -> ServerSnapshot | None:
        """Return the newest snapshot, None when there is none or it is too old."""
        snapshot = self._snapshots.get(server_uid)
        if snapshot is None or (now - snapshot.taken_at).total_seconds() > MAX_AGE_SECONDS:
            return None
        return snapshot

    def forget(self, server_uid: str) -> None:
        """Drop a server that is gone."""
        self._snapshots.pop(server_uid, None)
