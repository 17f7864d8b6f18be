"""The live window of an observe step or a bake: open it, and add the evidence of the pods' counters to it."""

from __future__ import annotations

import datetime as dt
import hashlib
import json

from tunewright_contracts.metrics import LiveMetricType
from tunewright_contracts.times import format_time
from tunewright_operator.api.adapter_deployment import AdapterDeploymentSpec
from tunewright_operator.domain.evidence import window
from tunewright_operator.domain.evidence.counters import PodReading
from tunewright_operator.domain.evidence.guard import Comparison
from tunewright_operator.domain.evidence.verdict import Assessment
from tunewright_operator.domain.rollout.holds import hold_for_convergence
from tunewright_operator.domain.rollout.observation import ActiveStep, Decision
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
        step.candidate,
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


def watch(step: ActiveStep) -> tuple[ActiveStep, Assessment]:
    """Return the step with the evidence so far, and the assessment of that evidence."""
    observation = window.parse_observation(step.candidate)
    if observation is None:
        raise ValueError(f"{step.candidate.revision}: a window is open without an observation")
    rules = _build_window(step, tuple(observation.metrics))
    existing = {pod.uid for pod in step.server.pods}
    readings = _read_pods(step)
    read_at = _find_reading_time(step, readings)
    grown, assessment = window.watch(rules, observation, readings, existing, step.now, read_at=read_at)
    drop = assessment.detectable_drop
    watched = step.candidate.updated(
        observation=grown.to_wire(),
        verdict=assessment.verdict.value if assessment.verdict else None,
        reasons=bound_reasons(assessment.reasons),
        detectable_drop=None if drop is None else f"{drop:.3f}",
        share=window.format_share(grown),
        observed=window.count_requests(grown),
    )
    return step.with_candidate(watched), assessment


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
