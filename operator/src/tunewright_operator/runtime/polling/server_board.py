"""The newest readings of all server pods and the newest plan of each server, for the loops that depend on them.

It is a cache in memory. After a restart it is empty: a server waits until each of its pods was polled once, and its
rollouts wait until it has been reconciled. No loop asks again while it waits: the board wakes it.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence

from tunewright_contracts.serving_plan import PodState, Route, ServingPlan
from tunewright_operator.api.kinds import ADAPTER_DEPLOYMENT
from tunewright_operator.domain.evidence.observation import MAX_READING_GAP_SECONDS
from tunewright_operator.domain.serving.claim import Refusals
from tunewright_operator.domain.serving.pods import EngineFacts, ServerPod
from tunewright_operator.domain.serving.polling import (
    Interest,
    PollPlan,
    counts_evidence,
    view_for_rollout,
    view_for_server,
)
from tunewright_operator.domain.serving.replica import PodView, view_pod
from tunewright_operator.runtime.key import Key, Urgency
from tunewright_operator.serving import StateAnswer

Wake = Callable[[Key, Urgency], object]

MAX_STATE_AGE_SECONDS = MAX_READING_GAP_SECONDS
"""An older state is not used, and its time does not count in a window (`observation.count_time`)."""
MAX_SNAPSHOT_AGE_SECONDS = 180.0
"""A server that was not reconciled for so long counts as unseen: its pods may be others by now."""


@dataclasses.dataclass(frozen=True, slots=True)
class PodPoll:
    """The last poll of a pod; ``answer`` is None if the pod did not answer."""

    polled_at: dt.datetime
    answer: StateAnswer | None

    @property
    def state(self) -> PodState | None:
        """The pod's state, if it answered."""
        return None if self.answer is None else self.answer.state

    def is_current(self, now: dt.datetime) -> bool:
        """Return whether the poll still describes the pod. One without an answer does until the next poll."""
        return self.answer is None or (now - self.polled_at).total_seconds() <= MAX_STATE_AGE_SECONDS


@dataclasses.dataclass(frozen=True)
class ServerSnapshot:
    """The result of reconciling a server; ``refusals`` has what it refused to each deployment, by UID."""

    taken_at: dt.datetime
    plan: ServingPlan
    pods: tuple[ServerPod, ...]
    refusals: Mapping[str, Refusals]
    polls: PollPlan
    engine: EngineFacts | None = None
    """See `ServerObservation.engine`."""


@dataclasses.dataclass(frozen=True, slots=True)
class ServerReading:
    """A server as its rollouts see it: the plan and the refusals of its last reconciliation, the newest pod states."""

    plan: ServingPlan
    refusals: Mapping[str, Refusals]
    pods: tuple[PodView, ...]
    engine: EngineFacts | None = None


@dataclasses.dataclass(slots=True)
class _Server:
    key: Key | None = None
    """The key of the ModelServer; None before it was reconciled."""
    snapshot: ServerSnapshot | None = None
    routes: Mapping[str, Route] = dataclasses.field(default_factory=dict)
    """The routes of the snapshot's plan, by the UID of their AdapterDeployment."""
    polls: dict[str, PodPoll] = dataclasses.field(default_factory=dict)
    views: dict[str, PodView] = dataclasses.field(default_factory=dict)
    """The pods of the snapshot with their newest states, by UID."""
    seen: dict[str, tuple[object, ...]] = dataclasses.field(default_factory=dict)
    """What each deployment, by its UID, was last woken for."""
    awaited: tuple[str, ...] = ()
    """The pods for which the server's loop waits, by UID."""
    waiting: set[Key] = dataclasses.field(default_factory=set)
    """The deployments for which there was nothing to read."""


class ServerBoard:
    """The newest snapshot of each server and the last poll of each of its pods, by ModelServer UID."""

    def __init__(self, wake: Wake) -> None:
        self._wake = wake
        self._servers: dict[str, _Server] = {}

    def read_states(
        self, server: Key, server_uid: str, pods: Iterable[ServerPod], now: dt.datetime
    ) -> Mapping[str, PodState] | None:
        """Return the states of the pods that answer, by UID.

        None if one of the pods that can be called was not polled yet, or not recently. The server is woken when all of
        them were.
        """
        entry = self._servers.setdefault(server_uid, _Server())
        entry.key = server
        uids = tuple(pod.uid for pod in pods if pod.ip)
        if not _are_current(entry, uids, now):
            entry.awaited = uids
            return None
        entry.awaited = ()
        return self.find_states(server_uid, uids)

    def find_states(self, server_uid: str, pod_uids: Iterable[str]) -> Mapping[str, PodState]:
        """Return the states of those pods that answered their last poll, by UID."""
        polls = {uid: self.last_poll(server_uid, uid) for uid in pod_uids}
        return {uid: poll.state for uid, poll in polls.items() if poll is not None and poll.state is not None}

    def last_poll(self, server_uid: str, pod_uid: str) -> PodPoll | None:
        """Return the last poll of a pod."""
        entry = self._servers.get(server_uid)
        return None if entry is None else entry.polls.get(pod_uid)

    def record(self, server_uid: str, pod_uid: str, poll: PodPoll) -> None:
        """Replace the last poll of a pod, and wake the server and the rollouts that the difference concerns."""
        entry = self._servers.get(server_uid)
        if entry is None:
            return
        last = entry.polls.get(pod_uid)
        entry.polls[pod_uid] = poll
        before, after = (None if last is None else last.state), poll.state
        if entry.snapshot is not None and pod_uid in entry.views:
            view = entry.views[pod_uid]
            if before is after:  # Not modified: only the time is new.
                entry.views[pod_uid] = dataclasses.replace(view, read_at=poll.polled_at)
            else:
                entry.views[pod_uid] = view_pod(
                    view.uid, view.name, ready=view.ready, state=after, read_at=poll.polled_at
                )
        if before is not after:
            self._wake_concerned(entry, before, after)
        self._wake_waiting(entry, poll.polled_at)

    def publish(self, server_uid: str, snapshot: ServerSnapshot) -> None:
        """Replace a server's snapshot, and wake the rollouts for which it differs from the last one."""
        entry = self._servers.setdefault(server_uid, _Server())
        entry.snapshot = snapshot
        entry.routes = {route.owner_uid: route for route in snapshot.plan.routes}
        entry.polls = {pod.uid: entry.polls[pod.uid] for pod in snapshot.pods if pod.uid in entry.polls}
        entry.views = {pod.uid: _view(pod, entry.polls.get(pod.uid)) for pod in snapshot.pods}
        known = {interest.uid for interest in snapshot.polls.interests}
        entry.seen = {uid: seen for uid, seen in entry.seen.items() if uid in known}
        self._wake_rollouts(entry, snapshot.polls.interests)
        self._wake_waiting(entry, snapshot.taken_at)

    def read(self, server_uid: str, now: dt.datetime, reader: Key) -> ServerReading | None:
        """Return what a rollout depends on; None if the server was not reconciled, or a pod not polled, recently.

        Then the reader is woken when it is known.
        """
        entry = self._servers.setdefault(server_uid, _Server())
        snapshot = entry.snapshot
        if snapshot is None or not _is_readable(entry, snapshot, now):
            entry.waiting.add(reader)
            return None
        return ServerReading(snapshot.plan, snapshot.refusals, tuple(entry.views.values()), snapshot.engine)

    def forget(self, server_uid: str) -> None:
        """Remove a deleted server and the polls of its pods."""
        self._servers.pop(server_uid, None)

    def _wake_concerned(self, entry: _Server, before: PodState | None, after: PodState | None) -> None:
        snapshot = entry.snapshot
        draining = snapshot.polls.draining if snapshot is not None else frozenset()
        is_news = view_for_server(before, draining) != view_for_server(after, draining)
        if is_news and entry.key is not None and not entry.awaited:
            self._wake(entry.key, Urgency.CHILD)
        if snapshot is None:
            return
        if is_news:
            self._wake_rollouts(entry, snapshot.polls.interests)
        for interest in snapshot.polls.interests:
            if counts_evidence(before, after, interest):
                self._wake(_key_of(interest), Urgency.CHILD)

    def _wake_rollouts(self, entry: _Server, interests: Sequence[Interest]) -> None:
        """Wake the deployments for which something changed since they were last woken."""
        snapshot = entry.snapshot
        if snapshot is None:
            return
        pods = tuple(entry.views.values())
        for interest in interests:
            route, refusals = entry.routes.get(interest.uid), snapshot.refusals.get(interest.uid)
            view = (snapshot.engine, *view_for_rollout(interest, snapshot.plan, route, refusals, pods))
            if entry.seen.get(interest.uid) != view:
                entry.seen[interest.uid] = view
                self._wake(_key_of(interest), Urgency.CHILD)

    def _wake_waiting(self, entry: _Server, now: dt.datetime) -> None:
        """Wake who waits for the pods' polls, once all are there."""
        if entry.awaited and entry.key is not None and _are_current(entry, entry.awaited, now):
            entry.awaited = ()
            self._wake(entry.key, Urgency.CHILD)
        if entry.waiting and entry.snapshot is not None and _is_readable(entry, entry.snapshot, now):
            waiting, entry.waiting = entry.waiting, set()
            for key in waiting:
                self._wake(key, Urgency.CHILD)


def _is_readable(entry: _Server, snapshot: ServerSnapshot, now: dt.datetime) -> bool:
    if (now - snapshot.taken_at).total_seconds() > MAX_SNAPSHOT_AGE_SECONDS:
        return False
    return _are_current(entry, [pod.uid for pod in snapshot.pods if pod.ip], now)


def _are_current(entry: _Server, uids: Iterable[str], now: dt.datetime) -> bool:
    polls = [entry.polls.get(uid) for uid in uids]
    return all(poll is not None and poll.is_current(now) for poll in polls)


def _view(pod: ServerPod, poll: PodPoll | None) -> PodView:
    if poll is None or not pod.ip:
        return view_pod(pod.uid, pod.name, ready=pod.ready, state=None)
    return view_pod(pod.uid, pod.name, ready=pod.ready, state=poll.state, read_at=poll.polled_at)


def _key_of(interest: Interest) -> Key:
    return Key(ADAPTER_DEPLOYMENT, interest.namespace, interest.name)
