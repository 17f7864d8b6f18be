"""One HTTP client for the API server: credentials, connections, rate limit, metrics and errors of every request.

It knows nothing of the verbs: `kubernetes_cluster`, `event_recorder` and `reflector` send their requests by it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import ssl
import time
import urllib.parse
from collections.abc import AsyncIterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

import aiohttp
from yarl import URL

from tunewright_operator.api.kinds import Kind
from tunewright_operator.cluster import FIELD_MANAGER, Body, UnavailableError
from tunewright_operator.http_client import Answer, ExchangeError, HTTPClient, Origin
from tunewright_operator.kubernetes_api import metrics
from tunewright_operator.kubernetes_api.answers import build_error, decode_object, encode
from tunewright_operator.kubernetes_api.credentials import Credentials, CredentialsError, Endpoint
from tunewright_operator.kubernetes_api.rate_limit import TokenBucket

REQUEST_TIMEOUT_SECONDS: Final = 30.0
CONNECTIONS: Final = 32
UNAUTHORIZED: Final = 401
HTTP_PORT: Final = 80
HTTPS_PORT: Final = 443
NO_ANSWER: Final = "error"
"""The label ``code`` of a request without an answer."""


class Verb(StrEnum):
    """What a request does, as a label of the metrics: the API server's verb, with updates of a status apart."""

    GET = "get"
    LIST = "list"
    WATCH = "watch"
    CREATE = "create"
    UPDATE = "update"
    UPDATE_STATUS = "update_status"
    PATCH = "patch"
    APPLY = "apply"
    DELETE = "delete"


METHODS: Final[Mapping[Verb, str]] = {
    Verb.GET: "GET",
    Verb.LIST: "GET",
    Verb.WATCH: "GET",
    Verb.CREATE: "POST",
    Verb.UPDATE: "PUT",
    Verb.UPDATE_STATUS: "PUT",
    Verb.PATCH: "PATCH",
    Verb.APPLY: "PATCH",
    Verb.DELETE: "DELETE",
}
CONTENT_TYPES: Final[Mapping[Verb, str]] = {
    Verb.CREATE: "application/json",
    Verb.UPDATE: "application/json",
    Verb.UPDATE_STATUS: "application/json",
    Verb.PATCH: "application/merge-patch+json",
    Verb.APPLY: "application/apply-patch+yaml",
    Verb.DELETE: "application/json",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """A request; ``query`` is not encoded yet."""

    verb: Verb
    kind: Kind
    path: str
    query: Sequence[tuple[str, str]] = ()
    body: Body | None = None
    accept: str = "application/json"

    def __str__(self) -> str:
        return f"{METHODS[self.verb]} {self.path}"


class APIClient:
    """Sends requests to the API server; create it in the event loop that uses it.

    Watches, and all requests through a proxy, are sent by aiohttp; the others by a client that has less to do.
    """

    def __init__(
        self, credentials: Credentials, *, limit: TokenBucket | None = None, connections: int = CONNECTIONS
    ) -> None:
        self._credentials = credentials
        self._limit = limit
        endpoint = credentials.endpoint
        self._origin, self._prefix = _read_endpoint(endpoint)
        self._root = endpoint.url.rstrip("/")
        self._proxied = endpoint.proxy is not None
        self._http = HTTPClient(connections=connections)
        # Only these are passed, since aiohttp does some work for each option of a request.
        self._options: dict[str, Any] = {"allow_redirects": False}
        if endpoint.proxy:
            self._options["proxy"] = endpoint.proxy
        if endpoint.server_name:
            self._options["server_hostname"] = endpoint.server_name
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections, ssl=endpoint.tls or True),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_SECONDS),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()
        await self._session.close()

    async def request(self, request: Request) -> Body:
        """Send a request and return the object of the answer.

        Raises:
            ClusterError: the server refused or did not answer.
        """
        if self._limit is not None:
            await self._limit.acquire()
        started = time.monotonic()
        code = NO_ANSWER
        try:
            answer = await self._ask(request)
            code = str(answer.status)
        except (aiohttp.ClientError, CredentialsError, ExchangeError, OSError, TimeoutError) as error:
            raise UnavailableError(f"{request}: the API server did not answer: {error!r}") from error
        finally:
            kind = request.kind.name
            metrics.API_REQUESTS.labels(request.verb.value, kind, code).inc()
            metrics.API_SECONDS.labels(request.verb.value, kind).observe(time.monotonic() - started)
        if answer.status >= 300:
            raise build_error(str(request), answer.status, answer.body, answer.headers, dt.datetime.now(dt.UTC))
        return decode_object(str(request), answer.body)

    @contextlib.asynccontextmanager
    async def stream(
        self, request: Request, *, total_seconds: float, silence_seconds: float
    ) -> AsyncIterator[aiohttp.StreamReader]:
        """Send a request and yield the reader of its answer, which ends after at most ``total_seconds``.

        The reader raises an error when nothing came for ``silence_seconds``.

        Raises:
            ClusterError: the server refused or did not answer. The reader's own errors are those of aiohttp.
        """
        if self._limit is not None:
            await self._limit.acquire()
        code = NO_ANSWER
        limits = aiohttp.ClientTimeout(
            total=total_seconds, sock_connect=REQUEST_TIMEOUT_SECONDS, sock_read=silence_seconds
        )
        async with contextlib.AsyncExitStack() as stack:
            try:
                response = await stack.enter_async_context(self._exchange(request, limits))
                code = str(response.status)
                data = await response.read() if response.status >= 300 else b""
            except (aiohttp.ClientError, CredentialsError, OSError, TimeoutError) as error:
                raise UnavailableError(f"{request}: the API server did not answer: {error!r}") from error
            finally:
                metrics.API_REQUESTS.labels(request.verb.value, request.kind.name, code).inc()
            if response.status >= 300:
                raise build_error(str(request), response.status, data, response.headers, dt.datetime.now(dt.UTC))
            yield response.content

    async def _ask(self, request: Request) -> Answer:
        """Send a request; if the server does not accept the credentials, renew them and send it again."""
        if self._proxied:
            async with self._exchange(request) as response:
                headers = {name.lower(): value for name, value in response.headers.items()}
                return Answer(response.status, headers, await response.read())
        header = self._credentials.authorization()
        answer = await self._send(request, header)
        if answer.status == UNAUTHORIZED and await self._credentials.renew(header):
            answer = await self._send(request, self._credentials.authorization())
        return answer

    async def _send(self, request: Request, authorization: str | None) -> Answer:
        target, headers, data = self._prefix + _build_target(request), _build_headers(request, authorization), None
        if request.body is not None:
            data = encode(request.body)
        method = METHODS[request.verb]
        return await self._http.request(self._origin, method, target, headers, data, seconds=REQUEST_TIMEOUT_SECONDS)

    @contextlib.asynccontextmanager
    async def _exchange(
        self, request: Request, limits: aiohttp.ClientTimeout | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Do the same as `_ask` by aiohttp, and yield the answer before its body is read."""
        header = self._credentials.authorization()
        response = await self._open(request, header, limits)
        try:
            if response.status == UNAUTHORIZED and await self._credentials.renew(header):
                response.release()
                response = await self._open(request, self._credentials.authorization(), limits)
            yield response
        finally:
            response.release()

    async def _open(
        self, request: Request, authorization: str | None, limits: aiohttp.ClientTimeout | None
    ) -> aiohttp.ClientResponse:
        options = self._options
        if request.body is not None:
            options = {**options, "data": encode(request.body)}
        if limits is not None:
            options = {**options, "timeout": limits}
        url = URL(self._root + _build_target(request), encoded=True)
        headers = _build_headers(request, authorization)
        return await self._session.request(METHODS[request.verb], url, headers=headers, **options)


def _read_endpoint(endpoint: Endpoint) -> tuple[Origin, str]:
    """Return the server of an endpoint, and the path below which it serves the API."""
    parts = urllib.parse.urlsplit(endpoint.url)
    secure = parts.scheme == "https"
    tls = (endpoint.tls or ssl.create_default_context()) if secure else None
    port = parts.port or (HTTPS_PORT if secure else HTTP_PORT)
    return Origin(parts.hostname or "", port, tls, endpoint.server_name), parts.path.rstrip("/")


def _build_target(request: Request) -> str:
    return f"{request.path}?{urllib.parse.urlencode(request.query)}" if request.query else request.path


def _build_headers(request: Request, authorization: str | None) -> dict[str, str]:
    # Without compression: it would cost both sides more CPU than a network inside of a cluster costs time.
    headers = {"User-Agent": FIELD_MANAGER, "Accept": request.accept, "Accept-Encoding": "identity"}
    if authorization is not None:
        headers["Authorization"] = authorization
    if request.body is not None:
        headers["Content-Type"] = CONTENT_TYPES[request.verb]
    return headers
