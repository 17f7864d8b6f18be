"""The port to server pods: read a replica's state, push a plan to it.

Pods are not trusted: no redirect is followed, a call takes at most 2 seconds and reads at most 4 MiB. Which pods may be
called at all is decided by `domain.serving.pods`, from their owner chain.
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
    """A pod that may be called: ``ip`` is its pod address."""

    namespace: str
    name: str
    uid: str
    ip: str


class PodUnreachableError(Exception):
    """A pod gave no usable answer; the message names the pod and what happened instead."""


class ServerPods(Protocol):
    """What reconcilers ask of server pods."""

    async def fetch_state(self, pod: PodAddress, token: str) -> PodState:
        """Return the pod's state.

        Raises:
            PodUnreachableError: no answer in time, a refusal, or an answer that is no state of this pod.
        """
        ...

    async def push_plan(self, pod: PodAddress, signed: SignedPlan) -> None:
        """Offer a plan; how the pod received it shows in its next state.

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
        """Return the pod's state; see `ServerPods`."""
        body = await self._call("GET", pod, STATE_PATH, {"Authorization": f"Bearer {token}"}, None)
        try:
            state = PodState.from_json(body)
        except ContractError as error:
            raise PodUnreachableError(f"pod {pod.name}: its state cannot be read: {error}") from error
        if state.pod_uid != pod.uid:
            # Pod addresses are reused quickly: another pod answers where this one was.
            raise PodUnreachableError(f"pod {pod.name}: another pod answers at {pod.ip}")
        return state

    async def push_plan(self, pod: PodAddress, signed: SignedPlan) -> None:
        """Offer a plan; see `ServerPods`."""
        headers = {"Content-Type": "application/json"}
        await self._call("PUT", pod, PLAN_PATH, headers, signed.to_json().encode())

    async def _call(
        self, method: str, pod: PodAddress, path: str, headers: dict[str, str], body: bytes | None
    ) -> bytes:
        if self._session is None:
            raise RuntimeError("HTTPServerPods must be entered before it is used")
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
            raise PodUnreachableError(f"pod {pod.name}: {method} {path} answered more than {MAX_STATE_BYTES} bytes")
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
