"""Measure what a request to the API server costs the operator, by three clients in one run.

The generated client of the `kubernetes` package, aiohttp as the operator uses it for watches and behind a proxy, and
its own HTTP client.

    .venv/bin/python bench/api_client.py [--rounds 7] [--report build/bench/api_client.json]

A second process plays the API server: it answers with prepared bytes, so that it is never the limit. Each round sends
the same requests by all clients in turn, and the CPU time of their processes is measured. All decode the answers. Every
client runs in its own process, so that neither the imports nor the garbage collector of one are in the figures of the
other; the memory of each process is reported, too.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import functools
import gc
import json
import multiprocessing
import multiprocessing.connection
import resource
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from tunewright_operator.api.kinds import FINE_TUNE_JOB

Object = dict[str, Any]
Call = Callable[[], Awaitable[Object]]

ITEMS = 500
CALLS = {"GET 6 KB": 400, "POST 6 KB": 400, "LIST 500 x 6 KB": 6}
PATH = "/apis/tunewright.dev/v1alpha1/namespaces/team-support/finetunejobs"
MILLISECONDS = 1_000


def build_object(number: int) -> Object:
    """Return a FineTuneJob of about 6 KB, as the API server sends it: half of it are managed fields."""
    owned = {f"f:field{index}": {"f:inner": {}, "f:other": {".": {}, "f:leaf": {}}} for index in range(24)}
    manager = {
        "manager": "tunewright-operator",
        "operation": "Update",
        "apiVersion": "tunewright.dev/v1alpha1",
        "time": "2026-01-31T12:00:00Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": {"f:status": owned},
        "subresource": "status",
    }
    condition = {
        "type": "DatasetReady",
        "status": "True",
        "reason": "Prepared",
        "message": "4210 records to train on, 221 to validate, 442 held out; 12 were skipped.",
        "observedGeneration": 1,
        "lastTransitionTime": "2026-01-31T12:00:00Z",
    }
    return {
        "apiVersion": "tunewright.dev/v1alpha1",
        "kind": "FineTuneJob",
        "metadata": {
            "name": f"support-triage-{number}",
            "namespace": "team-support",
            "uid": f"00000000-0000-0000-0000-{number:012d}",
            "resourceVersion": str(number),
            "generation": 1,
            "creationTimestamp": "2026-01-31T12:00:00Z",
            "labels": {"app": "support", "kueue.x-k8s.io/queue-name": "gpu"},
            "managedFields": [manager, {**manager, "manager": "kubectl-client-side-apply", "operation": "Apply"}],
        },
        "spec": {
            "baseModelRef": {"name": "llama-3.2-3b"},
            "dataset": {"sources": [{"name": "tickets", "s3": {"uri": "s3://datasets/support/"}, "weight": 1}]},
            "training": {"lora": {"rank": 16, "alpha": 16, "dropout": "0.0"}, "epochs": 3, "learningRate": "2e-4"},
            "output": {"uri": "s3://models/adapters/team-support"},
        },
        "status": {
            "phase": "Training",
            "attempt": 1,
            "conditions": [{**condition, "type": kind} for kind in ("DatasetReady", "Trained", "Succeeded")],
            "progress": {"curve": [{"step": step, "trainLoss": "0.812"} for step in range(20)]},
        },
    }


def serve(pipe: multiprocessing.connection.Connection) -> None:
    """Answer requests until the process is ended; send the port over the pipe."""
    one = json.dumps(build_object(1)).encode()
    items = [build_object(number) for number in range(ITEMS)]
    for item in items:
        del item["apiVersion"], item["kind"]
    many = json.dumps({"kind": "FineTuneJobList", "metadata": {"resourceVersion": "1"}, "items": items}).encode()

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        is_list = request.method == "GET" and request.path == PATH
        return web.Response(body=many if is_list else one, content_type="application/json")

    async def run() -> None:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", answer)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        pipe.send(runner.addresses[0][1])
        await asyncio.Event().wait()

    asyncio.run(run())


@dataclasses.dataclass
class Client:
    """The requests of one client, and how to close it."""

    calls: dict[str, Call]
    close: Callable[[], Awaitable[None]]


async def open_generated(url: str) -> Client:
    """Return the client of the ``kubernetes`` package, called as the operator called it before."""
    from kubernetes.aio import client  # noqa: PLC0415 - only this process imports it

    api = client.ApiClient(client.Configuration(host=url))

    async def send(method: str, path: str, query: list[tuple[str, str]], body: Object | None = None) -> Object:
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        serialized = await api.param_serialize(
            method, path, query_params=query, header_params=headers, body=body, auth_settings=["BearerToken"]
        )
        response = await api.call_api(*serialized, _request_timeout=30)
        answer: Object = json.loads(await response.read())
        return answer

    body = build_object(2)
    calls: dict[str, Call] = {
        "GET 6 KB": lambda: send("GET", f"{PATH}/support-triage-1", []),
        "POST 6 KB": lambda: send("POST", PATH, [("fieldManager", "bench")], body),
        "LIST 500 x 6 KB": lambda: send("GET", PATH, [("limit", "500")]),
    }
    return Client(calls, api.close)


async def open_own(url: str, *, by_aiohttp: bool = False) -> Client:
    """Return the operator's client; ``by_aiohttp``: as it sends requests through a proxy."""
    from tunewright_operator.kubernetes_api.client import APIClient, Request, Verb  # noqa: PLC0415 - see above
    from tunewright_operator.kubernetes_api.credentials import Endpoint  # noqa: PLC0415

    class Anonymous:
        endpoint = Endpoint(url)

        def authorization(self) -> str | None:
            return None

        async def renew(self, _refused: str | None) -> bool:
            return False

    api = APIClient(Anonymous())
    api._proxied = by_aiohttp  # noqa: SLF001
    body = build_object(2)
    calls: dict[str, Call] = {
        "GET 6 KB": lambda: api.request(Request(Verb.GET, FINE_TUNE_JOB, f"{PATH}/support-triage-1")),
        "POST 6 KB": lambda: api.request(Request(Verb.CREATE, FINE_TUNE_JOB, PATH, [("fieldManager", "bench")], body)),
        "LIST 500 x 6 KB": lambda: api.request(Request(Verb.LIST, FINE_TUNE_JOB, PATH, [("limit", "500")])),
    }
    return Client(calls, api.close)


OPENERS: dict[str, Callable[[str], Awaitable[Client]]] = {
    "generated": open_generated,
    "aiohttp": functools.partial(open_own, by_aiohttp=True),
    "own": open_own,
}


def measure(name: str, url: str, pipe: multiprocessing.connection.Connection) -> None:
    """Measure one client: for each call that comes over the pipe, send back the milliseconds of CPU for one."""

    async def run() -> None:
        client = await OPENERS[name](url)
        for call in client.calls.values():
            await call()
        gc.collect()
        pipe.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        while (wanted := await asyncio.to_thread(pipe.recv)) is not None:
            call, count = client.calls[wanted], CALLS[wanted]
            started = time.thread_time()
            for _ in range(count):
                await call()
            pipe.send((time.thread_time() - started) / count * MILLISECONDS)
        await client.close()

    asyncio.run(run())


def main() -> None:
    """Run the clients in turn and print the median of each call."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--report", type=Path)
    arguments = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe()
    server = context.Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    url = f"http://127.0.0.1:{mine.recv()}"
    pipes, memory = {}, {}
    processes = []
    for name in OPENERS:
        pipes[name], other = context.Pipe()
        process = context.Process(target=measure, args=(name, url, other), daemon=True)
        process.start()
        processes.append(process)
        memory[name] = pipes[name].recv()
    results: dict[str, dict[str, list[float]]] = {call: {name: [] for name in OPENERS} for call in CALLS}
    for _ in range(arguments.rounds):
        for call in CALLS:
            for name, pipe in pipes.items():
                pipe.send(call)
                results[call][name].append(pipe.recv())
    for pipe in pipes.values():
        pipe.send(None)
    for process in processes:
        process.join()
    print(f"milliseconds of CPU for a request, median of {arguments.rounds} rounds (lowest)")
    for call, by_name in results.items():
        shown = [f"{name} {statistics.median(values):7.3f} ({min(values):.3f})" for name, values in by_name.items()]
        print(f"{call:16} {'   '.join(shown)}")
    print(f"{'peak memory':16} " + "   ".join(f"{name} {memory[name]:5.0f} MiB" for name in OPENERS))
    if arguments.report:
        arguments.report.parent.mkdir(parents=True, exist_ok=True)
        report = {"cpuMilliseconds": results, "peakMiB": memory}
        arguments.report.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
