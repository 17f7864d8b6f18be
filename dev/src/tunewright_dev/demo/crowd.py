"""The customers while the story runs: when they come, at which pace they ask, and when they leave."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tunewright_dev.demo import customers
from tunewright_dev.demo.customers import Customers, Pace
from tunewright_dev.errors import DevError
from tunewright_dev.kubectl import Kubectl


class Crowd:
    """Changes the pace of the customers' pod, and remembers it; ``say`` prints what a user should know."""

    def __init__(self, kubectl: Kubectl, say: Callable[[str], None]) -> None:
        self._kubectl = kubectl
        self._say = say
        self._namespace = ""
        self._pace: Pace | None = None
        self._refused: Pace | None = None

    @property
    def is_here(self) -> bool:
        """Return whether customers have come; they may have left since."""
        return self._pace is not None

    @property
    def has_left(self) -> bool:
        """Return whether they were sent home."""
        return self._pace == customers.END

    def let_in(self, wanted: Customers, example: Path) -> None:
        """Start the pod.

        Raises:
            DevError: the API server refused it.
        """
        self._kubectl.apply(customers.build_customers(wanted, example))
        self._namespace, self._pace = wanted.namespace, wanted.pace
        self._say(f"customers come in: kubectl -n {wanted.namespace} logs -f {wanted.name}")

    def keep(self, pace: Pace) -> None:
        """Have them ask at a pace from now on;
        called again, it tries again what failed, which costs nothing but time.
        """
        if not self.is_here or self.has_left or pace == self._pace:
            return
        try:
            customers.set_pace(self._kubectl, self._namespace, pace)
        except DevError as error:
            if pace != self._refused:
                self._say(f"the number of customers could not be changed yet: {error}")
            self._refused = pace
        else:
            self._pace, self._refused = pace, None

    def send_home(self) -> None:
        """Let the pod end once its last answers are in.

        Raises:
            DevError: it does not run, so that its end would be waited for without end.
        """
        customers.set_pace(self._kubectl, self._namespace, customers.END)
        self._pace = customers.END

    def dismiss(self) -> None:
        """Let them go when the story broke off: their answers would not be counted."""
        if self.is_here and not self.has_left:
            with suppress(DevError):
                self.send_home()
