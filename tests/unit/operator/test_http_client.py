"""The HTTP client, against servers that send exact bytes: good, bad, slow and closed answers."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.tls import Authority
from tunewright_operator import http_client
from tunewright_operator.http_client import HEAD_BYTES, Answer, ClosedError, ExchangeError, HTTPClient, Origin

SECONDS = 60.0
HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CLOSE = b"<close>"
"""At the end of an answer: the server closes the connection after it."""


@dataclasses.dataclass
class Server:
    """Answers the n-th request of all connections with the n-th bytes, and without more of them nothing."""

    origin: Origin
    answers: list[bytes]
    connections: int = 0
    requests: list[bytes] = dataclasses.field(default_factory=list)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        self.connections += 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next((int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length")), 0)
                self.requests.append(head + await reader.readexactly(length))
                if not self.answers:
                    await reader.read()
                    return
                answer = self.answers.pop(0)
                writer.write(answer.removesuffix(CLOSE))
                if answer.endswith(CLOSE):
                    return


@contextlib.asynccontextmanager
async def serve(*answers: bytes, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """Run a server."""
    server = Server(Origin("127.0.0.1", 0), list(answers))

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await server.handle(reader, writer)
        finally:
            writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls) as started:
        server.origin = Origin("127.0.0.1", started.sockets[0].getsockname()[1])
        yield server


@contextlib.asynccontextmanager
async def open_client(
    *, connections: int | None = None, max_body_bytes: int | None = None
) -> AsyncIterator[HTTPClient]:
    """Open a client, and close it at the end."""
    client = HTTPClient(connections=connections, max_body_bytes=max_body_bytes)
    try:
        yield client
    finally:
        await client.close()


async def ask(client: HTTPClient, server: Server, method: str = "GET", body: bytes | None = None) -> Answer:
    return await client.request(server.origin, method, "/x?a=%20b", {"Accept": "text/plain"}, body, seconds=SECONDS)


async def test_a_request_is_sent_and_its_answer_read():
    async with serve(HELLO) as server, open_client() as client:
        answer = await ask(client, server, "POST", b"data")
    assert (answer.status, answer.headers["content-length"], answer.body) == (200, "5", b"hello")
    host = f"Host: 127.0.0.1:{server.origin.port}"
    expected = f"POST /x?a=%20b HTTP/1.1\r\n{host}\r\nAccept: text/plain\r\nContent-Length: 4\r\n\r\ndata"
    assert server.requests == [expected.encode()]


@pytest.mark.parametrize(
    ("sent", "status", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n", 200, b"abcde"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 1\r\n\r\nx", 201, b"x"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 404, b""),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n", 304, b""),
    ],
    ids=["chunked", "interim", "empty", "no-content", "not-modified"],
)
async def test_an_answer_ends_where_http_says_so_and_its_connection_is_kept(sent: bytes, status: int, body: bytes):
    async with serve(sent, HELLO) as server, open_client() as client:
        answer = await ask(client, server)
        assert (answer.status, answer.body) == (status, body)
        assert (await ask(client, server)).body == b"hello"
    assert server.connections == 1


@pytest.mark.parametrize(
    ("sent", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", b"ok"),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok"),
        (b"HTTP/1.0 200 OK\r\n\r\nthe end is the end" + CLOSE, b"the end is the end"),
        # It describes the body that a 200 would have (RFC 9110, section 8.6), which the parser would wait for.
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 700\r\n\r\n", b""),
    ],
    ids=["close", "http-1.0", "no-length", "length-of-no-body"],
)
async def test_other_connections_are_not_kept(sent: bytes, body: bytes):
    async with serve(sent, HELLO) as server, open_client() as client:
        assert (await ask(client, server)).body == body
        assert (await ask(client, server)).body == b"hello"
    assert server.connections == 2


@pytest.mark.parametrize(
    ("sent", "error", "text"),
    [
        (CLOSE, ClosedError, "closed the connection"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort" + CLOSE, ExchangeError, "within the answer"),
        (b"SSH-2.0-OpenSSH_9\r\n", ExchangeError, "no HTTP"),
        (b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", ExchangeError, "no HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n" + b"x" * 101, ExchangeError, "more than 100 bytes"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * (HEAD_BYTES + 200), ExchangeError, "too long"),
    ],
    ids=["nothing", "short", "no-http", "upgrade", "long-body", "long-head"],
)
async def test_what_is_no_usable_answer_is_an_error(sent: bytes, error: type[ExchangeError], text: str):
    async with serve(sent) as server, open_client(max_body_bytes=100) as client:
        with pytest.raises(error, match=text):
            await ask(client, server)


@pytest.mark.parametrize(("method", "repeated"), [("GET", True), ("PUT", True), ("POST", False), ("PATCH", False)])
async def test_a_kept_connection_that_closes_repeats_what_may_be_repeated(method: str, repeated: bool):
    async with serve(HELLO, CLOSE, HELLO) as server, open_client() as client:
        await ask(client, server)
        if repeated:
            assert (await ask(client, server, method)).body == b"hello"
        else:
            with pytest.raises(ClosedError):
                await ask(client, server, method)
    assert server.connections == 1 + repeated


async def test_a_new_connection_that_closes_is_an_error():
    async with serve(CLOSE, HELLO) as server, open_client() as client:
        with pytest.raises(ClosedError):
            await ask(client, server)
    assert server.connections == 1


async def test_a_connection_that_closed_or_was_idle_for_long_is_not_used(monkeypatch: pytest.MonkeyPatch):
    async with serve(HELLO + CLOSE, HELLO, HELLO, HELLO) as server, open_client() as client:
        await ask(client, server)
        await asyncio.sleep(0.01)  # The end of the connection arrives; without that, the request is repeated.
        await ask(client, server)
        assert server.connections == 2
        await ask(client, server)
        assert server.connections == 2
        monkeypatch.setattr(http_client, "IDLE_SECONDS", -1.0)
        await ask(client, server)
        assert server.connections == 3


async def test_requests_in_flight_have_connections_of_their_own_up_to_the_limit():
    async with serve() as server, open_client(connections=2) as client:
        tasks = [asyncio.create_task(ask(client, server)) for _ in range(5)]
        while len(server.requests) < 2:  # noqa: ASYNC110 - another task of this loop changes it
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.01)
        assert (server.connections, len(server.requests)) == (2, 2)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        server.answers = [HELLO]
        assert (await ask(client, server)).body == b"hello"


@pytest.mark.parametrize("end", ["time", "cancellation"])
async def test_the_connection_of_an_abandoned_request_is_closed(end: str):
    async with serve() as server, open_client() as client:
        seconds = 0.01 if end == "time" else SECONDS
        task = asyncio.create_task(client.request(server.origin, "GET", "/late", {}, seconds=seconds))
        while not server.requests:  # noqa: ASYNC110 - another task of this loop changes it
            await asyncio.sleep(0.001)
        if end == "cancellation":
            task.cancel()
        with pytest.raises(TimeoutError if end == "time" else asyncio.CancelledError):
            await task
        server.answers = [HELLO]
        assert (await ask(client, server)).body == b"hello"
    assert server.connections == 2


async def test_requests_fail_when_the_client_is_closed():
    async with serve() as server, open_client() as client:
        task = asyncio.create_task(ask(client, server))
        while not server.requests:  # noqa: ASYNC110 - another task of this loop changes it
            await asyncio.sleep(0.001)
        await client.close()
        with pytest.raises(ExchangeError):
            await task


async def test_a_line_break_in_a_header_is_refused():
    async with serve(HELLO) as server, open_client() as client:
        with pytest.raises(ExchangeError, match="line break"):
            await client.request(server.origin, "GET", "/", {"If-None-Match": "a\r\nX: y"}, seconds=SECONDS)
    assert not server.requests


async def test_an_address_without_a_server_is_an_error():
    async with open_client() as client:
        with pytest.raises(OSError):
            await client.request(Origin("127.0.0.1", 1), "GET", "/", {}, seconds=SECONDS)


@pytest.mark.parametrize(
    ("issued_for", "server_name", "accepted"),
    [("127.0.0.1", None, True), ("api.example", "api.example", True), ("api.example", None, False)],
)
async def test_the_certificate_must_be_for_the_name(
    tmp_path: Path, issued_for: str, server_name: str | None, accepted: bool
):
    authority = Authority(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(authority.issue(issued_for))
    trusted = ssl.create_default_context(cafile=str(authority.bundle))
    async with serve(HELLO, tls=tls) as server, open_client() as client:
        server.origin = dataclasses.replace(server.origin, tls=trusted, server_name=server_name)
        if accepted:
            assert (await ask(client, server)).body == b"hello"
        else:
            with pytest.raises(ssl.SSLCertVerificationError):
                await ask(client, server)


def test_the_host_of_an_ipv6_address_is_in_brackets():
    assert [Origin("fd00::1", 443).authority, Origin("k8s", 443).authority] == ["[fd00::1]:443", "k8s:443"]
