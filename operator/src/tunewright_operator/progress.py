"""The port to trainer pods: read the progress of a running training.

A trainer pod runs with a tenant's data and settings and is not trusted. So redirects are not followed, and a call
takes at most 2 seconds and reads at most 1 MiB. The caller checks by the owner chain that the pod belongs to the job.
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
    """What the FineTuneJob loop reads from a trainer pod."""

    async def fetch(self, ip: str) -> Progress | None:
        """Return the pod's progress; None without a usable answer in time."""


class HTTPTrainerProgress:
    """`TrainerProgress` over HTTP; a context manager that owns one connection pool."""

    def __init__(self, port: int = PROGRESS_PORT) -> None:
        self._port = port
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open the connection pool."""
        # trust_env stays False: requests to pods must not go through a proxy of the environment.
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
            raise RuntimeError("HTTPTrainerProgress is not open; use it as a context manager")
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
