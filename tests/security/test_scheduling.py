"""A tenant takes nodes, priority or devices that belong to others, by the scheduling fields of its resources."""

from __future__ import annotations

import pytest

from support.clusters.fake_jobs import NAMESPACE
from support.worlds.job_worlds import PREPARE, TRAIN_1, World
from support.worlds.serving_world import SERVING, ServingWorld, condition
from tunewright_operator.api.kinds import DEPLOYMENT, JOB, MODEL_SERVER

ATTACKS = {
    "evict the pods of every other tenant": {"scheduling": {"priorityClassName": "system-node-critical"}},
    "run on the nodes of the control plane": {
        "scheduling": {"tolerations": [{"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"}]}
    },
    "run on every node, whatever its taints": {"scheduling": {"tolerations": [{"operator": "Exists"}]}},
    "run on the node of a victim": {"scheduling": {"nodeSelector": {"kubernetes.io/hostname": "victim"}}},
    "leave the sandbox": {"scheduling": {"runtimeClassName": "runc"}},
    "take devices of the host": {"resources": {"limits": {"example.com/host-device": 1}}},
    "take huge pages": {"resources": {"limits": {"hugepages-1Gi": "64Gi", "memory": "1Gi"}}},
}


@pytest.mark.parametrize("spec", ATTACKS.values(), ids=ATTACKS.keys())
async def test_a_job_with_placement_that_is_not_its_teams_gets_no_pod(spec):
    world = World(**spec)
    await world.settle()
    assert world.jobs.names() == []
    stalled = world.condition("Stalled")
    assert stalled["reason"] == "SchedulingNotAllowed"
    assert "spec." in stalled["message"]


@pytest.mark.parametrize("spec", ATTACKS.values(), ids=ATTACKS.keys())
async def test_a_running_server_does_not_get_such_placement(spec):
    world = ServingWorld()
    await world.settle()
    before = world.cluster.peek(DEPLOYMENT, SERVING, "pool")["spec"]["template"]
    world.cluster.edit(MODEL_SERVER, SERVING, "pool", lambda body: body["spec"].update(spec))
    await world.settle()
    assert world.cluster.peek(DEPLOYMENT, SERVING, "pool")["spec"]["template"] == before
    assert condition(world.server_status(), "Stalled")["reason"] == "SchedulingNotAllowed"


async def test_no_pod_fills_the_disk_or_the_memory_of_its_node():
    """Each container has a limit of memory and of disk, also if the spec asks for nothing."""
    world = World(resources={})
    await world.prepare()
    for name in (PREPARE, TRAIN_1):
        (container,) = world.cluster.peek(JOB, NAMESPACE, name)["spec"]["template"]["spec"]["containers"]
        assert container["resources"]["limits"].keys() == {"memory", "ephemeral-storage"}
        assert container["resources"]["requests"].keys() == {"cpu", "memory", "ephemeral-storage"}
