"""The port to trainer pods: ask a running one how far it is.

A trainer pod runs a tenant's data through a tenant's settings and is not trusted: no redirect is followed, a call takes
at most 2 seconds and reads at most 1 MiB. Which pod may be asked is decided by the caller from its owner chain.
"""

from __future__ import annotations

from http import HTTPStatus
from types import TracebackType
from typing import Final, Protocol, Self

import aiohttp

from tunewright_contracts.document import ContractError
from tunewright_contracts.progress import PROGRESS_PATH, PROGRESS_PORT, Progress

TIMEOUT_SECONDS: Final = 2.0
MAX_ANSWER_BYTES: Final = 1024 * 1024


class TrainerProgress(Protocol):
    """What the FineTuneJob loop asks of a trainer pod."""

    async def fetch(self, ip: str) -> Progress | None:
        """Return the pod's progress; None when it gave no usable answer in time."""


class HTTPTrainerProgress:
    """`TrainerProgress` over HTTP; a context manager that owns one connection pool."""

    def __init__(self, port: int = PROGRESS_PORT) -> None:
        self._port = port
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open the connection pool."""
        # trust_env stays False: a proxy of the environment must not see pod addresses.
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the connection pool."""
        if self._session is not None:
            await self._session.close()

    async def fetch(self, ip: str) -> Progress | None:
        """See `TrainerProgress.fetch`."""
        if self._session is None:
            raise RuntimeError("HTTPTrainerProgress is a context manager: enter it first")
        host = f"[{ip}]" if ":" in ip else ip
        try:
            async with self._session.get(
                f"http://{host}:{self._port}{PROGRESS_PATH}", allow_redirects=False
            ) as response:
                if response.status != HTTPStatus.OK:
                    return None
                data = await _read_at_most(response, MAX_ANSWER_BYTES)
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None
        try:
            return None if data is None else Progress.from_json(data)
        except ContractError:
            return None


async def _read_at_most(response: aiohttp.ClientResponse, limit: int) -> bytes | None:
    """Return the body; None when it is longer than ``limit`` bytes."""
    data = b""
    async for chunk in response.content.iter_any():
        data += chunk
        if len(data) > limit:
            return None
    return data
