"""The API server as the benchmark uses it: requests and watches, as the administrator."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import aiohttp
import orjson

from tunewright_dev.certificates import KeyPair
from tunewright_dev.errors import DevError

Body = dict[str, Any]

CONCURRENCY = 16
MERGE_PATCH = "application/merge-patch+json"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_PAGE = 500


class ApiError(DevError):
    """The API server refused a request; ``status`` is the HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Api:
    """A connection pool to the API server; a context manager."""

    def __init__(self, url: str, authority: KeyPair, user: KeyPair) -> None:
        self._url = url
        self._context = ssl.create_default_context(cafile=str(authority.certificate))
        self._context.load_cert_chain(user.certificate, user.key)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open the pool."""
        connector = aiohttp.TCPConnector(limit=0, ssl=self._context)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=30)
        self._session = aiohttp.ClientSession(self._url, connector=connector, timeout=timeout)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the pool."""
        if self._session is not None:
            await self._session.close()

    async def request(
        self,
        method: str,
        path: str,
        body: Body | None = None,
        *,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> Body:
        """Send one request and return the answer.

        Raises:
            ApiError: the server refused it.
        """
        headers = {"Content-Type": content_type, "Accept": accept}
        data = None if body is None else orjson.dumps(body)
        async with self._open().request(method, path, data=data, headers=headers) as response:
            answer = await response.read()
            if response.status >= 300:
                text = answer[:500].decode(errors="replace")
                raise ApiError(f"{method} {path}: {response.status}: {text}", response.status)
        decoded: Body = orjson.loads(answer)
        return decoded

    async def create(self, path: str, body: Body) -> Body:
        """Create an object."""
        return await self.request("POST", path, body)

    async def list(self, path: str, *, accept: str = "application/json", **query: str) -> tuple[list[Body], str]:
        """Return all objects of a collection, and the resource version of the list."""
        items: list[Body] = []
        token = ""
        while True:
            page = await self.request("GET", _join(path, {**query, "limit": _PAGE, "continue": token}), accept=accept)
            items += page.get("items") or []
            token = page["metadata"].get("continue") or ""
            if not token:
                return items, page["metadata"]["resourceVersion"]

    async def watch(self, path: str, *, metadata_only: bool = False, **query: str) -> AsyncIterator[tuple[str, Body]]:
        """Yield the objects of a collection as ``ADDED``, and then its events, without an end.

        After an interruption it lists again, so that an object can be ``ADDED`` twice.
        """
        kinds = (METADATA_LIST, METADATA) if metadata_only else ("application/json", "application/json")
        while True:
            try:
                items, version = await self.list(path, accept=kinds[0], **query)
                for item in items:
                    yield "ADDED", item
                async for event in self._stream(path, {**query, "watch": "1", "resourceVersion": version}, kinds[1]):
                    yield event
            except (aiohttp.ClientError, ApiError):
                await asyncio.sleep(0.5)

    async def _stream(self, path: str, query: Mapping[str, str], accept: str) -> AsyncIterator[tuple[str, Body]]:
        async with self._open().get(_join(path, query), headers={"Accept": accept}) as response:
            response.raise_for_status()
            buffer = bytearray()
            async for chunk in response.content.iter_any():
                buffer += chunk
                *lines, rest = buffer.split(b"\n")
                buffer = bytearray(rest)
                for line in lines:
                    event = orjson.loads(line)
                    if event["type"] == "ERROR":
                        return
                    yield event["type"], event["object"]

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("Api is not open; use it as a context manager")
        return self._session


async def run_all(work: Iterable[Coroutine[Any, Any, object]], concurrency: int = CONCURRENCY) -> None:
    """Await coroutines, at most `concurrency` at the same time; stop at the first that fails."""
    left = iter(work)

    async def run() -> None:
        for one in left:
            await one

    tasks = [asyncio.create_task(run()) for _ in range(concurrency)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


def _join(path: str, query: Mapping[str, Any]) -> str:
    kept = {name: str(value) for name, value in query.items() if value != ""}
    return f"{path}?{urlencode(kept)}" if kept else path


def has_condition(body: Body, condition: str) -> bool:
    """Return whether a condition of an object is True."""
    conditions = (body.get("status") or {}).get("conditions") or []
    return any(item["type"] == condition and item["status"] == "True" for item in conditions)
