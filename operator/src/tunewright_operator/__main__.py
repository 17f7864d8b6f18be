"""The operator process: `run` (the default) or `release-finalizers` (the chart's pre-delete hook)."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Coroutine, Sequence

import kopf
import structlog
from pydantic import ValidationError

from tunewright_operator.api.kinds import CUSTOM_RESOURCE_DEFINITION, OWN_KINDS
from tunewright_operator.cluster import Cluster, ClusterError, KubernetesCluster
from tunewright_operator.finalizers import release_finalizers, stop_operator
from tunewright_operator.handlers.settings import configure
from tunewright_operator.handlers.watch import build_registry
from tunewright_operator.reconcile.report import FailureReporter
from tunewright_operator.runtime.leadership import Leadership
from tunewright_operator.runtime.logging import configure_logging
from tunewright_operator.runtime.probes import start_probe_server
from tunewright_operator.runtime.runner import Runner
from tunewright_operator.runtime.wakeups import Wakeups
from tunewright_operator.settings import Settings
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
    return asyncio.run(release(settings) if command == "release-finalizers" else run(settings))


async def release(settings: Settings) -> int:
    """Stop the operator, acquire its Lease and remove its finalizers; return the exit code.

    The exit code is 1 when a request to the API server fails.
    """
    cluster = await KubernetesCluster.connect(instance=settings.pod_name)
    leadership = build_leadership(cluster, settings)
    try:
        if settings.deployment:
            await stop_operator(cluster, settings.namespace, settings.deployment)
            await leadership.acquire()
        log.info("finalizers_released", resources=await release_finalizers(cluster))
        if settings.deployment:
            await leadership.release()
    except ClusterError as error:
        log.critical("finalizers_not_released", error=str(error))
        return 1
    finally:
        await cluster.close()
    return 0


def build_leadership(cluster: Cluster, settings: Settings) -> Leadership:
    """Return the leader election of this process."""
    return Leadership(cluster, namespace=settings.namespace, name=LEASE_NAME, identity=settings.pod_name)


async def run(settings: Settings) -> int:
    """Serve probes, wait for the CRDs and for leadership, run the loops until a signal; return the exit code.

    The exit code is 1 when leadership is lost.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with contextlib.AsyncExitStack() as stack:
        cluster = await KubernetesCluster.connect(instance=settings.pod_name)
        stack.push_async_callback(cluster.close)
        probes = await start_probe_server(settings.probe_port)
        stack.push_async_callback(probes.cleanup)
        leadership = build_leadership(cluster, settings)
        if not await _until_stopped(_become_leader(cluster, leadership), stop):
            return 0
        lost = await _lead(settings, cluster, leadership, stop)
        if not lost:
            await leadership.release()
        return int(lost)


async def wait_for_crds(cluster: Cluster) -> None:
    """Wait until the API server serves every custom resource: Kopf does not watch one that appears later."""
    for kind in OWN_KINDS:
        name = f"{kind.plural}.{kind.group}"
        while not await _is_established(cluster, name):
            log.warning("crd_missing", name=name, remedy="install the chart's CRDs (crds.enabled=true)")
            await asyncio.sleep(CRD_POLL_SECONDS)


async def _become_leader(cluster: Cluster, leadership: Leadership) -> None:
    await wait_for_crds(cluster)
    await leadership.acquire()


async def _lead(settings: Settings, cluster: Cluster, leadership: Leadership, stop: asyncio.Event) -> bool:
    """Run the loops; return whether they ended because leadership was lost."""
    async with open_reconcilers(cluster, settings) as reconcilers:
        wakeups = Wakeups()
        runner = Runner(reconcilers, wakeups, FailureReporter(cluster).report, concurrency=settings.concurrency)
        kopf_settings = kopf.OperatorSettings()
        configure(kopf_settings)
        hold = asyncio.create_task(leadership.hold(), name="leadership")
        hold.add_done_callback(lambda _: stop.set())
        try:
            # Kopf replaces the signal handlers: it ends at a signal, or when `stop` is set.
            await kopf.operator(
                registry=build_registry(runner, wakeups),
                settings=kopf_settings,
                clusterwide=True,
                standalone=True,
                # By default Kopf looks up the user name, which an arbitrary UID in a container does not have.
                identity=settings.pod_name,  # type: ignore[arg-type] # a NewType of str in a private module
                stop_flag=stop,
            )
        finally:
            lost = hold.done()
            hold.cancel()
            await runner.close()
    return lost


async def _is_established(cluster: Cluster, name: str) -> bool:
    try:
        crd = await cluster.get(CUSTOM_RESOURCE_DEFINITION, None, name)
    except ClusterError as error:
        log.warning("api_server_unreachable", error=str(error))
        return False
    conditions = (crd or {}).get("status", {}).get("conditions") or []
    return any(item["type"] == "Established" and item["status"] == "True" for item in conditions)


async def _until_stopped(work: Coroutine[None, None, None], stop: asyncio.Event) -> bool:
    """Run work until it is done or `stop` is set; return whether it is done."""
    task = asyncio.ensure_future(work)
    stopped = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        return task.done()
    finally:
        task.cancel()
        stopped.cancel()


if __name__ == "__main__":
    sys.exit(main())
