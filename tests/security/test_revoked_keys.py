"""A revoked key is tried again: while lists are late, after restarts, from backups of a list, and during a rotation."""

from __future__ import annotations

import asyncio
import copy
import functools
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

import support.worlds.server_world as server
from support.clusters.fake_pods import FakePod
from support.worlds.serving_world import SERVING, SUPPORT, ServingWorld, condition
from tunewright_contracts.clients.access_list import ACCESS_KEY, AccessList, SignedAccessList
from tunewright_contracts.clients.client_key import build_client_key, find_key_id, hash_client_key
from tunewright_operator.api.kinds import CONFIG_MAP, MODEL_CLIENT

KEYS = tuple(build_client_key(letter * 12, "s" * 43) for letter in "ABC")
ENTRIES = {key: {"id": find_key_id(key), "sha256": hash_client_key(key)} for key in KEYS}
CHAT = "/v1/chat/completions"


@functools.cache
def build_world() -> ServingWorld:
    """Return the world in which each example starts with a copy of it: every replica accepts every key."""
    world = ServingWorld()
    world.put_job("first")
    world.put_deployment()
    world.put_client(*ENTRIES.values())
    asyncio.run(world.settle())
    return world


class Pool(RuleBasedStateMachine):
    """A pool and its operator, in which everything that brings lists to pods can fail or come late.

    Once the client's status shows that its newest spec is propagated, no pod accepts a key that is not in it, until a
    user adds the key again.
    """

    def __init__(self) -> None:
        super().__init__()
        self.world = copy.deepcopy(build_world())
        self.is_away = False
        self.old_lists: list[bytes] = []
        self._keep_list()
        self.generations: dict[str, int] = {}

    # What users and attackers do ------------------------------------------------------------------------------

    @rule(keys=st.sets(st.sampled_from(KEYS)), suspended=st.booleans())
    def edit(self, keys: set[str], suspended: bool) -> None:
        entries = [ENTRIES[key] for key in sorted(keys)]
        change: dict[str, Any] = {"keys": entries, "suspended": suspended}
        self.world.cluster.edit(MODEL_CLIENT, SUPPORT, "web", lambda body: body["spec"].update(change))
        self._work()

    @rule(data=st.data())
    def replay_an_old_list(self, data: Any) -> None:
        signed = SignedAccessList.from_json(data.draw(st.sampled_from(self.old_lists)))
        for pod in self._pods():
            pod.apply_access(AccessList.from_json(signed.payload_bytes()))

    # What fails -----------------------------------------------------------------------------------------------

    @rule(index=st.integers(0, 1), reachable=st.booleans())
    def break_the_network(self, index: int, reachable: bool) -> None:
        self._pods()[index].reachable = reachable
        self._work()

    @rule()
    def stop_the_operator(self) -> None:
        self.is_away = True

    @rule()
    def start_the_operator(self) -> None:
        self.is_away = False
        self.world.restart_operator()
        self._work()

    @rule(number=st.integers(1, 4))
    def kill_the_operator_after_a_write(self, number: int) -> None:
        if not self.is_away:
            self.world.cluster.crash_after = number
            self._work()
            self.world.cluster.crash_after = None

    @rule()
    def lose_the_list(self) -> None:
        if self.world.cluster.find(CONFIG_MAP, SERVING, "pool-access") is not None:
            self.world.cluster.remove(CONFIG_MAP, SERVING, "pool-access")
        self._work()

    @rule()
    def replace_a_pod(self) -> None:
        self.world.pool.kill(self.world.pool.pods()[0]["metadata"]["name"])
        self._work()

    @rule()
    def wait(self) -> None:
        if not self.is_away:
            asyncio.run(self.world.pass_time(61))

    @invariant()
    def no_pod_goes_back(self) -> None:
        for pod in self._pods():
            generation = pod.access.generation if pod.access else 0
            assert generation >= self.generations.get(pod.uid, 0)
            self.generations[pod.uid] = generation

    @invariant()
    def what_is_propagated_is_true_everywhere(self) -> None:
        body = self.world.cluster.peek(MODEL_CLIENT, SUPPORT, "web")
        found = condition(body.get("status", {}), "Propagated")
        if found.get("status") != "True" or found["observedGeneration"] != body["metadata"]["generation"]:
            return
        spec = body["spec"]
        valid = set() if spec.get("suspended") else {entry["sha256"] for entry in spec["keys"]}
        for pod in self._pods():
            accepted = {key.sha256 for client in (pod.access.clients if pod.access else ()) for key in client.keys}
            assert accepted == valid or not pod.access

    def teardown(self) -> None:
        """When all is well again, every pod has the newest spec."""
        for pod in self._pods():
            pod.reachable = True
        self.start_the_operator()
        self.wait()
        assert condition(self.world.client_status(), "Propagated")["status"] == "True"
        self.what_is_propagated_is_true_everywhere()

    def _pods(self) -> list[FakePod]:
        return self.world.pool.servers()

    def _keep_list(self) -> None:
        body = self.world.cluster.find(CONFIG_MAP, SERVING, "pool-access")
        self.old_lists += [body["data"][ACCESS_KEY].encode()] if body is not None else []

    def _work(self) -> None:
        if self.is_away:
            self.world.pool.run()
            return
        asyncio.run(self.world.settle())
        self._keep_list()


def test_a_key_that_is_reported_as_revoked_is_accepted_by_no_replica() -> None:
    run_state_machine_as_test(Pool, settings=settings(max_examples=8, stateful_step_count=8, deadline=None))


async def test_a_rotation_with_two_keys_loses_no_request(pod: server.Pod) -> None:
    """A client changes its key when the new one is propagated; requests that were sent before are still answered."""
    old, new = KEYS[:2]
    in_use, ended, statuses = old, False, []

    async def send_requests() -> None:
        while not ended:
            headers = {"authorization": f"Bearer {in_use}"}
            answers = (pod.client.post(CHAT, json=server.chat(), headers=headers) for _ in range(4))
            statuses.extend(response.status_code for response in await asyncio.gather(*answers))

    async def push(generation: int, *keys: str) -> None:
        assert (await pod.push_access(server.make_access(generation, server.make_client(*keys)))).status_code == 200
        before = len(statuses)
        await server.until(lambda: len(statuses) > before + 8)

    await pod.push_access(server.make_access(2, server.make_client(old)))
    requests = asyncio.create_task(send_requests())
    await push(3, old, new)
    in_use = new
    await push(4, old, new)
    await push(5, new)
    ended = True
    await requests
    assert set(statuses) == {200}
    refused = await pod.client.post(CHAT, json=server.chat(), headers={"authorization": f"Bearer {old}"})
    server.refused(refused, 401, "invalid_api_key")
