"""Read bodies of requests within a deadline, and a limited number of them at the same time.

Without both, clients that begin many requests and never finish them take a pod's memory and connections.
"""

from __future__ import annotations

import asyncio
from collections import Counter

from tunewright_server.http import asgi
from tunewright_server.http.errors import RefusalCode, RefusalError
from tunewright_server.request_limits import BODY_SECONDS, MAX_UPLOADS

_CLOSE = ((b"connection", b"close"),)


class Uploads:
    """The bodies that arrive now.

    One more than the limit ends another: the oldest one of the address that has the most. So an address that stalls
    many of them only displaces its own, and a client that sends its body at once is not delayed.
    """

    def __init__(self, seconds: float = BODY_SECONDS, most: int = MAX_UPLOADS) -> None:
        self._seconds = seconds
        self._most = most
        self._unfinished: dict[asyncio.Timeout, str] = {}
        """The address of each, in the order in which they began."""

    async def read(self, scope: asgi.Scope, receive: asgi.Receive, limit: int) -> bytes | None:
        """Return a request's body, or None if it has more than ``limit`` bytes.

        Raises:
            RefusalError: 408; the body did not arrive in time, or was displaced.
            ClientDisconnectedError: the client disconnected before the last byte.
        """
        deadline = asyncio.timeout(self._seconds)
        try:
            async with deadline:
                self._unfinished[deadline] = _find_address(scope)
                if len(self._unfinished) > self._most:
                    self._displace_one()
                return await asgi.read_body(receive, limit)
        except TimeoutError as error:
            raise RefusalError(
                408,
                RefusalCode.REQUEST_TIMEOUT,
                f"The body did not arrive within {self._seconds:g} seconds, or too many others arrived at the same"
                " time; send it again, all at once",
                more_headers=_CLOSE,
            ) from error
        finally:
            self._unfinished.pop(deadline, None)

    def _displace_one(self) -> None:
        counts = Counter(self._unfinished.values())
        busiest = max(counts, key=counts.__getitem__)
        oldest = next(deadline for deadline, address in self._unfinished.items() if address == busiest)
        del self._unfinished[oldest]
        oldest.reschedule(asyncio.get_running_loop().time())


def _find_address(scope: asgi.Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""
