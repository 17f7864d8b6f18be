"""What a command needs besides its arguments: the cluster, the streams and the time."""

from __future__ import annotations

import dataclasses
import datetime as dt
import time
from collections.abc import Callable

from tunewright_cli.cluster import Cluster
from tunewright_cli.output import Output


def _read_clock() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@dataclasses.dataclass(frozen=True)
class Session:
    """The surroundings of one command. ``connect`` is called only by commands that use the cluster."""

    connect: Callable[[], Cluster]
    output: Output = dataclasses.field(default_factory=Output)
    now: Callable[[], dt.datetime] = _read_clock
    sleep: Callable[[float], None] = time.sleep
