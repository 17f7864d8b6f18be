"""What the status records of stored answers, and when they may be reused."""

from __future__ import annotations

from typing import Any

import pytest

from support.rollout_objects import build_revision
from support.worlds.rollout_world import revision_of
from tunewright_contracts.evaluation_report import ArmAnswers, EvaluationReport, Verdict
from tunewright_contracts.stored_answers import AnswerRecord
from tunewright_operator.api.adapter_deployment import AdapterDeploymentStatus, CandidateRevision
from tunewright_operator.domain.rollout.evaluation.stored_answers import (
    MAX_RECORDS,
    begin_evaluation,
    find_engine,
    follow_engine,
    is_mixed,
    list_known,
    record_answers,
)
from tunewright_operator.domain.serving.pods import EngineFacts
from tunewright_operator.domain.serving.replica import ServerFacts

ENGINE, OTHER = "sha256:" + "e" * 64, "sha256:" + "f" * 64
BEGAN = "2026-01-01T00:01:00Z"
REPORT_URI = "s3://models/team/evaluations/team-support/report.json"
NEW, OLD = revision_of("new"), revision_of("old")


def make_candidate(engine: str | None = ENGINE, **changes: Any) -> CandidateRevision:
    evaluation = {"engine": engine} if engine else {}
    wire = {"acceptedAt": "2026-01-01T00:00:00Z", "stepStartedAt": BEGAN, "evaluation": evaluation, **changes}
    return CandidateRevision.model_validate(build_revision("new", **wire))


def make_server(engine: EngineFacts | None) -> ServerFacts:
    return ServerFacts(generation=1, targets=None, pods=(), engine=engine)


def make_status(*history: str, stable: str = "old", **fields: Any) -> AdapterDeploymentStatus:
    entries = [
        {**build_revision(word), "outcome": "Promoted", "reason": "Promoted", "from": BEGAN, "to": BEGAN}
        for word in history
    ]
    since = {**build_revision(stable), "since": BEGAN}
    return AdapterDeploymentStatus.model_validate({"stable": since, "history": entries, **fields})


def stored(target: str, digit: str = "1") -> AnswerRecord:
    return AnswerRecord(target=target, key="sha256:" + "a" * 64, digest="sha256:" + digit * 64, answers=400)


def report(*arms: ArmAnswers, engine: str | None = ENGINE, verdict: Verdict = Verdict.PASS) -> EvaluationReport:
    return EvaluationReport(verdict=verdict, reason="x", message="", candidate=NEW, engine=engine, arms=arms)


def asked(target: str, digit: str = "1", **fields: Any) -> ArmAnswers:
    return ArmAnswers(target=target, asked=400, stored=stored(target, digit), **fields)


def reused(target: str) -> ArmAnswers:
    return ArmAnswers(target=target, reused=400)


ALL = report(asked(NEW), asked("base-model"), asked(OLD))


def targets(status: AdapterDeploymentStatus) -> list[str]:
    return [item.target for item in status.stored_answers]


@pytest.mark.parametrize(
    ("engine", "recorded"),
    [(EngineFacts(ENGINE, everywhere=True), ENGINE), (EngineFacts(ENGINE, everywhere=False), None), (None, None)],
)
def test_an_evaluation_begins_with_the_engine_that_all_pods_run(
    engine: EngineFacts | None, recorded: str | None
) -> None:
    assert begin_evaluation(make_server(engine)).engine == recorded


@pytest.mark.parametrize(
    ("engine", "kept"),
    [
        pytest.param(EngineFacts(ENGINE, everywhere=True), ENGINE, id="the same"),
        pytest.param(EngineFacts(ENGINE, everywhere=False), ENGINE, id="pods are added"),
        pytest.param(None, ENGINE, id="unknown for a moment"),
        pytest.param(EngineFacts(OTHER, everywhere=False), None, id="pods are being replaced"),
        pytest.param(EngineFacts(OTHER, everywhere=True), None, id="pods were replaced"),
    ],
)
def test_an_evaluation_loses_its_engine_when_another_one_is_applied(
    engine: EngineFacts | None, kept: str | None
) -> None:
    server = make_server(engine)
    assert find_engine(make_candidate(), server) == kept
    followed = follow_engine(make_candidate(), server)
    assert followed.evaluation is not None
    assert followed.evaluation.engine == kept
    # Once lost, it does not come back, since some answers are of the other one.
    again = follow_engine(followed, make_server(EngineFacts(ENGINE, everywhere=True)))
    assert again == followed


def test_after_the_verdict_the_engine_does_not_matter() -> None:
    judged = make_candidate(verdict="Inconclusive")
    assert follow_engine(judged, make_server(EngineFacts(OTHER, everywhere=True))) == judged


def test_a_candidate_of_an_earlier_release_has_no_engine() -> None:
    old = make_candidate().updated(evaluation=None)
    server = make_server(EngineFacts(ENGINE, everywhere=True))
    assert find_engine(old, server) is None
    assert follow_engine(old, server) == old
    assert record_answers(make_status(), old, ALL, REPORT_URI) == make_status()


@pytest.mark.parametrize(
    ("candidate", "found", "mixed"),
    [
        (make_candidate(), report(reused("base-model")), False),
        (make_candidate(), report(asked("base-model"), engine=None), False),
        (make_candidate(None), report(asked("base-model")), False),
        (make_candidate(None), report(reused("base-model")), True),
        (make_candidate(), report(reused("base-model"), engine=OTHER), True),
        (make_candidate(None), report(reused("base-model"), verdict=Verdict.ERROR), False),
    ],
)
def test_reused_answers_are_not_compared_with_those_of_another_engine(
    candidate: CandidateRevision, found: EvaluationReport, mixed: bool
) -> None:
    assert is_mixed(candidate, found) == mixed


def test_the_files_of_an_evaluation_are_recorded() -> None:
    status = record_answers(make_status(), make_candidate(), ALL, REPORT_URI)
    assert targets(status) == ["base-model", OLD, NEW]
    first = status.stored_answers[0]
    assert first.uri == f"s3://models/team/evaluations/team-support/answers/base-model-{'1' * 32}.json"
    assert (first.key, first.digest, first.answers) == ("sha256:" + "a" * 64, "sha256:" + "1" * 64, 400)
    assert (first.asked_at, first.reused_at) == (BEGAN, None)
    assert [item.digest for item in list_known(status)] == ["sha256:" + "1" * 64] * 3
    assert record_answers(status, make_candidate(), ALL, REPORT_URI) == status


def test_reuse_is_recorded_and_a_new_file_replaces_the_last_one() -> None:
    first = record_answers(make_status(), make_candidate(), ALL, REPORT_URI)
    later = make_candidate(stepStartedAt="2026-01-02T00:00:00Z")
    found = report(asked(NEW, "2"), reused("base-model"), asked(OLD, "3", reused=200))
    second = record_answers(first, later, found, REPORT_URI)
    rows = [(item.target, item.digest[-1], item.asked_at[:10], item.reused_at) for item in second.stored_answers]
    assert rows == [
        ("base-model", "1", "2026-01-01", "2026-01-02T00:00:00Z"),
        (OLD, "3", "2026-01-02", "2026-01-02T00:00:00Z"),
        (NEW, "2", "2026-01-02", None),
    ]


@pytest.mark.parametrize(
    ("candidate", "found"),
    [
        (make_candidate(None), ALL),
        (make_candidate(), ALL.updated(engine=None)),
        (make_candidate(), ALL.updated(engine=OTHER)),
    ],
)
def test_answers_of_an_unknown_engine_are_not_recorded(candidate: CandidateRevision, found: EvaluationReport) -> None:
    assert record_answers(make_status(), candidate, found, REPORT_URI) == make_status()


def test_a_try_without_a_verdict_records_its_complete_arms() -> None:
    found = report(asked("base-model"), verdict=Verdict.ERROR)
    assert targets(record_answers(make_status(), make_candidate(), found, REPORT_URI)) == ["base-model"]


@pytest.mark.parametrize(
    "arm",
    [asked("support--unknown"), ArmAnswers(target="base-model", asked=400, stored=stored(OLD))],
)
def test_a_report_cannot_record_answers_of_others(arm: ArmAnswers) -> None:
    assert targets(record_answers(make_status(), make_candidate(), report(arm), REPORT_URI)) == []


def test_records_of_revisions_that_can_be_stable_again_are_kept() -> None:
    status = record_answers(make_status("old", "older", stable="old"), make_candidate(), ALL, REPORT_URI)
    back = make_candidate().updated(revision=revision_of("third"))
    status = status.updated(stable=make_status(stable="new").stable, history=make_status("new", "old").history)
    status = record_answers(status, back, report(asked(revision_of("third"))), REPORT_URI)
    assert targets(status) == ["base-model", NEW, revision_of("third"), OLD]
    gone = status.updated(history=())
    assert targets(record_answers(gone, back, report(), REPORT_URI)) == ["base-model", NEW, revision_of("third")]


def test_no_more_records_are_kept_than_the_crd_allows() -> None:
    words = [f"word{number}" for number in range(MAX_RECORDS + 4)]
    status = make_status(*words)
    arms = [asked(revision_of(word)) for word in words]
    status = record_answers(status, make_candidate(), report(asked("base-model"), *arms), REPORT_URI)
    assert targets(status)[:2] == ["base-model", revision_of("word0")]
    assert len(targets(status)) == MAX_RECORDS
