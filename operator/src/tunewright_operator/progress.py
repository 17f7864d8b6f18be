"""The port to trainer pods: read the progress of a running training.

A trainer pod runs with a tenant's data and settings and is not trusted. So redirects are not followed, and a call
takes at most 2 seconds and reads at most 1 MiB. The caller checks by the owner chain that the pod belongs to the job.
"""

from __future__ import annotations

from http import HTTPStatus
from types import TracebackType
from typing import Final, Protocol, Self

from tunewright_contracts.document import ContractError
from tunewright_contracts.progress import PROGRESS_PATH, PROGRESS_PORT, Progress
from tunewright_operator.http_client import ExchangeError, HTTPClient, Origin

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
        self._http = HTTPClient(max_body_bytes=MAX_ANSWER_BYTES)

    async def __aenter__(self) -> Self:
        """Open the connection pool."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the connection pool."""
        await self._http.close()

    async def fetch(self, ip: str) -> Progress | None:
        """See `TrainerProgress.fetch`."""
        origin = Origin(ip, self._port)
        try:
            answer = await self._http.request(origin, "GET", PROGRESS_PATH, {}, seconds=TIMEOUT_SECONDS)
        except (ExchangeError, TimeoutError, OSError):
            return None
        if answer.status != HTTPStatus.OK:
            return None
        try:
            return Progress.from_json(answer.body)
        except ContractError:
            return None
