"""The objects that every part of the story uses."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path

from mypy_boto3_s3 import S3Client

from tunewright_dev.demo.manifests import Manifests
from tunewright_dev.demo.observed.feed import Feed
from tunewright_dev.demo.observed.world import World
from tunewright_dev.demo.output.view import View
from tunewright_dev.demo.progress.waiter import Awaited, Waiter
from tunewright_dev.demo.timekeeper import Timekeeper
from tunewright_dev.kubectl import Kubectl
from tunewright_dev.paths import Paths


@dataclasses.dataclass(frozen=True)
class Scene:
    """The cluster and its bucket, their observed state, the output, and the manifests."""

    paths: Paths
    kubectl: Kubectl
    store: S3Client
    feed: Feed
    world: World
    view: View
    waiter: Waiter
    times: Timekeeper
    manifests: Manifests

    def begin(self, title: str, commands: Sequence[str], stage: str, job: str | None = None) -> None:
        """Begin a part of the story with its first stage; see `View.begin` and `Timekeeper.enter`."""
        self.times.finish()
        self.view.begin(title, commands, job)
        self.times.enter(stage)

    def apply(self, *manifests: str) -> None:
        """Apply manifests; their paths are relative to the clone."""
        options = [option for manifest in manifests for option in ("-f", str(self.paths.clone / manifest))]
        self.kubectl.run("apply", *options)

    def wait(
        self,
        what: str,
        holds: Callable[[], bool],
        mark: Callable[[], Hashable],
        remedy: str,
        each_tick: Callable[[], None] = lambda: None,
    ) -> None:
        """Wait until something holds, as long as ``mark`` shows progress; see `Waiter.wait`.

        Raises:
            DevError: there was no progress for too long.
        """
        self.waiter.wait(Awaited(what, holds, mark, self.times.patience_seconds, remedy), each_tick)

    @property
    def example(self) -> Path:
        """The folder of the example."""
        return self.manifests.example
