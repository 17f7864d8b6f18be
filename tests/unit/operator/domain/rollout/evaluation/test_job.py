"""The actions on evaluation Jobs, and how an evaluation is shown."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from typing import Any

import pytest

from support.clusters.fake_cluster import Clock
from support.worlds.rollout_world import BASE_DIGEST, DEFAULT_STEPS, digest_of, make_situation
from tunewright_contracts.evaluation_report import EvaluationReport, Verdict
from tunewright_contracts.times import format_time
from tunewright_operator.domain.job_run import JobRun, PodRun, RunState, Wait
from tunewright_operator.domain.reasons.adapter_deployment import AdapterDeploymentReason as Why
from tunewright_operator.domain.reasons.common import CommonReason
from tunewright_operator.domain.rollout.actions import (
    EnsureEvaluation,
    JobReference,
    RemoveEvaluations,
    RenewToken,
    RolloutAction,
    WantedEvaluation,
)
from tunewright_operator.domain.rollout.decision import decide
from tunewright_operator.domain.rollout.evaluation.job import EvaluationView, evaluation_name, view_evaluation
from tunewright_operator.domain.rollout.observation import EvaluationRun, Missing, Situation, Unseen
from tunewright_operator.domain.secrets import StorageFacts, UseFacts
from tunewright_operator.domain.serving.claim import Refusal, Refusals

NOW = Clock()()
STARTED = {
    "revision": "support--two",
    "digest": digest_of("two"),
    "uri": "s3://models/team/two",
    "rank": 8,
    "baseModelDigest": BASE_DIGEST,
    "evaluationDatasetURI": "s3://models/team/evaluation.jsonl",
    "acceptedAt": "2026-01-01T00:00:00Z",
    "stepStartedAt": "2026-01-01T00:00:00Z",
    "seenSteps": [json.dumps(step, sort_keys=True, separators=(",", ":")) for step in DEFAULT_STEPS],
}
ENDING = {"outcome": "Aborted", "reason": "AbortRequested"}
ADMITTED = make_situation().server
REPORT = EvaluationReport(verdict=Verdict.PASS, reason="Pass", message="", candidate="support--two")


def observe(candidate: dict[str, Any] | None = None, spec: dict[str, Any] | None = None, **facts: Any) -> Situation:
    """Return a situation with a candidate that waits for its evaluation, with some fields changed.
    `candidate={}` means no candidate.
    """
    status = {} if candidate == {} else {"candidate": STARTED | (candidate or {})}
    return make_situation({"adapter": {"fineTuneJobRef": {"name": "job"}}} | (spec or {}), status, **facts)


DEPLOYMENT, CANDIDATE = observe().deployment, observe().candidate
assert CANDIDATE is not None
NAME = evaluation_name(DEPLOYMENT, CANDIDATE)
WANTED = WantedEvaluation(
    NAME, CANDIDATE, "s3://models/team/evaluation.jsonl", "server-uid", "http://pool.serving.svc:8000"
)


def job(name: str = NAME, state: RunState = RunState.ACTIVE, **facts: Any) -> EvaluationRun:
    ended = NOW if state in {RunState.SUCCEEDED, RunState.FAILED} else None
    return EvaluationRun(JobRun(name, f"{name}-uid", state, ended_at=ended), **facts)


def issued(seconds: float) -> str:
    return format_time(NOW - dt.timedelta(seconds=seconds))


def refusing(**refusals: Any) -> Any:
    facts = dataclasses.replace(ADMITTED.facts, refusals=Refusals(**refusals))
    return dataclasses.replace(ADMITTED, facts=facts)


ENSURE = EnsureEvaluation(WANTED)
RENEW = RenewToken(WANTED, JobReference(NAME, f"{NAME}-uid"))
REMOVE = RemoveEvaluations((JobReference(NAME, f"{NAME}-uid"),))
REMOVE_OTHER = RemoveEvaluations((JobReference("other", "other-uid"),))
RUNNING = (job(token_issued_at=issued(0)),)
BOTH = (job(token_issued_at=issued(0)), job("other"))
REFUSED = Refusal(Why.RANK_TOO_HIGH, "rank 64")


@pytest.mark.parametrize(
    ("situation", "actions"),
    [
        # Which evaluations are created and removed.
        pytest.param(observe(), [ENSURE], id="the step needs an evaluation"),
        pytest.param(observe(evaluations=RUNNING), [], id="it runs"),
        pytest.param(observe(evaluations=BOTH), [REMOVE_OTHER], id="it runs, and an obsolete one too"),
        pytest.param(observe(evaluations=(job("other"),)), [REMOVE_OTHER, ENSURE], id="only an obsolete one"),
        pytest.param(
            observe(evaluations=(job("other", RunState.DELETING),)),
            [ENSURE],
            id="an obsolete one that is being deleted",
        ),
        pytest.param(observe({}), [], id="no candidate"),
        pytest.param(observe({}, evaluations=RUNNING), [REMOVE], id="an evaluation without a candidate"),
        pytest.param(observe({"step": 1}, evaluations=RUNNING), [REMOVE], id="an evaluation of an earlier step"),
        pytest.param(observe({"step": 6}, evaluations=RUNNING), [REMOVE], id="an evaluation in the bake"),
        pytest.param(
            observe({"stepStartedAt": None}, evaluations=RUNNING), [REMOVE], id="an evaluation of an earlier try"
        ),
        pytest.param(
            observe({"ending": ENDING}, evaluations=RUNNING), [REMOVE], id="an evaluation of a withdrawn candidate"
        ),
        # Without a right to the server there is no token, which would give access to the base model, too.
        pytest.param(observe(server=refusing(alias=REFUSED), evaluations=RUNNING), [REMOVE], id="the alias is refused"),
        pytest.param(
            observe(server=refusing(revisions={"support--two": REFUSED}), evaluations=RUNNING),
            [REMOVE],
            id="the candidate is refused",
        ),
        pytest.param(
            observe(server=refusing(revisions={"support--one": REFUSED}), evaluations=RUNNING),
            [],
            id="another revision is refused",
        ),
        # As long as a fact is unknown, nothing changes.
        pytest.param(observe(server=Unseen(), evaluations=BOTH), [], id="the server was not observed"),
        pytest.param(observe(server=Missing(), evaluations=BOTH), [], id="there is no server"),
        pytest.param(
            observe({}, server=Unseen(), evaluations=RUNNING), [REMOVE], id="server not observed, no candidate"
        ),
        pytest.param(
            observe({"ending": ENDING}, server=Unseen(), evaluations=RUNNING),
            [REMOVE],
            id="server not observed, candidate withdrawn",
        ),
        pytest.param(observe({"evaluationDatasetURI": ""}, evaluations=BOTH), [], id="no held-out set"),
        pytest.param(observe(storage=StorageFacts(), evaluations=BOTH), [], id="no Secret"),
        pytest.param(observe(storage=StorageFacts(secret=UseFacts(exists=True))), [], id="the Secret is not allowed"),
        # Requests and tokens.
        pytest.param(observe(evaluations=(job(),)), [ENSURE], id="its token was never written"),
        pytest.param(observe(evaluations=(job(token_issued_at=issued(299)),)), [], id="its token is valid"),
        pytest.param(
            observe(evaluations=(job(token_issued_at=issued(0), lacks_key=True),)),
            [ENSURE],
            id="its pod waits for the document key",
        ),
        pytest.param(observe(evaluations=(job(token_issued_at=issued(300)),)), [RENEW], id="its token will expire"),
        pytest.param(observe(evaluations=(job(token_issued_at=""),)), [RENEW], id="the time of its token is not known"),
        pytest.param(observe(evaluations=(job(state=RunState.DELETING),)), [], id="it is being deleted"),
        pytest.param(observe(evaluations=(job(state=RunState.FAILED),)), [], id="it failed"),
        pytest.param(observe(evaluations=(job(report=REPORT),)), [], id="it has reported"),
    ],
)
def test_actions_on_evaluations(situation: Situation, actions: list[RolloutAction]):
    assert decide(situation, NOW).actions == tuple(actions)


def test_the_held_out_set_of_the_spec_takes_precedence():
    situation = observe(spec={"evaluation": {"dataset": {"s3": {"uri": "s3://models/own.jsonl"}}}})
    (action,) = decide(situation, NOW).actions
    name = evaluation_name(situation.deployment, CANDIDATE)
    assert action == EnsureEvaluation(dataclasses.replace(WANTED, name=name, dataset_uri="s3://models/own.jsonl"))


def test_the_digest_of_the_jobs_held_out_set_does_not_apply_to_another_set():
    known = {"evaluationDatasetDigest": "sha256:" + "d" * 64}
    own = {"evaluation": {"dataset": {"s3": {"uri": "s3://models/own.jsonl"}}}}
    for spec, digest in ({}, known["evaluationDatasetDigest"]), (own, None):
        (action,) = decide(observe(known, spec=spec), NOW).actions
        assert isinstance(action, EnsureEvaluation)
        assert action.evaluation.dataset_digest == digest


@pytest.mark.parametrize(
    "change",
    [{"digest": digest_of("three")}, {"acceptedAt": "2026-01-02T00:00:00Z"}, {"step": 1}, {"stepStartedAt": "x"}],
)
def test_each_acceptance_step_and_try_has_another_job(change):
    assert evaluation_name(DEPLOYMENT, observe(change).candidate) != NAME


@pytest.mark.parametrize(
    "spec",
    [
        {"evaluation": {"metrics": [{"type": "ExactMatch", "minimum": "0.9"}]}},
        {"evaluation": {"maxSamples": 10}},
        {"evaluation": {"dataset": {"s3": {"uri": "s3://models/own.jsonl"}}}},
        {"analysis": {"confidence": "0.9"}},
    ],
)
def test_an_edit_of_what_is_measured_replaces_the_evaluation(spec):
    situation = observe(spec=spec, evaluations=(job(report=REPORT),))
    remove, ensure = decide(situation, NOW).actions
    assert remove == REMOVE
    assert isinstance(ensure, EnsureEvaluation)
    assert ensure.evaluation.name == evaluation_name(situation.deployment, CANDIDATE) != NAME


def test_an_edit_with_an_invalid_schema_starts_no_evaluation():
    bad = {"metrics": [{"type": "JSONSchema", "schema": {"required": "queue"}, "minimum": "0.9"}]}
    decision = decide(observe(spec={"evaluation": bad}, evaluations=(job(),)), NOW)
    assert decision.actions == (REMOVE,)


@pytest.mark.parametrize(
    ("secret", "reason"),
    [(UseFacts(exists=False), "SecretNotFound"), (UseFacts(exists=True), "SecretNotAllowed")],
)
def test_a_secret_that_is_not_allowed_stalls_an_evaluation_that_has_reported(secret, reason):
    decision = decide(observe(storage=StorageFacts(secret=secret), evaluations=(job(report=REPORT),)), NOW)
    assert (decision.wait.reason, decision.wait.stalled) == (reason, True)
    assert "spec.storage.secretRef" in decision.wait.message
    assert decision.status.candidate == CANDIDATE


ENDED = format_time(NOW)


@pytest.mark.parametrize(
    ("evaluation", "view"),
    [
        pytest.param(None, EvaluationView(), id="not created"),
        pytest.param(job("other", report=REPORT), EvaluationView(), id="another one"),
        pytest.param(job(), EvaluationView(), id="running"),
        pytest.param(job(report=REPORT), EvaluationView(report=REPORT, finished_at=ENDED), id="reported"),
        pytest.param(
            EvaluationRun(JobRun(NAME, "uid", RunState.ACTIVE, pod=PodRun("pod", "uid", waiting="no node"))),
            EvaluationView(waiting=Wait(CommonReason.POD_PENDING, "no node")),
            id="its pod waits",
        ),
        pytest.param(
            job(state=RunState.QUEUED),
            EvaluationView(
                waiting=Wait(
                    CommonReason.QUEUED,
                    f"Job {NAME} is suspended by another controller, which decides when it starts.",
                )
            ),
            id="another controller has suspended it",
        ),
        pytest.param(
            EvaluationRun(JobRun(NAME, "uid", RunState.FAILED, ended_at=NOW, failure="deadline exceeded")),
            EvaluationView(
                failure="The evaluation's pod is gone without a report. Deadline exceeded.", finished_at=ENDED
            ),
            id="its pod is gone",
        ),
        pytest.param(
            EvaluationRun(
                JobRun(
                    NAME,
                    "uid",
                    RunState.FAILED,
                    ended_at=NOW,
                    pod=PodRun("pod", "uid", exit_code=1, last_log_lines="no"),
                )
            ),
            EvaluationView(
                failure="The container of pod pod ended with exit code 1. Its last log lines: no.", finished_at=ENDED
            ),
            id="its pod died",
        ),
    ],
)
def test_what_an_evaluation_shows(evaluation, view):
    situation = observe(evaluations=() if evaluation is None else (evaluation,))
    assert view_evaluation(situation, NOW) == view
