"""Measure how often live verdicts are wrong, compared with two common rules on the same simulated traffic.

The traffic consists of sessions (mean 8 requests, intra-class correlation 0.2) that stay on one arm and in one bucket.
They follow each other: a bad session is a burst of bad answers, which is harder to judge than sessions that overlap
(`--overlap`). After every 20 candidate requests, each rule is evaluated and may roll back:

- `tunewright`: the operator's `add_counts`, `bet` and `assess`, confidence 0.95; its guards bet when the operator's do,
  at an evaluation every 5 seconds;
- `z-test`: a one-sided two-proportion test of "worse by more than the margin" at 5 %, at each evaluation;
- `last 100`: the candidate's rate over its last 100 requests, compared with the incumbent's true rate plus the margin.

Without `--report`, the tables of docs/explanation/what-a-verdict-means.md are printed: one guard in one window.
With it, the cells of `CELLS` are measured with the guards that the operator adds, on all cores, and written as JSON.

Usage: .venv/bin/python bench/verdict_error_rates.py [--runs 200] [--horizon 5000] [--overlap 0] [--seed 1]
       .venv/bin/python bench/verdict_error_rates.py --report FILE [--runs 1000] [--processes 2]
"""

from __future__ import annotations

import argparse
import concurrent.futures
import dataclasses
import datetime as dt
import json
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from tunewright_contracts.evaluation_report import Verdict
from tunewright_operator.domain.evidence import counters, guard, verdict, window
from tunewright_operator.domain.evidence import observation as evidence

LOOK = 20
LOOK_SECONDS = 5.0
BUCKETS = 64
SESSION = 8
METRIC = "ErrorRate"
CONTRACT = "OutputContract"
NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
Z_ONE_SIDED_5_PERCENT = 1.6449
RULES = ("tunewright", "z-test", "last 100")
CHUNK = 25
"""Runs between two lines of progress."""


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
    heavy: tuple[float, float] = (0.0, 0.0)
    """The share of the requests of the incumbent and of the candidate that one more client sends, with one key."""
    keys: int = 0
    """The number of session keys, whose requests are mixed; 0: sessions of mean 8, without end."""


@dataclasses.dataclass(frozen=True)
class Traffic:
    """Cumulative counts [evaluation, arm, bucket] of requests and bad ones, and the candidate's bad ones in order.

    Arm 1 is the candidate. `same_sessions` has a second kind of bad answers, in the same sessions at other requests.
    """

    answers: np.ndarray
    bad: np.ndarray
    candidate_bad: np.ndarray
    same_sessions: np.ndarray

    def reading(self, look: int, bad: Sequence[str] = (METRIC,)) -> list[counters.PodReading]:
        """Return what a pod would report at an evaluation, if these metrics count the bad answers."""
        kinds = (self.bad, self.same_sessions)
        arms = []
        for arm in range(2):
            requests = tuple(self.answers[look, arm].tolist())
            found = {name: tuple(kind[look, arm].tolist()) for name, kind in zip(bad, kinds, strict=False)}
            judged = dict.fromkeys(bad, requests)
            arms.append(counters.ArmCounters(requests, found, judged, requests=requests))
        return [counters.PodReading("pod", "boot", arms[1], arms[0])]


def generate(scenario: Scenario, random: np.random.Generator) -> Traffic:
    """Draw the traffic of one rollout.

    Sessions have geometric lengths and a rate each (beta-binomial), and are interleaved in time.
    """
    session, arm_of, sessions = _draw_keys(scenario, random) if scenario.keys else _draw_sessions(scenario, random)
    arm = arm_of[session]
    if any(scenario.heavy):
        # The key of an arm's one client is an extra session of that arm.
        moved = random.random(session.size) < np.array(scenario.heavy)[arm]
        session = np.where(moved, sessions + arm, session)
        sessions += 2
    bucket = random.integers(BUCKETS, size=sessions)[session]
    concentration = (1 - scenario.correlation) / scenario.correlation

    def draw(rates: np.ndarray) -> np.ndarray:
        return (random.random(session.size) < rates[session]).astype(int)

    def draw_rates(rate: float) -> np.ndarray:
        return random.beta(rate * concentration, (1 - rate) * concentration, sessions)

    seen = np.cumsum(arm)
    rates = draw_rates(scenario.incumbent_rate)
    kinds = [draw(rates), draw(rates)]
    if scenario.excess:
        rates = draw_rates(scenario.incumbent_rate + scenario.excess)
        is_worse = (arm == 1) & (seen > scenario.clean_until)
        kinds = [np.where(is_worse, draw(rates), kind) for kind in kinds]
    look = np.maximum(seen - 1, 0) // LOOK
    looks = scenario.horizon // LOOK
    kept = look < looks
    shape = (looks, 2, BUCKETS)
    index = np.ravel_multi_index((look[kept], arm[kept], bucket[kept]), shape)
    size = math.prod(shape)

    def count(weights: np.ndarray | None) -> np.ndarray:
        found = np.bincount(index, weights=weights, minlength=size)
        return found.astype(int).reshape(shape).cumsum(axis=0)

    wrong = [count(kind[kept]) for kind in kinds]
    return Traffic(count(None), wrong[0], kinds[0][kept][arm[kept] == 1], wrong[1])


def _draw_sessions(scenario: Scenario, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, int]:
    """Return the session of each request, the arm of each session, and the number of sessions."""
    sessions = math.ceil(1.25 * scenario.horizon / scenario.share / SESSION) + 50
    length = random.geometric(1 / SESSION, sessions)
    session = np.repeat(np.arange(sessions), length)
    position = np.arange(session.size) - np.repeat(np.cumsum(length) - length, length)
    order = np.argsort(session + scenario.overlap * position, kind="stable")
    return session[order], (random.random(sessions) < scenario.share).astype(int), sessions


def _draw_keys(scenario: Scenario, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, int]:
    """Return the same for a few keys that are in use all the time, some of them much more than others."""
    candidates = max(1, round(scenario.keys * scenario.share))
    arm_of = (np.arange(scenario.keys) < candidates).astype(int)
    use = random.exponential(size=scenario.keys)
    for arm, share in ((0, 1 - scenario.share), (1, scenario.share)):
        use[arm_of == arm] *= share / use[arm_of == arm].sum()
    requests = math.ceil(1.25 * scenario.horizon / scenario.share)
    return random.choice(scenario.keys, size=requests, p=use), arm_of, scenario.keys


def read_counts(
    observation: evidence.Observation, readings: Sequence[counters.PodReading], look: int
) -> evidence.Observation:
    """Add what was counted until an evaluation, and let the guards bet when the operator's would."""
    now = NOW + dt.timedelta(seconds=LOOK_SECONDS * (look + 1))
    grown = evidence.add_counts(observation, readings)
    return evidence.bet(grown, now) if evidence.is_bet_due(grown, now, is_over=False) else grown


def stop_of_tunewright(scenario: Scenario, traffic: Traffic, alpha: float = 0.05) -> int | None:
    """Return the evaluation at which the operator's code would roll back."""
    metric = guard.LiveMetric(METRIC, max_regression=scenario.margin)
    spec = verdict.ObservationSpec(scenario.horizon + 1, 1e9, verdict.ErrorBudget.share_out(1 - alpha, [metric], 1))
    observation = evidence.open_observation(0, [metric], [], {}, NOW)
    for look in range(traffic.answers.shape[0]):
        observation = read_counts(observation, traffic.reading(look), look)
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
    metric = guard.LiveMetric(METRIC, max_regression=scenario.margin)
    spec = verdict.ObservationSpec(0, 1e9, verdict.ErrorBudget.share_out(0.95, [metric], 1), full_window=True)
    before = generate(dataclasses.replace(scenario, excess=0.0, share=0.5, horizon=window), random)
    opened = evidence.open_observation(0, [metric], [], {}, NOW)
    past = evidence.incumbent_window(evidence.add_counts(opened, before.reading(before.answers.shape[0] - 1)))
    observation = evidence.open_observation(
        1, [metric], [], past, NOW, comparison=guard.Comparison.LAST_WINDOW, guard_alpha=spec.budget.guard_alpha
    )
    for look in range(traffic.answers.shape[0]):
        observation = read_counts(observation, traffic.reading(look), look)
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


# The report ------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Cell:
    """One kind of traffic, and which metrics count its bad requests.

    At the boundary, the candidate is worse by exactly the margin, and a rollback is false. `past` is the number of the
    incumbent's requests before the window. If `is_alone`, the incumbent gets no requests in the window.
    """

    name: str
    scenario: Scenario
    bad: tuple[str, ...] = (METRIC,)
    past: int = 0
    is_alone: bool = False

    @property
    def at_boundary(self) -> bool:
        """Return whether a rollback is false."""
        return self.scenario.excess == self.scenario.margin

    def list_metrics(self) -> list[guard.LiveMetric]:
        """Return the metrics as the operator judges them if the spec has ErrorRate, with or without OutputContract."""
        margin = self.scenario.margin
        metrics = [guard.LiveMetric(METRIC, max_regression=margin)]
        if CONTRACT in self.bad:
            metrics.append(guard.LiveMetric(CONTRACT, max_regression=margin))
        abandoned = guard.LiveMetric(guard.ABANDONED, max_regression=margin, budget=window.ABANDONED_BUDGET)
        return [*metrics, abandoned]


def _at_boundary(rate: float, margin: float, share: float, **changes: object) -> Scenario:
    return dataclasses.replace(Scenario(rate, margin, share, excess=margin), **changes)


CELLS = (
    Cell("0.01, margin 0.01, 10 % of the requests", _at_boundary(0.01, 0.01, 0.1)),
    Cell("0.1, margin 0.02, 10 %", _at_boundary(0.1, 0.02, 0.1)),
    Cell("0.1, margin 0.02, 50 %", _at_boundary(0.1, 0.02, 0.5)),
    Cell("0.5, margin 0.05, 10 %", _at_boundary(0.5, 0.05, 0.1)),
    Cell("one client sends 30 % of the candidate's requests", _at_boundary(0.1, 0.02, 0.1, heavy=(0.0, 0.3))),
    Cell("one client sends 30 % of the incumbent's requests", _at_boundary(0.1, 0.02, 0.1, heavy=(0.3, 0.0))),
    Cell("48 sessions, half of them the candidate's", _at_boundary(0.1, 0.02, 0.5, keys=48)),
    Cell("200 sessions, 20 of them the candidate's", _at_boundary(0.1, 0.02, 0.1, keys=200)),
    Cell("10 sessions, half of them the candidate's", _at_boundary(0.1, 0.02, 0.5, keys=10)),
    Cell("abandoned requests", _at_boundary(0.1, 0.02, 0.1), bad=(guard.ABANDONED,)),
    Cell("the incumbent has no requests", _at_boundary(0.1, 0.02, 0.99), past=2000, is_alone=True),
    Cell("two guards, bad in the same sessions", _at_boundary(0.1, 0.02, 0.1), bad=(METRIC, CONTRACT)),
)
POWER = Cell("a drop of 10 points from 0.9, 10 %", Scenario(0.1, 0.02, 0.1, excess=0.1))


def stop_of_cell(cell: Cell, random: np.random.Generator, min_requests: int = 100) -> int | None:
    """Return the candidate requests before a rollback by the operator's code, or None if there was none."""
    traffic = generate(cell.scenario, random)
    metrics = cell.list_metrics()
    budget = verdict.ErrorBudget.share_out(0.95, metrics, 1)
    spec = verdict.ObservationSpec(min_requests, 1e9, budget)
    observation = evidence.open_observation(
        0, metrics, [], _draw_past(cell, random), NOW, weight=None, guard_alpha=budget.guard_alpha
    )
    for look in range(traffic.answers.shape[0]):
        readings = traffic.reading(look, cell.bad)
        if cell.is_alone:
            readings = [dataclasses.replace(reading, incumbent=counters.ArmCounters()) for reading in readings]
        observation = read_counts(observation, readings, look)
        if verdict.assess(observation, spec, NOW).verdict is Verdict.FAIL:
            return (look + 1) * LOOK
    return None


def _draw_past(cell: Cell, random: np.random.Generator) -> Mapping[str, guard.PastWindow]:
    """Return the incumbent's requests before the window, in sessions like those in it."""
    if not cell.past:
        return {}
    scenario = dataclasses.replace(cell.scenario, excess=0.0, share=0.5, horizon=cell.past)
    before = generate(scenario, random)
    answers, bad = int(before.answers[-1, 1].sum()), int(before.bad[-1, 1].sum())
    return {name: guard.PastWindow(answers, bad) for name in cell.bad}


def measure_chunk(cell: Cell, runs: int, seed: np.random.SeedSequence) -> list[int | None]:
    """Return the results of some runs of a cell."""
    random = np.random.default_rng(seed)
    return [stop_of_cell(cell, random) for _ in range(runs)]


def measure_cells(cells: Sequence[Cell], runs: int, seed: int, processes: int) -> dict[str, list[int | None]]:
    """Return the results of all cells by name, and show the progress."""
    chunks = [(cell, min(CHUNK, runs - start)) for cell in cells for start in range(0, runs, CHUNK)]
    seeds = np.random.SeedSequence(seed).spawn(len(chunks))
    stops: dict[str, list[int | None]] = {cell.name: [] for cell in cells}
    started = time.monotonic()
    work = [(cell, size, each) for (cell, size), each in zip(chunks, seeds, strict=True)]
    for done, (cell, found) in enumerate(_run_chunks(work, processes), 1):
        known = stops[cell.name]
        known += found
        left = (time.monotonic() - started) * (len(work) / done - 1)
        print(f"{done}/{len(work)}, {left:.0f} s left: {cell.name}: {_summary(known)} of {len(known)}", flush=True)
    return stops


def _run_chunks(
    work: Sequence[tuple[Cell, int, np.random.SeedSequence]], processes: int
) -> Iterator[tuple[Cell, list[int | None]]]:
    """Yield the results of each chunk in the order in which they are ready."""
    if processes == 1:
        yield from ((cell, measure_chunk(cell, size, seed)) for cell, size, seed in work)
        return
    with concurrent.futures.ProcessPoolExecutor(processes) as pool:
        tasks = {pool.submit(measure_chunk, cell, size, seed): cell for cell, size, seed in work}
        for task in concurrent.futures.as_completed(tasks):
            yield tasks[task], task.result()


def build_report(stops: Mapping[str, Sequence[int | None]], runs: int, seconds: float) -> dict[str, object]:
    """Return the report: the worst share of false rollbacks, and how a drop of 10 points is found."""
    rolled_back = {name: _percent(found) for name, found in stops.items()}
    boundary = {name: percent for name, percent in rolled_back.items() if name != POWER.name}
    found = [stop for stop in stops[POWER.name] if stop is not None]
    return {
        "worstFalseRollbackPercent": max(boundary.values()),
        "power10PointsPercent": rolled_back[POWER.name],
        "medianRequestsToDetect": float(np.median(found)) if found else None,
        "runsPerCell": runs,
        "falseRollbackPercent": boundary,
        "seconds": round(seconds),
    }


def write_report(path: Path, runs: int, seed: int, processes: int, horizon: int) -> None:
    """Measure all cells and write the report."""
    cells = [
        dataclasses.replace(cell, scenario=dataclasses.replace(cell.scenario, horizon=horizon))
        for cell in (*CELLS, POWER)
    ]
    started = time.monotonic()
    stops = measure_cells(cells, runs, seed, processes)
    report = build_report(stops, runs, time.monotonic() - started)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


def _percent(stops: Sequence[int | None]) -> float:
    return round(100 * sum(stop is not None for stop in stops) / len(stops), 2)


def _summary(stops: Sequence[int | None]) -> str:
    found = [stop for stop in stops if stop is not None]
    share = f"{100 * len(found) / len(stops):.1f} %"
    return f"{share} ({np.median(found):.0f})" if found else share


def print_tables(runs: int, horizon: int, overlap: int, seed: int) -> None:
    """Print the tables of the documentation."""
    started = time.monotonic()
    print(f"Share of {runs} rollouts rolled back (median candidate requests until then), seed {seed}\n")
    print("| incumbent's rate, margin, share | rule | equal | at the margin | +0.05 | +0.10 |")
    print("| --- | --- | --- | --- | --- | --- |")
    for rate, margin, share in ((0.01, 0.01, 0.1), (0.1, 0.02, 0.1), (0.1, 0.02, 0.5), (0.5, 0.05, 0.1)):
        base = Scenario(rate, margin, share, horizon=horizon, overlap=overlap)
        cells = [measure(dataclasses.replace(base, excess=excess), runs, seed) for excess in (0.0, margin, 0.05, 0.1)]
        for rule in RULES:
            row = " | ".join(_summary(cell[rule]) for cell in cells)
            print(f"| {rate}, {margin}, {share:.0%} | {rule} | {row} |", flush=True)
    print("\nA bake: the candidate alone, compared with an incumbent's last window of so many answers\n")
    print(
        "| incumbent's rate, margin | last window | equal | at the margin | +0.10 | +0.10 after 1,000 clean requests |"
    )
    print("| --- | --- | --- | --- | --- | --- |")
    for rate, margin in ((0.01, 0.01), (0.1, 0.02)):
        for last in (500, 2000):
            base = Scenario(rate, margin, share=0.999, horizon=horizon, overlap=overlap)
            variants = [dataclasses.replace(base, excess=excess) for excess in (0.0, margin, 0.1)]
            variants.append(dataclasses.replace(base, excess=0.1, clean_until=1000))
            row = " | ".join(_summary(measure_bake(variant, runs, seed, last)) for variant in variants)
            print(f"| {rate}, {margin} | {last} | {row} |", flush=True)
    print(f"\n{time.monotonic() - started:.0f} s")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables, or write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, help="simulated rollouts for each cell (default 200; report: 1000)")
    parser.add_argument("--horizon", type=int, default=5000, help="candidate requests of a rollout (default 5000)")
    parser.add_argument(
        "--overlap", type=int, default=0, help="sessions that start between two requests of one (default 0)"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--report", type=Path, help="write the report to this file instead of printing the tables")
    parser.add_argument(
        "--processes", type=int, default=os.cpu_count() or 1, help="for the report (default: all cores)"
    )
    options = parser.parse_args(arguments)
    if options.report is None:
        print_tables(options.runs or 200, options.horizon, options.overlap, options.seed)
    else:
        write_report(options.report, options.runs or 1000, options.seed, options.processes, options.horizon)


if __name__ == "__main__":
    main()
