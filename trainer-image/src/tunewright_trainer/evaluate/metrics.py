"""The metrics of a job: check their settings, score answers, and compare the scores with their minimums. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from tunewright_contracts.adapter_manifest import Score
from tunewright_contracts.metrics import MetricSpec
from tunewright_evaluator.records import Record
from tunewright_evaluator.scorers import ScorerError, build_scorer
from tunewright_trainer.errors import Reason, TrainerError


@dataclasses.dataclass(frozen=True, slots=True)
class Answers:
    """One held-out record with the model's answers without and with the adapter."""

    record: Record
    base: str
    tuned: str


def check_metrics(metrics: tuple[MetricSpec, ...]) -> None:
    """Build every scorer once.

    Raises:
        TrainerError: a metric has invalid settings.
    """
    for metric in metrics:
        try:
            build_scorer(metric)
        except ScorerError as error:
            raise TrainerError(Reason.INVALID_METRIC, str(error)) from error


def score_answers(metrics: Sequence[MetricSpec], answers: Sequence[Answers]) -> tuple[Score, ...]:
    """Return the mean of each metric over the records. Pure."""
    scores: list[Score] = []
    for metric in metrics:
        scorer = build_scorer(metric)
        base = [scorer.score(answer.base, answer.record.reference) for answer in answers]
        tuned = [scorer.score(answer.tuned, answer.record.reference) for answer in answers]
        scores.append(
            Score(
                type=metric.type,
                base=sum(base) / len(base),
                tuned=sum(tuned) / len(tuned),
                samples=len(answers),
            )
        )
    return tuple(scores)


def find_below_minimum(metrics: Sequence[MetricSpec], scores: Sequence[Score]) -> list[str]:
    """Return a sentence for each score that is below its minimum. Pure."""
    return [
        f"{score.type} is {score.tuned:.3f} on {score.samples} held-out records, below its minimum of {metric.minimum} "
        f"(base model: {score.base:.3f})"
        for metric, score in zip(metrics, scores, strict=True)
        if metric.minimum is not None and score.tuned < float(metric.minimum)
    ]


def sample_rows(answers: Iterable[Answers]) -> Iterable[dict[str, Any]]:
    """Yield a row for each record, so that users can read both answers."""
    for answer in answers:
        yield {
            "record": answer.record.index,
            "messages": list(answer.record.messages),
            "reference": answer.record.reference,
            "base": answer.base,
            "tuned": answer.tuned,
        }
