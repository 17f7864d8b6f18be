"""Live counters by (alias, revision), from which the operator computes its verdicts."""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Iterator

from tunewright_contracts.metrics import LiveMetricType
from tunewright_contracts.serving_plan import BUCKETS, LATENCY_BOUNDS_MILLISECONDS, RevisionCounters


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """One finished answer. ``milliseconds`` is from the request's last byte to the answer's last byte."""

    alias: str
    revision: str
    bucket: int
    milliseconds: float
    bad: frozenset[LiveMetricType]
    unchecked: bool
    by_bucket: bool


@dataclasses.dataclass
class _Tally:
    answers: int = 0
    unchecked: int = 0
    milliseconds: float = 0.0
    bad: dict[str, int] = dataclasses.field(default_factory=lambda: dict.fromkeys((m.value for m in LiveMetricType), 0))
    latency: list[int] = dataclasses.field(default_factory=lambda: [0] * (len(LATENCY_BOUNDS_MILLISECONDS) + 1))
    answers_by_bucket: list[int] | None = None
    unchecked_by_bucket: list[int] = dataclasses.field(default_factory=lambda: [0] * BUCKETS)
    bad_by_bucket: dict[str, list[int]] = dataclasses.field(default_factory=dict)


class Counters:
    """Count answers. All counters of an answer change at the same time, so that a reader never sees only some."""

    def __init__(self) -> None:
        self._tallies: dict[tuple[str, str], _Tally] = {}

    def add(self, answer: Answer) -> None:
        """Count one answer."""
        tally = self._tallies.setdefault((answer.alias, answer.revision), _Tally())
        tally.answers += 1
        tally.unchecked += answer.unchecked
        tally.milliseconds += answer.milliseconds
        tally.latency[bisect.bisect_left(LATENCY_BOUNDS_MILLISECONDS, answer.milliseconds)] += 1
        for metric in answer.bad:
            tally.bad[metric.value] += 1
        if answer.by_bucket:
            if tally.answers_by_bucket is None:
                tally.answers_by_bucket = [0] * BUCKETS
            tally.answers_by_bucket[answer.bucket] += 1
            tally.unchecked_by_bucket[answer.bucket] += answer.unchecked
            for metric in answer.bad:
                tally.bad_by_bucket.setdefault(metric.value, [0] * BUCKETS)[answer.bucket] += 1

    def keep(self, revisions: frozenset[str]) -> None:
        """Keep only these revisions: over months, a pool serves more revisions than fit into a state."""
        self._tallies = {key: tally for key, tally in self._tallies.items() if key[1] in revisions}

    def snapshot(self, bucketed_aliases: frozenset[str] = frozenset()) -> tuple[RevisionCounters, ...]:
        """Return all counters; only aliases whose route asks for them have arrays by bucket."""
        return tuple(
            RevisionCounters(
                alias=alias,
                revision=revision,
                answers=tally.answers,
                bad=dict(tally.bad),
                unchecked=tally.unchecked,
                answers_by_bucket=tuple(tally.answers_by_bucket or ()) if alias in bucketed_aliases else (),
                bad_by_bucket={metric: tuple(counts) for metric, counts in tally.bad_by_bucket.items()}
                if alias in bucketed_aliases
                else {},
                unchecked_by_bucket=tuple(tally.unchecked_by_bucket) if alias in bucketed_aliases else (),
                latency_milliseconds=tuple(tally.latency),
            )
            for (alias, revision), tally in self._tallies.items()
        )

    def sums(self) -> Iterator[tuple[str, str, float]]:
        """Yield (alias, revision, summed milliseconds), for the Prometheus histogram."""
        for (alias, revision), tally in self._tallies.items():
            yield alias, revision, tally.milliseconds
