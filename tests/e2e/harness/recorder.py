"""Records each version of an object that the API server reports, which polling would miss."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from typing import Self

from e2e.harness.kubectl import Body, Kubectl


class Recorder:
    """Watches a path of the API, such as ``/api/v1/namespaces/x/pods``, until the block ends."""

    def __init__(self, kubectl: Kubectl, path: str) -> None:
        self._kubectl = kubectl
        self._path = f"{path}?watch=1"
        self.events: list[Body] = []
        self.arrivals: list[float] = []
        """When each event arrived, by the monotonic clock."""

    def __enter__(self) -> Self:
        self._process = self._kubectl.start("get", "--raw", self._path, stdout=subprocess.PIPE)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.poll() is None, f"the watch of {self._path} ended, and versions are missing"
        self._process.terminate()
        self._process.wait()
        self._reader.join()

    def versions(self, name: str) -> list[Body]:
        """Return the versions of an object in their order; a deleted object is no version."""
        return [
            event["object"]
            for event in self.events
            if event["type"] in {"ADDED", "MODIFIED"} and event["object"]["metadata"]["name"] == name
        ]

    def uids(self) -> dict[str, set[str]]:
        """Return the UIDs that each name had: more than one if an object was created again."""
        found: dict[str, set[str]] = {}
        for event in self.events:
            metadata = event["object"]["metadata"]
            found.setdefault(metadata["name"], set()).add(metadata["uid"])
        return found

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            event = json.loads(line)
            # Without an object, the watch has ended, and versions may be missing.
            assert event["type"] != "ERROR", event
            self.arrivals.append(time.monotonic())
            self.events.append(event)
