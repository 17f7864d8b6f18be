"""The AdapterDeployment loop with a pool of fake pods: the demo's four rollouts, sources, evaluations, windows."""

from __future__ import annotations

from typing import Any

import pytest

from support.worlds.rollout_world import digest_of, revision_of
from support.worlds.serving_world import SERVING, SUPPORT, ServingWorld, condition
from tunewright_contracts.evaluation_report import EvaluationRequest, Verdict
from tunewright_contracts.phase_result import AdapterSummary, Outcome, PhaseResult
from tunewright_operator.api.kinds import ADAPTER_DEPLOYMENT, CONFIG_MAP, FINE_TUNE_JOB, JOB, MODEL_SERVER, SECRET
from tunewright_operator.runtime.key import Key


async def test_the_story_of_four_rollouts(world):  # noqa: PLR0915 - one story in four parts
    # 1. The first revision is evaluated against the base model and promoted; clients get answers.
    await world.settle()
    assert condition(world.status(), "Ready")["reason"] == "NoAdapterYet"
    world.put_job("first")
    await world.settle()
    assert world.ask(3) == [None, None, None], "no client gets an answer before the evaluation"
    world.finish_evaluation(Verdict.PASS)
    await world.settle()
    assert world.targets() == {revision_of("first"): 100}, "no other revision may answer"
    assert set(world.ask(50)) == {revision_of("first")}
    await world.pass_time(5)
    world.ask(50)
    await world.pass_time(5)
    await world.pass_time(60)
    assert world.status()["stable"]["revision"] == revision_of("first")
    assert "candidate" not in world.status()

    # 2. The selector takes a better one: 20 %, 50 %, 100 %, bake, stable.
    world.put_job("better")
    await world.settle()
    assert world.targets() == {revision_of("first"): 100}
    assert set(world.ask(100)) == {revision_of("first")}
    world.finish_evaluation(Verdict.PASS)
    await world.settle()
    assert world.targets() == {revision_of("first"): 80, revision_of("better"): 20}
    answers = world.ask(400)
    assert 40 <= answers.count(revision_of("better")) <= 120
    await world.pass_time(5)
    assert world.targets() == {revision_of("first"): 50, revision_of("better"): 50}
    world.ask(200)
    await world.pass_time(5)
    assert world.targets() == {revision_of("better"): 100}
    assert all(revision_of("first") in pod.loaded for pod in world.pool.servers()), (
        "the incumbent stays loaded in the bake"
    )
    assert world.status()["stable"]["revision"] == revision_of("first")
    await world.pass_time(60)
    assert world.status()["stable"]["revision"] == revision_of("better")
    assert all(pod.loaded == {revision_of("better")} for pod in world.pool.servers()), "the old one is unloaded"

    # 3. One trained on shuffled labels fails its evaluation; it answers no client.
    world.put_job("shuffled")
    await world.settle()
    world.finish_evaluation(Verdict.FAIL, "ExactMatch 0.04 against 0.81")
    seen = world.ask(100)
    await world.settle()
    seen += world.ask(100)
    assert set(seen) == {revision_of("better")}
    entry = world.status()["history"][0]
    assert (entry["revision"], entry["outcome"], entry["reason"]) == (
        revision_of("shuffled"), "RolledBack", "EvaluationFailed",
    )  # fmt: skip
    assert "0.04" in entry["message"]
    assert condition(world.status(), "CandidateHealthy")["status"] == "False"
    assert condition(world.status(), "Ready")["status"] == "True"

    # 4. One that passes its evaluation breaks the contract in live traffic and is rolled back.
    world.clock.advance(1)
    world.put_job("prose")
    await world.settle()
    world.finish_evaluation(Verdict.PASS)
    await world.settle()
    assert world.targets() == {revision_of("better"): 80, revision_of("prose"): 20}
    for _ in range(6):
        world.ask(200, {revision_of("prose"): {"OutputContract"}})
        await world.pass_time(5)
    entry = world.status()["history"][0]
    assert (entry["revision"], entry["outcome"], entry["reason"]) == (
        revision_of("prose"), "RolledBack", "GuardrailFailed",
    )  # fmt: skip
    assert "OutputContract" in entry["message"]
    assert world.targets() == {revision_of("better"): 100}
    assert set(world.ask(100)) == {revision_of("better")}
    assert [item["outcome"] for item in world.status()["history"]] == [
        "RolledBack", "RolledBack", "Promoted", "Promoted",
    ]  # fmt: skip
    reasons = [event[2] for event in world.cluster.events if event[0] == "support"]
    assert {"Accepted", "StepPassed", "WeightSet", "Promoted", "EvaluationFailed", "GuardrailFailed"} <= set(reasons)


async def test_the_evaluator_gets_a_request_a_token_and_the_storage_credentials(world):
    await world.settle()
    world.put_job("first")
    await world.settle()
    job = world.evaluation_job()
    name = job["metadata"]["name"]
    config = world.cluster.peek(CONFIG_MAP, SUPPORT, name)
    request = EvaluationRequest.from_json(config["data"]["evaluation.json"])
    assert request.candidate == revision_of("first")
    assert request.incumbent is None
    assert request.server_url == "http://pool.serving.svc:8000"
    assert request.dataset_uri == "s3://models/adapters/support/evaluation.jsonl"
    assert request.report_uri.startswith("s3://models/adapters/support/evaluations/")
    secret = world.cluster.peek(SECRET, SUPPORT, name)
    assert secret["metadata"]["ownerReferences"][0]["uid"] == job["metadata"]["uid"]
    container = job["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == "operator:1"
    assert container["command"] == ["python", "-m", "tunewright_evaluator"]
    assert {entry["name"] for entry in container["env"]} >= {"AWS_ACCESS_KEY_ID", "AWS_ENDPOINT_URL_S3"}


async def test_the_evaluators_token_is_renewed_before_it_expires(world):
    await world.settle()
    world.put_job("first")
    await world.settle()
    name = world.evaluation_job()["metadata"]["name"]
    first = world.cluster.peek(SECRET, SUPPORT, name)["data"]["token"]
    await world.pass_time(200)
    assert world.cluster.peek(SECRET, SUPPORT, name)["data"]["token"] == first
    await world.pass_time(200)
    assert world.cluster.peek(SECRET, SUPPORT, name)["data"]["token"] != first


async def test_a_namespace_that_is_no_longer_admitted_gets_no_further_token(world):
    await world.settle()
    world.put_job("first")
    await world.settle()
    name = world.evaluation_job()["metadata"]["name"]
    world.cluster.edit(
        MODEL_SERVER, SERVING, "pool", lambda body: body["spec"].update(allowedNamespaces={"from": "Same"})
    )
    await world.settle()
    assert condition(world.status(), "Stalled")["reason"] == "ServerNotAllowed"
    assert name not in world.jobs.names()
    world.cluster.edit(
        MODEL_SERVER, SERVING, "pool", lambda body: body["spec"].update(allowedNamespaces={"from": "All"})
    )
    await world.settle()
    assert world.evaluation_job()["metadata"]["name"] == name


async def test_an_evaluation_whose_pod_cannot_start_shows_the_reason(world):
    await world.settle()
    world.put_job("first")
    await world.settle()
    name = world.evaluation_job()["metadata"]["name"]
    waiting = {"reason": "ImagePullBackOff", "message": "no such image"}
    world.jobs.create_pod(
        name, {"phase": "Pending", "containerStatuses": [{"name": "evaluate", "state": {"waiting": waiting}}]}
    )
    await world.settle()
    progressing = condition(world.status(), "Progressing")
    assert progressing["reason"] == "PodPending"
    assert "ImagePullBackOff: no such image" in progressing["message"]


async def test_an_evaluation_without_a_pod_names_the_command_that_shows_why(world):
    await world.settle()
    world.put_job("first")
    await world.settle()
    name = world.evaluation_job()["metadata"]["name"]
    assert condition(world.status(), "Progressing")["reason"] == "Evaluating"
    await world.pass_time(31)
    progressing = condition(world.status(), "Progressing")
    assert progressing["reason"] == "PodPending"
    assert f"kubectl describe job {name}" in progressing["message"]


async def test_an_evaluation_that_could_not_measure_runs_again_automatically(world):
    await world.settle()
    world.put_job("first")
    await world.settle()
    first = world.evaluation_job()["metadata"]["name"]
    world.finish_evaluation(Verdict.ERROR, "the server did not answer")
    await world.settle()
    stalled = condition(world.status(), "Stalled")
    assert stalled["reason"] == "EvaluationError"
    assert "the server did not answer" in stalled["message"]
    assert world.evaluation_job()["metadata"]["name"] == first
    await world.pass_time(301)
    assert world.evaluation_job()["metadata"]["name"] != first
    assert world.status()["candidate"].get("verdict") is None


async def test_an_evaluation_whose_pod_died_shows_the_exit_code(world):
    await world.settle()
    world.put_job("first")
    await world.settle()
    name = world.evaluation_job()["metadata"]["name"]
    world.jobs.start(name)
    world.jobs.die(name, exit_code=137, reason="OOMKilled")
    await world.settle()
    assert "exit code 137" in condition(world.status(), "Stalled")["message"]


async def test_deleting_the_job_changes_nothing(world):
    await world.settle()
    world.put_job("first")
    await world.settle()
    world.remove_job("first")
    world.finish_evaluation(Verdict.PASS)
    await world.settle()
    assert world.targets() == {revision_of("first"): 100}
    assert world.status()["candidate"]["evaluationDatasetURI"] == "s3://models/adapters/support/evaluation.jsonl"


async def test_a_referenced_job_is_waited_for_and_no_other_job_is_taken(world):
    world.edit_deployment(lambda body: body["spec"].update(adapter={"fineTuneJobRef": {"name": "named"}}))
    await world.settle()
    assert condition(world.status(), "Stalled")["reason"] == "JobNotFound"
    assert "'named'" in condition(world.status(), "Stalled")["message"]

    def end(state: str, reason: str) -> None:
        changes = {"status": state, "reason": reason, "message": "tickets.jsonl:7: not JSON"}
        world.cluster.edit(
            FINE_TUNE_JOB, SUPPORT, "named", lambda body: body["status"]["conditions"][0].update(changes)
        )

    world.put_job("named")
    end("Unknown", "Training")
    await world.settle()
    assert condition(world.status(), "Reconciling")["reason"] == "JobNotFinished"
    assert condition(world.status(), "Stalled") == {}, "waiting needs no action"
    world.put_job("another")
    await world.settle()
    assert "candidate" not in world.status()
    end("False", "InvalidRecords")
    await world.settle()
    stalled = condition(world.status(), "Stalled")
    assert stalled["reason"] == "JobFailed"
    assert "InvalidRecords: tickets.jsonl:7: not JSON" in stalled["message"]
    end("True", "Succeeded")
    await world.settle()
    assert world.status()["candidate"]["revision"] == revision_of("named")
    await world.promote_candidate()
    assert world.status()["stable"]["sourceJob"]["name"] == "named"
    world.remove_job("named")
    await world.settle()
    assert condition(world.status(), "Stalled") == {}, "its adapter was taken, so the job is not needed any more"


async def test_an_adapter_by_address_is_inspected_once(world):
    uri = "s3://models/adapters/support/named"
    world.edit_deployment(lambda body: body["spec"].update(adapter={"uri": uri}))
    await world.settle()
    (name,) = world.jobs.names()
    assert name.startswith("support-inspect-")
    assert condition(world.status(), "Reconciling")["reason"] == "InspectingAdapter"
    summary = AdapterSummary(
        uri=uri,
        digest=digest_of("named"),
        rank=8,
        bytes=1,
        base_model_digest="sha256:" + "b" * 64,
        evaluation_dataset_uri="s3://models/e.jsonl",
    )
    world.jobs.start(name)
    world.jobs.finish(name, PhaseResult(outcome=Outcome.SUCCEEDED, reason="Inspected", message="", adapter=summary))
    await world.settle()
    assert world.status()["candidate"]["revision"] == revision_of("named")
    world.cluster.remove(JOB, SUPPORT, name)
    await world.settle()
    assert [job for job in world.jobs.names() if "inspect" in job] == [], "a known adapter is not inspected again"


async def test_a_pod_restart_in_the_canary_keeps_its_evidence(world):
    await world.settle()
    await world.promote("first")
    await world.begin_canary("second")
    world.ask(60)
    await world.pass_time(5)
    before = world.status()["candidate"]["observation"]["arms"]["candidate"]["answers"]
    assert before > 0
    world.pool.servers()[0].restart(world.plan)
    await world.pass_time(30)
    assert world.status()["candidate"]["observation"]["lost"] == 1
    assert world.status()["candidate"]["observation"]["arms"]["candidate"]["answers"] == before
    world.ask(400)
    await world.pass_time(5)
    assert world.targets() == {revision_of("first"): 50, revision_of("second"): 50}


async def test_time_without_readings_does_not_count_in_a_window(world):
    """A bake must not end while the server's loop delivers no readings."""
    await world.settle()
    await world.promote("first")
    await world.begin_canary("second")
    for _ in range(2):
        world.ask(400)
        await world.pass_time(5)
    assert world.targets() == {revision_of("second"): 100}
    world.clock.advance(120)
    await world.rollouts.reconcile(Key(ADAPTER_DEPLOYMENT, SUPPORT, "support"))
    assert world.status()["stable"]["revision"] == revision_of("first")
    await world.settle()
    assert world.status()["stable"]["revision"] == revision_of("first"), "the time without readings is not made up for"
    await world.pass_time(60)
    assert world.status()["stable"]["revision"] == revision_of("second")


async def scale_to_zero(world):
    def scale(replicas: int) -> None:
        world.cluster.edit(MODEL_SERVER, SERVING, "pool", lambda body: body["spec"].update(replicas=replicas))

    scale(0)
    await world.settle()
    await world.pass_time(300)
    check_outage(world)
    scale(2)


async def lose_the_pods_replies(world):
    for pod in world.pool.servers():
        pod.reachable = False
    await world.pass_time(300)
    check_outage(world)
    for pod in world.pool.servers():
        pod.reachable = True


async def stop_the_operator(world):
    world.clock.advance(300)
    world.restart_operator()


async def stop_the_servers_loop(world):
    for _ in range(10):
        world.clock.advance(30)
        await world.rollouts.reconcile(Key(ADAPTER_DEPLOYMENT, SUPPORT, "support"))
    check_outage(world)


def check_outage(world):
    candidate = world.status()["candidate"]
    assert candidate["verdict"] == "Error"
    assert condition(world.status(), "Progressing")["reason"] == "ServerNotReady"
    assert not any("answers after" in reason for reason in candidate["reasons"]), "not: too little traffic"


@pytest.mark.parametrize("outage", [scale_to_zero, lose_the_pods_replies, stop_the_operator, stop_the_servers_loop])
async def test_the_time_of_an_outage_does_not_count_in_a_bake(world, outage):
    await world.settle()
    await world.promote("first")
    await world.begin_canary("second")
    for _ in range(2):
        world.ask(400)
        await world.pass_time(5)
    assert world.targets() == {revision_of("second"): 100}
    await outage(world)
    await world.settle()
    await world.pass_time(55)
    assert world.status()["stable"]["revision"] == revision_of("first")
    assert world.status()["candidate"].get("verdict") is None
    await world.pass_time(10)
    assert world.status()["stable"]["revision"] == revision_of("second")


async def test_abort_returns_traffic_to_the_incumbent_and_takes_precedence_over_promote(world):
    await world.settle()
    await world.promote("first")
    await world.begin_canary("second")
    world.annotate("promote", "second")
    world.annotate("abort", "second")
    await world.settle()
    assert world.targets() == {revision_of("first"): 100}
    assert world.status()["history"][0]["outcome"] == "Aborted"
    assert [item["verb"] for item in world.status()["lastHandledRequests"]] == ["abort", "promote"]
    await world.pass_time(10)
    assert "candidate" not in world.status(), "an aborted digest does not return without a request"
    world.annotate("retry", "second")
    await world.settle()
    assert world.status()["candidate"]["revision"] == revision_of("second")


async def test_a_restarted_operator_keeps_a_healthy_alias_ready(world):
    await world.settle()
    await world.promote("first")
    before = world.status()
    world.restart_operator()
    key = Key(ADAPTER_DEPLOYMENT, SUPPORT, "support")
    assert await world.rollouts.reconcile(key) is None, "the board wakes it when the server was reconciled"
    assert world.status() == before
    await world.reconcile_server()
    assert key in world.polls.woken
    await world.settle()
    assert world.status() == before


async def test_a_restarted_operator_reads_the_replicas_before_it_records_a_withdrawal(world):
    await world.settle()
    await world.promote("first")
    await world.begin_canary("second")
    world.annotate("abort", "second")
    key = Key(ADAPTER_DEPLOYMENT, SUPPORT, "support")
    await world.rollouts.reconcile(key)
    world.restart_operator()
    await world.rollouts.reconcile(key)
    assert world.status()["candidate"]["ending"]["outcome"] == "Aborted"
    assert condition(world.status(), "Progressing")["reason"] == "Withdrawing"
    await world.settle()
    assert world.status()["history"][0]["outcome"] == "Aborted"


async def test_a_deleted_server_loses_no_recorded_revision(world):
    await world.settle()
    await world.promote("first")
    world.cluster.remove(MODEL_SERVER, SERVING, "pool")
    await world.settle()
    assert condition(world.status(), "Ready")["status"] == "False"
    assert world.status()["stable"]["revision"] == revision_of("first")


async def test_a_steady_state_costs_few_calls_and_no_write(world, monkeypatch):
    await world.settle()
    calls = record_calls(world, monkeypatch)
    assert await reconcile_calls(world, calls) == []
    world.put_job("first")
    await world.settle()
    assert await reconcile_calls(world, calls) == [("read_metadata", "Secret")], "the age of the evaluation's token"
    await world.promote_candidate()
    assert await reconcile_calls(world, calls) == []


def record_calls(world: ServingWorld, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Return a list that grows by (verb, kind) with every call to the API server."""
    calls: list[tuple[str, str]] = []

    def spy(verb: str) -> Any:
        method = getattr(world.cluster, verb)

        async def record(what: Any, *args: Any, **options: Any) -> Any:
            calls.append((verb, what["kind"] if isinstance(what, dict) else what.name))
            return await method(what, *args, **options)

        return record

    for verb in ("get", "list", "read_metadata", "create", "apply", "replace", "replace_status", "delete"):
        monkeypatch.setattr(world.cluster, verb, spy(verb))
    return calls


async def reconcile_calls(world: ServingWorld, calls: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the calls of one reconciliation of the deployment, sorted."""
    calls.clear()
    await world.rollouts.reconcile(Key(ADAPTER_DEPLOYMENT, SUPPORT, "support"))
    return sorted(calls)
