"""A node with 32 server pods becomes unreachable: neither jobs nor the rollouts of other servers are delayed.

The operator's loops, queues and poller run as in production, in virtual time.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import itertools
from collections.abc import AsyncIterator, Callable

from support.clusters.fake_cluster import Clock
from support.clusters.fake_deployments import FakeDeployments
from support.clusters.fake_pods import FakeServerPods
from support.virtual_time import in_virtual_time
from support.worlds.job_worlds import DEFAULTS, KEEP_SECONDS, FakeTrainers
from support.worlds.rollout_world import revision_of
from support.worlds.serving_world import SERVING, SUPPORT, ServingWorld, condition
from tunewright_contracts.clients.access_list import SignedAccessList
from tunewright_contracts.evaluation_report import Verdict
from tunewright_contracts.serving_plan import SignedPlan
from tunewright_operator.api.kinds import (
    ADAPTER_DEPLOYMENT,
    BASE_MODEL,
    FINE_TUNE_JOB,
    JOB,
    MODEL_CLIENT,
    MODEL_SERVER,
    OWN_KINDS,
)
from tunewright_operator.reconcile.adapter_deployment import AdapterDeploymentReconciler
from tunewright_operator.reconcile.base_model import BaseModelReconciler
from tunewright_operator.reconcile.expiry import JobExpiry
from tunewright_operator.reconcile.fine_tune_job import FineTuneJobReconciler
from tunewright_operator.reconcile.model_client import ModelClientReconciler
from tunewright_operator.reconcile.model_server import ModelServerReconciler
from tunewright_operator.reconcile.report import FailureReporter
from tunewright_operator.reconcile.signing_keys import SigningKeys
from tunewright_operator.runtime.polling.access_board import AccessBoard
from tunewright_operator.runtime.polling.poller import Poller
from tunewright_operator.runtime.polling.progress_polls import ProgressPolls
from tunewright_operator.runtime.polling.server_board import ServerBoard
from tunewright_operator.runtime.polling.server_polls import ServerPolls
from tunewright_operator.runtime.runner import Runner
from tunewright_operator.serving import TIMEOUT_SECONDS, PodAddress, PodUnreachableError, StateAnswer
from tunewright_operator.store.dispatch import Dispatcher

OTHERS = 32


class LoopClock(Clock):
    """The time of the event loop, as a date."""

    def __call__(self) -> dt.datetime:
        return super().__call__() + dt.timedelta(seconds=asyncio.get_running_loop().time())

    @property
    def text(self) -> str:
        return self().strftime("%Y-%m-%dT%H:%M:%SZ")


class Network(FakeServerPods):
    """Pods whose answers take 5 ms; calls to those that are lost end after the timeout."""

    def __init__(self) -> None:
        super().__init__()
        self.lost: set[str] = set()
        self.polled: dict[str, list[float]] = {}

    async def fetch_state(self, pod: PodAddress, token: str, known: StateAnswer | None = None) -> StateAnswer:
        self.polled.setdefault(pod.uid, []).append(asyncio.get_running_loop().time())
        await self._travel(pod)
        return await super().fetch_state(pod, token, known)

    async def push_plan(self, pod: PodAddress, signed: SignedPlan) -> None:
        await self._travel(pod)
        await super().push_plan(pod, signed)

    async def push_access(self, pod: PodAddress, signed: SignedAccessList) -> None:
        await self._travel(pod)
        await super().push_access(pod, signed)

    async def _travel(self, pod: PodAddress) -> None:
        if pod.uid in self.lost:
            await asyncio.sleep(TIMEOUT_SECONDS)
            raise PodUnreachableError(f"pod {pod.name}: timeout")
        await asyncio.sleep(0.005)


class RunningWorld(ServingWorld):
    """The pool of `ServingWorld` and others of two replicas each, with a running operator."""

    def __init__(self) -> None:
        self.network = Network()
        super().__init__(clock=LoopClock(), pods=self.network)
        self.pools = [self.pool, *(self._put_pool(f"serving-{number}") for number in range(OTHERS))]

    def _put_pool(self, namespace: str) -> FakeDeployments:
        self.cluster.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": {}}})
        self.put_secret(namespace)
        server = self.cluster.peek(MODEL_SERVER, SERVING, "pool")
        metadata = {"name": "pool", "namespace": namespace}
        self.cluster.put({**server, "metadata": metadata, "status": {}})
        return FakeDeployments(self.cluster, self.network, namespace)

    @contextlib.asynccontextmanager
    async def operate(self) -> AsyncIterator[None]:
        """Run controllers, kubelets and the operator."""
        poller = Poller(is_leading=lambda: True, clock=asyncio.get_running_loop().time)
        cluster, reads, dispatcher = self.feed.cluster, self.feed.reads, Dispatcher(self.feed.store)
        board, keys = ServerBoard(dispatcher.wake), SigningKeys(cluster, "tunewright-system")
        servers = ServerPolls(self.network, board, poller, now=self.clock)
        trainers = ProgressPolls(FakeTrainers(), poller, dispatcher.wake)
        evaluators = ProgressPolls(FakeTrainers(), poller, dispatcher.wake, kind="evaluator")
        access = AccessBoard(dispatcher.wake)
        model_servers = ModelServerReconciler(
            cluster,
            reads,
            self.network,
            servers,
            keys=keys,
            board=board,
            clients=access,
            defaults=DEFAULTS,
            now=self.clock,
        )
        expiry = JobExpiry(cluster, KEEP_SECONDS)
        models = BaseModelReconciler(cluster, reads, DEFAULTS, "tunewright-system", expiry=expiry, now=self.clock)
        rollouts = AdapterDeploymentReconciler(
            cluster, reads, keys, board, evaluators=evaluators, defaults=DEFAULTS, expiry=expiry, now=self.clock
        )
        jobs = FineTuneJobReconciler(cluster, reads, trainers, DEFAULTS, expiry=expiry, now=self.clock)
        self.runner = Runner(
            {
                BASE_MODEL: models.reconcile,
                FINE_TUNE_JOB: jobs.reconcile,
                MODEL_SERVER: model_servers.reconcile,
                ADAPTER_DEPLOYMENT: rollouts.reconcile,
                MODEL_CLIENT: ModelClientReconciler(cluster, reads, access, now=self.clock).reconcile,
            },
            FailureReporter(cluster, now=self.clock).report,
            dict.fromkeys(OWN_KINDS, 8),
        )
        tasks = [asyncio.create_task(poller.run()), asyncio.create_task(self._run_pools())]
        try:
            with dispatcher.open(self.runner):
                yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.runner.close()

    async def _run_pools(self) -> None:
        while True:
            for pool in self.pools:
                pool.run()
            await asyncio.sleep(0.5)

    async def until(self, holds: Callable[[], object], what: str) -> float:
        """Wait until something holds; return for how long it did not."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        while not holds():
            assert loop.time() - begun < 600, f"not in ten minutes: {what}"
            await asyncio.sleep(0.05)
        return loop.time() - begun

    def is_serving(self, namespace: str) -> bool:
        status = self.cluster.peek(MODEL_SERVER, namespace, "pool").get("status", {})
        return condition(status, "Ready").get("status") == "True" and not condition(status, "Reconciling")

    def namespaces(self) -> list[str]:
        return [SERVING, *(f"serving-{number}" for number in range(OTHERS))]

    async def promote_next(self, word: str) -> dict[str, float]:
        """Roll out a new revision; return how many seconds each part took, apart from what pods and clients need."""
        took: dict[str, float] = {}
        self.put_job(word)
        took["evaluation begins"] = await self.until(lambda: self.list_jobs("evaluate"), "an evaluation")
        self.finish_evaluation(Verdict.PASS)
        took["answers"] = await self.until(lambda: self.targets().get(revision_of(word)), "a weight")
        await self.until(self._is_observing, "a window")
        self.ask(400)
        took["first verdict"] = await self.until(lambda: self.status()["candidate"]["step"] > 2, "a verdict")
        while self.status().get("stable", {}).get("revision") != revision_of(word):
            self.ask(100)
            await asyncio.sleep(5)
        return took

    def _is_observing(self) -> bool:
        candidate = self.status().get("candidate") or {}
        return candidate.get("step") == 2 and candidate.get("stepStartedAt") is not None

    def lose_a_node(self) -> set[str]:
        """Lose one pod of each other server."""
        self.network.lost = {pool.pods()[0]["metadata"]["uid"] for pool in self.pools[1:]}
        return self.network.lost


@in_virtual_time
async def test_an_unreachable_node_delays_neither_jobs_nor_rollouts_of_other_servers() -> None:
    world = RunningWorld()
    async with world.operate():
        world.put_deployment()
        await world.until(lambda: all(world.is_serving(name) for name in world.namespaces()), "all servers serve")
        await world.promote_next("first")
        calm = await world.promote_next("second")
        lost = world.lose_a_node()
        assert len(lost) == OTHERS
        await asyncio.sleep(15)
        assert condition(world.server_status(), "Ready")["status"] == "True"
        for name in world.namespaces()[1:]:
            message = condition(world.cluster.peek(MODEL_SERVER, name, "pool")["status"], "Ready")["message"]
            assert message.startswith("1 of 2"), "the unreachable pod counts as not answering"
        begun = asyncio.get_running_loop().time()
        took = await world.promote_next("third")
        for part, seconds in took.items():
            assert seconds <= calm[part] + 0.3, part
        world.put_job("new", finished=False)
        world.cluster.edit(FINE_TUNE_JOB, SUPPORT, "new", lambda body: body.update(status={}))
        assert await world.until(lambda: world.cluster.find(JOB, SUPPORT, "new-prepare-1"), "a Job") <= 0.3
        for pod in world.pool.servers():
            polls = [time for time in world.network.polled[pod.uid] if time > begun]
            # Intervals follow a grid, and a poll between two of its points is at most half an interval late.
            assert max(after - before for before, after in itertools.pairwise(polls)) < 15.3
        for uid in lost:
            polls = [time for time in world.network.polled[uid] if time > begun + 60]
            assert all(after - before >= 30 for before, after in itertools.pairwise(polls))
        world.network.lost = set()
        names = world.namespaces()
        assert await world.until(lambda: all(world.is_serving(name) for name in names), "the node is back") <= 33
