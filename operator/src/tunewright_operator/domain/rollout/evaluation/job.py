"""The evaluation of the candidate's current step: which Job must exist, its state, and what keeps it from running.

The Job runs in the deployment's namespace and uses the deployment's storage. It authenticates to the server's pods with
a token that is renewed while the Job runs.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json
from collections.abc import Iterable

from tunewright_contracts.evaluation_report import EvaluationReport
from tunewright_contracts.progress import Progress
from tunewright_contracts.storage_uri import StorageURI
from tunewright_contracts.times import format_time
from tunewright_operator.api.adapter_deployment import AdapterDeployment, AdapterDeploymentSpec, CandidateRevision
from tunewright_operator.domain.job_run import RunState, Wait
from tunewright_operator.domain.output_schemas import explain_bad_metric
from tunewright_operator.domain.problem import Problem
from tunewright_operator.domain.rollout.actions import (
    EnsureEvaluation,
    JobReference,
    RemoveEvaluations,
    RenewToken,
    RolloutAction,
    WantedEvaluation,
)
from tunewright_operator.domain.rollout.evaluation.stored_answers import find_engine
from tunewright_operator.domain.rollout.observation import EvaluationRun, Seen, Situation
from tunewright_operator.domain.sentences import join_sentences
from tunewright_operator.domain.times import seconds_since

TOKEN_RENEWAL_SECONDS = 300.0
"""A third of a token's lifetime: the kubelet needs up to two minutes to update the token in the pod."""


@dataclasses.dataclass(frozen=True)
class EvaluationView:
    """The state of the current step's evaluation: a report, a failure of the Job, or neither while it runs.

    ``finished_at`` (RFC 3339) is set together with a report or a failure. ``waiting`` is the reason why its pod does
    not run yet, ``progress`` what its pod reports while it runs.
    """

    report: EvaluationReport | None = None
    failure: str = ""
    finished_at: str = ""
    waiting: Wait | None = None
    progress: Progress | None = None


def evaluation_key(spec: AdapterDeploymentSpec, candidate: CandidateRevision) -> str:
    """Return a text that identifies the evaluation of the candidate's current step.

    A candidate that is accepted again, a step that begins again, and an edit of what is measured make another one.
    """
    measured = json.dumps([spec.evaluation.to_wire(), spec.analysis.confidence], sort_keys=True)
    parts = (candidate.digest, candidate.accepted_at, str(candidate.step), candidate.step_started_at or "", measured)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:10]


def evaluation_name(deployment: AdapterDeployment, candidate: CandidateRevision) -> str:
    """Return the name of the Job that runs the evaluation of the candidate's current step."""
    return f"{deployment.metadata.name}-evaluate-{evaluation_key(deployment.spec, candidate)}"


def find_report_uri(deployment: AdapterDeployment, candidate: CandidateRevision) -> str:
    """Return an address next to the adapter's folder, not in it: a published adapter never changes."""
    adapter = StorageURI.parse(candidate.uri)
    parent = StorageURI(adapter.bucket, adapter.key.rpartition("/")[0])
    moment = (candidate.step_started_at or candidate.accepted_at).replace(":", "")
    key = evaluation_key(deployment.spec, candidate)
    who = f"{deployment.metadata.namespace}-{deployment.metadata.name}"
    return str(parent.join("evaluations", who, f"{candidate.revision}-{moment}-{key}.json"))


def find_dataset(spec: AdapterDeploymentSpec, candidate: CandidateRevision) -> str:
    """Return the address of the held-out set: the one in the spec, or the held-out split of the adapter's job."""
    dataset = spec.evaluation.dataset
    return dataset.s3.uri if dataset is not None else candidate.evaluation_dataset_uri


def find_dataset_digest(spec: AdapterDeploymentSpec, candidate: CandidateRevision) -> str | None:
    """Return the digest of the held-out split of the adapter's job; None if the spec names another set."""
    return None if spec.evaluation.dataset is not None else candidate.evaluation_dataset_digest


def find_evaluation(situation: Situation) -> WantedEvaluation | None:
    """Return the evaluation that the current step waits for; None if it waits for none or has no held-out set."""
    candidate, server, deployment = situation.candidate, situation.server, situation.deployment
    if candidate is None or not isinstance(server, Seen) or not _is_wanted(situation):
        return None
    dataset = find_dataset(deployment.spec, candidate)
    if not dataset:
        return None
    name = evaluation_name(deployment, candidate)
    engine = find_engine(candidate, server.facts)
    digest = find_dataset_digest(deployment.spec, candidate)
    return WantedEvaluation(name, candidate, dataset, server.uid, server.url, engine, dataset_digest=digest)


def find_evaluation_problem(situation: Situation) -> Problem | None:
    """Return what keeps the wanted evaluation from running."""
    return situation.storage_problem if find_evaluation(situation) is not None else None


def may_change_evaluations(situation: Situation) -> bool:
    """Return whether it is known which evaluations must exist; if not, all of them stay as they are.

    It is unknown if the server of an active candidate was not seen, if the wanted evaluation has no held-out set, or if
    it may not use its storage.
    """
    if _is_wanted(situation):
        return find_evaluation(situation) is not None and find_evaluation_problem(situation) is None
    candidate = situation.candidate
    return isinstance(situation.server, Seen) or candidate is None or candidate.ending is not None


def view_evaluation(situation: Situation, now: dt.datetime) -> EvaluationView:
    """Return the state of the wanted evaluation."""
    found = _find_wanted_run(situation)
    if found is None or not may_change_evaluations(situation):
        return EvaluationView()
    run, ended = found.run, format_time(found.run.ended_at or now)
    if found.report is not None:
        return EvaluationView(report=found.report, finished_at=ended)
    if not run.finished:
        return EvaluationView(waiting=run.explain_waiting(now), progress=found.progress)
    lost = join_sentences("The evaluation's pod is gone without a report.", run.failure)
    return EvaluationView(failure=run.pod.describe_exit() if run.pod else lost, finished_at=ended)


def plan_evaluations(situation: Situation, now: dt.datetime) -> tuple[RolloutAction, ...]:
    """Return the actions after which only the wanted evaluation exists, with a valid token while it runs."""
    if not may_change_evaluations(situation):
        return ()
    wanted = find_evaluation(situation)
    if wanted is None:
        return _remove(situation.evaluations)
    others = _remove(item for item in situation.evaluations if item.run.name != wanted.name)
    return (*others, *_equip(wanted, _find_wanted_run(situation), now))


def _equip(wanted: WantedEvaluation, found: EvaluationRun | None, now: dt.datetime) -> tuple[RolloutAction, ...]:
    """Return the actions that the wanted evaluation needs: create what is missing of it, or renew its token."""
    if found is None:
        return (EnsureEvaluation(wanted),)
    if found.report is not None or found.run.finished or found.run.state is RunState.DELETING:
        return ()
    if found.token_issued_at is None or found.lacks_key:
        return (EnsureEvaluation(wanted),)
    if not found.token_issued_at or seconds_since(found.token_issued_at, now) >= TOKEN_RENEWAL_SECONDS:
        return (RenewToken(wanted, _refer(found)),)
    return ()


def _is_wanted(situation: Situation) -> bool:
    """Return whether the current step evaluates, its metrics are valid, and the server admits the candidate.

    A candidate that the server refuses gets no token, because a token also gives access to the base model.
    """
    candidate, server, steps = situation.candidate, situation.server, situation.spec.rollout.steps
    if candidate is None or candidate.ending is not None or not isinstance(server, Seen):
        return False
    if candidate.step >= len(steps) or steps[candidate.step].evaluate is None or candidate.step_started_at is None:
        return False
    if explain_bad_metric(situation.spec.evaluation.metrics) is not None:
        return False
    refusals = server.facts.refusals
    return refusals.alias is None and candidate.revision not in refusals.revisions


def _find_wanted_run(situation: Situation) -> EvaluationRun | None:
    wanted = find_evaluation(situation)
    if wanted is None:
        return None
    return next((item for item in situation.evaluations if item.run.name == wanted.name), None)


def _remove(evaluations: Iterable[EvaluationRun]) -> tuple[RolloutAction, ...]:
    jobs = tuple(_refer(item) for item in evaluations if item.run.state is not RunState.DELETING)
    return (RemoveEvaluations(jobs),) if jobs else ()


def _refer(evaluation: EvaluationRun) -> JobReference:
    return JobReference(evaluation.run.name, evaluation.run.uid)
