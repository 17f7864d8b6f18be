"""The progress of an evaluation in status and Events: checked, at most every 15 s, an Event at each quarter."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from support.clusters.fake_cluster import Clock
from support.rollout_objects import build_revision, time_at
from support.worlds.rollout_world import revision_of
from tunewright_contracts.evaluation_report import ArmAnswers, EvaluationReport, Verdict
from tunewright_contracts.progress import Phase, Progress
from tunewright_operator.api.adapter_deployment import CandidateRevision, EvaluationProgress
from tunewright_operator.domain.rollout.evaluation.progress import (
    MAX_ANSWERS,
    MAX_MESSAGE,
    PROGRESS_SECONDS,
    describe_end,
    describe_progress,
    end_progress,
    follow_progress,
    forget_progress,
    is_progress_due,
)

START = Clock()()
NAME = revision_of("new")


def make_candidate(**evaluation: Any) -> CandidateRevision:
    wire = {"acceptedAt": time_at(0), "evaluation": {"engine": "e", **evaluation}}
    return CandidateRevision.model_validate(build_revision("new", **wire))


def progress(evaluated: int | None, total: int | None = 400) -> Progress:
    return Progress(phase=Phase.EVALUATING, evaluated=evaluated, to_evaluate=total, updated_at=time_at(0))


def follow(candidate: CandidateRevision, found: Progress | None, second: int) -> tuple[CandidateRevision, list[str]]:
    after, notices = follow_progress(candidate, found, START + dt.timedelta(seconds=second))
    return after, [notice.message for notice in notices]


def test_the_status_shows_how_many_answers_have_arrived() -> None:
    after, _ = follow(make_candidate(), progress(112), 20)
    assert after.evaluation == EvaluationProgress(
        progress="112 of 400", answered=112, total=400, updated_at=time_at(20), engine="e"
    )
    assert describe_progress(after) == "112 of 400 answers have arrived."
    assert describe_progress(make_candidate()) == ""


def test_it_is_written_at_most_every_15_seconds() -> None:
    candidate, writes = make_candidate(), []
    for second in range(100):
        after, _ = follow(candidate, progress(second), second)
        if after != candidate:
            writes.append(second)
        candidate = after
    assert PROGRESS_SECONDS == 15
    assert writes == [0, 15, 30, 45, 60, 75, 90]


def test_the_same_numbers_are_not_written_again() -> None:
    candidate = make_candidate(answered=5, total=400, progress="5 of 400", updatedAt=time_at(0))
    assert follow(candidate, progress(5), 60) == (candidate, [])
    assert is_progress_due(candidate, START + dt.timedelta(seconds=60))
    assert is_progress_due(candidate, START - dt.timedelta(seconds=60)), "the clock was set back"


def test_events_come_at_quarters_only() -> None:
    candidate, events = make_candidate(), []
    for step in range(41):
        candidate, messages = follow(candidate, progress(10 * step), 20 * step)
        events += messages
    assert events == [f"{NAME}: {count} of 400 answers of the evaluation have arrived." for count in (100, 200, 300)], (
        "the start and the end have Events of their own"
    )


def test_quarters_that_passed_together_have_one_event() -> None:
    assert follow(make_candidate(), progress(399), 0)[1] == [
        f"{NAME}: 399 of 400 answers of the evaluation have arrived."
    ]


@pytest.mark.parametrize(
    "found",
    [
        None,
        progress(None),
        progress(5, None),
        progress(401),
        progress(1, 30_001),
        progress(10**12, 10**12),
    ],
)
def test_what_a_pod_cannot_report_is_ignored(found: Progress | None) -> None:
    assert follow(make_candidate(), found, 20) == (make_candidate(), [])


def test_a_candidate_of_an_earlier_release_has_no_progress() -> None:
    old = make_candidate().updated(evaluation=None)
    assert not is_progress_due(old, START)
    assert follow(old, progress(5), 20) == (old, [])
    assert forget_progress(old) == end_progress(old, report()) == old


def report(*arms: ArmAnswers) -> EvaluationReport:
    return EvaluationReport(verdict=Verdict.PASS, reason="x", message="", candidate=NAME, arms=arms)


def test_an_edit_forgets_the_numbers_and_keeps_the_engine() -> None:
    candidate = make_candidate(answered=5, total=400, progress="5 of 400", updatedAt=time_at(0))
    assert forget_progress(candidate) == make_candidate()


def test_at_the_end_all_answers_have_arrived() -> None:
    arms = ArmAnswers(target="a", asked=400), ArmAnswers(target="b", asked=3, reused=397)
    ended = end_progress(make_candidate(), report(*arms))
    assert ended.evaluation is not None
    assert (ended.evaluation.progress, ended.evaluation.answered) == ("403 of 403", 403)
    assert end_progress(make_candidate(), report()) == make_candidate()
    assert end_progress(make_candidate(), report(ArmAnswers(target="a", asked=10**12))) == make_candidate()
    most = end_progress(make_candidate(), report(ArmAnswers(target="a", asked=MAX_ANSWERS)))
    assert most.evaluation is not None
    assert most.evaluation.answered == MAX_ANSWERS


def test_the_end_shows_what_was_asked_for_and_what_was_reused() -> None:
    arms = ArmAnswers(target=NAME, asked=400), ArmAnswers(target="base-model", asked=400, note="no answers are stored")
    assert describe_end(NAME, report(*arms)) == (
        f"The evaluation of {NAME} has the verdict Pass. {NAME}: 400 answers asked for, 0 reused; "
        "base-model: 400 answers asked for, 0 reused (no answers are stored)."
    )
    assert len(describe_end(NAME, report(ArmAnswers(target="a", note="x" * 9000)))) == MAX_MESSAGE
