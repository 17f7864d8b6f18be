"""The load that a server pod reports with each answer to an evaluation, and the share that evaluations may use."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from tunewright_contracts.document import Message

LOAD_HEADER = "x-tunewright-load"
DEFAULT_SHARE_PERCENT = 50
MAX_REQUESTS = 1 << 20
"""Larger than any number of requests in a pod."""

Requests = Annotated[int, Field(ge=0, le=MAX_REQUESTS)]


class PodLoad(Message):
    """The requests in one pod: it computes ``capacity`` at a time, and admits ``limit`` of evaluations now.

    ``live`` are those of clients, ``evaluating`` those of evaluations; ``waiting`` of both wait for a place.
    """

    pod: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{1,64}$")]
    capacity: Requests
    live: Requests = 0
    evaluating: Requests = 0
    waiting: Requests = 0
    limit: Requests


def limit_evaluations(capacity: int, live: int, waiting: int, share_percent: int) -> int:
    """Return how many requests of evaluations a pod may have at the same time.

    It is the share of the places that clients leave free. If requests wait, no place is free, whatever the reason is
    (memory or adapter slots). One request is always allowed, so that an evaluation ends on a pool that is always busy.
    """
    free = 0 if waiting else max(0, capacity - live)
    return max(1, free * share_percent // 100)
