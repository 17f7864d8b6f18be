"""Wait for what no event reports; the error names what did not happen."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tunewright_dev.errors import DevError

POLL_SECONDS = 0.2


async def wait_until(
    what: str,
    is_done: Callable[[], Awaitable[bool]],
    *,
    seconds: float,
    pause: float = POLL_SECONDS,
    explain: Callable[[], str] = lambda: "",
) -> None:
    """Poll until a check is true.

    Raises:
        DevError: it was false for `seconds`; the message ends with the result of `explain`.
    """
    try:
        async with asyncio.timeout(seconds):
            while not await is_done():  # noqa: ASYNC110 - no event of this process reports it
                await asyncio.sleep(pause)
    except TimeoutError as error:
        raise DevError(f"Timed out after {seconds:.0f} s, waiting for {what}. {explain()}".rstrip()) from error
