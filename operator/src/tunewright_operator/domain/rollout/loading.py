"""Wait until every replica has loaded the candidate, and end the candidate if no replica can load it."""

from __future__ import annotations

from typing import Final

from tunewright_operator.api.adapter_deployment import Outcome
from tunewright_operator.domain.reasons.adapter_deployment import AdapterDeploymentReason as Why
from tunewright_operator.domain.rollout.holds import END_LATER, hold_paused
from tunewright_operator.domain.rollout.observation import ActiveStep, Decision
from tunewright_operator.domain.rollout.transitions import hold, withdraw
from tunewright_operator.domain.serving.replica import AdapterFailure

OUTDATED: Final = frozenset({Why.RANK_TOO_HIGH.value, "InvalidEntry"})
"""What only a pod of older settings or of another release refuses: a rank above its limit, and a revision's name.

A plan has only adapters within the current limit, and names that this release gives, so such a pod will be replaced.
"""


def hold_for_loading(step: ActiveStep) -> Decision | None:
    """Wait until every ready replica has loaded the candidate; if all of them refuse it permanently, it ends."""
    candidate, server = step.candidate, step.server
    if server.has_loaded(candidate.revision):
        return None
    pods = sorted(server.ready_pods, key=lambda pod: pod.name)
    refused = [pod for pod in pods if candidate.revision in pod.failed]
    failures = [(pod.name, pod.failures.get(candidate.revision)) for pod in pods]
    causes = "; ".join(f"{name}: {failure.describe()}" for name, failure in failures if failure)
    if refused and len(refused) == len(pods) and not any(_is_outdated(pod.failed[candidate.revision]) for pod in pods):
        if step.spec.paused and candidate.weight == 0:
            return hold_paused(step, f"Every ready replica refuses {candidate.revision}: {causes}", END_LATER)
        return withdraw(step.status, candidate, Outcome.ROLLED_BACK, Why.ADAPTER_REFUSED, causes)
    if causes:
        message = f"{candidate.revision} is not loaded on every ready replica: {causes}"
        final = any(not _is_outdated(pod.failed[candidate.revision]) for pod in refused)
        return hold(step.status, Why.LOADING_RETRIED, message, stalled=final)
    missing = [pod.name for pod in server.ready_pods if candidate.revision not in pod.loaded]
    return hold(step.status, Why.LOADING, f"{candidate.revision} is being loaded in {', '.join(missing)}.")


def _is_outdated(failure: AdapterFailure) -> bool:
    """Return whether a pod refused because of what it was started with, and not because of the adapter."""
    return failure.reason in OUTDATED
