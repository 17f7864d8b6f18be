"""Close connections that carry no request: uvicorn has no deadline for a request's headers.

vLLM runs uvicorn in this process and has no option to limit its connections. It keeps the server at `app.state.server`,
where each open connection has a transport and the request in progress, its cycle.
"""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import Callable, Collection
from typing import Any

import structlog

from tunewright_server.request_limits import IDLE_SECONDS, MAX_CONNECTIONS

log = structlog.get_logger(__name__)

_SWEEP_SECONDS = 1.0


class IdleConnections:
    """The connections without a request in progress.

    Requests whose body is incomplete are in progress: `Uploads` ends them.
    """

    def __init__(
        self,
        connections: Collection[Any],
        *,
        seconds: float = IDLE_SECONDS,
        most: int = MAX_CONNECTIONS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create the list.

        Args:
            connections: uvicorn's open connections, which change.
            seconds: how long one may be idle.
            most: how many may be open; if there are more, those that are idle longest are closed.
            clock: returns seconds.
        """
        self._connections = connections
        self._seconds = seconds
        self._most = most
        self._clock = clock
        self._idle: weakref.WeakKeyDictionary[Any, tuple[Any, float]] = weakref.WeakKeyDictionary()
        """The last request of each idle connection, and since when it is idle."""

    def close_some(self) -> int:
        """Close the connections that are idle for too long or too many; return how many."""
        now = self._clock()
        opened = list(self._connections)
        idle = [(self._find_start(connection, now), connection) for connection in opened if _is_idle(connection)]
        idle.sort(key=lambda item: item[0])
        surplus = max(0, len(opened) - self._most)
        closed = [
            connection
            for place, (start, connection) in enumerate(idle)
            if place < surplus or now - start >= self._seconds
        ]
        for connection in closed:
            connection.transport.close()
        if closed:
            log.info("idle_connections_closed", closed=len(closed), open=len(opened))
        return len(closed)

    def _find_start(self, connection: Any, now: float) -> float:
        """Return since when a connection is idle; another last request than before means that it was not meanwhile."""
        last = connection.cycle
        known = self._idle.get(connection)
        if known is None or known[0] is not last:
            known = self._idle[connection] = (last, now)
        return known[1]


async def close_idle(app: Any) -> None:
    """Close idle connections of an app's server until cancelled."""
    connections = find_connections(app)
    if connections is None:
        log.warning("idle_connections_stay_open", reason="this vLLM does not show its server")
        return
    idle = IdleConnections(connections)
    while True:
        await asyncio.sleep(_SWEEP_SECONDS)
        idle.close_some()


def find_connections(app: Any) -> Collection[Any] | None:
    """Return uvicorn's open connections, or None if this app does not run in vLLM's server."""
    server = getattr(getattr(app, "state", None), "server", None)
    connections: Collection[Any] | None = getattr(getattr(server, "server_state", None), "connections", None)
    return connections


def _is_idle(connection: Any) -> bool:
    if not hasattr(connection, "cycle"):
        return False  # a WebSocket, which the middleware closes
    return connection.cycle is None or bool(connection.cycle.response_complete)
