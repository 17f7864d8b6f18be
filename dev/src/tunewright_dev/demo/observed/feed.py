"""All that happens in the cluster during the demo, as one queue of events with times.

Each source is a thread with a kubectl that watches, follows a log, or is called repeatedly. A kubectl that ends is
started again, because a watch ends after some time. So readers must tolerate events that come twice.
"""

from __future__ import annotations

import dataclasses
import json
import queue
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import IO, Any, Self

from tunewright_dev.errors import DevError
from tunewright_dev.kubectl import Kubectl

RESTART_SECONDS = 1.0
POLL_SECONDS = 15.0
DELETED = "DELETED"
STATES = frozenset({"ADDED", "MODIFIED", DELETED})


@dataclasses.dataclass(frozen=True)
class Event:
    """An event of a source, and when it arrived (seconds since the epoch); ``ended``: the source has no more events."""

    source: str
    at: float
    body: Any = None
    deleted: bool = False
    ended: bool = False


class Feed:
    """Collect events from sources until it is closed; use it as a context manager."""

    def __init__(self, kubectl: Kubectl) -> None:
        self._kubectl = kubectl
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._processes: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop all sources."""
        self._closed.set()
        with self._lock:
            for process in self._processes:
                process.terminate()

    def next(self, timeout: float) -> Event | None:
        """Return the next event, or None if there is none within ``timeout`` seconds."""
        try:
            return self._events.get(timeout=timeout)
        except queue.Empty:
            return None

    def watch(self, source: str, kind: str, namespace: str, *options: str) -> None:
        """Put every state of the objects of a kind into the queue, the current one first."""
        arguments = (
            "get",
            kind,
            f"--namespace={namespace}",
            *options,
            "--watch",
            "--output-watch-events",
            "-o",
            "json",
        )

        def run() -> None:
            while not self._closed.is_set():
                for change in self._read(arguments, read_documents):
                    if change["type"] not in STATES:
                        break  # An ERROR: the version from which the watch continued is too old.
                    self._put(Event(source, time.time(), change["object"], deleted=change["type"] == DELETED))
                self._closed.wait(RESTART_SECONDS)

        self._spawn(source, run)

    def follow(self, source: str, pod: str, namespace: str) -> None:
        """Put each JSON line of a pod's log into the queue until the pod has ended.

        If the stream breaks, it is read again from its start.
        """
        where = f"--namespace={namespace}"

        def run() -> None:
            ended = False
            while not self._closed.is_set():
                # Checked before reading: if it had ended, all of its lines are read now.
                ended = self._has_ended(pod, namespace)
                for line in self._read(("logs", pod, where, "--follow"), read_lines):
                    self._put(Event(source, time.time(), line))
                if ended:
                    break
                self._closed.wait(RESTART_SECONDS)
            self._put(Event(source, time.time(), ended=True))

        self._spawn(source, run)

    def poll(self, source: str, ask: Callable[[], Any]) -> None:
        """Put the result of ``ask`` into the queue every `POLL_SECONDS`; failures are skipped."""

        def run() -> None:
            while not self._closed.is_set():
                # A node that does not answer now may answer later.
                with suppress(DevError):
                    self._put(Event(source, time.time(), ask()))
                self._closed.wait(POLL_SECONDS)

        self._spawn(source, run)

    def _has_ended(self, pod: str, namespace: str) -> bool:
        try:
            found = self._kubectl.get("pod", pod, namespace)
        except DevError:
            return False
        return found is None or found.get("status", {}).get("phase") in {"Succeeded", "Failed"}

    def _read(self, arguments: tuple[str, ...], parse: Callable[[IO[str]], Iterator[Any]]) -> Iterator[Any]:
        with self._lock:
            if self._closed.is_set():
                return
            process = self._kubectl.start(*arguments)
            self._processes.add(process)
        try:
            assert process.stdout is not None
            yield from parse(process.stdout)
        finally:
            process.terminate()
            process.communicate()
            with self._lock:
                self._processes.discard(process)

    def _put(self, event: Event) -> None:
        if not self._closed.is_set():
            self._events.put(event)

    def _spawn(self, source: str, run: Callable[[], None]) -> None:
        threading.Thread(target=run, name=source, daemon=True).start()


def read_documents(stream: IO[str]) -> Iterator[Any]:
    """Yield the JSON documents of a stream that has one after the other, on one line or on many."""
    buffer = ""
    for line in stream:
        buffer += line
        # An indented document ends with a brace at the start of a line; any other document is one line.
        if not line.startswith(("{", "}")) or not line.rstrip().endswith("}"):
            continue
        try:
            document = json.loads(buffer)
        except json.JSONDecodeError:
            continue
        buffer = ""
        yield document


def read_lines(stream: IO[str]) -> Iterator[Any]:
    """Yield the JSON objects of a stream that has one per line; other lines are skipped."""
    for line in stream:
        try:
            document = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(document, dict):
            yield document
