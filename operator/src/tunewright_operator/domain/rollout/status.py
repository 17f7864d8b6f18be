"""Build the status of an AdapterDeployment: conditions and convergence, from a decision and what was observed."""

from __future__ import annotations

import datetime as dt

from tunewright_operator.api.adapter_deployment import AdapterDeploymentStatus, Convergence, Outcome
from tunewright_operator.api.conditions import AdapterDeploymentCondition as Type
from tunewright_operator.api.conditions import find_condition
from tunewright_operator.domain.conditions import Wanted, merge_conditions
from tunewright_operator.domain.problem import Problem
from tunewright_operator.domain.reasons.adapter_deployment import AdapterDeploymentReason as Why
from tunewright_operator.domain.rollout.observation import Decision, Missing, Seen, Situation, Unseen, Wait
from tunewright_operator.domain.rollout.requests import describe_requests
from tunewright_operator.domain.sentences import join_sentences, start_sentence
from tunewright_operator.domain.serving.weights import desired_targets


def report(
    situation: Situation, decision: Decision, now: dt.datetime, refused: Problem | None = None
) -> AdapterDeploymentStatus:
    """Return the decision's status with its conditions and its convergence.

    ``refused``: why the cluster refused an action.
    """
    status, generation = decision.status, situation.deployment.metadata.generation
    wait = decision.wait if refused is None else Wait(refused.reason, refused.message, stalled=True)
    ready = _assess_ready(situation, status, wait)
    requests = describe_requests(status, situation.annotations)
    wanted = [ready, _assess_progress(status, wait, requests), _assess_candidate(status)]
    if wait is not None and wait.stalled:
        wanted.append(Wanted(Type.STALLED, "True", wait.reason, wait.message))
    elif wait is not None or decision.again or status.candidate is not None:
        reason = wait.reason if wait else Why.ACCEPTED
        wanted.append(Wanted(Type.RECONCILING, "True", reason, wait.message if wait else ""))
    elif ready.status == "False":
        # No rollout, but clients get no answer: the server loads the adapter, or it refuses it until a user acts.
        abnormal = Type.RECONCILING if ready.reason in {Why.LOADING, Why.SERVER_NOT_READY} else Type.STALLED
        wanted.append(Wanted(abnormal, "True", ready.reason, ready.message))
    return status.updated(
        conditions=merge_conditions(status.conditions, wanted, generation=generation, now=now),
        convergence=_count(status, situation.server),
        observed_generation=generation,
    )


def _assess_ready(  # noqa: PLR0911 - one return a rule
    situation: Situation, status: AdapterDeploymentStatus, wait: Wait | None
) -> Wanted:
    server = situation.server.facts if isinstance(situation.server, Seen) else None
    targets = desired_targets(status)
    if not targets:
        reason = wait.reason if wait and wait.stalled else Why.NO_ADAPTER_YET
        message = join_sentences("No adapter answers yet: clients get 503.", wait.message if wait else "")
        return Wanted(Type.READY, "False", reason, message)
    last = find_condition(status.conditions, Type.READY)
    if isinstance(situation.server, Unseen) and last is not None and last.is_true:
        # When the operator starts, it has seen no server yet, and healthy aliases must not become unready.
        return Wanted(Type.READY, "True", last.reason, last.message)
    if server is None or not server.ready_pods:
        message = wait.message if wait else "The ModelServer has no ready replica."
        return Wanted(Type.READY, "False", Why.SERVER_NOT_READY if server else _reason_of(wait), message)
    if server.refusals.alias is not None:
        return Wanted(Type.READY, "False", server.refusals.alias.reason, server.refusals.alias.message)
    refused = [server.refusals.revisions[name] for name in targets if name in server.refusals.revisions]
    if refused and len(refused) == len(targets):
        return Wanted(Type.READY, "False", refused[0].reason, refused[0].message)
    # Where the candidate is not loaded, the incumbent answers its share. Where the incumbent is not, no revision does.
    stable = status.stable.revision if status.stable is not None else ""
    needed = stable if stable in targets else next(iter(targets))
    lacking = [pod.name for pod in server.ready_pods if needed not in pod.loaded]
    if lacking:
        return Wanted(Type.READY, "False", Why.LOADING, f"{needed} is not loaded in {', '.join(lacking)}.")
    shares = ", ".join(f"{name} ({weight} %)" for name, weight in targets.items())
    return Wanted(Type.READY, "True", Why.ADAPTER_SERVING, f"Every ready replica answers with {shares}.")


def _reason_of(wait: Wait | None) -> str:
    return wait.reason if wait else Why.SERVER_NOT_READY


def _assess_progress(status: AdapterDeploymentStatus, wait: Wait | None, requests: str) -> Wanted:
    """Return the condition Progressing; ``requests``: the manual requests that wait or did nothing."""
    if status.candidate is None:
        message = join_sentences(wait.message if wait else "", requests)
        return Wanted(Type.PROGRESSING, "False", wait.reason if wait else Why.NO_CANDIDATE, message)
    if wait is None:
        message = join_sentences(f"{status.candidate.revision} is being rolled out.", requests)
        return Wanted(Type.PROGRESSING, "True", Why.ACCEPTED, message)
    message = join_sentences(wait.message, requests)
    return Wanted(Type.PROGRESSING, "False" if wait.stalled else "True", wait.reason, message)


def _assess_candidate(status: AdapterDeploymentStatus) -> Wanted:
    """Return the condition CandidateHealthy: False after a rollback, until there is a new candidate."""
    candidate = status.candidate
    if candidate is not None:
        if candidate.ending is not None and candidate.ending.outcome is not Outcome.SUPERSEDED:
            message = f"{candidate.revision}: {candidate.ending.message}"
            return Wanted(Type.CANDIDATE_HEALTHY, "False", candidate.ending.reason, message)
        reasons = start_sentence("; ".join(candidate.reasons))
        return Wanted(Type.CANDIDATE_HEALTHY, "True", Why.CANDIDATE_HEALTHY, reasons)
    last = status.history[0] if status.history else None
    if last is not None and last.outcome in {Outcome.ROLLED_BACK, Outcome.ABORTED}:
        return Wanted(Type.CANDIDATE_HEALTHY, "False", last.reason, f"{last.revision}: {last.message}")
    return Wanted(Type.CANDIDATE_HEALTHY, "True", Why.CANDIDATE_HEALTHY, "")


def _count(status: AdapterDeploymentStatus, server: Missing | Unseen | Seen) -> Convergence | None:
    match server:
        case Missing():
            return Convergence()
        case Unseen():
            return status.convergence
        case Seen(facts):
            ready = facts.ready_pods
            in_plan = facts.routes_by(desired_targets(status))
            converged = sum(in_plan and pod.generation >= facts.generation for pod in ready)
            return Convergence(desired=len(ready), converged=converged)
