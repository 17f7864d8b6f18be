"""Wait for a condition; the error names the condition that did not become true."""

from __future__ import annotations

import time
from collections.abc import Callable

from tunewright_dev.errors import DevError

POLL_SECONDS = 0.1


def wait_for(
    what: str, condition: Callable[[], bool], *, timeout: float, explain: Callable[[], str] = lambda: ""
) -> None:
    """Poll `condition` until it is true.

    Raises:
        DevError: it was false for `timeout` seconds; the message ends with the result of `explain`.
    """
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise DevError(f"Timed out after {timeout:.0f} s, waiting for {what}. {explain()}".rstrip())
        time.sleep(POLL_SECONDS)
