"""The rollout's decisions, one test for each rule of the state machine."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from support.clusters.fake_pods import UNCHECKED
from support.rollout_objects import build_job, build_source, time_at
from support.worlds.rollout_world import RolloutWorld, digest_of, revision_of
from tunewright_contracts.evaluation_report import Verdict
from tunewright_operator.api.adapter_deployment import HandledRequest, Verb
from tunewright_operator.domain.job_run import RunState
from tunewright_operator.domain.reasons.adapter_deployment import AdapterDeploymentReason
from tunewright_operator.domain.rollout.decision import decide
from tunewright_operator.domain.rollout.observation import EvaluationRun, Missing, Unseen
from tunewright_operator.domain.rollout.requests import list_pending
from tunewright_operator.domain.serving.claim import Refusal, Refusals

SHORT: list[dict[str, Any]] = [{"evaluate": {}}, {"setWeight": 20}, {"observe": {"minRequests": 40, "maxSeconds": 300}}]


def at_step(step: int, steps: list[dict[str, Any]] | None = None, **rollout: Any) -> RolloutWorld:
    """Return a world with a stable revision `one` and a candidate `two` at a step."""
    world = RolloutWorld(SHORT if steps is None else steps, **rollout)
    world.promote_first("one")
    world.name_adapter("two")
    world.settle()
    if step > 0:
        world.finish_evaluation(Verdict.PASS)
        world.settle()
    return world


def last(world: RolloutWorld) -> tuple[str, str, str]:
    entry = world.deployment.status.history[0]
    return (entry.revision, entry.outcome.value, entry.reason)


@pytest.mark.parametrize(
    ("verdict", "policy", "reason", "candidate_weight"),
    [
        (Verdict.PASS, "Pause", "Observing", 20),
        (Verdict.FAIL, "Promote", "PreviouslyRolledBack", 0),
        (Verdict.INCONCLUSIVE, "Pause", "Inconclusive", 0),
        (Verdict.INCONCLUSIVE, "Rollback", "PreviouslyRolledBack", 0),
        (Verdict.INCONCLUSIVE, "Promote", "Observing", 20),
        (Verdict.ERROR, "Promote", "EvaluationError", 0),
    ],
)
def test_the_effect_of_an_evaluations_verdict(verdict, policy, reason, candidate_weight):
    world = at_step(0, onInconclusive=policy)
    world.finish_evaluation(verdict)
    decision = world.settle()
    assert decision.wait is not None
    assert decision.wait.reason == reason
    assert decision.wait.stalled == (reason in ("PreviouslyRolledBack", "Inconclusive", "EvaluationError"))
    assert world.shares().get(revision_of("two"), 0) == candidate_weight
    assert sum(world.shares().values()) == 100


@pytest.mark.parametrize(
    ("word", "server", "reason"),
    [
        ("one", Unseen(), None),
        ("two", Unseen(), "ServerNotReady"),
        ("none", Unseen(), "AdapterUnreadable"),
        ("one", Missing(), "ServerNotFound"),
        ("none", Missing(), "ServerNotFound"),
    ],
)
def test_without_a_server_only_decisions_that_need_none_are_made(word, server, reason):
    world = RolloutWorld(SHORT)
    world.promote_first("one")
    world.name_adapter(word)
    decision = decide(dataclasses.replace(world.situation(), server=server), world.now)
    assert decision.status == world.deployment.status
    assert (decision.wait.reason if decision.wait else None) == reason
    assert decision.reconcile_after_seconds is None


@pytest.mark.parametrize(("reason", "stalled"), [("WaitingForSlot", False), ("SourceNotAllowed", True)])
def test_a_candidate_that_the_plan_excludes_stalls_unless_it_waits_for_a_slot(reason, stalled):
    world = at_step(0)
    situation = world.situation()
    refusal = Refusal(AdapterDeploymentReason(reason), "why")
    facts = dataclasses.replace(situation.server.facts, refusals=Refusals(revisions={revision_of("two"): refusal}))
    server = dataclasses.replace(situation.server, facts=facts)
    decision = decide(dataclasses.replace(situation, server=server), world.now)
    assert (decision.wait.reason, decision.wait.message, decision.wait.stalled) == (reason, "why", stalled)


def test_a_selected_job_of_the_stable_adapter_is_recorded_and_not_considered_again():
    world = RolloutWorld(SHORT)
    world.promote_first("one")
    world.select_jobs(build_job("one", created=3))
    decision = world.step()
    considered = decision.status.last_considered_job
    assert (considered.to_wire(), decision.again) == (build_source("one", 3), True)
    assert decision.status.candidate is None
    again = world.step()
    assert (again.status, again.again, again.wait) == (decision.status, False, None)


@pytest.mark.parametrize(("jobs", "creation"), [(["one"], 3), ([], 9)], ids=["the job exists", "the job was deleted"])
def test_a_status_of_an_earlier_version_is_converted_once_before_any_other_decision(jobs, creation):
    world = RolloutWorld(SHORT)
    world.promote_first("one")
    world.body["status"]["lastConsideredJob"] = {"name": "one", "uid": "one-uid", "completionTime": time_at(9)}
    existing = [build_job(name, created=3, done=9) for name in jobs]
    world.select_jobs(*existing, build_job("two", created=1, done=20))
    assert world.step().again
    assert world.body["status"]["lastConsideredJob"] == build_source("one", creation)
    decision = world.step()
    assert (decision.again, decision.status.candidate) == (False, None)
    assert [item.name for item in decision.status.passed_over_jobs] == ["two"]


def test_a_record_of_an_earlier_version_is_kept_while_no_selector_uses_it():
    world = RolloutWorld(SHORT)
    world.promote_first("one")
    record = {"name": "one", "uid": "one-uid", "completionTime": time_at(9)}
    world.body["status"]["lastConsideredJob"] = record
    world.settle()
    assert world.body["status"]["lastConsideredJob"] == record


def test_an_evaluation_without_a_held_out_set_does_not_start():
    world = at_step(0)
    del world.body["status"]["candidate"]["evaluationDatasetURI"]
    decision = world.decide()
    assert decision.wait.reason == "NoEvaluationDataset"
    assert decision.wait.stalled
    assert revision_of("two") in decision.wait.message
    assert decision.status == world.deployment.status


def test_a_first_revision_answers_no_client_or_all_clients():
    world = RolloutWorld(SHORT)
    world.name_adapter("one")
    world.settle()
    assert world.shares() == {}
    world.finish_evaluation(Verdict.PASS)
    world.settle()
    assert world.shares() == {revision_of("one"): 100}


def test_a_first_revision_that_fails_leaves_the_alias_without_a_target():
    world = RolloutWorld(SHORT)
    world.name_adapter("one")
    world.settle()
    world.finish_evaluation(Verdict.PASS)
    world.settle()
    world.ask(200, {revision_of("one"): {"OutputContract"}})
    world.settle()
    assert last(world) == (revision_of("one"), "RolledBack", "GuardrailFailed")
    assert world.shares() == {}
    assert set(world.ask(10)) == {None}


def test_a_weight_counts_only_when_every_ready_pod_reports_the_plan():
    world = at_step(0)
    world.finish_evaluation(Verdict.PASS)
    world.step()
    world.step()
    world.plan_next()
    assert world.plan is not None
    world.pods[0].apply(world.plan)
    decision = world.step()
    assert decision.wait is not None
    assert decision.wait.reason == "Shifting"
    assert "pod-1" in decision.wait.message
    world.pods[1].ready = False
    decision = world.step()
    assert decision.again, "a pod that gets no requests does not delay the step"
    assert world.deployment.status.candidate.step == 2


def test_a_candidate_gets_no_weight_before_every_ready_pod_has_loaded_it():
    world = RolloutWorld([{"setWeight": 20}, {"pause": {}}])
    world.promote_first("one")
    world.pods[1].slow.add(revision_of("two"))
    world.name_adapter("two")
    decision = world.settle()
    assert decision.wait.reason == "Loading"
    assert world.shares() == {revision_of("one"): 100}
    world.pods[1].slow.clear()
    world.pods[1].load()
    world.settle()
    assert world.shares() == {revision_of("one"): 80, revision_of("two"): 20}


@pytest.mark.parametrize(
    ("policy", "outcome"), [("Pause", "Inconclusive"), ("Rollback", "PreviouslyRolledBack"), ("Promote", "Baking")]
)
def test_too_few_answers_in_time_are_inconclusive(policy, outcome):
    world = at_step(1, onInconclusive=policy)
    world.ask(10)
    world.clock.advance(301)
    decision = world.settle()
    assert decision.wait is not None
    assert decision.wait.reason == outcome


def test_an_inconclusive_observation_continues_when_its_answers_come_late():
    world = at_step(1)
    world.clock.advance(301)
    assert world.settle().wait.reason == "Inconclusive"
    world.ask(400)
    assert world.settle().wait.reason == "Baking"


def test_an_invalid_schema_of_a_metric_is_reported_before_the_evaluation_starts():
    world = RolloutWorld(SHORT)
    world.body["spec"]["evaluation"] = {"metrics": [{"type": "JSONSchema", "schema": {"required": "queue"}}]}
    world.name_adapter("one")
    wait = world.settle().wait
    assert (wait.reason, wait.stalled) == ("InvalidSchema", True)
    assert "spec.evaluation.metrics[0].schema: it is not a JSON Schema: at .required" in wait.message
    assert world.deployment.status.candidate.step_started_at is None
    world.body["spec"]["evaluation"]["metrics"][0]["schema"]["required"] = ["queue"]
    assert world.settle().wait.reason == "Evaluating"


def test_live_evidence_rolls_back_with_the_numbers():
    world = at_step(1)
    world.ask(1000, {revision_of("two"): {"ErrorRate"}})
    world.settle()
    assert last(world) == (revision_of("two"), "RolledBack", "GuardrailFailed")
    assert "ErrorRate: bad answers " in world.deployment.status.history[0].message
    assert world.shares() == {revision_of("one"): 100}


def test_the_bake_is_watched_and_stable_changes_when_it_ends():
    world = at_step(1)
    world.ask(400)
    assert world.settle().wait.reason == "Baking"
    assert world.shares() == {revision_of("two"): 100}
    assert world.deployment.status.stable.revision == revision_of("one")
    assert revision_of("one") in {adapter.name for adapter in world.plan.adapters}
    world.clock.advance(121)
    world.settle()
    assert world.deployment.status.stable.revision == revision_of("two")


@pytest.mark.parametrize(("policy", "end"), [("Rollback", "one"), ("Promote", "two"), ("Pause", "one")])
def test_a_bake_without_a_judged_answer_continues_and_is_not_rolled_back(policy, end):
    world = at_step(1)
    world.ask(400)
    assert world.settle().wait.reason == "Baking"
    world.body["spec"]["rollout"]["onInconclusive"] = policy
    world.ask(40, {revision_of("two"): {UNCHECKED}})
    world.clock.advance(121)
    decision = world.settle()
    assert world.deployment.status.stable.revision == revision_of(end)
    if policy == "Promote":
        return
    assert world.shares() == {revision_of("two"): 100}
    assert (decision.wait.reason, decision.wait.stalled) == ("Inconclusive", True)
    assert "the candidate has 0 of 1 answers judged by OutputContract" in decision.wait.message
    world.ask(1)
    world.settle()
    assert world.deployment.status.stable.revision == revision_of("two"), "one judged answer ends the bake"


def test_a_failure_in_the_bake_returns_traffic_to_the_incumbent():
    world = at_step(1)
    world.ask(800)
    world.settle()
    world.ask(800, {revision_of("two"): {"OutputContract"}})
    world.settle()
    assert last(world)[1:] == ("RolledBack", "GuardrailFailed")
    assert world.shares() == {revision_of("one"): 100}


def test_paused_stops_progress_but_not_rollbacks():
    world = at_step(1)
    world.body["spec"]["paused"] = True
    world.ask(400)
    assert world.settle().wait.reason == "Paused"
    assert world.deployment.status.candidate.step == 2
    world.name_adapter("three")
    assert world.settle().wait.reason == "Paused", "no new candidate while paused"
    world.ask(1000, {revision_of("two"): {"ErrorRate"}})
    world.settle()
    assert last(world)[1:] == ("RolledBack", "GuardrailFailed")


def test_a_newer_adapter_supersedes_a_candidate_after_its_share_went_back():
    world = at_step(1)
    world.name_adapter("three")
    world.settle()
    assert last(world) == (revision_of("two"), "Superseded", "Superseded")
    assert world.deployment.status.candidate.revision == revision_of("three")
    assert world.shares() == {revision_of("one"): 100}


def test_a_newer_adapter_waits_for_the_end_of_a_bake():
    world = at_step(1)
    world.ask(400)
    world.settle()
    world.name_adapter("three")
    world.settle()
    assert world.deployment.status.candidate.revision == revision_of("two")
    world.clock.advance(121)
    world.settle()
    assert world.deployment.status.stable.revision == revision_of("two")
    assert world.deployment.status.candidate.revision == revision_of("three")


def test_the_only_revision_with_traffic_is_not_superseded():
    world = RolloutWorld(SHORT)
    world.name_adapter("one")
    world.settle()
    world.finish_evaluation(Verdict.PASS)
    world.settle()
    world.name_adapter("two")
    world.settle()
    assert world.shares() == {revision_of("one"): 100}


def test_a_digest_that_was_rolled_back_needs_a_manual_request():
    world = at_step(0)
    world.finish_evaluation(Verdict.FAIL)
    assert world.settle().wait.reason == "PreviouslyRolledBack"
    assert world.settle().status.candidate is None
    world.clock.advance(1)
    world.annotate("retry", "two")
    world.settle()
    assert world.deployment.status.candidate.revision == revision_of("two")
    assert world.deployment.status.candidate.step == 0


def test_a_retry_in_the_bake_does_not_start_the_bake_again():
    world = at_step(1)
    world.ask(400)
    assert world.settle().wait.reason == "Baking"
    before = world.deployment.status.candidate
    world.annotate("retry", "two")
    world.settle()
    after = world.deployment.status.candidate
    assert (after.step, after.step_started_at) == (before.step, before.step_started_at)
    assert [notice for notice, _ in world.notices].count("RequestIgnored") == 1


def test_a_revision_promoted_before_goes_to_its_bake_at_once_when_the_spec_names_it():
    world = at_step(1)
    world.ask(400)
    world.settle()
    world.clock.advance(121)
    world.settle()
    world.name_adapter("one")
    assert world.settle().wait.reason == "Baking"
    assert world.shares() == {revision_of("one"): 100}


def test_a_rollback_by_annotation_stays_although_the_spec_names_another_revision():
    world = at_step(1)
    world.ask(400)
    world.settle()
    world.clock.advance(121)
    world.settle()
    world.annotate("rollback", "one")
    world.settle()
    assert world.shares() == {revision_of("one"): 100}
    world.clock.advance(121)
    decision = world.settle()
    assert world.deployment.status.stable.revision == revision_of("one")
    assert decision.wait.reason == "PreviouslyRolledBack"


@pytest.mark.parametrize("verb", ["promote", "abort", "rollback"])
def test_a_request_that_names_another_revision_does_nothing_but_is_recorded(verb):
    world = at_step(1)
    world.annotate(verb, "three")
    before = world.deployment.status.candidate
    world.settle()
    after = world.deployment.status.candidate
    assert (after.step, after.weight, after.ending) == (before.step, before.weight, None)
    assert world.deployment.status.last_handled_requests[0].verb == verb
    assert [notice for notice, _ in world.notices].count("RequestIgnored") == 1


def test_a_request_is_handled_once():
    world = at_step(1, [{"evaluate": {}}, {"pause": {}}, {"setWeight": 20}, {"pause": {}}])
    world.annotate("promote", "two")
    decision = world.settle()
    assert decision.wait.reason == "AwaitingPromotion"
    assert world.deployment.status.candidate.step == 3, "the same annotation does not pass the second pause"
    world.annotate("promote", "two", "2")
    assert world.settle().wait.reason == "Baking"


def test_abort_takes_precedence_over_promote():
    handled = (HandledRequest(verb=Verb.RETRY, value="r@1", at="2026-01-01T00:00:00Z"),)
    annotations = {f"tunewright.dev/{verb}": "r@1" for verb in ("promote", "abort", "retry")}
    assert [request.verb for request in list_pending(annotations, handled)] == [Verb.ABORT, Verb.PROMOTE]


def test_an_annotation_without_a_request_id_is_explained():
    world = at_step(1)
    world.body["metadata"]["annotations"]["tunewright.dev/abort"] = revision_of("two")
    world.settle()
    assert any("<revision>@<request ID>" in message for _, message in world.notices)
    assert world.deployment.status.candidate is not None


def test_a_pause_with_a_time_ends_automatically():
    world = at_step(1, [{"evaluate": {}}, {"pause": {"seconds": 60}}, {"setWeight": 50}, {"pause": {}}])
    assert world.settle().wait.reason == "Pausing"
    world.clock.advance(61)
    world.settle()
    assert world.shares() == {revision_of("one"): 50, revision_of("two"): 50}


OBSERVE: dict[str, Any] = {"observe": {"minRequests": 40, "maxSeconds": 300}}


@pytest.mark.parametrize("earlier", [[OBSERVE], [{"pause": {"seconds": 1}}]], ids=["an older window", "no window"])
def test_a_pause_that_becomes_an_observation_needs_new_evidence(earlier):
    steps = [{"evaluate": {}}, {"setWeight": 20}, *earlier, {"pause": {}}, {"setWeight": 50}, {"pause": {}}]
    world = at_step(1, steps)
    world.ask(400)
    world.clock.advance(2)
    assert world.settle().wait.reason == "AwaitingPromotion"
    world.body["spec"]["rollout"]["steps"][3] = OBSERVE
    decision = world.settle()
    assert decision.wait.reason == "Observing"
    assert "0 of 40" in decision.wait.message
    assert world.deployment.status.candidate.step == 3
    world.ask(400)
    world.settle()
    assert world.deployment.status.candidate.step == 5


def test_after_removed_steps_the_bake_takes_its_full_time():
    world = at_step(1, [*SHORT, {"setWeight": 99}, {"observe": {"minRequests": 9000, "maxSeconds": 3000}}])
    world.ask(400)
    world.settle()
    world.clock.advance(121)
    world.ask(400)
    assert world.settle().wait.reason == "Observing"
    del world.body["spec"]["rollout"]["steps"][3:]
    world.settle()
    assert world.settle().wait.reason == "Baking"
    world.clock.advance(119)
    assert world.settle().wait.reason == "Baking"


def test_a_pause_that_becomes_a_weight_sets_the_weight():
    world = at_step(1, [{"evaluate": {}}, {"setWeight": 20}, {"pause": {}}, {"pause": {}}])
    assert world.settle().wait.reason == "AwaitingPromotion"
    world.body["spec"]["rollout"]["steps"][2] = {"setWeight": 50}
    assert world.settle().wait.reason == "AwaitingPromotion"
    assert world.shares() == {revision_of("one"): 50, revision_of("two"): 50}


def test_the_history_is_bounded_and_begins_with_the_newest():
    world = at_step(0)
    world.body["spec"]["historyLimit"] = 3
    for number in range(6):
        world.clock.advance(1)
        world.name_adapter(f"n{number}")
        world.settle()
    entries = world.deployment.status.history
    assert len(entries) == 3
    assert entries[0].digest == digest_of("n4")
    assert {entry.outcome.value for entry in entries} == {"Superseded"}


def test_an_adapter_that_some_replicas_refuse_waits_and_the_message_names_them():
    world = RolloutWorld(SHORT)
    world.promote_first("one")
    world.pods[0].broken[revision_of("two")] = "tensor holds NaN"
    world.name_adapter("two")
    decision = world.settle()
    assert decision.wait.reason == "LoadingRetried"
    assert "pod-0" in decision.wait.message
    assert "tensor holds NaN" in decision.wait.message
    assert decision.wait.stalled
    world.pods[1].broken[revision_of("two")] = "tensor holds NaN"
    world.pods[1].loaded.discard(revision_of("two"))
    world.settle()
    assert last(world)[1:] == ("RolledBack", "AdapterRefused")


def test_wrong_credentials_do_not_end_the_rollout_of_a_good_adapter():
    world = RolloutWorld(SHORT)
    world.promote_first("one")
    two = revision_of("two")
    for pod in world.pods:
        pod.retrying[two] = "s3://models/two: access denied"
    world.name_adapter("two")
    decision = world.settle()
    assert (decision.wait.reason, decision.wait.stalled) == ("LoadingRetried", False)
    assert "pod-1: AccessDenied" in decision.wait.message
    for pod in world.pods:
        pod.retrying.clear()
        pod.load()
    world.settle()
    assert world.deployment.status.candidate.revision == two
    assert all(two in pod.loaded for pod in world.pods)


def test_an_observe_step_says_in_a_sentence_which_answers_are_missing():
    decision = at_step(1).settle()
    assert (decision.wait.reason, decision.wait.message) == (
        "Observing",
        "The candidate has 0 of 40 answers; the incumbent has 0 of 40 answers",
    )


def test_an_aborted_candidate_is_recorded_with_a_sentence_and_reported_with_its_name():
    world = at_step(1)
    world.annotate("abort", "two")
    world.settle()
    value = f"{revision_of('two')}@1"
    assert world.deployment.status.history[0].message == f"Aborted by annotation {value}."
    assert ("AbortRequested", f"{revision_of('two')}: aborted by annotation {value}") in world.notices


def test_a_selected_job_of_an_excluded_adapter_is_considered_once():
    world = at_step(0)
    world.finish_evaluation(Verdict.FAIL)
    world.settle()
    world.select_jobs(build_job("two", created=3))
    decision = world.step()
    assert (decision.wait.reason, decision.wait.stalled, decision.again) == ("PreviouslyRolledBack", True, True)
    assert decision.status.last_considered_job.to_wire() == build_source("two", 3)
    decision = world.step()
    assert (decision.wait, decision.again, decision.status.candidate) == (None, False, None)


@pytest.mark.parametrize("candidate", [False, True])
def test_an_alias_that_the_server_refuses_stalls_the_rollout(candidate):
    world = at_step(0) if candidate else RolloutWorld(SHORT)
    world.plan_next()
    situation = world.situation()
    refusals = Refusals(alias=Refusal(AdapterDeploymentReason.ALIAS_TAKEN, "why"))
    facts = dataclasses.replace(situation.server.facts, refusals=refusals)
    server = dataclasses.replace(situation.server, facts=facts)
    decision = decide(dataclasses.replace(situation, server=server), world.now)
    assert (decision.wait.reason, decision.wait.message, decision.wait.stalled) == ("AliasTaken", "why", True)


@pytest.mark.parametrize("reported", [False, True])
def test_an_evaluation_that_could_not_measure_runs_again_after_five_minutes(reported):
    world = at_step(0)
    world.finish_evaluation(Verdict.ERROR, "no disk")
    if not reported:
        world.evaluations = [
            EvaluationRun(dataclasses.replace(item.run, state=RunState.FAILED, failure="no disk"))
            for item in world.evaluations
        ]
    world.clock.advance(299)
    decision = world.settle()
    assert (decision.wait.reason, decision.wait.stalled) == ("EvaluationError", True)
    assert "o disk" in decision.wait.message
    assert decision.reconcile_after_seconds == 1.0
    world.clock.advance(1)
    assert world.settle().wait.reason == "Evaluating"
