"""The candidate's weight: that of the spec as it is now at the candidate's step.

Edits of `spec.rollout.steps` take effect at the next reconciliation. A changed weight begins the step again, since
evidence at one weight is none at another.
"""

from __future__ import annotations

import datetime as dt

from tunewright_contracts.times import format_time
from tunewright_operator.api.adapter_deployment import CandidateRevision, RolloutStep
from tunewright_operator.domain.reasons.adapter_deployment import AdapterDeploymentReason as Why
from tunewright_operator.domain.rollout.holds import hold_paused
from tunewright_operator.domain.rollout.loading import hold_for_loading
from tunewright_operator.domain.rollout.observation import ActiveStep, Decision, Notice, Situation


def find_weight(situation: Situation, candidate: CandidateRevision) -> int:
    """Return the weight of the last `setWeight` at or before the candidate's step.

    It is 0 before the first one, and 100 after the last step. Without a stable revision, the candidate answers all
    clients or none, and once it answers it continues to, because no other revision can.
    """
    steps = situation.spec.rollout.steps
    weights = [0, *(step.set_weight for step in steps[: candidate.step + 1] if step.set_weight is not None)]
    weight = weights[-1] if candidate.step < len(steps) else 100
    if situation.status.stable is None and max(weight, candidate.weight) > 0:
        return 100
    return weight


def lower_weight(situation: Situation, now: dt.datetime) -> Decision | None:
    """Lower the weight at once, whatever the rollout waits for, and also while `spec.paused` is true."""
    candidate = situation.candidate
    if candidate is None or candidate.ending is not None:
        return None
    weight = find_weight(situation, candidate)
    return _change(situation, candidate, weight, now) if weight < candidate.weight else None


def raise_weight(step: ActiveStep) -> Decision | None:
    """Raise the weight when every ready replica has loaded the candidate and `spec.paused` is false.

    Until then, an observe step continues at the old weight, so that its guardrails are watched.
    """
    weight = find_weight(step.situation, step.candidate)
    if weight <= step.candidate.weight:
        return None
    held = hold_for_loading(step)
    if held is None and step.spec.paused:
        held = hold_paused(step, f"The weight stays at {step.candidate.weight} % and is then raised to {weight} %.")
    if held is None:
        return _change(step.situation, step.candidate, weight, step.now)
    here = _find_step(step.situation, step.candidate)
    return None if here is not None and here.observe is not None else held


def _change(situation: Situation, candidate: CandidateRevision, weight: int, now: dt.datetime) -> Decision:
    here = _find_step(situation, candidate)
    sets_weight = here is not None and here.set_weight is not None
    begun = candidate.begin_step(candidate.step).updated(weight=weight)
    if sets_weight:
        begun = begun.updated(step_started_at=format_time(now))
    change = f"{weight} % instead of {candidate.weight} %"
    message = f"{candidate.revision} gets {change}, because spec.rollout.steps changed."
    begins = candidate.step_started_at is None and (sets_weight or here is None) and weight > candidate.weight
    notices = () if begins else (Notice(Why.WEIGHT_CHANGED, message),)
    return Decision(situation.status.updated(candidate=begun), notices, again=True)


def _find_step(situation: Situation, candidate: CandidateRevision) -> RolloutStep | None:
    """Return the candidate's step, or None in the bake."""
    steps = situation.spec.rollout.steps
    return steps[candidate.step] if candidate.step < len(steps) else None
