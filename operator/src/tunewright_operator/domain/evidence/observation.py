"""The evidence of one live observation window: statistics that fit into a status and survive every restart.

`open_observation` starts a window; `add_counts` adds the increase of the pods' counters since they were last read, and
`count_time` the time since then. `bet` lets the guards bet on what was added. The sums depend neither on the order of
the pods in a poll nor on how readings are grouped. The bets depend on the grouping, so they are made only where they
are recorded (see `is_bet_due`). The counters of a server process (pod UID, boot ID) only grow, and a new process starts
from zero. What an old process counted after its last reading is lost; it is not estimated.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence

from pydantic import Field

from tunewright_contracts.document import Message
from tunewright_operator.domain.evidence import betting
from tunewright_operator.domain.evidence.counters import (
    Arms,
    ArmTotals,
    Baseline,
    PodReading,
    add_totals,
    gain,
    read_baseline,
)
from tunewright_operator.domain.evidence.guard import (
    Comparison,
    ExactFloat,
    Guard,
    LiveMetric,
    PastWindow,
    Test,
    build_guards,
    start_bets,
)
from tunewright_operator.domain.evidence.guard import bet as bet_on

MAX_READING_GAP_SECONDS = 30.0
"""The longest time between two readings of ready pods that counts as observed. All clocks of a rollout use it."""

BET_SECONDS = 30.0
"""The interval at which the guards bet and the evidence is recorded while nothing else changes."""
BET_GROWTH = 1 / (1 - 0.1) ** 2
"""The growth of an arm's requests after which the guards bet at once.

The regression that would be detected shrinks with the root of the number of answers, so it is then 10 % smaller.
"""


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
    bet_at: dt.datetime | None = None
    """When the guards last bet, or the window was opened; None in a status of an earlier version."""
    bet_requests: tuple[int, int] = (0, 0)
    """The requests of candidate and incumbent until then."""
    concern: str | None = None
    """Why there was no verdict when the evidence was recorded, although there was enough (`exposure.Concern`)."""
    lost: int = 0
    """The number of server processes whose answers after their last reading are unknown."""
    arms: Arms = Field(default_factory=Arms)
    guards: tuple[Guard, ...] = ()
    baselines: tuple[Baseline, ...] = ()

    @property
    def requests(self) -> tuple[int, int]:
        """The requests of candidate and incumbent."""
        return sum(self.arms.candidate.requests), sum(self.arms.incumbent.requests)

    def seconds_unread(self, now: dt.datetime) -> float:
        """Return for how long no ready pod was read."""
        return (now - (self.read_at or self.opened_at)).total_seconds()


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
        guards += build_guards(metric, comparison, incumbent_before.get(metric.name, PastWindow()), guard_alpha)
    return Observation(
        step_index=step_index,
        opened_at=now,
        bet_at=now,
        comparison=comparison,
        weight=weight,
        metrics=names,
        guards=tuple(guards),
        baselines=tuple(known[uid] for uid in sorted(known)),
    )


def add_counts(
    observation: Observation, readings: Iterable[PodReading], existing_pods: Collection[str] | None = None
) -> Observation:
    """Add the increase of the counters since they were last read. No guard bets on it yet.

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
        guards=tuple(start_bets(guard, arms) for guard in observation.guards),
        baselines=tuple(known[uid] for uid in sorted(known)),
    )


def is_bet_due(observation: Observation, now: dt.datetime, *, is_over: bool) -> bool:
    """Return whether the guards bet now and the evidence is recorded.

    The expectation of a bet's gain is at most 0 for each block, but only if the block was not chosen by what is in it.
    So this depends on the time and on the numbers of requests, and never on how many answers are bad. For the same
    reason no bet is made that is not recorded: if the operator stops, the next one bets once on the same answers.
    ``is_over``: the window's time is over, so that without other requests there is nothing to record.
    """
    if observation.bet_at is None:
        return True
    changed = observation.requests != observation.bet_requests
    passed = (now - observation.bet_at).total_seconds()
    if not 0 <= passed < BET_SECONDS:
        return changed or not is_over
    pairs = zip(observation.requests, observation.bet_requests, strict=True)
    return any(count >= last + betting.MIN_BLOCK and count >= last * BET_GROWTH for count, last in pairs)


def bet(observation: Observation, now: dt.datetime) -> Observation:
    """Let every guard bet on what was added since its last bet. Record the result together with the verdict on it."""
    return observation.updated(
        guards=tuple(bet_on(guard, observation.arms) for guard in observation.guards),
        bet_at=now,
        bet_requests=observation.requests,
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
