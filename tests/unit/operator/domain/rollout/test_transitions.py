"""The moves of a candidate: the next status and the Event of each."""

from __future__ import annotations

import datetime as dt

import pytest

from support.crds.schema import read_crds, root_schema
from support.rollout_objects import build_revision
from support.worlds.rollout_world import make_situation, revision_of
from tunewright_operator.api.adapter_deployment import CandidateRevision, Outcome
from tunewright_operator.domain.reasons.adapter_deployment import AdapterDeploymentReason as Why
from tunewright_operator.domain.rollout import transitions
from tunewright_operator.domain.rollout.observation import Notice, Situation

NOW = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
ACCEPTED = "2026-01-01T00:00:00Z"


def see(*, history: int = 0, limit: int = 10) -> Situation:
    entry = {**build_revision("old"), "outcome": "Promoted", "reason": "Promoted", "from": ACCEPTED, "to": ACCEPTED}
    status = {
        "stable": build_revision("one", since=ACCEPTED),
        "candidate": build_revision("two", acceptedAt=ACCEPTED, weight=20, step=2, stepStartedAt=ACCEPTED),
        "history": [entry] * history,
    }
    return make_situation({"historyLimit": limit}, status)


def candidate_of(situation: Situation) -> CandidateRevision:
    assert situation.candidate is not None
    return situation.candidate


def test_waiting_keeps_the_status() -> None:
    status = see().status
    decision = transitions.hold(status, Why.PAUSING, "Wait.", stalled=True, after=30.0)
    assert (decision.status, decision.again, decision.notices) == (status, False, ())
    assert decision.wait is not None
    assert (decision.wait.reason, decision.wait.message, decision.wait.stalled) == ("Pausing", "Wait.", True)
    assert decision.reconcile_after_seconds == 30.0
    waiting = transitions.hold(status, Why.PAUSING, "Wait.")
    assert waiting.wait is not None
    assert (waiting.wait.stalled, waiting.reconcile_after_seconds) == (False, None)


def test_a_changed_candidate_is_recorded_before_the_next_decision() -> None:
    situation = see()
    changed = candidate_of(situation).updated(weight=50)
    decision = transitions.record_candidate(situation.status, changed)
    assert decision.status == situation.status.updated(candidate=changed)
    assert (decision.again, decision.notices) == (True, ())


@pytest.mark.parametrize(
    ("outcome", "warning"),
    [(Outcome.ROLLED_BACK, True), (Outcome.ABORTED, True), (Outcome.SUPERSEDED, False)],
)
def test_a_withdrawn_candidate_loses_its_weight_and_is_still_there(outcome: Outcome, warning: bool) -> None:
    situation = see()
    decision = transitions.withdraw(
        situation.status, candidate_of(situation), outcome, Why.GUARDRAIL_FAILED, "too many errors"
    )
    after = decision.status.candidate
    assert after is not None
    assert after.ending is not None
    assert (after.weight, after.step, after.step_started_at) == (0, 2, ACCEPTED)
    assert (after.ending.outcome, after.ending.reason, after.ending.message) == (
        outcome, "GuardrailFailed", "Too many errors.",
    )  # fmt: skip
    assert (decision.status.stable, decision.status.history) == (situation.status.stable, ())
    (notice,) = decision.notices
    assert (notice.reason, notice.warning) == ("GuardrailFailed", warning)
    assert revision_of("two") in notice.message
    assert "too many errors" in notice.message
    assert decision.again


def test_the_message_of_an_ending_fits_into_the_status() -> None:
    situation = see()
    decision = transitions.withdraw(
        situation.status, candidate_of(situation), Outcome.ABORTED, Why.ABORT_REQUESTED, "x" * 9000
    )
    assert decision.status.candidate is not None
    assert decision.status.candidate.ending is not None
    assert len(decision.status.candidate.ending.message) == transitions.MAX_MESSAGE


@pytest.mark.parametrize("notices", [(), (Notice(Why.WEIGHT_SET, "20 %"),)])
def test_the_next_step_begins_without_the_last_ones_evidence(notices: tuple[Notice, ...]) -> None:
    situation = see()
    judged = candidate_of(situation).updated(verdict="Pass", reasons=("good",))
    decision = transitions.begin_next_step(situation.status, judged, *(notices or (None,)))
    assert decision.status == situation.status.updated(candidate=judged.begin_step(3))
    assert (decision.notices, decision.again) == (notices, True)


def test_a_promoted_candidate_is_stable_and_in_the_history() -> None:
    situation = see(history=2)
    decision = transitions.promote(situation, candidate_of(situation), NOW, "Baked for 600 s.")
    after = decision.status
    assert after.candidate is None
    assert after.stable is not None
    assert after.stable.to_wire() == {
        **build_revision("two"), "evaluationDatasetURI": "", "since": "2026-01-02T00:00:00Z",
    }  # fmt: skip
    assert [entry.revision for entry in after.history] == [revision_of("two"), *[revision_of("old")] * 2]
    newest = after.history[0]
    assert (newest.outcome, newest.reason, newest.from_, newest.to) == (
        "Promoted", "Promoted", ACCEPTED, "2026-01-02T00:00:00Z",
    )  # fmt: skip
    assert [notice.reason for notice in decision.notices] == ["Promoted"]
    assert decision.again


def test_a_promotion_keeps_the_history_within_its_limit() -> None:
    situation = see(history=3, limit=2)
    history = transitions.promote(situation, candidate_of(situation), NOW, "").status.history
    assert [entry.revision for entry in history] == [revision_of("two"), revision_of("old")]


def test_the_limits_are_those_of_the_crd() -> None:
    status = root_schema(read_crds()["AdapterDeployment"])["properties"]["status"]["properties"]
    candidate = status["candidate"]["properties"]
    assert candidate["ending"]["properties"]["message"]["maxLength"] == transitions.MAX_MESSAGE
    assert status["history"]["items"]["properties"]["message"]["maxLength"] == transitions.MAX_MESSAGE
    assert candidate["reasons"]["maxItems"] == transitions.MAX_REASONS
    assert candidate["reasons"]["items"]["maxLength"] == transitions.MAX_REASON


def test_reasons_fit_into_the_status() -> None:
    bounded = transitions.bound_reasons(f"{number}" + "x" * 2000 for number in range(20))
    assert [reason[:2] for reason in bounded[:2]] == ["0x", "1x"]
    assert len(bounded) == transitions.MAX_REASONS
    assert {len(reason) for reason in bounded} == {transitions.MAX_REASON}
