"""A poller in virtual time that a world drives: it polls only when the world says so, and records who is woken."""

from __future__ import annotations

from collections.abc import Iterable

from support.clusters.fake_cluster import Clock
from tunewright_operator.runtime.key import Key, Urgency
from tunewright_operator.runtime.polling.poller import Poller


class DrivenPoller:
    """`poller` is the operator's; `woken` are the resources that a poll concerned since the last `take_woken`.

    A world with it can be copied: everything it refers to is an object of the world.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.leading = True
        self.woken: set[Key] = set()
        self.poller = Poller(is_leading=self.is_leading, clock=self.seconds)

    def is_leading(self) -> bool:
        return self.leading

    def seconds(self) -> float:
        return self._clock().timestamp()

    def wake(self, key: Key, urgency: Urgency) -> None:
        self.woken.add(key)

    def take_woken(self) -> set[Key]:
        woken, self.woken = self.woken, set()
        return woken

    async def poll(self, pod_uids: Iterable[str]) -> None:
        """Poll these pods now and all others that are due."""
        await self.poller.poll_now([*pod_uids])
        await self.poller.poll_due()
