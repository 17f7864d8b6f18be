"""What an AdapterDeployment refuses or waits for, each with a reason and a remedy."""

from __future__ import annotations

import copy

import pytest

from support.worlds.rollout_world import revision_of
from support.worlds.serving_world import SERVING, SUPPORT, ServingWorld, condition
from tunewright_contracts.evaluation_report import Verdict
from tunewright_contracts.phase_result import Outcome, PhaseResult
from tunewright_operator.api.kinds import ADAPTER_DEPLOYMENT, CONFIG_MAP, JOB, SECRET
from tunewright_operator.cluster import ForbiddenError


async def test_a_source_of_another_tenant_is_refused(world):
    world.put_job("stolen", uri="s3://models/adapters/other/stolen")
    await world.settle()
    stalled = condition(world.status(), "Stalled")
    assert stalled["reason"] == "SourceNotAllowed"
    assert "s3://models/adapters/support" in stalled["message"]
    assert world.plan.adapters == ()


@pytest.mark.parametrize(
    ("adapter", "reason"),
    [({"rank": 32}, "RankTooHigh"), ({"baseModelDigest": "sha256:" + "c" * 64}, "BaseModelMismatch")],
)
async def test_an_adapter_that_does_not_fit_the_server_is_refused(world, adapter, reason):
    world.put_job("unfit", **adapter)
    await world.settle()
    assert condition(world.status(), "Stalled")["reason"] == reason
    assert world.plan.adapters == ()


async def test_a_taken_alias_stays_with_its_owner_until_that_is_deleted(world):
    await world.settle()
    world.clock.advance(1)
    world.put_deployment("rival", namespace="other")
    world.put_job("theirs", namespace="other")
    await world.settle()
    await world.promote("first")
    stalled = condition(world.status("rival", "other"), "Stalled")
    assert stalled["reason"] == "AliasTaken"
    assert "support/support" in stalled["message"]
    assert world.targets() == {revision_of("first"): 100}

    world.cluster.remove(ADAPTER_DEPLOYMENT, SUPPORT, "support")
    await world.settle()
    assert condition(world.status("rival", "other"), "Stalled") == {}
    assert world.status("rival", "other")["candidate"]["revision"] == revision_of("theirs")


async def test_a_missing_server_is_named(world):
    world.put_deployment("lost", serverRef={"name": "nowhere", "namespace": SERVING})
    await world.settle()
    stalled = condition(world.status("lost"), "Stalled")
    assert stalled["reason"] == "ServerNotFound"
    assert "serving/nowhere" in stalled["message"]


async def test_a_server_of_another_namespace_must_admit_it():
    world = ServingWorld(allowedNamespaces={"from": "Selector", "selector": {"matchLabels": {"team": "other"}}})
    world.put_deployment()
    world.put_job("first")
    await world.settle()
    assert condition(world.status(), "Stalled")["reason"] == "ServerNotAllowed"
    assert world.plan.routes == ()


async def test_a_full_server_refuses_a_further_alias_and_evicts_none(world):
    await world.settle()
    await world.promote("first")
    for name in ("second", "third"):
        world.clock.advance(1)
        world.put_deployment(name, modelName=name)
        await world.settle()
    assert condition(world.status("third"), "Stalled")["reason"] == "CapacityExceeded"
    assert condition(world.status("second"), "Stalled") == {}
    assert world.targets() == {revision_of("first"): 100}


async def test_a_candidate_waits_for_a_slot():
    world = ServingWorld(lora={"maxRank": 16, "maxAdapters": 2, "rolloutSlots": 0, "maxActiveAdapters": 2})
    world.put_deployment()
    await world.settle()
    await world.promote("first")
    world.clock.advance(1)
    world.put_deployment("second", modelName="second", rollout={"steps": [{"pause": {}}], "bakeSeconds": 0})
    await world.settle()
    world.clock.advance(1)
    world.put_job("next")
    await world.settle()
    waiting = [status for status in (world.status(), world.status("second")) if "candidate" in status]
    reasons = [condition(status, "Reconciling").get("reason") for status in waiting]
    assert "WaitingForSlot" in reasons
    assert len(world.plan.adapters) == 2
    assert condition(world.status(), "Ready")["status"] == "True"


async def test_a_secret_without_the_label_is_not_used(world):
    world.put_secret(SUPPORT, allowed=False)
    await world.settle()
    world.put_job("first")
    await world.settle()
    stalled = condition(world.status(), "Stalled")
    assert stalled["reason"] == "SecretNotAllowed"
    assert world.jobs.names() == []
    world.put_secret(SUPPORT)
    await world.pass_time(10)
    assert len(world.jobs.names()) == 1


async def test_a_refused_job_is_reported(world):
    await world.settle()
    world.put_job("first")
    world.cluster.fail_next(ForbiddenError("exceeded quota: pods"), "create", JOB, times=50)
    await world.settle()
    assert condition(world.status(), "Stalled")["reason"] == "JobRefused"
    assert "exceeded quota" in condition(world.status(), "Stalled")["message"]


@pytest.mark.parametrize("kind", [JOB, CONFIG_MAP, SECRET], ids=str)
async def test_an_evaluation_whose_name_is_taken_waits_until_it_is_free(world, kind):
    await world.settle()
    world.put_job("first")
    undisturbed = copy.deepcopy(world)
    await undisturbed.settle()
    name = undisturbed.evaluation_job()["metadata"]["name"]
    foreign = {"apiVersion": kind.api_version, "kind": kind.name, "metadata": {"name": name, "namespace": SUPPORT}}
    before = world.cluster.put(foreign)
    await world.settle()
    stalled = condition(world.status(), "Stalled")
    assert stalled["reason"] == "NameTaken"
    assert f"{kind} {SUPPORT}/{name}" in stalled["message"]
    assert world.cluster.peek(kind, SUPPORT, name) == before
    world.cluster.remove(kind, SUPPORT, name)
    await world.settle()
    assert condition(world.status(), "Stalled") == {}
    world.finish_evaluation(Verdict.PASS)
    await world.settle()
    assert world.targets() == {revision_of("first"): 100}


async def test_a_refused_inspection_job_is_reported(world):
    world.edit_deployment(lambda body: body["spec"].update(adapter={"uri": "s3://models/adapters/support/x"}))
    world.cluster.fail_next(ForbiddenError("exceeded quota: pods"), "create", JOB, times=50)
    await world.settle()
    assert condition(world.status(), "Stalled")["reason"] == "JobRefused"
    assert "exceeded quota" in condition(world.status(), "Stalled")["message"]


async def test_a_refused_action_does_not_prevent_the_others(world):
    """The token of a running evaluation is renewed although an inspection cannot be created."""
    await world.settle()
    world.put_job("first")
    await world.settle()
    name = world.evaluation_job()["metadata"]["name"]
    before = world.cluster.peek(SECRET, SUPPORT, name)["data"]
    world.edit_deployment(
        lambda body: body["spec"].update(adapter={"uri": "s3://models/adapters/support/x"}, paused=True)
    )
    world.cluster.fail_next(ForbiddenError("exceeded quota: pods"), "create", JOB, times=50)
    await world.pass_time(300)
    assert condition(world.status(), "Stalled")["reason"] == "JobRefused"
    assert world.cluster.peek(SECRET, SUPPORT, name)["data"] != before


async def test_a_broken_adapter_ends_its_candidate_with_the_pods_message(world):
    await world.settle()
    await world.promote("first")
    for pod in world.pool.servers():
        pod.broken[revision_of("broken")] = "tensor lora_A holds NaN"
    world.clock.advance(1)
    world.put_job("broken")
    await world.settle()
    entry = world.status()["history"][0]
    assert (entry["outcome"], entry["reason"]) == ("RolledBack", "AdapterRefused")
    assert "tensor lora_A holds NaN" in entry["message"]
    assert set(world.ask(20)) == {revision_of("first")}


async def test_an_adapter_without_held_out_records_cannot_be_evaluated(world):
    world.put_job("blind", evaluationDatasetURI="")
    await world.settle()
    assert condition(world.status(), "Stalled")["reason"] == "NoEvaluationDataset"
    assert world.targets() == {}


@pytest.mark.parametrize(("reason", "message"), [("NoManifest", "s3://models/x has no manifest.json")])
async def test_an_unreadable_adapter_shows_why_and_is_read_again(world, reason, message):
    world.edit_deployment(lambda body: body["spec"].update(adapter={"uri": "s3://models/adapters/support/x"}))
    await world.settle()
    (name,) = world.jobs.names()
    world.jobs.start(name)
    world.jobs.finish(name, PhaseResult(outcome=Outcome.FAILED, reason=reason, message=message), exit_code=1)
    await world.settle()
    stalled = condition(world.status(), "Stalled")
    assert stalled["reason"] == "AdapterUnreadable"
    assert message in stalled["message"]
    uid = world.cluster.peek(JOB, SUPPORT, name)["metadata"]["uid"]
    await world.pass_time(301)
    assert world.cluster.peek(JOB, SUPPORT, name)["metadata"]["uid"] != uid


async def test_an_ambiguous_uri_is_refused(world):
    world.edit_deployment(lambda body: body["spec"].update(adapter={"uri": "s3://models/adapters/support/../other/x"}))
    await world.settle()
    assert "InvalidURI" in condition(world.status(), "Stalled")["message"]
    assert world.jobs.names() == []
