"""Compute the summary of the story from the world's records."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from mypy_boto3_s3 import S3Client

from tunewright_contracts.evaluation_report import EvaluationReport
from tunewright_contracts.metrics import MetricType
from tunewright_dev.demo import setting
from tunewright_dev.demo.observed.ledger import Ledger
from tunewright_dev.demo.observed.rollouts import Ended, read_time
from tunewright_dev.demo.observed.world import World
from tunewright_dev.demo.output.summary import (
    PROMOTED,
    Answers,
    Qualities,
    Quality,
    RolloutResult,
    Seconds,
    SpeedResult,
    Summary,
)


@dataclasses.dataclass(frozen=True)
class Timing:
    """The measured times: the set-up of the bare machine, the pool's speed, each stage."""

    cold_setup_seconds: float | None
    tokens_per_second: float
    stages: Mapping[str, float]


def build_summary(world: World, jobs: Sequence[str], store: S3Client, timing: Timing) -> Summary:
    """Return the summary of the rollouts of ``jobs``, in this order; read the last promoted one's report."""
    ended = [world.rollouts.ended[job] for job in jobs if job in world.rollouts.ended]
    promoted = [one for one in ended if one.outcome == PROMOTED]
    reported = next((one.report_uri for one in reversed(promoted) if one.report_uri), None)
    tally = world.tally
    return Summary(
        quality=read_quality(setting.read_report(store, reported)) if reported else None,
        answers=Answers(
            total=tally.total,
            wrong=len(tally.wrong),
            failed=len(tally.failed),
            by_revision=dict(sorted(tally.by_revision.items())),
        ),
        rollouts=tuple(describe_rollout(one, world.alias, world.ledger) for one in ended),
        seconds=measure_seconds(ended, world, timing.stages),
        speed=SpeedResult(tokens_per_second=round(timing.tokens_per_second, 1)),
        convergence_seconds={name: round(value, 2) for name, value in world.ledger.convergence_seconds().items()},
        peak_memory_mib=dict(sorted(world.peak_memory.items())),
        cold_setup_seconds=timing.cold_setup_seconds,
    )


def read_quality(report: EvaluationReport) -> Qualities | None:
    """Return the scores of base and candidate, or None if the report lacks a metric or the base model's scores."""
    scores = {metric.type: metric for metric in report.metrics}
    exact, valid = scores.get(MetricType.EXACT_MATCH), scores.get(MetricType.JSON_SCHEMA)
    if exact is None or valid is None or exact.base is None or valid.base is None:
        return None
    return Qualities(
        base=Quality(exact_match=exact.base, valid_json=valid.base, n=exact.samples),
        tuned=Quality(exact_match=exact.candidate, valid_json=valid.candidate, n=exact.samples),
    )


def describe_rollout(ended: Ended, alias: str, ledger: Ledger) -> RolloutResult:
    """Return the result of one rollout."""
    return RolloutResult(
        name=ended.job,
        outcome=ended.outcome,
        stage=ended.stage,
        candidate_share_percent=ledger.largest_share(alias, ended.revision),
        reason=ended.reason,
    )


def measure_seconds(ended: Sequence[Ended], world: World, stages: Mapping[str, float]) -> Seconds:
    """Return the times; `summary` describes them."""
    promoted = next((one for one in reversed(ended) if one.outcome == PROMOTED), None)
    trained = _training_interval(world.jobs.get(promoted.job)) if promoted else None
    offline = next((one for one in ended if one.outcome != PROMOTED and not _share(one, world)), None)
    live = next((one for one in ended if one.outcome != PROMOTED and _share(one, world)), None)
    seen = world.ledger.live_interval(world.alias, live.revision) if live else None
    return Seconds(
        apply_to_trained=trained[1] - trained[0] if trained else None,
        trained_to_promoted=promoted.ended_at - trained[1] if promoted and trained else None,
        bad_offline_to_rolled_back=offline.ended_at - offline.accepted_at if offline else None,
        bad_live_to_rolled_back=round(seen[1] - seen[0], 1) if seen else None,
        stages={stage: round(seconds, 1) for stage, seconds in stages.items()},
    )


def _share(ended: Ended, world: World) -> int:
    return world.ledger.largest_share(world.alias, ended.revision)


def _training_interval(job: Mapping[str, Any] | None) -> tuple[float, float] | None:
    """Return when a job was applied and when it ended."""
    completion = (job or {}).get("status", {}).get("completionTime")
    if job is None or not completion:
        return None
    return read_time(job["metadata"]["creationTimestamp"]), read_time(completion)
