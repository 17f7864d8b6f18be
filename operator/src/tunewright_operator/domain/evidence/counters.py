"""Counters of server processes: as read from a pod, and as the additive totals of an observation.

A process is identified by (pod UID, boot ID). Its counters only grow, and a new process starts from zero. Arrays have
one count for each bucket of the sticky key: all requests of a session are in one bucket, so that their dependence can
be measured.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer

from tunewright_contracts.document import Message
from tunewright_contracts.serving_plan import BUCKETS


class EvidenceError(ValueError):
    """Counters that cannot be used as evidence; the message names them and the cause.

    A pod with such counters is treated like a pod that did not answer.
    """


def encode_buckets(counts: Sequence[int]) -> str:
    """Return counts by bucket as text such as `3,0*62,1`.

    Each array as a list of integers would fill a screen of `kubectl describe`.
    """
    return _encode(tuple(counts))


@functools.lru_cache(maxsize=1024)
def _encode(counts: tuple[int, ...]) -> str:
    # A status is written several times before the counts of an arm change.
    runs = ((count, len(list(run))) for count, run in itertools.groupby(counts))
    return ",".join(f"{count}*{length}" if length > 1 else str(count) for count, length in runs)


def decode_buckets(value: object) -> object:
    """Read the text of `encode_buckets`; leave any other value to pydantic's validation."""
    if not isinstance(value, str):
        return value
    return _decode(value)


@functools.lru_cache(maxsize=1024)
def _decode(text: str) -> tuple[int, ...]:
    # A status is parsed several times before it changes.
    counts: list[int] = []
    for part in text.split(","):
        count, _, run = part.partition("*")
        counts.extend([int(count)] * int(run or 1))
    return tuple(counts)


def _check_buckets(counts: tuple[int, ...]) -> tuple[int, ...]:
    if len(counts) != BUCKETS or min(counts) < 0:
        raise ValueError(
            f"expected {BUCKETS} counts of at least 0, got {len(counts)} with a minimum of {min(counts, default=0)}"
        )
    return counts


Buckets = Annotated[
    tuple[int, ...], BeforeValidator(decode_buckets), AfterValidator(_check_buckets), PlainSerializer(encode_buckets)
]

NO_ANSWERS = (0,) * BUCKETS


@dataclasses.dataclass(frozen=True)
class ArmCounters:
    """Counters of one revision in one server process since its boot, by bucket of the sticky key.

    `bad` has the bad answers of each metric that the process counts. `judged` has the judged answers of a metric that
    does not judge exactly the answers: a contract check can run out of time, and requests that were abandoned have no
    answer. `requests` is None if the process does not count requests; then the answers are taken for them.
    """

    answers: tuple[int, ...] = NO_ANSWERS
    bad: Mapping[str, tuple[int, ...]] = dataclasses.field(default_factory=dict)
    judged: Mapping[str, tuple[int, ...]] = dataclasses.field(default_factory=dict)
    requests: tuple[int, ...] | None = None
    since_boot: Mapping[str, tuple[int, int]] = dataclasses.field(default_factory=dict)
    """Judged and bad answers of a metric including those that were not counted by bucket, before the rollout."""

    @property
    def all_requests(self) -> tuple[int, ...]:
        """The requests: answered, failed or abandoned."""
        return self.answers if self.requests is None else self.requests

    def __post_init__(self) -> None:
        """Refuse counters that do not have one count for each bucket.

        Raises:
            EvidenceError: an array has another length, or a negative count.
        """
        arrays = {"answers": self.answers, "requests": self.all_requests}
        arrays |= {f"bad[{name}]": counts for name, counts in self.bad.items()}
        arrays |= {f"judged[{name}]": counts for name, counts in self.judged.items()}
        for name, counts in arrays.items():
            try:
                _check_buckets(tuple(counts))
            except ValueError as error:
                raise EvidenceError(f"counters {name}: {error}") from error


@dataclasses.dataclass(frozen=True)
class PodReading:
    """The counters that one server process reported in one poll."""

    pod_uid: str
    boot_id: str
    candidate: ArmCounters
    incumbent: ArmCounters = dataclasses.field(default_factory=ArmCounters)


class Tally(Message):
    """Judged and bad answers of one metric by bucket."""

    judged: Buckets = NO_ANSWERS
    bad: Buckets = NO_ANSWERS

    @property
    def totals(self) -> tuple[int, int]:
        """Return (judged, bad) over all buckets."""
        return sum(self.judged), sum(self.bad)


class ArmTotals(Message):
    """Additive counts of one arm: all answers, all requests by bucket, and a tally for each metric."""

    answers: int = Field(default=0, ge=0)
    requests: Buckets = NO_ANSWERS
    tallies: dict[str, Tally] = Field(default_factory=dict)

    def tally(self, metric: str) -> Tally:
        """Return the metric's tally, which is empty if nothing was counted."""
        return self.tallies.get(metric) or Tally()


class Arms(Message):
    """The window's totals."""

    candidate: ArmTotals = Field(default_factory=ArmTotals)
    incumbent: ArmTotals = Field(default_factory=ArmTotals)


class Baseline(Message):
    """The counters of one server process when they were last read."""

    pod_uid: str = Field(alias="podUID")
    boot_id: str = Field(alias="bootID")
    candidate: ArmTotals
    incumbent: ArmTotals


def read_baseline(reading: PodReading, metrics: Iterable[str]) -> Baseline:
    """Return a reading's counters of the watched metrics, from which later readings are subtracted."""
    names = list(metrics)
    return Baseline(
        pod_uid=reading.pod_uid,
        boot_id=reading.boot_id,
        candidate=_totals(reading.candidate, names),
        incumbent=_totals(reading.incumbent, names),
    )


def _totals(counters: ArmCounters, metrics: Iterable[str]) -> ArmTotals:
    """Return the counters of the watched metrics; a metric that the process does not count is left out."""
    tallies = {
        name: Tally(judged=counters.judged.get(name, counters.answers), bad=counters.bad[name])
        for name in metrics
        if name in counters.bad
    }
    return ArmTotals(answers=sum(counters.answers), requests=counters.all_requests, tallies=tallies)


def gain(last: ArmTotals, current: ArmTotals) -> ArmTotals | None:
    """Return current - last; None if a count has decreased."""
    tallies: dict[str, Tally] = {}
    for name in last.tallies.keys() | current.tallies.keys():
        then, now = last.tally(name), current.tally(name)
        judged = tuple(b - a for a, b in zip(then.judged, now.judged, strict=True))
        bad = tuple(b - a for a, b in zip(then.bad, now.bad, strict=True))
        if min(judged) < 0 or min(bad) < 0:
            return None
        tallies[name] = Tally.model_construct(judged=judged, bad=bad)
    requests = tuple(b - a for a, b in zip(last.requests, current.requests, strict=True))
    if current.answers < last.answers or min(requests) < 0:
        return None
    return ArmTotals.model_construct(answers=current.answers - last.answers, requests=requests, tallies=tallies)


def add_totals(parts: Sequence[ArmTotals]) -> ArmTotals:
    """Return the sum, bucket by bucket; it does not depend on the order of `parts`."""
    tallies: dict[str, Tally] = {}
    for name in sorted({name for part in parts for name in part.tallies}):
        found = [part.tallies[name] for part in parts if name in part.tallies]
        tallies[name] = Tally.model_construct(
            judged=tuple(map(sum, zip(*(tally.judged for tally in found), strict=True))),
            bad=tuple(map(sum, zip(*(tally.bad for tally in found), strict=True))),
        )
    answers = sum(part.answers for part in parts)
    requests = tuple(map(sum, zip(*(part.requests for part in parts), strict=True)))
    return ArmTotals.model_construct(answers=answers, requests=requests or NO_ANSWERS, tallies=tallies)
