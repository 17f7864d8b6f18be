"""The term of a leader: until when this replica may act.

The thread that renews the Lease extends the term, and the main loop checks it before each write. It is a point in
time, and not a flag that the thread removes. So no write is sent even after the whole process was frozen, when the main
loop continues before the thread does.
"""

from __future__ import annotations

from collections.abc import Callable

from tunewright_operator.cluster import ClusterError
from tunewright_operator.runtime.clock import seconds_since_boot


class LeadershipLostError(ClusterError):
    """This replica does not lead, or not any more: another one may. So nothing was written."""


class Term:
    """The time in which this replica leads; any thread may use it.

    One thread extends it. Each attribute is replaced as a whole, so that readers need no lock.
    """

    def __init__(self, now: Callable[[], float] = seconds_since_boot) -> None:
        self.now = now
        self._until: float | None = None
        self._is_over = False

    def extend(self, until: float) -> None:
        """Begin the term, or extend it; a term that is over stays over."""
        if self._until is not None and self._until <= self.now():
            self._is_over = True
        self._until = until

    def end(self) -> None:
        """End the term now, permanently."""
        self._is_over = True

    def seconds_left(self) -> float:
        """Return how long this replica may still act without a renewal; 0 before the term and after it."""
        if self._is_over or self._until is None:
            return 0.0
        return max(0.0, self._until - self.now())

    def check(self) -> None:
        """Raise an error unless this replica leads.

        Raises:
            LeadershipLostError: it does not lead.
        """
        if self.seconds_left() <= 0:
            raise LeadershipLostError("this replica does not hold the Lease: it must not write")
