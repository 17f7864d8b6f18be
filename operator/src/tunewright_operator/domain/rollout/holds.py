"""What a step waits for: `spec.paused`, the replicas, or a manual request."""

from __future__ import annotations

from tunewright_operator.api.adapter_deployment import CandidateRevision
from tunewright_operator.domain.reasons.adapter_deployment import AdapterDeploymentReason as Why
from tunewright_operator.domain.rollout.observation import ActiveStep, Decision
from tunewright_operator.domain.rollout.transitions import hold
from tunewright_operator.domain.sentences import join_sentences

WATCH_SECONDS = 5.0
"""Interval at which a window's counters are read; `observation.is_bet_due` is when they are recorded."""
END_LATER = "The candidate is rolled back when spec.paused is false."


def how_to_decide(candidate: CandidateRevision) -> str:
    """Return the manual requests that a user can make now."""
    return (
        f"To continue, annotate tunewright.dev/promote={candidate.revision}@<request ID>;"
        f" to roll back, annotate tunewright.dev/abort={candidate.revision}@<request ID>."
    )


def hold_paused(step: ActiveStep, *details: str) -> Decision:
    """Wait for `spec.paused` to become false; an open window is still watched. ``details``: what happens after it."""
    paused = "spec.paused is true: the rollout stays at its step, and guardrails are still watched."
    message = join_sentences(paused, *details)
    return hold(step.status, Why.PAUSED, message, after=WATCH_SECONDS)


def hold_for_convergence(step: ActiveStep) -> Decision:
    """Wait until every ready replica routes as the status asks."""
    server = step.server
    lagging = [pod.name for pod in server.ready_pods if pod.generation < server.generation]
    if not server.ready_pods:
        return hold(step.status, Why.SERVER_NOT_READY, "The ModelServer has no ready replica.")
    missing = f"It has not reached {', '.join(lagging)}." if lagging else ""
    message = join_sentences(f"Waiting for plan {server.generation} on every ready replica.", missing)
    return hold(step.status, Why.SHIFTING, message)
