"""The port to server pods: read a replica's state, push a plan to it.

Pods are not trusted. So redirects are not followed, and a call takes at most 2 seconds and reads at most 4 MiB.
`domain.serving.pods` decides from the owner chain which pods may be called.
"""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Protocol, Self

import aiohttp

from tunewright_contracts.document import ContractError
from tunewright_contracts.serving_plan import (
    MAX_STATE_BYTES,
    PLAN_PATH,
    SERVER_PORT,
    STATE_PATH,
    PodState,
    SignedPlan,
)

TIMEOUT_SECONDS = 2.0
MAX_CONCURRENT_CALLS = 32


@dataclasses.dataclass(frozen=True)
class PodAddress:
    """A pod that may be called; ``ip`` is its pod IP."""

    namespace: str
    name: str
    uid: str
    ip: str


class PodUnreachableError(Exception):
    """A pod gave no usable answer; the message has the pod and what happened."""


class ServerPods(Protocol):
    """What reconcilers do with server pods."""

    async def fetch_state(self, pod: PodAddress, token: str) -> PodState:
        """Return the pod's state.

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


class HTTPServerPods:
    """`ServerPods` over HTTP; a context manager that owns one connection pool."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._slots = asyncio.Semaphore(MAX_CONCURRENT_CALLS)

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS), cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def fetch_state(self, pod: PodAddress, token: str) -> PodState:
        """See `ServerPods.fetch_state`."""
        body = await self._call("GET", pod, STATE_PATH, {"Authorization": f"Bearer {token}"}, None)
        try:
            state = PodState.from_json(body)
        except ContractError as error:
            raise PodUnreachableError(f"pod {pod.name}: its state cannot be read: {error}") from error
        if state.pod_uid != pod.uid:
            # Pod IPs are reused quickly: another pod can have the IP by now.
            raise PodUnreachableError(f"pod {pod.name}: another pod answers at {pod.ip}")
        return state

    async def push_plan(self, pod: PodAddress, signed: SignedPlan) -> None:
        """See `ServerPods.push_plan`."""
        headers = {"Content-Type": "application/json"}
        await self._call("PUT", pod, PLAN_PATH, headers, signed.to_json().encode())

    async def _call(
        self, method: str, pod: PodAddress, path: str, headers: dict[str, str], body: bytes | None
    ) -> bytes:
        if self._session is None:
            raise RuntimeError("HTTPServerPods is not open; use it as a context manager")
        host = f"[{pod.ip}]" if ":" in pod.ip else pod.ip
        url = f"http://{host}:{SERVER_PORT}{path}"
        try:
            async with (
                self._slots,
                self._session.request(method, url, headers=headers, data=body, allow_redirects=False) as response,
            ):
                answer = await _read_at_most(response, MAX_STATE_BYTES)
        except (aiohttp.ClientError, TimeoutError) as error:
            reason = str(error) or type(error).__name__
            raise PodUnreachableError(f"pod {pod.name}: {method} {path} failed: {reason}") from error
        if answer is None:
            raise PodUnreachableError(
                f"pod {pod.name}: {method} {path}: the answer has more than {MAX_STATE_BYTES} bytes"
            )
        if not 200 <= response.status < 300:
            shown = answer[:200].decode(errors="replace")
            raise PodUnreachableError(f"pod {pod.name}: {method} {path} answered {response.status}: {shown}")
        return answer


async def _read_at_most(response: aiohttp.ClientResponse, limit: int) -> bytes | None:
    """Return the body, or None when it is longer than `limit` bytes."""
    body = bytearray()
    async for chunk in response.content.iter_chunked(64 * 1024):
        body += chunk
        if len(body) > limit:
            return None
    return bytes(body)
