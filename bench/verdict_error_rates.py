"""Measure how often live verdicts are wrong, compared with two common rules on the same simulated traffic.

The traffic consists of sessions (mean 8 requests, intra-class correlation 0.2) that stay on one arm and in one bucket.
They follow each other: a bad session is a burst of bad answers, which is harder to judge than sessions that overlap
(`--overlap`). After every 20 candidate requests, each rule is evaluated and may roll back:

- `tunewright`: the operator's `absorb` and `assess`, one guard, confidence 0.95;
- `z-test`: a one-sided two-proportion test of "worse by more than the margin" at 5 %, at each evaluation;
- `last 100`: the candidate's rate over its last 100 requests, compared with the incumbent's true rate plus the margin.

Usage: .venv/bin/python bench/verdict_error_rates.py [--runs 200] [--horizon 5000] [--overlap 0] [--seed 1]
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime as dt
import math
import time

import numpy as np

from tunewright_contracts.evaluation_report import Verdict
from tunewright_operator.domain.evidence import counters, verdict
from tunewright_operator.domain.evidence import observation as evidence

LOOK = 20
BUCKETS = 64
SESSION = 8
METRIC = "ErrorRate"
NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
Z_ONE_SIDED_5_PERCENT = 1.6449
RULES = ("tunewright", "z-test", "last 100")


@dataclasses.dataclass(frozen=True)
class Scenario:
    """Traffic of one rollout step: true rates of bad answers, and the share of sessions that the candidate gets."""

    incumbent_rate: float
    margin: float
    share: float
    excess: float = 0.0
    correlation: float = 0.2
    horizon: int = 5000
    """Candidate requests after which the run ends without a rollback."""
    overlap: int = 0
    """About how many other sessions start between two requests of one session."""
    clean_until: int = 0
    """The number of candidate requests for which the candidate is as good as the incumbent."""


@dataclasses.dataclass(frozen=True)
class Traffic:
    """Cumulative counts [evaluation, arm, bucket] of answers and bad answers, and the candidate's answers in order.

    Arm 1 is the candidate.
    """

    answers: np.ndarray
    bad: np.ndarray
    candidate_bad: np.ndarray

    def reading(self, look: int) -> list[counters.PodReading]:
        """Return what a pod would report at an evaluation."""
        incumbent, candidate = (
            counters.ArmCounters(tuple(answers.tolist()), {METRIC: tuple(bad.tolist())})
            for answers, bad in zip(self.answers[look], self.bad[look], strict=True)
        )
        return [counters.PodReading("pod", "boot", candidate, incumbent)]


def generate(scenario: Scenario, random: np.random.Generator) -> Traffic:
    """Draw the traffic of one rollout.

    Sessions have geometric lengths and a rate each (beta-binomial), and are interleaved in time.
    """
    sessions = math.ceil(1.25 * scenario.horizon / scenario.share / SESSION) + 50
    length = random.geometric(1 / SESSION, sessions)
    session = np.repeat(np.arange(sessions), length)
    position = np.arange(session.size) - np.repeat(np.cumsum(length) - length, length)
    order = np.argsort(session + scenario.overlap * position, kind="stable")
    session = session[order]
    arm = (random.random(sessions) < scenario.share).astype(int)[session]
    bucket = random.integers(BUCKETS, size=sessions)[session]
    concentration = (1 - scenario.correlation) / scenario.correlation
    uniform = random.random(session.size)

    def draw(rate: float) -> np.ndarray:
        rates = random.beta(rate * concentration, (1 - rate) * concentration, sessions)
        return (uniform < rates[session]).astype(int)

    seen = np.cumsum(arm)
    bad = draw(scenario.incumbent_rate)
    if scenario.excess:
        worse = draw(scenario.incumbent_rate + scenario.excess)
        bad = np.where((arm == 1) & (seen > scenario.clean_until), worse, bad)
    look = np.maximum(seen - 1, 0) // LOOK
    looks = scenario.horizon // LOOK
    kept = look < looks
    shape = (looks, 2, BUCKETS)
    index = np.ravel_multi_index((look[kept], arm[kept], bucket[kept]), shape)
    size = math.prod(shape)
    answers = np.bincount(index, minlength=size).reshape(shape).cumsum(axis=0)
    wrong = np.bincount(index, weights=bad[kept], minlength=size).astype(int).reshape(shape).cumsum(axis=0)
    return Traffic(answers, wrong, bad[kept][arm[kept] == 1])


def stop_of_tunewright(scenario: Scenario, traffic: Traffic, alpha: float = 0.05) -> int | None:
    """Return the evaluation at which the operator's code would roll back."""
    metric = evidence.LiveMetric(METRIC, max_regression=scenario.margin)
    spec = verdict.ObservationSpec(scenario.horizon + 1, 1e9, verdict.ErrorBudget.share_out(1 - alpha, [metric], 1))
    observation = evidence.open_observation(0, [metric], [], {}, NOW)
    for look in range(traffic.answers.shape[0]):
        observation = evidence.absorb(observation, traffic.reading(look))
        if verdict.assess(observation, spec, NOW).verdict is Verdict.FAIL:
            return look
    return None


def stop_of_z_test(scenario: Scenario, traffic: Traffic) -> int | None:
    """Return the first evaluation at which the z-test is significant."""
    answers, bad = traffic.answers.sum(axis=2), traffic.bad.sum(axis=2)
    rate = bad / np.maximum(answers, 1)
    deviation = np.sqrt((rate * (1 - rate) / np.maximum(answers, 1)).sum(axis=1))
    significant = rate[:, 1] - rate[:, 0] - scenario.margin > Z_ONE_SIDED_5_PERCENT * np.maximum(deviation, 1e-12)
    return _first(significant)


def stop_of_last_hundred(scenario: Scenario, traffic: Traffic) -> int | None:
    """Return the first evaluation at which the last 100 candidate requests are over the fixed threshold."""
    total = np.concatenate([[0], np.cumsum(traffic.candidate_bad)])
    ends = np.minimum(np.arange(1, traffic.answers.shape[0] + 1) * LOOK, total.size - 1)
    over = total[ends] - total[np.maximum(ends - 100, 0)] > 100 * (scenario.incumbent_rate + scenario.margin)
    return _first(over & (ends >= 100))


def stop_of_bake(scenario: Scenario, traffic: Traffic, random: np.random.Generator, window: int) -> int | None:
    """Return the evaluation at which a bake would roll back: the candidate, against the incumbent's last window."""
    metric = evidence.LiveMetric(METRIC, max_regression=scenario.margin)
    spec = verdict.ObservationSpec(0, 1e9, verdict.ErrorBudget.share_out(0.95, [metric], 1), full_window=True)
    before = generate(dataclasses.replace(scenario, excess=0.0, share=0.5, horizon=window), random)
    opened = evidence.open_observation(0, [metric], [], {}, NOW)
    past = evidence.incumbent_window(evidence.absorb(opened, before.reading(before.answers.shape[0] - 1)))
    observation = evidence.open_observation(
        1, [metric], [], past, NOW, comparison=evidence.Comparison.LAST_WINDOW, guard_alpha=spec.budget.guard_alpha
    )
    for look in range(traffic.answers.shape[0]):
        observation = evidence.absorb(observation, traffic.reading(look))
        if verdict.assess(observation, spec, NOW).verdict is Verdict.FAIL:
            return look
    return None


def _first(flags: np.ndarray) -> int | None:
    hits = np.flatnonzero(flags)
    return int(hits[0]) if hits.size else None


def measure(scenario: Scenario, runs: int, seed: int) -> dict[str, list[int | None]]:
    """Return, for each rule and run, the candidate requests before the rollback, or None if there was none."""
    random = np.random.default_rng(seed)
    stops: dict[str, list[int | None]] = {rule: [] for rule in RULES}
    for _ in range(runs):
        traffic = generate(scenario, random)
        looks = (
            stop_of_tunewright(scenario, traffic),
            stop_of_z_test(scenario, traffic),
            stop_of_last_hundred(scenario, traffic),
        )
        for rule, look in zip(RULES, looks, strict=True):
            stops[rule].append(None if look is None else (look + 1) * LOOK)
    return stops


def measure_bake(scenario: Scenario, runs: int, seed: int, window: int) -> list[int | None]:
    """Return, for each bake, the requests before the rollback, or None if there was none."""
    random = np.random.default_rng(seed)
    stops: list[int | None] = []
    for _ in range(runs):
        look = stop_of_bake(scenario, generate(scenario, random), random, window)
        stops.append(None if look is None else (look + 1) * LOOK)
    return stops


def _summary(stops: list[int | None]) -> str:
    found = [stop for stop in stops if stop is not None]
    share = f"{100 * len(found) / len(stops):.1f} %"
    return f"{share} ({np.median(found):.0f})" if found else share


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200, help="simulated rollouts for each cell (default 200)")
    parser.add_argument("--horizon", type=int, default=5000, help="candidate requests of a rollout (default 5000)")
    parser.add_argument(
        "--overlap", type=int, default=0, help="sessions that start between two requests of one (default 0)"
    )
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    started = time.monotonic()
    print(f"Share of {options.runs} rollouts rolled back (median candidate requests until then), seed {options.seed}\n")
    print("| incumbent's rate, margin, share | rule | equal | at the margin | +0.05 | +0.10 |")
    print("| --- | --- | --- | --- | --- | --- |")
    for rate, margin, share in ((0.01, 0.01, 0.1), (0.1, 0.02, 0.1), (0.1, 0.02, 0.5), (0.5, 0.05, 0.1)):
        base = Scenario(rate, margin, share, horizon=options.horizon, overlap=options.overlap)
        cells = [
            measure(dataclasses.replace(base, excess=excess), options.runs, options.seed)
            for excess in (0.0, margin, 0.05, 0.1)
        ]
        for rule in RULES:
            row = " | ".join(_summary(cell[rule]) for cell in cells)
            print(f"| {rate}, {margin}, {share:.0%} | {rule} | {row} |", flush=True)
    print("\nA bake: the candidate alone, compared with an incumbent's last window of so many answers\n")
    print(
        "| incumbent's rate, margin | last window | equal | at the margin | +0.10 | +0.10 after 1,000 clean requests |"
    )
    print("| --- | --- | --- | --- | --- | --- |")
    for rate, margin in ((0.01, 0.01), (0.1, 0.02)):
        for window in (500, 2000):
            base = Scenario(rate, margin, share=0.999, horizon=options.horizon, overlap=options.overlap)
            variants = [dataclasses.replace(base, excess=excess) for excess in (0.0, margin, 0.1)]
            variants.append(dataclasses.replace(base, excess=0.1, clean_until=1000))
            row = " | ".join(_summary(measure_bake(v, options.runs, options.seed, window)) for v in variants)
            print(f"| {rate}, {margin} | {window} | {row} |", flush=True)
    print(f"\n{time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
