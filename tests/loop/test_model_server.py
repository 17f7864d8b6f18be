"""The ModelServer loop with fake pods: its objects, the plan's way to every replica, replacing replicas."""

from __future__ import annotations

import pytest

from support.clusters.fake_cluster import refer_to_controller
from support.worlds.rollout_world import revision_of
from support.worlds.serving_world import SERVING, SUPPORT, ServingWorld, condition
from tunewright_contracts.server_config import ServerConfig
from tunewright_contracts.serving_plan import PLAN_KEY, SignedPlan
from tunewright_operator.api.kinds import (
    ADAPTER_DEPLOYMENT,
    BASE_MODEL,
    CONFIG_MAP,
    DEPLOYMENT,
    FINE_TUNE_JOB,
    MODEL_SERVER,
    POD,
    POD_DISRUPTION_BUDGET,
    REPLICA_SET,
    SECRET,
    SERVICE,
)
from tunewright_operator.cluster import ConflictError, ForbiddenError, InvalidError
from tunewright_operator.domain.serving.decision import decide
from tunewright_operator.reconcile.report import FailureReporter
from tunewright_operator.reconcile.signing_keys import SIGNING_KEY_SECRET, SigningKeys
from tunewright_operator.runtime.key import Key

KEY = Key(MODEL_SERVER, SERVING, "pool")


@pytest.fixture
async def world(world: ServingWorld) -> ServingWorld:
    await world.settle()
    return world


async def test_a_server_has_a_restricted_deployment_a_service_and_a_disruption_budget(world):
    deployment = world.cluster.peek(DEPLOYMENT, SERVING, "pool")
    pod = deployment["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["readinessProbe"]["httpGet"]["path"] == "/tunewright/v1/readyz"
    assert container["livenessProbe"]["httpGet"]["path"] == "/tunewright/v1/healthz"
    assert container["lifecycle"]["preStop"] == {"sleep": {"seconds": 10}}
    assert pod["terminationGracePeriodSeconds"] > 10
    folders = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert {"/etc/tunewright/server", "/etc/tunewright/keys", "/etc/tunewright/plan", "/tmp", "/dev/shm"} <= folders
    assert not any("subPath" in mount for mount in container["volumeMounts"]), "a subPath is never updated"
    assert world.cluster.peek(SERVICE, SERVING, "pool")["spec"]["ports"][0]["port"] == 8000
    assert world.cluster.peek(POD_DISRUPTION_BUDGET, SERVING, "pool")["spec"]["maxUnavailable"] == 1
    config = world.cluster.peek(CONFIG_MAP, SERVING, "pool-server")
    assert ServerConfig.from_json(config["data"]["server.json"]).max_rank == 16
    assert config["data"]["operator.pub"].startswith("-----BEGIN PUBLIC KEY-----")
    status = world.server_status()
    assert status["endpoint"] == "http://pool.serving.svc:8000"
    assert condition(status, "Ready")["reason"] == "Serving"
    assert status["readyReplicas"] == 2


async def test_nothing_is_written_when_nothing_changes(world):
    writes = len(world.cluster.writes)
    generation = world.plan.generation
    for _ in range(3):
        await world.pass_time(2)
    assert len(world.cluster.writes) == writes
    assert world.plan.generation == generation


@pytest.mark.parametrize(
    ("break_it", "reason"),
    [
        (lambda world: world.cluster.remove(BASE_MODEL, None, "smollm2"), "BaseModelNotFound"),
        (lambda world: world.put_base_model(digest=""), "BaseModelNotReady"),
        (lambda world: world.cluster.edit(BASE_MODEL, None, "smollm2", _exclude), "BaseModelNotAllowed"),
        (lambda world: world.put_secret(SERVING, allowed=False), "SecretNotAllowed"),
        (lambda world: world.cluster.remove(_kind("Secret"), SERVING, "s3"), "SecretNotFound"),
    ],
)
async def test_a_server_with_a_problem_reports_it_and_creates_no_deployment(break_it, reason):
    world = ServingWorld()
    break_it(world)
    await world.settle()
    assert condition(world.server_status(), "Stalled")["reason"] == reason
    assert condition(world.server_status(), "Ready")["status"] == "False"
    assert world.cluster.bodies(DEPLOYMENT) == []


def _exclude(body):
    body["spec"]["allowedNamespaces"] = {"from": "Selector", "selector": {"matchLabels": {"team": "another"}}}


def _kind(name):
    from tunewright_operator.api.kinds import ALL_KINDS

    return next(kind for kind in ALL_KINDS if kind.name == name)


async def test_a_server_with_a_new_problem_continues_to_serve(world):
    await world.promote("first")
    world.put_secret(SERVING, allowed=False)
    await world.pass_time(60)
    assert condition(world.server_status(), "Stalled")["reason"] == "SecretNotAllowed"
    assert condition(world.server_status(), "Ready")["status"] == "True"
    assert set(world.ask(10)) == {revision_of("first")}


async def test_a_replica_restarted_with_the_operator_down_serves_the_mounted_plan(world):
    await world.promote("first")
    world.pool.kill(world.pool.pods()[0]["metadata"]["name"])
    world.pool.run()
    world.pool.run()
    assert len(world.pool.pods()) == 2
    assert set(world.ask(20)) == {revision_of("first")}


async def test_a_pod_of_another_controller_gets_neither_plan_nor_token(world):
    labels = world.pool.pods()[0]["metadata"]["labels"]
    forged = world.cluster.put(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "forged", "namespace": SERVING, "labels": labels},
            "spec": {},
            "status": {"phase": "Running", "podIP": "10.0.0.99", "conditions": []},
        }
    )
    pod = world.pods.add(forged["metadata"]["uid"])
    foreign_set = world.cluster.put(
        {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {"name": "forged", "namespace": SERVING, "labels": labels},
        }
    )
    world.cluster.edit(
        POD,
        SERVING,
        "forged",
        lambda body: body["metadata"].update(ownerReferences=[refer_to_controller(foreign_set)]),
    )
    await world.reconcile_server()
    assert pod.plan is None
    assert "forged" not in {name for _, name in world.pods.calls}
    world.cluster.remove(POD, SERVING, "forged")
    world.cluster.remove(REPLICA_SET, SERVING, "forged")


async def test_a_restored_older_plan_is_replaced_by_a_higher_generation(world):
    """Pods refuse lower generations, so the next one must be higher than that of every pod."""
    old = world.cluster.peek(CONFIG_MAP, SERVING, "pool-plan")["data"]
    await world.promote("first")
    seen = max(pod.generation for pod in world.pool.servers())
    world.cluster.edit(CONFIG_MAP, SERVING, "pool-plan", lambda body: body.update(data=old))
    await world.pass_time(60)
    assert world.plan.generation > seen
    assert all(pod.generation == world.plan.generation for pod in world.pool.servers())
    assert world.targets() == {revision_of("first"): 100}


async def test_a_deleted_plan_is_written_again_above_the_generation_of_the_pods(world):
    seen = world.plan.generation
    world.cluster.remove(CONFIG_MAP, SERVING, "pool-plan")
    await world.pass_time(60)
    assert world.plan.generation == seen + 1


async def test_a_plan_conflict_is_resolved_by_a_new_generation(world):
    pod = world.pool.servers()[0]
    generation = world.plan.generation
    forged = world.plan.model_copy(update={"routes": ()})
    pod.plan = forged.model_copy(update={"generation": generation})
    pod.apply(world.plan)
    assert pod.state().plan_status == "PlanConflict"
    await world.settle()
    assert world.plan.generation == generation + 1
    assert pod.plan == world.plan


async def test_the_current_plan_is_signed_again_with_a_new_signing_key(world):
    """Pods that start later have only the new key; running pods keep their plan."""
    await world.promote("first")
    before = world.cluster.peek(CONFIG_MAP, SERVING, "pool-plan")["data"]
    generation = world.plan.generation
    world.cluster.remove(SECRET, "tunewright-system", SIGNING_KEY_SECRET)
    world.restart_operator()
    await world.settle()
    after = world.cluster.peek(CONFIG_MAP, SERVING, "pool-plan")["data"]
    key = await SigningKeys(world.cluster, "tunewright-system").load()
    assert after != before
    assert key.has_signed(SignedPlan.from_json(after[PLAN_KEY]))
    assert world.plan.generation == generation
    assert set(world.ask(10)) == {revision_of("first")}


async def test_a_pool_whose_pods_the_api_server_refuses_shows_the_refusal(world):
    refusal = 'pods "pool-7d" is forbidden: exceeded quota: small, requested: pods=1'
    for pod in world.pool.pods():
        world.pool.kill(pod["metadata"]["name"])

    def refuse(body):
        body["status"]["readyReplicas"] = 0
        body["status"]["conditions"] = [
            {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": refusal}
        ]

    world.cluster.edit(DEPLOYMENT, SERVING, "pool", refuse)
    await world.reconcile_server()
    ready = condition(world.server_status(), "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "ReplicasUnavailable")
    assert "exceeded quota" in ready["message"]


async def test_a_concurrent_write_of_the_plan_is_not_overwritten(world):
    world.put_job("first")
    world.cluster.fail_next(ConflictError("changed"), "replace", CONFIG_MAP)
    await world.rollouts.reconcile(Key(_kind("AdapterDeployment"), "support", "support"))
    with pytest.raises(ConflictError):
        await world.servers.reconcile(KEY)
    pushed = [call for call in world.pods.calls if call[0] == "push"]
    await world.settle()
    assert len([call for call in world.pods.calls if call[0] == "push"]) > len(pushed)


@pytest.mark.parametrize("error", [ForbiddenError("configmaps is forbidden: quota"), InvalidError("too long")])
async def test_a_plan_that_the_api_server_refuses_is_reported_and_the_current_plan_stays(world, error):
    await world.promote("first")
    generation = world.plan.generation
    world.cluster.fail_next(error, "replace", CONFIG_MAP, times=2)
    world.clock.advance(1)
    world.put_job("second")
    await world.rollouts.reconcile(Key(ADAPTER_DEPLOYMENT, SUPPORT, "support"))
    await world.servers.reconcile(KEY)
    status = world.server_status()
    stalled = condition(status, "Stalled")
    assert stalled["reason"] == "JobRefused"
    assert str(error) in stalled["message"]
    assert condition(status, "Ready")["status"] == "True"
    assert status["plan"]["generation"] == generation == world.plan.generation
    assert set(world.ask(10)) == {revision_of("first")}
    await world.settle()
    assert condition(world.server_status(), "Stalled") == {}, "a later write was not refused"
    assert world.plan.generation == generation + 1


async def test_a_first_plan_that_the_api_server_refuses_is_reported():
    world = ServingWorld()
    world.cluster.fail_next(ForbiddenError("quota"), "create", CONFIG_MAP, "pool-plan")
    assert await world.servers.reconcile(KEY) == 0, "the signing key comes first"
    assert await world.servers.reconcile(KEY) == 10
    assert condition(world.server_status(), "Stalled")["reason"] == "JobRefused"
    await world.settle()
    assert condition(world.server_status(), "Stalled") == {}


async def test_a_signing_key_that_the_api_server_refuses_is_reported():
    world = ServingWorld()
    world.cluster.fail_next(ForbiddenError("secrets is forbidden"), "create", SECRET, SIGNING_KEY_SECRET)
    assert await world.servers.reconcile(KEY) == 10
    assert condition(world.server_status(), "Stalled")["reason"] == "JobRefused"
    assert world.cluster.bodies(DEPLOYMENT) == []
    await world.settle()
    assert condition(world.server_status(), "Stalled") == {}


async def test_a_plan_of_another_owner_with_the_same_name_is_not_changed():
    world = ServingWorld()
    theirs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "pool-plan", "namespace": SERVING}}
    world.cluster.put({**theirs, "data": {PLAN_KEY: "theirs"}})
    for _ in range(3):
        await world.servers.reconcile(KEY)
    assert condition(world.server_status(), "Stalled")["reason"] == "NameTaken"
    assert world.cluster.peek(CONFIG_MAP, SERVING, "pool-plan")["data"] == {PLAN_KEY: "theirs"}
    assert world.cluster.find(DEPLOYMENT, SERVING, "pool"), "the other objects exist"


async def test_a_deployment_of_another_owner_with_the_same_name_is_not_changed():
    world = ServingWorld(replicas=1)
    theirs = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "pool", "namespace": SERVING}}
    world.cluster.put({**theirs, "spec": {"theirs": True}, "status": {"replicas": 3, "readyReplicas": 3}})
    for _ in range(3):
        await world.servers.reconcile(KEY)
    assert condition(world.server_status(), "Stalled")["reason"] == "NameTaken"
    assert world.server_status()["replicas"] == 0, "its pods do not count"
    assert world.cluster.peek(DEPLOYMENT, SERVING, "pool")["spec"] == {"theirs": True}


@pytest.mark.parametrize("made", [False, True])
async def test_observing_writes_nothing(made):
    world = ServingWorld()
    world.put_deployment()
    if made:
        await world.settle()
        world.pool.servers()[0].restart()
        await world.poll()
        world.put_job("first")
        await world.rollouts.reconcile(Key(ADAPTER_DEPLOYMENT, SUPPORT, "support"))
    writes, calls = len(world.cluster.writes), len(world.pods.calls)
    observed = await world.servers._observer.observe(world.feed.reads.observe_model_server(SERVING, "pool"))
    assert decide(observed.observation).actions
    assert len(world.cluster.writes) == writes
    assert len(world.pods.calls) == calls


async def test_the_plan_is_written_before_it_is_pushed(world):
    """If a pod had a plan that the ConfigMap lacks, a restarted pod would load an older one."""
    order: list[str] = []
    push, replace = world.pods.push_plan, world.cluster.replace

    async def spy_push(pod, signed):
        order.append("push")
        held = world.cluster.peek(CONFIG_MAP, SERVING, "pool-plan")["data"][PLAN_KEY]
        assert SignedPlan.from_json(held) == signed
        await push(pod, signed)

    async def spy_replace(body):
        order.append("write")
        return await replace(body)

    world.pods.push_plan, world.cluster.replace = spy_push, spy_replace
    world.put_job("first")
    await world.settle()
    assert order[0] == "write"
    assert "push" in order


async def test_a_pod_that_does_not_answer_does_not_count_as_converged(world):
    world.pool.servers()[0].reachable = False
    world.put_job("first")
    await world.reconcile_server()
    assert condition(world.server_status(), "Ready")["message"].startswith("1 of 2")


async def test_a_new_template_replaces_pods_one_at_a_time_without_a_missing_answer(world):
    await world.promote("first")
    world.cluster.edit(MODEL_SERVER, SERVING, "pool", lambda body: body["spec"]["lora"].update(maxRank=32))
    before = {pod["metadata"]["name"] for pod in world.pool.pods()}
    for _ in range(30):
        await world.work_once()
        world.pool.run()
        assert None not in world.ask(10), "an answer was missing while pods were replaced"
    await world.settle()
    after = {pod["metadata"]["name"] for pod in world.pool.pods()}
    assert not before & after
    assert len(after) == 2
    assert condition(world.server_status(), "Reconciling") == {}


async def test_a_single_replica_without_surge_waits_until_surge_is_allowed(world):
    single = ServingWorld(replicas=1)
    single.put_deployment()
    await single.settle()
    before = single.pool.pods()
    single.cluster.edit(MODEL_SERVER, SERVING, "pool", lambda body: body["spec"]["lora"].update(maxRank=32))
    await single.settle()
    assert [pod["metadata"]["name"] for pod in single.pool.pods()] == [pod["metadata"]["name"] for pod in before]
    stalled = condition(single.server_status(), "Stalled")
    assert stalled["reason"] == "NeedsSurge"
    assert "maxSurge" in stalled["message"]
    single.cluster.edit(
        MODEL_SERVER,
        SERVING,
        "pool",
        lambda body: body["spec"].update(updateStrategy={"maxSurge": 1, "maxUnavailable": 0}),
    )
    await single.settle()
    assert condition(single.server_status(), "Stalled") == {}
    assert {pod["metadata"]["name"] for pod in single.pool.pods()} != {pod["metadata"]["name"] for pod in before}


async def test_a_service_of_another_owner_with_the_same_name_is_not_changed():
    world = ServingWorld()
    world.cluster.put(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "pool", "namespace": SERVING},
            "spec": {"theirs": True},
        }
    )
    await world.settle()
    assert condition(world.server_status(), "Stalled")["reason"] == "NameTaken"
    assert world.cluster.peek(SERVICE, SERVING, "pool")["spec"] == {"theirs": True}


async def test_a_pods_failed_adapter_shows_in_the_servers_status(world):
    await world.promote("first")
    world.pool.servers()[0].broken[revision_of("second")] = "tensor holds Inf"
    world.clock.advance(1)
    world.put_job("second")
    await world.settle()
    failed = [pod["failed"] for pod in world.server_status()["pods"] if pod["failed"]]
    assert failed == [[{"name": revision_of("second"), "reason": "PreflightFailed", "message": "tensor holds Inf"}]]
    assert condition(world.status(), "Stalled")["reason"] == "LoadingRetried"


async def test_a_deleted_server_is_forgotten(world):
    uid = world.cluster.peek(MODEL_SERVER, SERVING, "pool")["metadata"]["uid"]
    board = world.servers._board
    reader = Key(ADAPTER_DEPLOYMENT, SUPPORT, "support")
    assert board.read(uid, world.clock(), reader) is not None
    world.cluster.edit(
        MODEL_SERVER, SERVING, "pool", lambda body: body["metadata"].update(deletionTimestamp=world.clock.text)
    )
    await world.servers.reconcile(KEY)
    assert board.read(uid, world.clock(), reader) is None
    assert len(world.polls.poller) == 0


async def test_a_server_that_is_deleted_while_its_plan_is_pushed_is_reconciled_to_the_end(world, monkeypatch):
    world.put_job("one")
    world.put_deployment()
    await world.rollouts.reconcile(Key(ADAPTER_DEPLOYMENT, SUPPORT, "support"))
    push = world.pods.push_plan

    async def delete_and_push(*arguments):
        world.servers.forget(KEY)
        await push(*arguments)

    monkeypatch.setattr(world.pods, "push_plan", delete_and_push)
    generation = world.plan.generation
    await world.poll()
    await world.servers.reconcile(KEY)
    assert world.plan.generation > generation
    assert len(world.polls.poller) == 0


async def test_an_unreadable_deployment_is_still_served_and_does_not_stop_others(world):
    await world.promote("first")
    world.edit_deployment(lambda body: body["spec"]["rollout"].update(onInconclusive={"of": "a newer version"}))
    world.put_deployment("other", namespace="other", modelName="other")
    world.put_job("third", namespace="other")
    await world.settle()
    assert set(world.ask(10)) == {revision_of("first")}
    assert revision_of("third", "other") in {adapter.name for adapter in world.plan.adapters}
    stalled = condition(world.status(), "Stalled")
    assert stalled["reason"] == "UnreadableResource"
    assert "onInconclusive" in stalled["message"]
    assert condition(world.status(), "Ready")["status"] == "True", "it is still served, so its condition stays"
    world.edit_deployment(lambda body: body["spec"]["rollout"].pop("onInconclusive"))
    await world.settle()
    assert condition(world.status(), "Stalled") == {}


async def test_a_pod_that_lacks_the_incumbent_is_not_ready_for_the_alias(world):
    await world.promote("first")
    await world.begin_canary("second")
    assert condition(world.status(), "Ready")["status"] == "True"
    pod = world.pool.servers()[0]
    pod.broken[revision_of("first")] = "gone"
    pod.loaded.discard(revision_of("first"))
    await world.pass_time(2)
    ready = condition(world.status(), "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "Loading")
    assert revision_of("first") in ready["message"]


async def test_an_operator_error_is_not_reported_in_a_job_that_has_ended(world):
    world.put_job("first")
    before = world.cluster.peek(FINE_TUNE_JOB, SUPPORT, "first")
    reporter = FailureReporter(world.cluster, now=world.clock)
    await reporter.report(Key(FINE_TUNE_JOB, SUPPORT, "first"), RuntimeError("a bug"))
    assert world.cluster.peek(FINE_TUNE_JOB, SUPPORT, "first") == before
    world.cluster.edit(
        FINE_TUNE_JOB, SUPPORT, "first", lambda body: body["status"]["conditions"][0].update(status="Unknown")
    )
    await reporter.report(Key(FINE_TUNE_JOB, SUPPORT, "first"), RuntimeError("a bug"))
    stalled = condition(world.cluster.peek(FINE_TUNE_JOB, SUPPORT, "first")["status"], "Stalled")
    assert stalled["reason"] == "InternalError"
    assert stalled["message"].startswith("RuntimeError: a bug.")


async def test_a_candidate_is_rolled_out_although_the_server_excludes_the_stable_revision(world):
    await world.promote("first")
    world.cluster.edit(
        MODEL_SERVER,
        SERVING,
        "pool",
        lambda body: body["spec"].update(adapterSources=[{"uriPrefix": "s3://models/adapters/{namespace}/second"}]),
    )
    await world.settle()
    assert condition(world.status(), "Ready")["reason"] == "SourceNotAllowed"
    assert condition(world.status(), "Stalled")["reason"] == "SourceNotAllowed"
    await world.begin_canary("second")
    assert condition(world.status(), "Stalled") == {}
    assert condition(world.status(), "Progressing")["reason"] == "Observing", (
        "it must not wait for a plan with the excluded revision"
    )
    world.annotate("abort", "second")
    await world.settle()
    assert world.status().get("candidate") is None
