"""Whether the requests of a window are distributed as its weight asks: the candidate's share, and its clients.

The arm of a request is chosen by its session key. So the share differs from the weight by chance, and by more if
sessions are long. A client that sends one key for all its users, or retries of failed requests, make it differ
systematically. Then a verdict would describe one client, or more users are exposed to the candidate than was allowed.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from enum import StrEnum

from tunewright_contracts.serving_plan import BUCKETS
from tunewright_operator.domain.evidence import betting
from tunewright_operator.domain.evidence.guard import Comparison
from tunewright_operator.domain.evidence.observation import Observation

EXPOSURE_ALPHA = 0.01
"""The probability that a window is held by chance although its requests are distributed by the weight."""

MIN_REQUESTS_OF_ARM = 8
"""The fewest requests of an arm of which one key can have most."""
MOST = 0.5


class Concern(StrEnum):
    """What is wrong with the distribution of the requests."""

    SHARE = "Share"
    """The candidate's share exceeds its weight."""
    KEY = "Key"
    """One group of session keys has most of an arm's requests."""


@dataclasses.dataclass(frozen=True)
class Exposure:
    """The requests of both arms by bucket of the session key, and the weight with which they were distributed."""

    candidate: Sequence[int]
    incumbent: Sequence[int]
    weight: int

    @property
    def share(self) -> float | None:
        """The candidate's share of the requests; None without requests."""
        total = sum(self.candidate) + sum(self.incumbent)
        return sum(self.candidate) / total if total else None

    @property
    def log_e_value(self) -> float:
        """The log of the evidence that the candidate's expected share is above its weight.

        It is the same bet as against a fixed rate of bad answers: here, a request that the candidate answers counts as
        bad. So the check is valid however often it is made (Ville 1939). All requests of a session go to one arm; the
        design effect takes this into account, also if there are only a few sessions.
        """
        rate = self.weight / 100
        both = tuple(map(sum, zip(self.candidate, self.incumbent, strict=True)))
        wealth = betting.log_absolute_wealth(rate, sum(both), sum(self.candidate))
        return betting.log_e_value(wealth, betting.design_effect_at(rate, both, self.candidate))


def view_exposure(observation: Observation) -> Exposure | None:
    """Return how a window's requests were distributed; None if it does not compare two arms."""
    if observation.comparison is not Comparison.INCUMBENT or observation.weight is None:
        return None
    arms = observation.arms
    return Exposure(arms.candidate.requests, arms.incumbent.requests, observation.weight)


def find_concerns(observation: Observation) -> dict[Concern, str]:
    """Return what is wrong with the distribution of a window's requests, each with its explanation."""
    concerns: dict[Concern, str] = {}
    exposure = view_exposure(observation)
    if exposure is None:
        return concerns
    if exposure.share is not None and exposure.log_e_value >= -math.log(EXPOSURE_ALPHA):
        concerns[Concern.SHARE] = (
            f"the candidate answers {100 * exposure.share:.1f} % of the requests, more than its weight of"
            f" {exposure.weight} % (e-value ≥ {1 / EXPOSURE_ALPHA:.0f})"
        )
    for name, requests in (("candidate", exposure.candidate), ("incumbent", exposure.incumbent)):
        total, largest = sum(requests), max(requests)
        if total >= MIN_REQUESTS_OF_ARM and largest > MOST * total:
            concerns.setdefault(
                Concern.KEY,
                f"one of {BUCKETS} groups of session keys has {largest} of the {total} requests of the {name},"
                " which is probably one client",
            )
    return concerns
