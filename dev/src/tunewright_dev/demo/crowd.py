"""The customers while the story runs: start them, change their pace, and stop them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tunewright_dev.demo import customers
from tunewright_dev.demo.customers import Customers, Pace
from tunewright_dev.errors import DevError
from tunewright_dev.kubectl import Kubectl


class Crowd:
    """Control the customers' pod, and remember its pace; ``say`` prints messages for the user."""

    def __init__(self, kubectl: Kubectl, say: Callable[[str], None]) -> None:
        self._kubectl = kubectl
        self._say = say
        self._namespace = ""
        self._pace: Pace | None = None
        self._refused: Pace | None = None

    @property
    def is_here(self) -> bool:
        """Return whether customers have arrived; they may have left since."""
        return self._pace is not None

    @property
    def has_left(self) -> bool:
        """Return whether they were asked to leave."""
        return self._pace == customers.END

    def let_in(self, wanted: Customers, example: Path) -> None:
        """Start the pod.

        Raises:
            DevError: the API server rejected it.
        """
        self._kubectl.apply(customers.build_customers(wanted, example))
        self._namespace, self._pace = wanted.namespace, wanted.pace
        self._say(f"customers arrive: kubectl -n {wanted.namespace} logs -f {wanted.name}")

    def keep(self, pace: Pace) -> None:
        """Set the pace of their requests; if that fails, the next call tries it again."""
        if not self.is_here or self.has_left or pace == self._pace:
            return
        try:
            customers.set_pace(self._kubectl, self._namespace, pace)
        except DevError as error:
            if pace != self._refused:
                self._say(f"the number of customers could not be changed; this is tried again: {error}")
            self._refused = pace
        else:
            self._pace, self._refused = pace, None

    def send_home(self) -> None:
        """Let the pod end after its last answers.

        Raises:
            DevError: it does not run, so that waiting for its end would never end.
        """
        customers.set_pace(self._kubectl, self._namespace, customers.END)
        self._pace = customers.END

    def dismiss(self) -> None:
        """Stop them after a failure of the story: their answers would not be counted."""
        if self.is_here and not self.has_left:
            with suppress(DevError):
                self.send_home()
