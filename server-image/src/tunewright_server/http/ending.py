"""How an answer ended, and for which live metrics that makes it bad."""

from __future__ import annotations

import dataclasses
from enum import Enum

from tunewright_contracts.metrics import LiveMetricType

_SERVER_ERROR = 500
_BAD_REQUEST = 400


class Ending(Enum):
    """How an answer ended, from the client's side."""

    UNFINISHED = "its last byte is missing"
    WHOLE = "the client got all of it"
    CLIENT_ERROR = "the request was at fault"
    FAILED = "the server was at fault"
    ABANDONED = "the client left before its last byte"
    CANCELLED = "the server ended it to shut down"

    @classmethod
    def of_status(cls, status: int) -> Ending:
        """Return how a whole response of this HTTP status ended."""
        if status >= _SERVER_ERROR:
            return cls.FAILED
        return cls.CLIENT_ERROR if status >= _BAD_REQUEST else cls.WHOLE


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """One answer's end. ``milliseconds`` runs from the request's last byte to the answer's last byte."""

    ending: Ending
    milliseconds: float

    def find_bad_metrics(self, slow_after: int | None) -> frozenset[LiveMetricType] | None:
        """Return the metrics for which this answer is bad, or None when it does not count as an answer.

        What does not count: a request at fault, an answer that the server cut to shut down, and a client that left
        before the answer was due. A client that left after the limit makes a slow answer: else the slowest ones would
        vanish from the evidence.
        """
        slow = slow_after is not None and self.milliseconds > slow_after
        latency = frozenset({LiveMetricType.LATENCY}) if slow else frozenset()
        match self.ending:
            case Ending.CLIENT_ERROR | Ending.CANCELLED:
                return None
            case Ending.ABANDONED:
                return latency or None
            case Ending.FAILED | Ending.UNFINISHED:
                return latency | {LiveMetricType.ERROR_RATE}
            case Ending.WHOLE:
                return latency
