"""How an answer ended, and for which live metrics it is bad."""

from __future__ import annotations

import dataclasses
from enum import Enum

from tunewright_contracts.metrics import LiveMetricType

_SERVER_ERROR = 500
_BAD_REQUEST = 400
MISROUTED = frozenset({401, 403, 404, 405, 415})
"""vLLM's answers to a request that this server sent to the wrong place: the client chose neither revision nor path."""
OVERLOADED = frozenset({429, 503})


class Ending(Enum):
    """How an answer ended, from the client's side."""

    UNFINISHED = "the last byte is missing"
    WHOLE = "the client got the complete answer"
    CLIENT_ERROR = "the request was wrong"
    FAILED = "the server failed"
    OVERLOADED = "the server had too many requests"
    ABANDONED = "the client disconnected before the last byte"
    CANCELLED = "the server stopped it to shut down"

    @classmethod
    def of_status(cls, status: int) -> Ending:
        """Return how a complete response of vLLM with this HTTP status ended."""
        if status in OVERLOADED:
            return cls.OVERLOADED
        if status >= _SERVER_ERROR or status in MISROUTED:
            return cls.FAILED
        return cls.CLIENT_ERROR if status >= _BAD_REQUEST else cls.WHOLE


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """How and when an answer ended. ``milliseconds`` is from the request's last byte to the answer's last byte."""

    ending: Ending
    milliseconds: float
    too_long: bool = False
    """The client disconnected when the answer already had more tokens than the output contract allows."""

    @property
    def is_request(self) -> bool:
        """Return whether the request counts for its revision.

        A wrong request does not, nor one that the server refused for its load or stopped to shut down.
        """
        return self.ending not in (Ending.CLIENT_ERROR, Ending.OVERLOADED, Ending.CANCELLED)

    def find_bad_metrics(self, slow_after: int | None) -> frozenset[LiveMetricType] | None:
        """Return the metrics for which this answer is bad, or None if it does not count as an answer.

        What is not a request does not count, nor does a client that disconnected before the answer was slow or too
        long. If the client disconnects after that, the answer counts as slow or as a breach: otherwise the slowest and
        the longest answers would be missing in the evidence.
        """
        slow = slow_after is not None and self.milliseconds > slow_after
        latency = frozenset({LiveMetricType.LATENCY}) if slow else frozenset()
        match self.ending:
            case Ending.CLIENT_ERROR | Ending.OVERLOADED | Ending.CANCELLED:
                return None
            case Ending.ABANDONED:
                breach = frozenset({LiveMetricType.OUTPUT_CONTRACT}) if self.too_long else frozenset()
                return latency | breach or None
            case Ending.FAILED | Ending.UNFINISHED:
                return latency | {LiveMetricType.ERROR_RATE}
            case Ending.WHOLE:
                return latency
