"""Live counters by (alias, revision), from which the operator computes its verdicts."""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Iterator
from typing import Any

from tunewright_contracts.metrics import LiveMetricType
from tunewright_contracts.serving_plan import BUCKETS, LATENCY_BOUNDS_MILLISECONDS, RevisionCounters


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """One finished request. ``milliseconds`` is from the request's last byte to the answer's last byte."""

    alias: str
    revision: str
    bucket: int
    milliseconds: float
    bad: frozenset[LiveMetricType] | None
    """The live metrics for which the answer is bad; None for a request that counts, but not as an answer."""
    unchecked: bool
    by_bucket: bool
    abandoned: bool = False
    """The client disconnected before the last byte."""


def _zeros() -> list[int]:
    return [0] * BUCKETS


@dataclasses.dataclass
class _Tally:
    answers: int = 0
    unchecked: int = 0
    requests: int = 0
    abandoned: int = 0
    overloaded: int = 0
    milliseconds: float = 0.0
    bad: dict[str, int] = dataclasses.field(default_factory=lambda: dict.fromkeys((m.value for m in LiveMetricType), 0))
    latency: list[int] = dataclasses.field(default_factory=lambda: [0] * (len(LATENCY_BOUNDS_MILLISECONDS) + 1))
    answers_by_bucket: list[int] | None = None
    unchecked_by_bucket: list[int] = dataclasses.field(default_factory=_zeros)
    bad_by_bucket: dict[str, list[int]] = dataclasses.field(default_factory=dict)
    requests_by_bucket: list[int] = dataclasses.field(default_factory=_zeros)
    abandoned_by_bucket: list[int] = dataclasses.field(default_factory=_zeros)

    def add_request(self, answer: Answer) -> None:
        self.requests += 1
        self.abandoned += answer.abandoned
        if answer.by_bucket:
            self.requests_by_bucket[answer.bucket] += 1
            self.abandoned_by_bucket[answer.bucket] += answer.abandoned

    def add_answer(self, answer: Answer, bad: frozenset[LiveMetricType]) -> None:
        self.answers += 1
        self.unchecked += answer.unchecked
        self.milliseconds += answer.milliseconds
        self.latency[bisect.bisect_left(LATENCY_BOUNDS_MILLISECONDS, answer.milliseconds)] += 1
        for metric in bad:
            self.bad[metric.value] += 1
        if answer.by_bucket:
            if self.answers_by_bucket is None:
                self.answers_by_bucket = _zeros()
            self.answers_by_bucket[answer.bucket] += 1
            self.unchecked_by_bucket[answer.bucket] += answer.unchecked
            for metric in bad:
                self.bad_by_bucket.setdefault(metric.value, _zeros())[answer.bucket] += 1


class Counters:
    """Count answers. All counters of an answer change at the same time, so that a reader never sees only some."""

    def __init__(self) -> None:
        self._tallies: dict[tuple[str, str], _Tally] = {}

    def add(self, answer: Answer) -> None:
        """Count one request, and its answer if it counts as one."""
        tally = self._tallies.setdefault((answer.alias, answer.revision), _Tally())
        tally.add_request(answer)
        if answer.bad is not None:
            tally.add_answer(answer, answer.bad)

    def add_overloaded(self, alias: str, revision: str) -> None:
        """Count a request that vLLM refused for its load."""
        self._tallies.setdefault((alias, revision), _Tally()).overloaded += 1

    def keep(self, revisions: frozenset[str]) -> None:
        """Keep only these revisions: over months, a pool serves more revisions than fit into a state."""
        self._tallies = {key: tally for key, tally in self._tallies.items() if key[1] in revisions}

    def snapshot(self, bucketed_aliases: frozenset[str] = frozenset()) -> tuple[RevisionCounters, ...]:
        """Return all counters; only aliases whose route asks for them have arrays by bucket."""
        return tuple(
            _build_counters(alias, revision, tally, bucketed=alias in bucketed_aliases)
            for (alias, revision), tally in self._tallies.items()
        )

    def sums(self) -> Iterator[tuple[str, str, float]]:
        """Yield (alias, revision, summed milliseconds), for the Prometheus histogram."""
        for (alias, revision), tally in self._tallies.items():
            yield alias, revision, tally.milliseconds


def _build_counters(alias: str, revision: str, tally: _Tally, *, bucketed: bool) -> RevisionCounters:
    arrays: dict[str, Any] = {}
    if bucketed:
        arrays = {
            "answers_by_bucket": tuple(tally.answers_by_bucket or ()),
            "bad_by_bucket": {metric: tuple(counts) for metric, counts in tally.bad_by_bucket.items()},
            "unchecked_by_bucket": tuple(tally.unchecked_by_bucket),
            "requests_by_bucket": tuple(tally.requests_by_bucket),
            "abandoned_by_bucket": tuple(tally.abandoned_by_bucket),
        }
    return RevisionCounters(
        alias=alias,
        revision=revision,
        answers=tally.answers,
        bad=dict(tally.bad),
        unchecked=tally.unchecked,
        requests=tally.requests,
        abandoned=tally.abandoned,
        overloaded=tally.overloaded,
        latency_milliseconds=tuple(tally.latency),
        **arrays,
    )
