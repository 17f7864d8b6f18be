"""Wait for a condition, and say which one when it does not come."""

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
        DevError: it stayed false for `timeout` seconds; the message ends with what `explain` returns.
    """
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise DevError(f"{what} did not happen within {timeout:.0f} s. {explain()}".rstrip())
        time.sleep(POLL_SECONDS)
