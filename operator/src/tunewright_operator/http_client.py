"""HTTP/1.1 requests over connections that are kept, with as little work for each as they need.

A request is one call to write, and its answer is complete when the future of the request is done. There are no
redirects, cookies, compression, proxies or streams. llhttp, the parser of Node.js, reads the answers (`httptools`).
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import ssl
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final, cast

import httptools

IDLE_SECONDS: Final = 15.0
"""A connection that was not used for this time is closed: the network may have forgotten it."""
HEAD_BYTES: Final = 65_536
"""The limit of an answer's headers and framing, with the size of the longest body added."""
IDEMPOTENT: Final = frozenset({"GET", "PUT", "DELETE"})
"""Requests that are sent again if the server closes a kept connection when it gets them (RFC 9110, section 9.2.2)."""
_WITHOUT_BODY: Final = frozenset({204, 304})


class ExchangeError(Exception):
    """A request has no usable answer: the connection was closed, or what came is no HTTP, or too long."""


class ClosedError(ExchangeError):
    """The server closed the connection before it answered anything."""


@dataclasses.dataclass(frozen=True, slots=True)
class Origin:
    """Where requests are sent; ``server_name`` is the name in the certificate, if it is not that of ``host``."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    server_name: str | None = None

    @property
    def authority(self) -> str:
        """The value of the header Host."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer; the names of ``headers`` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class HTTPClient:
    """Sends requests; use it in one event loop, and close it at the end.

    Args:
        connections: how many requests may be in flight at the same time; further ones wait. None: any number.
        max_body_bytes: the limit of an answer's body; None if the servers are trusted.
    """

    def __init__(self, *, connections: int | None = None, max_body_bytes: int | None = None) -> None:
        self._limit = contextlib.nullcontext() if connections is None else asyncio.Semaphore(connections)
        self._max_body_bytes = max_body_bytes
        self._idle: OrderedDict[_Connection, None] = OrderedDict()
        self._idle_by_origin: dict[Origin, list[_Connection]] = {}
        self._busy: set[_Connection] = set()

    async def request(
        self,
        origin: Origin,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        seconds: float,
    ) -> Answer:
        """Send a request and return the answer, whatever its status is.

        Args:
            origin: the server.
            method: the method.
            target: the path and the query, encoded.
            headers: the headers, without Host and Content-Length.
            body: the content.
            seconds: how long all of it may take.

        Raises:
            ExchangeError: there is no usable answer.
            TimeoutError: it took too long.
            OSError: the server cannot be reached, or its certificate is not valid.
        """
        data = _format(origin, method, target, headers, body)
        async with asyncio.timeout(seconds), self._limit:
            connection = self._take_idle(origin)
            if connection is not None:
                try:
                    return await self._exchange(connection, data)
                except ClosedError:
                    if method not in IDEMPOTENT:
                        raise
            return await self._exchange(await self._connect(origin), data)

    async def close(self) -> None:
        """Close all connections; requests in flight fail."""
        for connection in [*self._idle, *self._busy]:
            connection.abort()
        self._idle.clear()
        self._idle_by_origin.clear()
        await asyncio.sleep(0)  # The transports close in the next pass of the loop.

    async def _connect(self, origin: Origin) -> _Connection:
        loop = asyncio.get_running_loop()
        name = None if origin.tls is None else origin.server_name or origin.host
        _, connection = await loop.create_connection(
            lambda: _Connection(origin, self._max_body_bytes),
            origin.host,
            origin.port,
            ssl=origin.tls,
            server_hostname=name,
        )
        return connection

    async def _exchange(self, connection: _Connection, data: bytes) -> Answer:
        self._busy.add(connection)
        try:
            answer = await connection.send(data)
        except BaseException:
            connection.abort()  # What it answers later must not become the answer to another request.
            raise
        finally:
            self._busy.discard(connection)
        if connection.may_be_kept:
            self._keep(connection)
        else:
            connection.abort()
        return answer

    def _keep(self, connection: _Connection) -> None:
        now = connection.idle_since = time.monotonic()
        self._idle[connection] = None
        self._idle_by_origin.setdefault(connection.origin, []).append(connection)
        while (oldest := next(iter(self._idle))) is not connection and oldest.idle_since < now - IDLE_SECONDS:
            self._forget(oldest)
            oldest.abort()

    def _take_idle(self, origin: Origin) -> _Connection | None:
        """Return the connection that was used last, if it is still open."""
        since = time.monotonic() - IDLE_SECONDS
        while (kept := self._idle_by_origin.get(origin)) is not None:
            connection = kept[-1]
            self._forget(connection)
            if connection.is_open and connection.idle_since >= since:
                return connection
            connection.abort()
        return None

    def _forget(self, connection: _Connection) -> None:
        del self._idle[connection]
        kept = self._idle_by_origin[connection.origin]
        kept.remove(connection)
        if not kept:
            del self._idle_by_origin[connection.origin]


class _Connection(asyncio.Protocol):
    """One connection, with at most one request in flight."""

    def __init__(self, origin: Origin, max_body_bytes: int | None) -> None:
        self.origin = origin
        self.idle_since = 0.0
        self._max_body_bytes = max_body_bytes
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._answer: asyncio.Future[Answer] | None = None
        self._received = 0
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._keeps_alive = False
        self._ends_with_connection = False

    @property
    def is_open(self) -> bool:
        """Return whether requests can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def may_be_kept(self) -> bool:
        """Return whether another request can be sent after the one that was answered."""
        return self._keeps_alive and self.is_open

    async def send(self, data: bytes) -> Answer:
        """Send a request and return its answer.

        Raises:
            ExchangeError: there is no usable answer.
        """
        if self._transport is None or self._transport.is_closing():
            raise ClosedError("the connection is closed")
        self._received, self._keeps_alive = 0, False
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(data)
        return await self._answer

    def abort(self) -> None:
        """Close the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol ---------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take note of the open connection."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Parse a part of an answer."""
        self._received += len(data)
        if self._answer is None or self._answer.done():
            self.abort()  # An answer to no request.
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(ExchangeError(f"the answer is no HTTP: {error!r}"))
        if self._max_body_bytes is not None and self._received > HEAD_BYTES + 2 * self._max_body_bytes:
            self._fail(ExchangeError("the headers and the framing of the answer are too long"))

    def connection_lost(self, error: Exception | None) -> None:
        """End the request in flight: some answers end with their connection."""
        if self._ends_with_connection and error is None:
            self._finish()
        detail = f": {error!r}" if error else ""
        if self._received:
            self._fail(ExchangeError(f"the connection was closed within the answer{detail}"))
        else:
            self._fail(ClosedError(f"the server closed the connection{detail}"))

    # httptools ----------------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Begin an answer, or the next one after a 1xx."""
        self._headers, self._body, self._body_bytes, self._ends_with_connection = {}, [], 0, False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; a repeated one is a list (RFC 9110, section 5.3)."""
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text

    def on_headers_complete(self) -> None:
        """Finish an answer that has no body although its headers may describe one."""
        framed = "content-length" in self._headers or "transfer-encoding" in self._headers
        if self._parser.get_status_code() in _WITHOUT_BODY:
            self._finish(keep_alive=self._parser.should_keep_alive() and not framed)
        else:
            self._ends_with_connection = not framed

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._body.append(body)
        self._body_bytes += len(body)
        if self._max_body_bytes is not None and self._body_bytes > self._max_body_bytes:
            self._fail(ExchangeError(f"the answer has more than {self._max_body_bytes} bytes"))

    def on_message_complete(self) -> None:
        """Finish the answer, unless it was an interim one."""
        if self._parser.get_status_code() >= 200:
            self._finish(keep_alive=self._parser.should_keep_alive())

    def _finish(self, *, keep_alive: bool = False) -> None:
        self._ends_with_connection = False
        if self._answer is not None and not self._answer.done():
            self._keeps_alive = keep_alive
            body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
            self._answer.set_result(Answer(self._parser.get_status_code(), self._headers, body))

    def _fail(self, error: ExchangeError) -> None:
        self.abort()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)


def _format(origin: Origin, method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> bytes:
    """Return a request as it is sent."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {origin.authority}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    if any("\r" in line or "\n" in line for line in lines):
        raise ExchangeError(f"{method} {target}: a line break in a header")
    head = "\r\n".join(lines).encode() + b"\r\n\r\n"
    return head if body is None else head + body
