"""Where a candidate continues after an edit of `spec.rollout.steps`: at the first step that it has not passed.

An index alone would skip a step when one before it is removed. So the status has the steps as they were last seen. If
only values changed, such as a weight, the index stays. Otherwise a step counts as passed if an equal one was passed in
that order. A step that was moved or inserted is then run, and at worst a passed one is repeated.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence

from tunewright_operator.api.adapter_deployment import (
    AdapterDeploymentSpec,
    AdapterDeploymentStatus,
    CandidateRevision,
    RolloutStep,
)
from tunewright_operator.domain.reasons.adapter_deployment import AdapterDeploymentReason as Why
from tunewright_operator.domain.rollout.observation import Decision, Notice, Situation


def list_steps(spec: AdapterDeploymentSpec) -> tuple[str, ...]:
    """Return the spec's steps as texts, which are equal if and only if the steps are."""
    return tuple(json.dumps(step.to_wire(), sort_keys=True, separators=(",", ":")) for step in spec.rollout.steps)


def find_position(candidate: CandidateRevision, steps: Sequence[str]) -> int:
    """Return the index of the first step that the candidate has not passed; the number of steps if it passed all."""
    if _list_kinds(candidate.seen_steps) == _list_kinds(steps):
        return candidate.step
    passed = iter(candidate.seen_steps[: candidate.step])
    for index, step in enumerate(steps):
        if step not in passed:  # Searching an iterator consumes it up to the match, so the order counts.
            return index
    return len(steps)


def follow_steps(situation: Situation, _: dt.datetime) -> Decision | None:
    """Move the candidate to its position in the spec's steps as they are now."""
    candidate = situation.candidate
    if candidate is None or candidate.ending is not None:
        return None
    steps = list_steps(situation.spec)
    if candidate.seen_steps in {(), steps}:
        return None
    known = candidate.updated(seen_steps=steps)
    position = find_position(candidate, steps)
    baking = candidate.step >= len(candidate.seen_steps) and position >= len(steps)
    if baking or _is_same(candidate, steps, position):
        return Decision(situation.status.updated(candidate=known), again=True)
    message = f"{candidate.revision} continues at step {position}, because spec.rollout.steps changed."
    after = situation.status.updated(candidate=known.begin_step(position))
    return Decision(after, (Notice(Why.STEPS_CHANGED, message),), again=True)


def record_steps(situation: Situation, status: AdapterDeploymentStatus) -> AdapterDeploymentStatus:
    """Add the steps to a status of an earlier version."""
    candidate = status.candidate
    if candidate is None or candidate.seen_steps:
        return status
    return status.updated(candidate=candidate.updated(seen_steps=list_steps(situation.spec)))


def _is_same(candidate: CandidateRevision, steps: Sequence[str], position: int) -> bool:
    """Return whether the candidate's step has the same index and the same kind as before."""
    before = candidate.seen_steps[candidate.step : candidate.step + 1]
    return position == candidate.step and _list_kinds(before) == _list_kinds(steps[position : position + 1])


def _list_kinds(steps: Sequence[str]) -> list[str]:
    return [RolloutStep.model_validate_json(step).kind for step in steps]
