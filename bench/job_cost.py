"""Measure what a new FineTuneJob costs the operator, from the event that reports it to the status with its first Job.

    .venv/bin/python bench/job_cost.py [--jobs 300] [--rounds 3] [--profile build/bench/job_cost.prof]

Everything is the operator's own, from the store to the HTTP client, except the watches (`bench/watch_feed.py` measures
those) and the Lease. A second process plays the API server, so that its CPU time does not count. Each round puts new
jobs into the store and, as watches would, the operator's own writes, the Job controller's first status and the new pod.
The CPU time is that of this process, until every job has its status and nothing is left to reconcile.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import cProfile
import dataclasses
import gc
import multiprocessing
import multiprocessing.connection
import os
import pstats
import statistics
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from tunewright_operator.api.fine_tune_job import FineTuneJobSpec
from tunewright_operator.api.kinds import BASE_MODEL, FINE_TUNE_JOB, JOB, POD, Kind, kind_of
from tunewright_operator.kubernetes_api.client import APIClient
from tunewright_operator.kubernetes_api.credentials import Endpoint
from tunewright_operator.kubernetes_api.event_recorder import EventRecorder
from tunewright_operator.kubernetes_api.kubernetes_cluster import KubernetesCluster
from tunewright_operator.kubernetes_api.rate_limit import RateLimit, TokenBucket
from tunewright_operator.reconcile.report import FailureReporter
from tunewright_operator.runtime import metrics
from tunewright_operator.runtime.fence import FencedCluster
from tunewright_operator.runtime.logging import configure_logging
from tunewright_operator.runtime.runner import Runner
from tunewright_operator.runtime.term import Term
from tunewright_operator.settings import Settings
from tunewright_operator.store.dispatch import Dispatcher
from tunewright_operator.store.projections import STORED_KINDS
from tunewright_operator.store.store import Store
from tunewright_operator.store.stored_cluster import StoredCluster
from tunewright_operator.wiring import open_reconcilers

sys.path.insert(0, str(Path(__file__).parent))

from scale_bench import objects

Body = dict[str, Any]
Pipe = multiprocessing.connection.Connection

NAMESPACES = 20
CREATED = "2026-01-31T12:00:00Z"
WARM_UP_JOBS = 100
QUIET_SECONDS = 0.5
"""Longer than changes of children are grouped."""
MANAGER = {
    "manager": "tunewright-operator",
    "operation": "Update",
    "apiVersion": objects.API_VERSION,
    "time": CREATED,
    "fieldsType": "FieldsV1",
    "fieldsV1": {"f:spec": {f"f:field{index}": {"f:inner": {}, "f:other": {".": {}}} for index in range(20)}},
}


# The API server -------------------------------------------------------------------------------------------------------


class Server:
    """Objects by path; an answer to a write has what the API server adds."""

    def __init__(self) -> None:
        self._objects: dict[str, Body] = {}
        self._version = 1_000
        self.calls: collections.Counter[str] = collections.Counter()

    def put(self, path: str, body: Body) -> Body:
        """Store a new object as the API server would."""
        self._version += 1
        metadata = {
            **body["metadata"],
            "uid": str(uuid.uuid4()),
            "resourceVersion": str(self._version),
            "generation": 1,
            "creationTimestamp": CREATED,
            "managedFields": [MANAGER],
        }
        self._objects[path] = {**body, "metadata": metadata}
        return self._objects[path]

    def begin_round(self, jobs: int) -> tuple[Body, list[Body]]:
        """Forget everything; return an inspected base model and new jobs in `NAMESPACES` namespaces."""
        self._objects.clear()
        self.calls.clear()
        for number in range(NAMESPACES):
            secret = {"apiVersion": "v1", "kind": "Secret", **objects.build_secret(f"team-{number:03d}")}
            self.put(f"/api/v1/namespaces/team-{number:03d}/secrets/{objects.SECRET}", secret)
        model = self.put(f"/apis/{objects.API_VERSION}/basemodels/{objects.BASE_MODEL}", build_base_model())
        return model, [self.put(_path_of(body), body) for body in (build_job(number) for number in range(jobs))]

    async def answer(self, request: web.Request) -> web.Response:
        """Answer a read of an object, a creation, or an update of a status."""
        data, path = await request.read(), request.path
        self.calls[f"{request.method} {self._kind(path)}"] += 1
        if request.method == "POST":
            body = orjson.loads(data)
            return self._reply(self.put(f"{path}/{body['metadata']['name']}", body), 201)
        target = path.removesuffix("/status")
        found = self._objects.get(target)
        if found is None:
            return self._reply({"kind": "Status", "reason": "NotFound", "message": target}, 404)
        if request.method == "PUT":
            self._version += 1
            metadata = {**found["metadata"], "resourceVersion": str(self._version)}
            found = self._objects[target] = {**found, "metadata": metadata, "status": orjson.loads(data)["status"]}
        return self._reply(found)

    def _kind(self, path: str) -> str:
        """Return the resource of a path, with its subresource."""
        parts = path.strip("/").split("/")
        plural = parts[parts.index("namespaces") + 2] if "namespaces" in parts else parts[-2]
        return f"{plural}/status" if path.endswith("/status") else plural

    def _reply(self, body: Body, status: int = 200) -> web.Response:
        return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")


def serve(pipe: Pipe) -> None:
    """Run the server in this process; send its URL over the pipe, and then new jobs, as many as are asked for."""

    async def run() -> None:
        server = Server()
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", server.answer)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        pipe.send(f"http://127.0.0.1:{runner.addresses[0][1]}")
        while (jobs := await asyncio.to_thread(pipe.recv)) is not None:
            model, created = server.begin_round(jobs)
            pipe.send((model, created))
            await asyncio.to_thread(pipe.recv)
            pipe.send({call: number / jobs for call, number in sorted(server.calls.items())})

    asyncio.run(run())


def build_job(number: int) -> Body:
    """Return a new job with the defaults of its CRD."""
    body = objects.build_job(f"job-{number:05d}", f"team-{number % NAMESPACES:03d}")
    return {**body, "spec": FineTuneJobSpec.model_validate(body["spec"]).to_wire()}


def _path_of(body: Body) -> str:
    metadata = body["metadata"]
    return f"/apis/{objects.API_VERSION}/namespaces/{metadata['namespace']}/finetunejobs/{metadata['name']}"


def build_base_model() -> Body:
    """Return a base model that was inspected."""
    body = objects.build_base_model()
    condition = {"status": "True", "reason": "Inspected", "message": "", "lastTransitionTime": CREATED}
    status = {
        "observedGeneration": 1,
        "digest": objects.BASE_DIGEST,
        "linearModules": ["q_proj", "k_proj", "v_proj", "o_proj"],
        "conditions": [{"type": "Ready", "observedGeneration": 1, **condition}],
    }
    metadata = {**body["metadata"], "finalizers": ["tunewright.dev/in-use"]}
    return {**body, "metadata": metadata, "status": status}


# The operator ---------------------------------------------------------------------------------------------------------


class Anonymous:
    """Credentials with a token, as in a pod."""

    def __init__(self, url: str) -> None:
        self.endpoint = Endpoint(url)

    def authorization(self) -> str | None:
        """See `Credentials.authorization`."""
        return "Bearer " + "x" * 900

    async def renew(self, _refused: str | None) -> bool:
        """See `Credentials.renew`."""
        return False


class WatchedCluster(FencedCluster):
    """A fenced cluster whose writes come back as the events of watches, with what the Job controller adds."""

    def __init__(self, cluster: KubernetesCluster, term: Term, store: Store) -> None:
        super().__init__(cluster, term)
        self._store = store

    async def create(self, body: Body) -> Body:
        """See `Cluster.create`."""
        created = await super().create(body)
        kind = kind_of(created)
        if kind == JOB:
            loop = asyncio.get_running_loop()
            loop.call_later(0.01, self._store.upsert, JOB, created)
            loop.call_later(0.03, self._store.upsert, JOB, _later(created, {"status": {"active": 1, "ready": 0}}))
            started = {"status": {"active": 1, "ready": 0, "startTime": CREATED}}
            loop.call_later(0.04, self._store.upsert, JOB, _later(created, started))
            loop.call_later(0.02, self._store.upsert, POD, _build_pod(created))
        return created

    async def replace_status(self, observed: Body, status: Any) -> Body:
        """See `Cluster.replace_status`."""
        written = await super().replace_status(observed, status)
        asyncio.get_running_loop().call_later(0.01, self._store.upsert, kind_of(written), written)
        return written


def _later(body: Body, changes: Body) -> Body:
    version = str(int(body["metadata"]["resourceVersion"]) + 1 + len(changes["status"]))
    return {**body, "metadata": {**body["metadata"], "resourceVersion": version}, **changes}


def _build_pod(job: Body) -> Body:
    metadata = job["metadata"]
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": metadata["name"], "uid": metadata["uid"]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{metadata['name']}-x7k2p",
            "namespace": metadata["namespace"],
            "uid": f"pod-{metadata['uid']}",
            "resourceVersion": metadata["resourceVersion"],
            "creationTimestamp": CREATED,
            "labels": metadata["labels"],
            "ownerReferences": [{**owner, "controller": True}],
        },
        "spec": job["spec"]["template"]["spec"],
        "status": {"phase": "Pending"},
    }


@dataclasses.dataclass
class Figures:
    """What one round has measured, for a job."""

    cpu_milliseconds: float
    wall_milliseconds: float
    reconciles: float
    calls: dict[str, float]


@contextlib.asynccontextmanager
async def open_operator(url: str, store: Store) -> AsyncIterator[APIClient]:
    """Run the loops as `__main__` does, as the leader of a term that does not end."""
    term = Term()
    term.extend(term.now() + 86_400)
    settings = Settings(namespace="tunewright", operator_image="o:1", trainer_image="t:1", server_image="s:1")
    client = APIClient(Anonymous(url), limit=TokenBucket(RateLimit(1_000_000, 1_000_000)))
    cluster = KubernetesCluster(client, EventRecorder(client, instance="bench"))
    stored, dispatcher = StoredCluster(WatchedCluster(cluster, term, store), store), Dispatcher(store)
    for kind in STORED_KINDS:
        store.synced(kind)
    async with open_reconcilers(stored, store, term, settings, dispatcher.wake) as reconcilers:
        runner = Runner(reconcilers.by_kind, FailureReporter(stored).report, settings.workers.by_kind())
        try:
            with dispatcher.open(runner):
                yield client
        finally:
            await runner.close()
            await cluster.flush_events()
            await cluster.close()


def count_reconciles(kind: Kind) -> float:
    """Return how many reconciliations of a kind have ended well."""
    return metrics.RECONCILES.labels(kind.name, "ok")._value.get()  # noqa: SLF001


async def measure(url: str, model: Body, jobs: list[Body], profile: cProfile.Profile | None) -> Figures:
    """Let the jobs appear, and measure until nothing is left to do."""
    store = Store()
    store.upsert(BASE_MODEL, model)
    async with open_operator(url, store):
        await asyncio.sleep(QUIET_SECONDS)
        gc.collect()
        gc.freeze()
        before, started, cpu = count_reconciles(FINE_TUNE_JOB), time.monotonic(), time.process_time()
        if profile is not None:
            profile.enable()
        for body in jobs:
            store.upsert(FINE_TUNE_JOB, body)
        done, last, wall = before, -1.0, started
        while done != last or done < before + len(jobs):
            last = done
            await asyncio.sleep(QUIET_SECONDS)
            done = count_reconciles(FINE_TUNE_JOB)
            if done != last:
                wall = time.monotonic()
        if profile is not None:
            profile.disable()
        cpu = time.process_time() - cpu
    count = len(jobs)
    return Figures(cpu * 1_000 / count, (wall - started) * 1_000 / count, (done - before) / count, {})


@dataclasses.dataclass
class Bench:
    """A server, and rounds against it."""

    url: str
    pipe: Pipe

    def run_round(self, jobs: int, profile: cProfile.Profile | None = None) -> Figures:
        """Measure one round."""
        self.pipe.send(jobs)
        model, created = self.pipe.recv()
        figures = asyncio.run(measure(self.url, model, created, profile))
        self.pipe.send("calls")
        return dataclasses.replace(figures, calls=self.pipe.recv())


@contextlib.contextmanager
def open_bench() -> Iterator[Bench]:
    """Start a server, and end it."""
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe()
    server = context.Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    try:
        yield Bench(mine.recv(), mine)
    finally:
        mine.send(None)
        server.join()


def main() -> None:
    """Run the rounds and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--profile", type=Path, help="write a profile of one more round, and print its top")
    arguments = parser.parse_args()
    shown = sys.stdout
    with Path(os.devnull).open("w") as nowhere, open_bench() as bench:
        with contextlib.redirect_stdout(nowhere):  # The logs are formatted, and their lines go nowhere.
            configure_logging("json")
            bench.run_round(WARM_UP_JOBS)
            found = [bench.run_round(arguments.jobs) for _ in range(arguments.rounds)]
        cpu = [figures.cpu_milliseconds for figures in found]
        wall = statistics.median(figures.wall_milliseconds for figures in found)
        print(f"a job: {statistics.median(cpu):.2f} ms of CPU (lowest {min(cpu):.2f}), {wall:.2f} ms in all")
        print(f"reconciliations of a job: {found[0].reconciles:.2f}")
        print("calls for a job: " + ", ".join(f"{call} {number:.2f}" for call, number in found[0].calls.items()))
        if arguments.profile:
            profile = cProfile.Profile()
            with contextlib.redirect_stdout(nowhere):
                bench.run_round(arguments.jobs, profile)
            arguments.profile.parent.mkdir(parents=True, exist_ok=True)
            profile.dump_stats(arguments.profile)
            pstats.Stats(profile, stream=shown).sort_stats("tottime").print_stats(40)


if __name__ == "__main__":
    main()
