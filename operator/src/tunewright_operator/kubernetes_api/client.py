"""One HTTP client for the API server: credentials, connections, rate limit, metrics and errors of every request.

It knows nothing of the verbs: `kubernetes_cluster`, `event_recorder` and `reflector` send their requests by it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import time
import urllib.parse
from collections.abc import AsyncIterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

import aiohttp
from yarl import URL

from tunewright_operator.api.kinds import Kind
from tunewright_operator.cluster import FIELD_MANAGER, Body, UnavailableError
from tunewright_operator.kubernetes_api import metrics
from tunewright_operator.kubernetes_api.answers import build_error, decode_object, encode
from tunewright_operator.kubernetes_api.credentials import Credentials, CredentialsError
from tunewright_operator.kubernetes_api.rate_limit import TokenBucket

REQUEST_TIMEOUT_SECONDS: Final = 30.0
CONNECTIONS: Final = 32
UNAUTHORIZED: Final = 401
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
    """Sends requests to the API server; create it in the event loop that uses it."""

    def __init__(
        self, credentials: Credentials, *, limit: TokenBucket | None = None, connections: int = CONNECTIONS
    ) -> None:
        self._credentials = credentials
        self._limit = limit
        endpoint = credentials.endpoint
        self._root = endpoint.url.rstrip("/")
        # Only these are passed, since aiohttp does some work for each option of a request.
        self._options: dict[str, Any] = {"allow_redirects": False}
        if endpoint.proxy:
            self._options["proxy"] = endpoint.proxy
        if endpoint.server_name:
            self._options["server_hostname"] = endpoint.server_name
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections, ssl=endpoint.tls or True),
            cookie_jar=aiohttp.DummyCookieJar(),
            # Without compression: it would cost both sides more CPU than a network inside of a cluster costs time.
            headers={"User-Agent": FIELD_MANAGER, "Accept-Encoding": "identity"},
            timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_SECONDS),
        )

    async def close(self) -> None:
        """Close the connections."""
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
            async with self._exchange(request) as response:
                data = await response.read()
                code = str(response.status)
        except (aiohttp.ClientError, CredentialsError, OSError, TimeoutError) as error:
            raise UnavailableError(f"{request}: the API server did not answer: {error!r}") from error
        finally:
            kind = request.kind.name
            metrics.API_REQUESTS.labels(request.verb.value, kind, code).inc()
            metrics.API_SECONDS.labels(request.verb.value, kind).observe(time.monotonic() - started)
        if response.status >= 300:
            raise build_error(str(request), response.status, data, response.headers, dt.datetime.now(dt.UTC))
        return decode_object(str(request), data)

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

    @contextlib.asynccontextmanager
    async def _exchange(
        self, request: Request, limits: aiohttp.ClientTimeout | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request; if the server does not accept the credentials, renew them and send it again."""
        header = self._credentials.authorization()
        response = await self._send(request, header, limits)
        try:
            if response.status == UNAUTHORIZED and await self._credentials.renew(header):
                response.release()
                response = await self._send(request, self._credentials.authorization(), limits)
            yield response
        finally:
            response.release()

    async def _send(
        self, request: Request, authorization: str | None, limits: aiohttp.ClientTimeout | None
    ) -> aiohttp.ClientResponse:
        url = self._root + request.path
        if request.query:
            url += "?" + urllib.parse.urlencode(request.query)
        headers = {"Accept": request.accept}
        if authorization is not None:
            headers["Authorization"] = authorization
        options = self._options
        if request.body is not None:
            headers["Content-Type"] = CONTENT_TYPES[request.verb]
            options = {**options, "data": encode(request.body)}
        if limits is not None:
            options = {**options, "timeout": limits}
        return await self._session.request(METHODS[request.verb], URL(url, encoded=True), headers=headers, **options)
