"""The sequential tests of a window: what each metric is compared with, and the bets so far."""

from __future__ import annotations

import dataclasses
from enum import StrEnum
from typing import Annotated

from pydantic import PlainSerializer

from tunewright_contracts.document import Message
from tunewright_contracts.metrics import LiveMetricType
from tunewright_operator.domain.evidence import betting
from tunewright_operator.domain.evidence.counters import Arms

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


def build_guards(metric: LiveMetric, comparison: Comparison, past: PastWindow, guard_alpha: float) -> list[Guard]:
    """Return the guards of a metric; `past` has the incumbent's answers, `guard_alpha` is one guard's error budget."""
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


def start_bets(guard: Guard, arms: Arms) -> Guard:
    """Return the guard with the later bets that begin at the present counts, if it restarts.

    A bet has a wealth of 1 where it begins. So a begin that is not recorded, because the operator stopped, makes it
    begin later and changes nothing else.
    """
    if guard.fallback is not None:
        guard = guard.updated(fallback=start_bets(guard.fallback, arms))
    if not guard.restarting:
        return guard
    judged, bad = arms.candidate.tally(guard.metric).totals
    due = sum(judged >= start for start in RESTARTS) - len(guard.marks)
    return guard.updated(marks=guard.marks + (Mark(judged=judged, bad=bad),) * due)


def bet(guard: Guard, arms: Arms) -> Guard:
    """Return the guard after it bet on both arms' answers since its last bet, if they are enough for a block.

    The other tests depend only on the counts, so they have nothing to do here.
    """
    if guard.test is not Test.INCUMBENT:
        return guard
    totals = (*arms.candidate.tally(guard.metric).totals, *arms.incumbent.tally(guard.metric).totals)
    block = betting.Block(*(now - then for now, then in zip(totals, guard.closed, strict=True)))
    if not block.closable:
        return guard
    guess = betting.guess_rate(guard.before[0] + guard.closed[2], guard.before[1] + guard.closed[3])
    wealth = tuple(
        log + betting.log_relative_factor(gap, guard.limit, guess, block)
        for gap, log in zip(betting.GAPS, guard.log_wealth, strict=True)
    )
    return guard.updated(log_wealth=wealth, closed=totals)
