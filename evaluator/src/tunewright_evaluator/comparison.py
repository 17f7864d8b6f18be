"""From answers to verdicts: score each arm's answers by each metric, then judge the candidate with `statistics`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tunewright_contracts.evaluation_report import MetricResult, Verdict
from tunewright_contracts.metrics import MetricSpec
from tunewright_evaluator import statistics
from tunewright_evaluator.records import Record
from tunewright_evaluator.scorers import build_scorer

CANDIDATE, INCUMBENT, BASE = "candidate", "incumbent", "base"

_SEVERITY = {Verdict.PASS: 0, Verdict.INCONCLUSIVE: 1, Verdict.ERROR: 2, Verdict.FAIL: 3}


def compare_arms(
    metric: MetricSpec, records: Sequence[Record], answers: Mapping[str, Sequence[str]], confidence: float
) -> MetricResult:
    """Score every arm on one metric and judge the candidate.

    Args:
        metric: the metric, with its bounds.
        records: n records.
        answers: arm → n answers, in the records' order; `CANDIDATE` is needed, the others may be absent.
        confidence: 1 - α, from 0.5 to below 1.

    Raises:
        ScorerError: the metric has invalid settings.
    """
    scorer = build_scorer(metric)
    scores = {
        arm: np.array([scorer.score(answer, record.reference) for answer, record in zip(given, records, strict=True)])
        for arm, given in answers.items()
    }
    candidate, incumbent = scores[CANDIDATE], scores.get(INCUMBENT)
    # The first revision of an alias has no incumbent: it must not be worse than the base model without an adapter.
    standard = scores.get(BASE) if incumbent is None else incumbent
    judgements: list[statistics.Judgement] = []
    if metric.minimum is not None:
        judgements.append(statistics.judge_minimum(candidate, float(metric.minimum), confidence))
    if metric.max_regression is not None and standard is not None:
        judgements.append(statistics.judge_regression(candidate, standard, float(metric.max_regression), confidence))
    verdict = worst_verdict([judgement.verdict for judgement in judgements])
    needed = [judgement.records_needed for judgement in judgements if judgement.records_needed is not None]
    return MetricResult(
        type=metric.type,
        candidate=float(candidate.mean()),
        incumbent=None if incumbent is None else float(incumbent.mean()),
        base=float(scores[BASE].mean()) if BASE in scores else None,
        samples=len(records),
        verdict=verdict,
        message="; ".join(judgement.message for judgement in judgements) or "only measured, the metric has no bound",
        candidate_better=None if incumbent is None else int((candidate > incumbent).sum()),
        candidate_worse=None if incumbent is None else int((candidate < incumbent).sum()),
        records_needed=max(needed, default=None),
    )


def worst_verdict(verdicts: Sequence[Verdict]) -> Verdict:
    """Return the most severe verdict: Fail, then Error, then Inconclusive; Pass if there are no verdicts."""
    return max(verdicts, key=_SEVERITY.__getitem__, default=Verdict.PASS)
