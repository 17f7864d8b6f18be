"""The operator process: `run` (the default) or `release-finalizers` (the chart's pre-delete hook)."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import gc
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import structlog
from pydantic import ValidationError

from tunewright_operator.api.kinds import CUSTOM_RESOURCE_DEFINITION, OWN_KINDS
from tunewright_operator.cluster import Cluster, ClusterError
from tunewright_operator.finalizers import release_finalizers, stop_operator
from tunewright_operator.kubernetes_api.feed import ReflectorFeed
from tunewright_operator.kubernetes_api.kubernetes_cluster import open_cluster
from tunewright_operator.kubernetes_api.rate_limit import RateLimit
from tunewright_operator.reconcile.report import FailureReporter
from tunewright_operator.runtime.fence import FencedCluster
from tunewright_operator.runtime.leader_thread import LeaderThread
from tunewright_operator.runtime.logging import configure_logging
from tunewright_operator.runtime.probes import start_probe_server
from tunewright_operator.runtime.process import run_process
from tunewright_operator.runtime.replica import run_replica, until_stopped
from tunewright_operator.runtime.runner import Runner
from tunewright_operator.runtime.term import Term
from tunewright_operator.settings import Settings
from tunewright_operator.store.auditor import Auditor
from tunewright_operator.store.dispatch import Dispatcher
from tunewright_operator.store.metrics import show as show_store
from tunewright_operator.store.projections import SELECTORS
from tunewright_operator.store.store import Store
from tunewright_operator.store.stored_cluster import StoredCluster
from tunewright_operator.wiring import open_reconcilers

LEASE_NAME = "tunewright-operator"
CRD_POLL_SECONDS = 2.0
RECURSION_LIMIT = 40_000
"""Enough to parse any object: the API server accepts JSON with 10 000 levels, for example in the schema of a spec.

With a lower limit, one such object would make every list of its kind fail.
"""

log = structlog.get_logger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return the exit code."""
    parser = argparse.ArgumentParser(prog="tunewright_operator", description=__doc__)
    parser.add_argument("command", nargs="?", choices=["run", "release-finalizers"], default="run")
    command = parser.parse_args(arguments).command
    try:
        settings = Settings()
    except ValidationError as error:
        wrong = "; ".join(f"TUNEWRIGHT_{str(item['loc'][0]).upper()}: {item['msg']}" for item in error.errors())
        parser.error(f"wrong or missing environment variables ({wrong}); the Helm chart sets them")
    sys.setrecursionlimit(RECURSION_LIMIT)
    configure_logging(settings.log_format, settings.log_level)
    # What the imports created stays until the end, so that a garbage collection need not visit it.
    gc.collect()
    gc.freeze()
    return asyncio.run(release(settings) if command == "release-finalizers" else run(settings))


async def release(settings: Settings) -> int:
    """Stop the operator, acquire its Lease and remove its finalizers; return the exit code.

    The exit code is 1 when a request to the API server fails.
    """
    async with open_cluster(settings.pod_name, namespaces=settings.watched_namespaces) as cluster:
        try:
            if not settings.deployment:
                log.info("finalizers_released", resources=await release_finalizers(cluster))
                return 0
            await stop_operator(cluster, settings.namespace, settings.deployment)
            async with build_leader(settings) as leader:
                await leader.wait_until_leader()
                released = await release_finalizers(FencedCluster(cluster, leader.term))
                log.info("finalizers_released", resources=released)
        except ClusterError as error:
            log.critical("finalizers_not_released", error=str(error))
            return 1
    return 0


def build_leader(settings: Settings) -> LeaderThread:
    """Return the leader election of this process."""
    return LeaderThread(
        functools.partial(open_cluster, settings.pod_name),
        namespace=settings.namespace,
        name=LEASE_NAME,
        identity=settings.pod_name,
    )


async def run(settings: Settings) -> int:
    """Run a replica until a signal; return the exit code.

    The leader thread ends the process with exit code 1 when leadership is lost.
    """
    await run_process(functools.partial(serve, settings), settings.pod_name)
    return 0


async def serve(settings: Settings, *, stop: asyncio.Event, started: asyncio.Event) -> None:
    """Serve probes, wait for the CRDs, set ``started``, and run a replica until ``stop`` is set."""
    ready = asyncio.Event()
    async with contextlib.AsyncExitStack() as stack:
        limit = RateLimit(settings.api_requests_per_second, settings.api_burst)
        cluster = await stack.enter_async_context(
            open_cluster(settings.pod_name, limit=limit, namespaces=settings.watched_namespaces)
        )
        probes = await start_probe_server(settings.probe_port, ready)
        stack.push_async_callback(probes.cleanup)
        if await until_stopped(wait_for_crds(cluster), stop):
            started.set()
            store, leader = Store(), build_leader(settings)
            show_store(store)
            feed = ReflectorFeed(store, SELECTORS, stop, namespaces=settings.watched_namespaces)
            fenced = FencedCluster(cluster, leader.term)
            work = functools.partial(
                open_loops, settings, fenced, leader.term, store, stop=stop, flush_events=cluster.flush_events
            )
            await run_replica(feed, leader, work, stop, on_filled=ready.set)


@contextlib.asynccontextmanager
async def open_loops(
    settings: Settings,
    cluster: Cluster,
    term: Term,
    store: Store,
    *,
    stop: asyncio.Event,
    flush_events: Callable[[], Awaitable[None]],
) -> AsyncIterator[None]:
    """Run the loops of all resources and the audits of the store.

    At the end of the context they have ended, and their Events are written, or dropped if that takes too long.
    """
    stored, dispatcher = StoredCluster(cluster, store), Dispatcher(store)
    async with open_reconcilers(stored, store, term, settings, dispatcher.wake) as reconcilers:
        report, workers = FailureReporter(stored).report, settings.workers.by_kind()
        runner = Runner(reconcilers.by_kind, report, workers, forgotten=reconcilers.forget)
        try:
            async with Auditor(store, cluster).running(on_end=stop.set):
                with dispatcher.open(runner):
                    yield
        finally:
            await runner.close()
            await flush_events()


async def wait_for_crds(cluster: Cluster) -> None:
    """Wait until the API server serves every custom resource: the log has the remedy, which a failed list has not."""
    for kind in OWN_KINDS:
        name = f"{kind.plural}.{kind.group}"
        while not await _is_established(cluster, name):
            log.warning("crd_missing", name=name, remedy="install the chart's CRDs (crds.enabled=true)")
            await asyncio.sleep(CRD_POLL_SECONDS)


async def _is_established(cluster: Cluster, name: str) -> bool:
    try:
        crd = await cluster.get(CUSTOM_RESOURCE_DEFINITION, None, name)
    except ClusterError as error:
        log.warning("api_server_unreachable", error=str(error))
        return False
    conditions = (crd or {}).get("status", {}).get("conditions") or []
    return any(item["type"] == "Established" and item["status"] == "True" for item in conditions)


if __name__ == "__main__":
    sys.exit(main())
