"""A reflector: lists the objects of one kind and then follows their changes, for a cache of them.

The protocol is that of client-go's reflector (tools/cache/reflector.go) and of "Efficient detection of changes" in the
documentation of Kubernetes' API: a list in pages, a watch from the resource version of the list, bookmarks that move
the resource version forward while nothing changes, and a new list when it is too old (410).

There is also a new list when the API server refuses the watch, or sends nothing, not even bookmarks: after etcd was
restored from a backup, a watch waits silently until the versions have passed the one that it began with.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from collections.abc import Set as AbstractSet
from enum import StrEnum
from typing import Any, Final, NoReturn, Protocol

import aiohttp
import structlog

from tunewright_operator.api.kinds import Kind
from tunewright_operator.cluster import Body, ClusterError, ExpiredError, ForbiddenError, UnavailableError
from tunewright_operator.kubernetes_api import metrics
from tunewright_operator.kubernetes_api.answers import decode
from tunewright_operator.kubernetes_api.client import APIClient, Request, Verb
from tunewright_operator.kubernetes_api.paths import build_path, format_selector

PAGE: Final = 500
WATCH_SECONDS: Final = (300.0, 600.0)
"""The API server ends a watch after a random time between these, so that not all watches begin again together."""
SILENCE_SECONDS: Final = 150.0
"""The API server sends a bookmark about once a minute: a watch that is silent for longer has lost its connection."""
GRACE_SECONDS: Final = 30.0
FIRST_BACKOFF_SECONDS: Final = 1.0
MAX_BACKOFF_SECONDS: Final = 30.0
BATCH: Final = 50
"""After so many objects of a page or of a stream, other tasks of the event loop have a turn."""
GONE: Final = 410
REFUSALS: Final = 3
"""After so many refusals in a row, a namespace without rights for the operator counts as one without objects."""

log = structlog.get_logger(__name__)


class Sink(Protocol):
    """A cache of the objects.

    It must expect duplicates, and after a lost connection older versions of an object.
    """

    def retain(self, kind: Kind, uids: AbstractSet[str], version: str, namespace: str | None) -> object:
        """Take note that these were all objects at a version: another one that is not newer exists no more.

        ``namespace``: it says nothing of other namespaces; None: they were those of all namespaces.
        """

    def upsert(self, kind: Kind, body: Body) -> object:
        """Take an object as it was at some time."""

    def remove(self, kind: Kind, namespace: str | None, name: str, uid: str, *, version: str | None) -> object:
        """Take the deletion of one object at a version, or that it has lost the labels of the watch."""

    def synced(self, kind: Kind) -> object:
        """Take note that every object that existed when the list began has been put in."""


class Restart(StrEnum):
    """Why a watch began again: the label ``reason`` of the metric."""

    ENDED = "ended"
    """The API server ended it after its time."""
    EXPIRED = "expired"
    """Its resource version was too old: everything is listed again."""
    SILENT = "silent"
    """It sent nothing for a long time: everything is listed again."""
    ERROR = "error"
    """The API server did not answer or cut it, or refused it: then everything is listed again."""


@dataclasses.dataclass(frozen=True, slots=True)
class Timing:
    """Times in seconds; tests set others."""

    watch: tuple[float, float] = WATCH_SECONDS
    silence: float = SILENCE_SECONDS
    grace: float = GRACE_SECONDS
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class Reflector:
    """Passes the objects of one kind to a sink until it is cancelled."""

    def __init__(
        self,
        client: APIClient,
        kind: Kind,
        sink: Sink,
        *,
        namespace: str | None = None,
        labels: Mapping[str, str] | None = None,
        timing: Timing | None = None,
        on_listed: Callable[[], object] | None = None,
    ) -> None:
        """Prepare the reflector.

        Args:
            client: the connection to the API server.
            kind: the kind of the objects.
            sink: what takes them.
            namespace: the namespace of the objects; None: all.
            labels: labels that they have.
            timing: the times in seconds.
            on_listed: called after each list; by default, the sink takes note that the kind is synced.
        """
        self._on_listed = on_listed or functools.partial(sink.synced, kind)
        self._namespace = namespace
        self._client = client
        self._kind = kind
        self._sink = sink
        self._path = build_path(kind, namespace)
        self._selector = [("labelSelector", format_selector(labels))] if labels else []
        self._timing = timing or Timing()
        self.listed = asyncio.Event()
        """Set when everything was listed once."""
        self._version: str | None = None
        self._failures = 0
        """Failures in a row. Only an event ends it, and not a list: a watch that is always refused comes after that."""
        for reason in Restart:
            metrics.WATCH_RESTARTS.labels(kind.name, reason.value)

    async def run(self) -> NoReturn:
        """List and watch forever; every failure is logged and tried again with a growing pause."""
        while True:
            try:
                if self._version is None:
                    self._version = await self._list()
                reason = await self._watch(self._version)
                self._count(reason)
                if reason is Restart.SILENT:
                    self._version = None
            except ClusterError as error:
                expired = isinstance(error, ExpiredError)
                self._count(Restart.EXPIRED if expired else Restart.ERROR)
                if expired or not isinstance(error, UnavailableError):
                    self._version = None
                await self._pause(error)
                self._stop_to_wait(error)

    async def _list(self) -> str:
        """List all objects, and return the resource version for the watch, which is that of all pages."""
        uids: set[str] = set()
        query = [("limit", str(PAGE)), *self._selector]
        token = ""
        while True:
            page_query = [*query, ("continue", token)] if token else query
            page = await self._client.request(Request(Verb.LIST, self._kind, self._path, page_query))
            for number, item in enumerate(page.get("items") or []):
                body = {"apiVersion": self._kind.api_version, "kind": self._kind.name, **item}
                uids.add(body["metadata"]["uid"])
                self._sink.upsert(self._kind, body)
                if number % BATCH == BATCH - 1:
                    await asyncio.sleep(0)
            token = page["metadata"].get("continue") or ""
            if not token:
                break
        version = str(page["metadata"]["resourceVersion"])
        self._sink.retain(self._kind, uids, version, self._namespace)
        self.listed.set()
        self._on_listed()
        return version

    async def _watch(self, version: str) -> Restart:
        """Follow the changes since a resource version until the API server ends the watch.

        Raises:
            ExpiredError: the resource version is too old.
            ClusterError: the watch failed.
        """
        seconds = random.uniform(*self._timing.watch)  # noqa: S311 - not a secret
        query = [
            ("watch", "true"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", version),
            ("timeoutSeconds", str(int(seconds))),
            *self._selector,
        ]
        request = Request(Verb.WATCH, self._kind, self._path, query)
        received = False
        try:
            async with self._client.stream(
                request, total_seconds=seconds + self._timing.grace, silence_seconds=self._timing.silence
            ) as reader:
                count = 0
                async for line in _read_lines(reader):
                    self._handle(decode(line))
                    received, self._failures = True, 0
                    count += 1
                    if count % BATCH == 0:
                        await asyncio.sleep(0)
        except TimeoutError:  # aiohttp's too: nothing came in time, or the watch did not end at its time.
            return Restart.SILENT
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise UnavailableError(f"{request}: the watch was cut: {error!r}") from error
        if not received:
            raise UnavailableError(f"{request}: the watch ended without an event or a bookmark")
        return Restart.ENDED

    def _handle(self, event: Any) -> None:
        """Pass an event on.

        Raises:
            ExpiredError: the event is the API server's error that the resource version is too old.
            UnavailableError: it is another error.
            ValueError: it is no event.
        """
        match event:
            case {"type": "ERROR", "object": {"code": 410} as status}:
                raise ExpiredError(str(status.get("message")))
            case {"type": "ERROR", "object": status}:
                raise UnavailableError(f"watch of {self._kind.name}: {status}")
            case {"type": "ADDED" | "MODIFIED", "object": {"metadata": dict()} as body}:
                self._sink.upsert(self._kind, body)
            case {"type": "DELETED", "object": {"metadata": dict() as metadata} as body}:
                namespace, version = metadata.get("namespace"), metadata.get("resourceVersion")
                self._sink.remove(self._kind, namespace, metadata["name"], metadata["uid"], version=version)
            case {"type": "BOOKMARK", "object": {"metadata": dict()} as body}:
                pass
            case _:
                raise ValueError(f"not a watch event: {str(event)[:200]}")
        self._version = str(body["metadata"]["resourceVersion"])

    def _stop_to_wait(self, error: ClusterError) -> None:
        """Let the others not wait for a namespace in which the operator has no rights.

        Who may change RoleBindings there can take them away, and that must not keep the operator from its work in other
        namespaces. The list is tried again all the same, and what was known stays in the sink.
        """
        refused = isinstance(error, ForbiddenError) and self._failures >= REFUSALS
        if self._namespace is not None and refused and not self.listed.is_set():
            log.warning("namespace_without_rights", kind=self._kind.name, namespace=self._namespace)
            self.listed.set()
            self._on_listed()

    async def _pause(self, error: ClusterError) -> None:
        delay = min(MAX_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2.0**self._failures)
        delay = max(delay * random.uniform(0.8, 1.2), error.retry_after)  # noqa: S311 - not a secret
        self._failures += 1
        log.warning("watch_failed", kind=self._kind.name, error=str(error), retry_in=round(delay, 1))
        await self._timing.sleep(delay)

    def _count(self, reason: Restart) -> None:
        metrics.WATCH_RESTARTS.labels(self._kind.name, reason.value).inc()


async def _read_lines(reader: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Yield the lines of a stream, of any length: an object may have some megabytes."""
    parts: list[bytes] = []
    async for chunk in reader.iter_any():
        *lines, rest = chunk.split(b"\n")
        for line in lines:
            parts.append(line)
            if whole := b"".join(parts).strip():
                yield whole
            parts.clear()
        parts.append(rest)
    if b"".join(parts).strip():
        raise aiohttp.ClientPayloadError("the watch was cut inside of an event")
