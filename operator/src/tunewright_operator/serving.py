"""The port to server pods: read a replica's state, push a plan and an access list to it.

Pods are not trusted. So redirects are not followed, and a call takes at most 2 seconds and reads at most 4 MiB.
`domain.serving.pods` decides from the owner chain which pods may be called.
"""

from __future__ import annotations

import asyncio
import dataclasses
from http import HTTPStatus
from typing import Protocol, Self

from tunewright_contracts.clients.access_list import ACCESS_PATH, SignedAccessList
from tunewright_contracts.document import ContractError, SignedDocument
from tunewright_contracts.serving_plan import (
    MAX_STATE_BYTES,
    PLAN_PATH,
    SERVER_PORT,
    STATE_PATH,
    PodState,
    SignedPlan,
)
from tunewright_operator.http_client import Answer, ExchangeError, HTTPClient, Origin

TIMEOUT_SECONDS = 2.0
MAX_CONCURRENT_PUSHES = 32
"""The poller limits the calls that read states."""
MAX_ETAG_LENGTH = 128


@dataclasses.dataclass(frozen=True)
class PodAddress:
    """A pod that may be called; ``ip`` is its pod IP."""

    namespace: str
    name: str
    uid: str
    ip: str


@dataclasses.dataclass(frozen=True, slots=True)
class StateAnswer:
    """A pod's state, with the entity tag of its text (RFC 9110); empty if the pod, of an earlier release, has none."""

    state: PodState
    etag: str = ""


class PodUnreachableError(Exception):
    """A pod gave no usable answer; the message has the pod and what happened."""


class ServerPods(Protocol):
    """What the operator does with server pods."""

    async def fetch_state(self, pod: PodAddress, token: str, known: StateAnswer | None = None) -> StateAnswer:
        """Return the pod's state; ``known`` itself, its last answer, if the state has not changed since then.

        Raises:
            PodUnreachableError: no answer in time, a refusal, or an answer that is not the state of this pod.
        """
        ...

    async def push_plan(self, pod: PodAddress, signed: SignedPlan) -> None:
        """Send a plan to a pod. The pod's next state shows whether it accepted the plan.

        Raises:
            PodUnreachableError: no answer in time, or a refusal.
        """
        ...

    async def push_access(self, pod: PodAddress, signed: SignedAccessList) -> None:
        """Send an access list to a pod, as `push_plan`.

        Raises:
            PodUnreachableError: no answer in time, or a refusal.
        """
        ...


class HTTPServerPods:
    """`ServerPods` over HTTP; a context manager that owns one connection pool."""

    def __init__(self) -> None:
        # Without a limit of connections: waiting for one would count as time in which the pod does not answer.
        self._http = HTTPClient(max_body_bytes=MAX_STATE_BYTES)
        self._pushes = asyncio.Semaphore(MAX_CONCURRENT_PUSHES)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    async def fetch_state(self, pod: PodAddress, token: str, known: StateAnswer | None = None) -> StateAnswer:
        """See `ServerPods.fetch_state`."""
        headers = {"Authorization": f"Bearer {token}"}
        if known is not None and known.etag:
            headers["If-None-Match"] = known.etag
        answer = await self._call("GET", pod, STATE_PATH, headers, None)
        etag = answer.headers.get("etag", "")
        if answer.status == HTTPStatus.NOT_MODIFIED:
            if known is None or not known.etag or etag != known.etag:
                raise PodUnreachableError(f"pod {pod.name}: GET {STATE_PATH} answered 304 for another state")
            return known
        try:
            state = PodState.from_json(answer.body)
        except ContractError as error:
            raise PodUnreachableError(f"pod {pod.name}: its state cannot be read: {error}") from error
        if state.pod_uid != pod.uid:
            # Pod IPs are reused quickly: another pod can have the IP by now.
            raise PodUnreachableError(f"pod {pod.name}: another pod answers at {pod.ip}")
        return StateAnswer(state, etag if len(etag) <= MAX_ETAG_LENGTH else "")

    async def push_plan(self, pod: PodAddress, signed: SignedPlan) -> None:
        """See `ServerPods.push_plan`."""
        await self._push(pod, PLAN_PATH, signed)

    async def push_access(self, pod: PodAddress, signed: SignedAccessList) -> None:
        """See `ServerPods.push_access`."""
        await self._push(pod, ACCESS_PATH, signed)

    async def _push(self, pod: PodAddress, path: str, signed: SignedDocument) -> None:
        headers = {"Content-Type": "application/json"}
        async with self._pushes:
            answer = await self._call("PUT", pod, path, headers, signed.to_json().encode())
        if answer.status == HTTPStatus.NOT_MODIFIED:
            raise PodUnreachableError(f"pod {pod.name}: PUT {path} answered 304")

    async def _call(
        self, method: str, pod: PodAddress, path: str, headers: dict[str, str], body: bytes | None
    ) -> Answer:
        """Return a successful answer, or one that nothing was modified."""
        origin = Origin(pod.ip, SERVER_PORT)
        try:
            answer = await self._http.request(origin, method, path, headers, body, seconds=TIMEOUT_SECONDS)
        except (ExchangeError, OSError, TimeoutError) as error:
            reason = str(error) or type(error).__name__
            raise PodUnreachableError(f"pod {pod.name}: {method} {path} failed: {reason}") from error
        if not 200 <= answer.status < 300 and answer.status != HTTPStatus.NOT_MODIFIED:
            shown = answer.body[:200].decode(errors="replace")
            raise PodUnreachableError(f"pod {pod.name}: {method} {path} answered {answer.status}: {shown}")
        return answer
