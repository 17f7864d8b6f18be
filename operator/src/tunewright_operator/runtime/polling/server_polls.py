"""Polls of server pods: which pods a server's loop has observed, and the way of their states to the board."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterable

import structlog

from tunewright_operator.domain.serving.pods import ServerPod
from tunewright_operator.domain.serving.polling import ROLLOUT_POLL_SECONDS
from tunewright_operator.runtime.clock import Now, utc_now
from tunewright_operator.runtime.key import Key
from tunewright_operator.runtime.polling.poller import Outcome, Poller
from tunewright_operator.runtime.polling.server_board import PodPoll, ServerBoard
from tunewright_operator.serving import PodAddress, PodUnreachableError, ServerPods, StateAnswer
from tunewright_operator.signing import SigningKey

TOKEN_SECONDS = 60.0
"""How long a token is used; it is valid for longer (`signing.STATE_TOKEN_LIFETIME`)."""

log = structlog.get_logger(__name__)


@dataclasses.dataclass(slots=True)
class _Server:
    uid: str
    signing_key: SigningKey
    seconds: float = ROLLOUT_POLL_SECONDS
    pods: dict[str, ServerPod] = dataclasses.field(default_factory=dict)
    """The pods that can be called, by UID."""
    token: str = ""
    token_issued_at: dt.datetime | None = None


@dataclasses.dataclass(frozen=True)
class _Pod:
    """A pod as a target of the poller."""

    polls: ServerPolls
    server: Key
    uid: str

    @property
    def kind(self) -> str:
        return "server"

    async def poll(self) -> Outcome:
        return await self.polls.poll(self.server, self.uid)


class ServerPolls:
    """Follows the pods of the servers that are reconciled."""

    def __init__(self, pods: ServerPods, board: ServerBoard, poller: Poller, *, now: Now = utc_now) -> None:
        self._pods = pods
        self._board = board
        self._poller = poller
        self._now = now
        self._servers: dict[Key, _Server] = {}

    def follow(self, server: Key, uid: str, pods: Iterable[ServerPod], signing_key: SigningKey) -> None:
        """Poll a server's pods from now on, instead of those that it had before.

        A new pod is polled at once, and also one that became ready or unready.
        """
        known = self._servers.get(server)
        if known is not None and known.uid != uid:
            self.forget(server)
            known = None
        if known is None:
            known = self._servers[server] = _Server(uid, signing_key)
        if known.signing_key is not signing_key:
            known.signing_key, known.token_issued_at = signing_key, None
        before = known.pods
        known.pods = {pod.uid: pod for pod in pods if pod.ip}
        for gone in before.keys() - known.pods.keys():
            self._poller.forget(gone)
        for pod in known.pods.values():
            self._poller.follow(pod.uid, _Pod(self, server, pod.uid), server, known.seconds)
            last = before.get(pod.uid)
            if last is not None and (last.ip, last.ready) != (pod.ip, pod.ready):
                self._poller.hurry(pod.uid)

    def set_interval(self, server: Key, seconds: float) -> None:
        """Poll the pods of a server at this interval."""
        known = self._servers.get(server)
        if known is None or known.seconds == seconds:
            return
        known.seconds = seconds
        for uid in known.pods:
            self._poller.follow(uid, _Pod(self, server, uid), server, seconds)

    def forget(self, server: Key) -> None:
        """Do not poll the pods of a deleted server any more, and forget their states."""
        known = self._servers.pop(server, None)
        if known is not None:
            for uid in known.pods:
                self._poller.forget(uid)
            self._board.forget(known.uid)

    async def poll_now(self, server: Key, pods: Iterable[ServerPod]) -> None:
        """Poll some pods of a server at once, and wait until their states are on the board."""
        known = self._servers.get(server)
        if known is not None:
            await self._poller.poll_now([pod.uid for pod in pods if pod.uid in known.pods])

    def hurry(self, server: Key, pods: Iterable[ServerPod]) -> None:
        """Poll some pods of a server as soon as possible, without waiting for it."""
        known = self._servers.get(server)
        for pod in pods:
            if known is not None and pod.uid in known.pods:
                self._poller.hurry(pod.uid)

    async def poll(self, server: Key, pod_uid: str) -> Outcome:
        """Read the state of one pod, and put it on the board."""
        known = self._servers.get(server)
        pod = None if known is None else known.pods.get(pod_uid)
        if known is None or pod is None:
            return Outcome.UNCHANGED
        last = self._board.last_poll(known.uid, pod_uid)
        answer = None if last is None else last.answer
        newest = await self._fetch(known, pod, answer)
        if self._servers.get(server) is known and pod_uid in known.pods:
            self._board.record(known.uid, pod_uid, PodPoll(self._now(), newest))
        if newest is None:
            return Outcome.UNREACHABLE
        return Outcome.UNCHANGED if newest is answer else Outcome.CHANGED

    async def _fetch(self, server: _Server, pod: ServerPod, known: StateAnswer | None) -> StateAnswer | None:
        """Return what a pod answers; None without an answer that can be used, whatever the cause."""
        try:
            address = PodAddress(pod.namespace, pod.name, pod.uid, pod.ip)
            return await self._pods.fetch_state(address, self._issue_token(server), known)
        except PodUnreachableError as error:
            log.debug("pod_unreachable", pod=pod.name, error=str(error))
        except Exception:
            # The server's loop waits for an outcome.
            log.exception("poll_failed", pod=pod.name)
        return None

    def _issue_token(self, server: _Server) -> str:
        now = self._now()
        if server.token_issued_at is None or (now - server.token_issued_at).total_seconds() >= TOKEN_SECONDS:
            server.token, server.token_issued_at = server.signing_key.issue_state_token(server.uid, now), now
        return server.token
