"""The evidence of one live observation window: statistics that fit into a status and survive every restart.

`open_observation` starts a window; `absorb` adds the increase of the pods' counters since they were last read, and
`count_time` the time since then. The result does not depend on the order of the pods in a poll, and a missed poll only
makes the next increase larger. The counters of a server process (pod UID, boot ID) only grow, and a new process starts
from zero. What an old process counted after its last reading is lost; it is not estimated.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated

from pydantic import Field, PlainSerializer

from tunewright_contracts.document import Message
from tunewright_contracts.metrics import LiveMetricType
from tunewright_operator.domain.evidence import betting
from tunewright_operator.domain.evidence.counters import (
    ArmTotals,
    Baseline,
    PodReading,
    add_totals,
    gain,
    read_baseline,
)

MAX_REGRESSION = 0.9
"""The largest allowed increase: with more, no bet is possible."""

LATENCY_MAX_REGRESSION = 0.05
"""The allowed increase of the rate of slow answers if the spec has only a latency ratio."""

ABANDONED = "Abandoned"
"""The metric of requests whose client disconnected before the end of the answer. It is judged whenever ErrorRate is."""

FAILURES = LiveMetricType.ERROR_RATE.value
"""The metric by which a candidate is rolled back if all its answers are bad, whatever it is compared with."""

EVERY_ANSWER_LIMIT = 0.5
"""The rate with which a candidate is compared that fails every answer."""

FALLBACK_SHARE = 0.1
"""The share of a guard's error budget for its comparison with the incumbent's past (see `Guard.fallback`)."""

RESTARTS = (250, 500, 1000, 2000, 4000)
"""Numbers of the candidate's answers at which a restarting guard starts another bet.

Without them, a regression that begins late would be found late.
"""

MAX_READING_GAP_SECONDS = 30.0
"""The longest time between two readings of ready pods that counts as observed. All clocks of a rollout use it."""

ExactFloat = Annotated[float, PlainSerializer(repr)]
"""A float as its shortest exact decimal string: custom resources have no floats, and a restart must not change it."""


class Test(StrEnum):
    """What a guard compares the candidate's rate with."""

    __test__ = False  # Otherwise pytest would collect a class with this name.

    INCUMBENT = "Incumbent"
    """The incumbent in the same window."""
    LAST_WINDOW = "LastWindow"
    """The incumbent's past: its last window, or all answers that the pods have counted."""
    MINIMUM = "Minimum"
    """An absolute limit."""
    EVERY_ANSWER = "EveryAnswer"
    """With nothing: only a candidate all of whose answers are bad breaks it."""


class Comparison(StrEnum):
    """What a window compares the candidate with."""

    INCUMBENT = "Incumbent"
    LAST_WINDOW = "LastWindow"
    NONE = "None"


class Mark(Message):
    """The candidate's counts at the start of a later bet."""

    judged: int
    bad: int


class Guard(Message):
    """One sequential test of one metric, with the state that cannot be computed from the window's totals.

    Test.INCUMBENT: `limit` is the allowed increase over the incumbent's rate. `log_wealth` has one value for each of
    `betting.GAPS`, `closed` the counts that it already includes, `before` the incumbent's counts before the window.
    `fallback` judges instead while the incumbent has too few answers in the window.
    Other tests: `limit` is the highest allowed rate, `base` the rate from which it was derived, `past` the incumbent's
    counts from which that was derived, and `marks` has the counts at the start of each later bet.
    """

    metric: str
    test: Test
    limit: ExactFloat
    base: ExactFloat | None = None
    share: ExactFloat = 1.0
    """The bet's share of one guard's error budget; the rest is for its fallback, or the bound on the incumbent's past.
    """
    before: tuple[int, int] = (0, 0)
    closed: tuple[int, int, int, int] = (0, 0, 0, 0)
    log_wealth: tuple[ExactFloat, ...] = betting.NO_WEALTH_CHANGE
    restarting: bool = False
    marks: tuple[Mark, ...] = ()
    past: tuple[int, int] | None = None
    fallback: Guard | None = None


class Arms(Message):
    """The window's totals."""

    candidate: ArmTotals = Field(default_factory=ArmTotals)
    incumbent: ArmTotals = Field(default_factory=ArmTotals)


class Observation(Message):
    """The evidence of one window, as stored in `status.candidate.observation`."""

    step_index: int
    opened_at: dt.datetime
    comparison: Comparison
    weight: int | None = None
    """The candidate's weight in percent, with which its share of the requests is compared."""
    metrics: tuple[str, ...] = ()
    rules: str = ""
    """A digest of the spec's fields that decide what is counted; empty in a status of an earlier version."""
    polls: int = 0
    """Polls in which at least one pod answered."""
    read_at: dt.datetime | None = None
    """When a ready pod was last read."""
    watched_seconds: ExactFloat = 0.0
    """For how long the window has been observed (see `count_time`)."""
    lost: int = 0
    """The number of server processes whose answers after their last reading are unknown."""
    arms: Arms = Field(default_factory=Arms)
    guards: tuple[Guard, ...] = ()
    baselines: tuple[Baseline, ...] = ()

    def seconds_unread(self, now: dt.datetime) -> float:
        """Return for how long no ready pod was read."""
        return (now - (self.read_at or self.opened_at)).total_seconds()


@dataclasses.dataclass(frozen=True)
class LiveMetric:
    """A live metric of the spec: limits on the rate of bad answers.

    `max_regression` is the allowed increase over the incumbent's rate. For Latency, a bad answer is one slower than the
    plan's limit, and the default is 0.05. `minimum` is the lowest allowed share of good answers. `budget` is the share
    of one guard's error budget for the comparison with the incumbent.
    """

    name: str
    max_regression: float | None = None
    minimum: float | None = None
    budget: float = 1.0

    def __post_init__(self) -> None:
        """Refuse limits that no test supports.

        Raises:
            ValueError: `max_regression` is outside [0, 0.9], or `minimum` outside [0, 1].
        """
        if self.max_regression is not None and not 0 <= self.max_regression <= MAX_REGRESSION:
            raise ValueError(
                f"metric {self.name}: maxRegression {self.max_regression} must be between 0 and {MAX_REGRESSION}"
            )
        if self.minimum is not None and not 0 <= self.minimum <= 1:
            raise ValueError(f"metric {self.name}: minimum {self.minimum} must be between 0 and 1")

    @property
    def guards(self) -> float:
        """The number of error budgets that the metric's guards use."""
        compared = self.max_regression is not None or self.name == FAILURES
        return self.budget * compared + (self.minimum is not None)


@dataclasses.dataclass(frozen=True)
class PastWindow:
    """The incumbent's answers for one metric before this window, and their design effect."""

    answers: int = 0
    bad: int = 0
    design_effect: float = betting.PRIOR_VARIANCE_RATIO


def open_observation(
    step_index: int,
    metrics: Sequence[LiveMetric],
    baselines: Iterable[PodReading],
    incumbent_before: Mapping[str, PastWindow],
    now: dt.datetime,
    *,
    comparison: Comparison = Comparison.INCUMBENT,
    weight: int | None = None,
    guard_alpha: float = 0.01,
    previous: Observation | None = None,
) -> Observation:
    """Open a window, which counts from `baselines`, the pods' current counters.

    `comparison` is INCUMBENT in an observe step, LAST_WINDOW in a bake and NONE without an incumbent.
    `incumbent_before` has the incumbent's past. `guard_alpha` is one guard's error budget
    (`verdict.ErrorBudget.guard_alpha`). For a pod that does not answer now, the window counts from its last reading in
    `previous`.
    """
    names = tuple(metric.name for metric in metrics)
    known: dict[str, Baseline] = {}
    if previous is not None and previous.metrics == names:
        known = {baseline.pod_uid: baseline for baseline in previous.baselines}
    for reading in baselines:
        known[reading.pod_uid] = read_baseline(reading, names)
    guards: list[Guard] = []
    for metric in metrics:
        guards += _build_guards(metric, comparison, incumbent_before.get(metric.name, PastWindow()), guard_alpha)
    return Observation(
        step_index=step_index,
        opened_at=now,
        comparison=comparison,
        weight=weight,
        metrics=names,
        guards=tuple(guards),
        baselines=tuple(known[uid] for uid in sorted(known)),
    )


def absorb(
    observation: Observation, readings: Iterable[PodReading], existing_pods: Collection[str] | None = None
) -> Observation:
    """Add the increase of the counters since they were last read, and let every guard bet on it.

    `existing_pods` has the UIDs of all pods that still exist, whether they answer or not (None: all exist). The
    baselines of other pods are removed and counted as lost. A pod that does not answer this time keeps its baseline.
    No error is raised: what cannot be added is counted as lost.
    """
    known = {baseline.pod_uid: baseline for baseline in observation.baselines}
    gains: list[tuple[ArmTotals, ArmTotals]] = []
    lost = observation.lost
    answered: set[str] = set()
    for reading in readings:
        current = read_baseline(reading, observation.metrics)
        last = known.get(reading.pod_uid)
        if last is None or last.boot_id != current.boot_id:
            lost += last is not None
            gains.append((current.candidate, current.incumbent))
        else:
            gained = (gain(last.candidate, current.candidate), gain(last.incumbent, current.incumbent))
            if gained[0] is None or gained[1] is None:
                lost += 1  # A counter of the same process decreased: what happened in between is unknown.
            else:
                gains.append((gained[0], gained[1]))
        known[reading.pod_uid] = current
        answered.add(reading.pod_uid)
    if existing_pods is not None:
        gone = set(known) - set(existing_pods) - answered
        lost += len(gone)
        known = {uid: baseline for uid, baseline in known.items() if uid not in gone}
    arms = Arms(
        candidate=add_totals([observation.arms.candidate, *(gain[0] for gain in gains)]),
        incumbent=add_totals([observation.arms.incumbent, *(gain[1] for gain in gains)]),
    )
    return observation.updated(
        polls=observation.polls + bool(answered),
        lost=lost,
        arms=arms,
        guards=tuple(_advance(guard, arms) for guard in observation.guards),
        baselines=tuple(known[uid] for uid in sorted(known)),
    )


def count_time(observation: Observation, read_at: dt.datetime | None) -> Observation:
    """Add the time since the last reading of a ready pod; `read_at` is the time of this one, None if there is none.

    This is the only clock of a window. Time counts only between two readings that are at most
    `MAX_READING_GAP_SECONDS` apart. So neither an outage, nor replicas scaled to zero, nor an absent operator, nor an
    old snapshot of the server makes a window end without having been observed.
    """
    if read_at is None or (observation.read_at is not None and read_at <= observation.read_at):
        return observation
    gap = (read_at - observation.read_at).total_seconds() if observation.read_at is not None else 0.0
    counted = gap if gap <= MAX_READING_GAP_SECONDS else 0.0
    return observation.updated(read_at=read_at, watched_seconds=observation.watched_seconds + counted)


def incumbent_window(observation: Observation) -> dict[str, PastWindow]:
    """Return the incumbent's answers in a window by metric, for the bets of a later step and for the bake."""
    windows: dict[str, PastWindow] = {}
    for metric, tally in observation.arms.incumbent.tallies.items():
        judged, bad = tally.totals
        effect = betting.design_effect((tally.judged, tally.bad))
        windows[metric] = PastWindow(answers=judged, bad=min(bad, judged), design_effect=effect)
    return windows


def incumbent_until(observation: Observation) -> dict[str, PastWindow]:
    """Return the incumbent's answers until the end of a window by metric: in it, and before it."""
    windows: dict[str, PastWindow] = {}
    for guard in observation.guards:
        if guard.test is Test.INCUMBENT:
            judged, bad = observation.arms.incumbent.tally(guard.metric).totals
            answers = guard.before[0] + judged
            windows[guard.metric] = PastWindow(answers, min(guard.before[1] + bad, answers))
    return windows


def _build_guards(metric: LiveMetric, comparison: Comparison, past: PastWindow, guard_alpha: float) -> list[Guard]:
    guards: list[Guard] = []
    restarting = comparison is Comparison.LAST_WINDOW
    if metric.max_regression is not None and comparison is Comparison.INCUMBENT:
        guards.append(
            Guard(
                metric=metric.name,
                test=Test.INCUMBENT,
                limit=metric.max_regression,
                share=metric.budget * (1 - FALLBACK_SHARE),
                before=(past.answers, past.bad),
                fallback=_build_past_guard(metric, past, guard_alpha, metric.budget * FALLBACK_SHARE),
            )
        )
    if metric.max_regression is not None and comparison is Comparison.LAST_WINDOW:
        guards.append(_build_past_guard(metric, past, guard_alpha, metric.budget))
    if metric.name == FAILURES and (comparison is Comparison.NONE or metric.max_regression is None):
        guards.append(Guard(metric=metric.name, test=Test.EVERY_ANSWER, limit=EVERY_ANSWER_LIMIT, share=metric.budget))
    if metric.minimum is not None and metric.minimum > 0:
        limit = 1 - metric.minimum
        guards.append(Guard(metric=metric.name, test=Test.MINIMUM, limit=limit, base=limit, restarting=restarting))
    return guards


def _build_past_guard(metric: LiveMetric, past: PastWindow, guard_alpha: float, share: float) -> Guard:
    """Return the comparison with the incumbent's past, which is only a sample of its rate.

    So one half of the budget is for an upper bound on that rate, the other half for the bet against that bound.
    """
    bound = betting.upper_rate(past.answers, past.bad, past.design_effect, guard_alpha * share / 2)
    return Guard(
        metric=metric.name,
        test=Test.LAST_WINDOW,
        limit=min(bound + (metric.max_regression or 0.0), 1.0),
        base=past.bad / past.answers if past.answers else None,
        share=share / 2,
        restarting=True,
        past=(past.answers, past.bad),
    )


def _advance(guard: Guard, arms: Arms) -> Guard:
    """Return the guard after this poll's counts.

    Whether it bets depends only on the numbers of answers and never on how many of them are bad.
    """
    judged, bad = arms.candidate.tally(guard.metric).totals
    if guard.test is not Test.INCUMBENT:
        if not guard.restarting:
            return guard
        due = sum(judged >= start for start in RESTARTS) - len(guard.marks)
        return guard.updated(marks=guard.marks + (Mark(judged=judged, bad=bad),) * due)
    fallback = guard.fallback
    if fallback is not None:
        guard = guard.updated(fallback=_advance(fallback, arms))
    totals = (judged, bad, *arms.incumbent.tally(guard.metric).totals)
    block = betting.Block(*(now - then for now, then in zip(totals, guard.closed, strict=True)))
    if not block.closable:
        return guard
    guess = betting.guess_rate(guard.before[0] + guard.closed[2], guard.before[1] + guard.closed[3])
    wealth = tuple(
        log + betting.log_relative_factor(gap, guard.limit, guess, block)
        for gap, log in zip(betting.GAPS, guard.log_wealth, strict=True)
    )
    return guard.updated(log_wealth=wealth, closed=totals)
