"""Read the operator's metrics. Earlier commits have fewer of them; what is missing is None."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from tunewright_dev.errors import DevError

_LEADER = "tunewright_operator_leader"
_LEASE_MARGIN = "tunewright_operator_lease_margin_seconds_bucket"
_RECONCILES = "tunewright_operator_reconciles_total"
_LISTED = ("tunewright_store_objects", "tunewright_operator_loops")
"""How many resources the operator knows, in the order of preference."""
_QUEUE = "tunewright_operator_queue_depth"
_REPAIRS = "tunewright_store_repairs_total"


@dataclasses.dataclass(frozen=True)
class Sample:
    """One value with its labels."""

    labels: Mapping[str, str]
    value: float


class OperatorMetrics:
    """The metrics at one time."""

    def __init__(self, text: str) -> None:
        self._samples: dict[str, list[Sample]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                self._samples.setdefault(sample.name, []).append(Sample(sample.labels, sample.value))

    @property
    def leads(self) -> bool:
        """Return whether the operator holds the Lease."""
        return self._sum(_LEADER) == 1

    @property
    def queued(self) -> float | None:
        """The number of waiting keys."""
        return self._sum(_QUEUE)

    @property
    def repairs(self) -> float | None:
        """How often the auditor had to repair the store."""
        return self._sum(_REPAIRS)

    def known(self, kind: str) -> float:
        """Return how many resources of a kind the operator knows; without such a metric, how often it reconciled."""
        found = (self._sum(name, kind=kind) for name in _LISTED if name in self._samples)
        return next((0.0 if number is None else number for number in found), self.reconciles(kind))

    def reconciles(self, kind: str) -> float:
        """Return how many reconciliations of a kind ended, however they ended."""
        return self._sum(_RECONCILES, kind=kind) or 0.0

    @property
    def worst_lease_margin(self) -> float | None:
        """The lower bound of the lowest bucket with a renewal of the Lease; None without any renewal."""
        bounds = sorted((float(sample.labels["le"]), sample.value) for sample in self._samples.get(_LEASE_MARGIN, ()))
        lower = 0.0
        for upper, cumulated in bounds:
            if cumulated > 0:
                return lower
            lower = upper if math.isfinite(upper) else lower
        return None

    def _sum(self, name: str, **labels: str) -> float | None:
        found = [
            sample.value
            for sample in self._samples.get(name, ())
            if all(sample.labels.get(key) == value for key, value in labels.items())
        ]
        return sum(found) if found else None


async def scrape(port: int) -> OperatorMetrics:
    """Return the metrics of the operator whose probe server listens on a port of the loopback address.

    Raises:
        DevError: it did not answer.
    """
    url = f"http://127.0.0.1:{port}/metrics"
    timeout = aiohttp.ClientTimeout(total=30)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as response:
            response.raise_for_status()
            return OperatorMetrics(await response.text())
    except (aiohttp.ClientError, TimeoutError) as error:
        raise DevError(f"{url} did not answer: {error!r}") from error
