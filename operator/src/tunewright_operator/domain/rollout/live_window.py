"""The live window of an observe step or a bake: open it, and add the evidence of the pods' counters to it."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json

from tunewright_contracts.evaluation_report import Verdict
from tunewright_contracts.metrics import LiveMetricType
from tunewright_contracts.times import format_time
from tunewright_operator.api.adapter_deployment import AdapterDeploymentSpec
from tunewright_operator.domain.evidence import window
from tunewright_operator.domain.evidence.counters import PodReading
from tunewright_operator.domain.evidence.guard import Comparison
from tunewright_operator.domain.evidence.observation import Observation
from tunewright_operator.domain.evidence.verdict import Assessment
from tunewright_operator.domain.rollout.holds import hold_for_convergence
from tunewright_operator.domain.rollout.observation import ActiveStep, Decision, Situation, UnrecordedEvidence
from tunewright_operator.domain.rollout.transitions import bound_reasons, record_candidate


def has_window(step: ActiveStep) -> bool:
    """Return whether the recorded observation belongs to this step and counts what the spec asks for now.

    The spec may have changed since the observation began.
    """
    candidate = step.candidate
    observation = window.parse_observation(candidate)
    if candidate.step_started_at is None or observation is None or observation.step_index != candidate.step:
        return False
    if observation.comparison is not _build_window(step, tuple(observation.metrics)).comparison:
        return False
    # A bake compares with the incumbent's last window. A second bake would have none, so a bake keeps its rules.
    return observation.comparison is Comparison.LAST_WINDOW or observation.rules in {"", _digest_rules(step.spec)}


def open_window(step: ActiveStep) -> Decision:
    """Begin to count when every ready replica routes as the status asks, also while the spec is paused."""
    if not step.situation.converged:
        return hold_for_convergence(step)
    readings = _read_pods(step)
    observation = window.open_window(
        _build_window(step),
        find_evidence(step.situation),
        readings,
        step.now,
        weight=step.candidate.weight,
        read_at=_find_reading_time(step, readings),
    )
    opened = step.candidate.updated(
        step_started_at=format_time(step.now),
        plan_generation=step.server.generation,
        observation=observation.updated(rules=_digest_rules(step.spec)).to_wire(),
    )
    return record_candidate(step.status, opened)


def _digest_rules(spec: AdapterDeploymentSpec) -> str:
    """Return a digest of what decides which answers are bad and which revision gives an answer."""
    metrics = sorted(spec.analysis.metrics, key=lambda metric: metric.type)
    contract = spec.output_contract
    if contract is None or all(metric.type is not LiveMetricType.OUTPUT_CONTRACT for metric in metrics):
        checked = None
    else:
        checked = contract.to_wire()
    rules = {
        "metrics": [metric.to_wire() for metric in metrics],
        "outputContract": checked,
        "stickyBy": [key.to_wire() for key in spec.rollout.sticky_by],
    }
    return hashlib.sha256(json.dumps(rules, sort_keys=True).encode()).hexdigest()


def find_evidence(situation: Situation) -> Observation | None:
    """Return the newest evidence of the candidate's last window: that of the status, or what was added to it since."""
    candidate, unrecorded = situation.candidate, situation.unrecorded
    if candidate is None:
        return None
    if unrecorded is not None and unrecorded.recorded == candidate.observation:
        return unrecorded.observation
    return window.parse_observation(candidate)


def watch(step: ActiveStep) -> tuple[ActiveStep, Assessment]:
    """Return the step with the evidence so far, and the assessment of that evidence.

    Evidence that says nothing new is not recorded: the step then has the candidate as it was recorded, the assessment
    the recorded reasons, and the evidence is in `ActiveStep.unrecorded`.
    """
    last = find_evidence(step.situation)
    if last is None:
        raise ValueError(f"{step.candidate.revision}: a window is open without an observation")
    rules = _build_window(step, tuple(last.metrics))
    existing = {pod.uid for pod in step.server.pods}
    readings = _read_pods(step)
    read_at = _find_reading_time(step, readings)
    grown, assessment = window.watch(rules, last, readings, existing, step.now, read_at=read_at)
    if window.is_due(rules, grown, step.now) or _settles(step, assessment):
        grown, assessment = window.let_guards_bet(rules, grown, step.now)
    elif _is_recorded(step, last, assessment):
        unrecorded = UnrecordedEvidence(step.candidate.observation or {}, grown)
        kept = dataclasses.replace(assessment, reasons=step.candidate.reasons)
        return dataclasses.replace(step, unrecorded=unrecorded), kept
    drop = assessment.detectable_drop
    reasons = bound_reasons(assessment.reasons)
    watched = step.candidate.updated(
        observation=grown.updated(concern=assessment.concern).to_wire(),
        verdict=assessment.verdict.value if assessment.verdict else None,
        reasons=reasons,
        detectable_drop=None if drop is None else f"{drop:.3f}",
        share=window.format_share(grown),
        observed=window.count_requests(grown),
    )
    return step.with_candidate(watched), dataclasses.replace(assessment, reasons=reasons)


def _settles(step: ActiveStep, assessment: Assessment) -> bool:
    """Return whether the window now passes, or ends without a verdict on the candidate: the guards bet before that.

    Whether it does depends on the numbers of answers and on the time, and not on how many answers are bad.
    """
    verdict = assessment.verdict
    if verdict is not Verdict.PASS and verdict is not Verdict.INCONCLUSIVE:
        return False
    if verdict.value != step.candidate.verdict:
        return True
    if step.spec.paused or verdict is Verdict.PASS:
        return not step.spec.paused
    baking = step.candidate.step >= len(step.spec.rollout.steps)
    return step.spec.rollout.on_inconclusive in ({"Promote"} if baking else {"Promote", "Rollback"})


def _is_recorded(step: ActiveStep, last: Observation, assessment: Assessment) -> bool:
    """Return whether the status has this verdict, and the same concern about the distribution of the requests."""
    verdict = assessment.verdict.value if assessment.verdict else None
    recorded = (verdict, assessment.concern) == (step.candidate.verdict, last.concern)
    return recorded and bool(step.candidate.reasons)


def _build_window(step: ActiveStep, opened_with: tuple[str, ...] | None = None) -> window.Window:
    """Return the rules of the current window; an open window keeps the metrics that it was opened with."""
    known = step.server.slow_after_milliseconds is not None if opened_with is None else "Latency" in opened_with
    return window.build_window(step.spec, step.candidate.step, has_incumbent=step.has_incumbent, slow_limit_known=known)


def _read_pods(step: ActiveStep) -> list[PodReading]:
    stable = step.status.stable
    states = [pod.state for pod in step.server.pods if pod.state is not None]
    return window.read_pods(
        states,
        step.spec.model_name,
        step.candidate.revision,
        stable.revision if stable else None,
        step.server.slow_after_milliseconds,
    )


def _find_reading_time(step: ActiveStep, readings: list[PodReading]) -> dt.datetime | None:
    """Return when a ready pod was last read; None if none of the readings is from a ready pod."""
    read = {reading.pod_uid for reading in readings}
    return max((pod.read_at or step.now for pod in step.server.ready_pods if pod.uid in read), default=None)
