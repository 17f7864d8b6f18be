"""The requests in this pod, of clients and of evaluations, and how many of the latter it admits."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import REGISTRY, CollectorRegistry

from tunewright_contracts.pool_load import DEFAULT_SHARE_PERCENT, LOAD_HEADER, PodLoad, limit_evaluations

ASSUMED_CAPACITY = 64
"""For a vLLM that does not show how many sequences it computes at a time: fewer than its default on any accelerator."""
_WAITING = "vllm:num_requests_waiting"

Header = tuple[bytes, bytes]


class LoadMeter:
    """Counts the requests between `enter` and `leave`. All methods run on the event loop."""

    def __init__(self, boot_id: str, capacity: Callable[[], int | None], waiting: Callable[[], int]) -> None:
        """Create a meter.

        Args:
            boot_id: identifies this pod's process.
            capacity: returns how many sequences vLLM computes at a time; None if that is unknown.
            waiting: returns how many requests wait inside vLLM.
        """
        self._boot_id = boot_id
        self._capacity = capacity
        self._waiting = waiting
        self._live = 0
        self._evaluating = 0
        self.share_percent = DEFAULT_SHARE_PERCENT

    def enter(self, *, is_evaluation: bool) -> None:
        """Count a request that vLLM begins to answer."""
        self._count(1, is_evaluation=is_evaluation)

    def leave(self, *, is_evaluation: bool) -> None:
        """Count a request as done."""
        self._count(-1, is_evaluation=is_evaluation)

    def admits_evaluation(self) -> bool:
        """Return whether one more request of an evaluation may enter now; clients' requests always may."""
        load = self.read()
        return load.evaluating < load.limit

    def read(self) -> PodLoad:
        """Return the present load."""
        capacity, waiting = self._capacity() or ASSUMED_CAPACITY, self._waiting()
        return PodLoad(
            pod=self._boot_id,
            capacity=capacity,
            live=self._live,
            evaluating=self._evaluating,
            waiting=waiting,
            limit=limit_evaluations(capacity, self._live, waiting, self.share_percent),
        )

    def headers(self) -> list[Header]:
        """Return the header with the load, for answers to evaluations only."""
        return [(LOAD_HEADER.encode(), self.read().to_json().encode())]

    def _count(self, change: int, *, is_evaluation: bool) -> None:
        if is_evaluation:
            self._evaluating += change
        else:
            self._live += change


def read_waiting(registry: CollectorRegistry = REGISTRY) -> int:
    """Return the requests that wait inside vLLM, from its metric in this process; 0 if there is none yet."""
    families = registry.restricted_registry([_WAITING]).collect()
    return round(sum(sample.value for family in families for sample in family.samples))
