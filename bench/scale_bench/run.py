"""One run, from an empty folder to the report."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import platform
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

from scale_bench import cluster, loaded, objects, world
from scale_bench.api import Api, Body
from scale_bench.audit import AuditLog
from scale_bench.canary import Canaries
from scale_bench.children import Children
from scale_bench.cluster import AUDIT_LOG, ControlPlane
from scale_bench.daemons import Daemon
from scale_bench.operators import Peer, Tunewright
from scale_bench.options import CLONE, Options
from scale_bench.report import PEER, TUNEWRIGHT, Results, build_report
from scale_bench.throughput import NAMESPACES, Contestant, Throughput
from tunewright_dev import console
from tunewright_dev.errors import DevError
from tunewright_dev.images import binaries
from tunewright_dev.paths import Paths, find_paths
from tunewright_operator.api import labels

CRDS_OF_PEER = Path("config", "crd", "bases")


@dataclasses.dataclass(frozen=True)
class Stage:
    """Everything that runs beside the measured operators."""

    options: Options
    paths: Paths
    folder: Path
    api: Api
    control_plane: ControlPlane
    kubelet: Daemon
    audit: AuditLog

    @property
    def daemons(self) -> list[Daemon]:
        """The programs of the control plane, and the simulated kubelet."""
        return [*self.control_plane.daemons.values(), self.kubelet]

    def follow_prepare_jobs(self) -> Children:
        """Return the prepare Jobs, the first children of FineTuneJobs."""
        selector = f"{labels.ROLE}={labels.Role.PREPARE.value}"
        return Children(self.api, "/apis/batch/v1/jobs", selector, labels.NAME)

    def follow_head_pods(self) -> Children:
        """Return the head pods of RayClusters."""
        return Children(self.api, "/api/v1/pods", "ray.io/node-type=head", "ray.io/cluster")


async def run(options: Options) -> Body:
    """Measure, and return the report.

    Raises:
        DevError: a program could not be built or started, or a phase took too long.
    """
    started = time.monotonic()
    raise_file_limit()
    paths = find_paths()
    programs = binaries.ensure_program(paths, binaries.HYPERKUBE).parent
    if options.has_peer:
        binaries.ensure_program(paths, binaries.KUBERAY)
    folder = Path(tempfile.mkdtemp(prefix="tunewright-scale-"))
    try:
        async with open_stage(options, paths, folder, programs) as stage:
            results = await _measure(stage)
    except DevError:
        keep_logs(folder, paths.build / "bench" / "logs")
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return build_report(options, results, describe_machine(time.monotonic() - started))


@contextlib.asynccontextmanager
async def open_stage(options: Options, paths: Paths, folder: Path, programs: Path) -> AsyncIterator[Stage]:
    """Start the control plane and the simulated kubelet; stop them at the end of the context."""
    own = dataclasses.replace(paths, state=folder, run=folder / "run")
    control_plane = ControlPlane(own, programs)
    kubelet = _describe_kubelet(control_plane, own, folder)
    try:
        with console.step("starting etcd and the API server"):
            await control_plane.start_servers()
        async with control_plane.connect() as api:
            await cluster.install_tunewright(api, options.source)
            if options.has_peer:
                module = binaries.fetch_module(paths, binaries.KUBERAY, binaries.KUBERAY_MODULE)
                await cluster.install_peer(api, module / CRDS_OF_PEER)
            await control_plane.start_controllers()
            await world.create_namespaces(api, objects.list_namespaces(options) + _list_batch_namespaces())
            kubelet.start()
            yield Stage(options, paths, folder, api, control_plane, kubelet, AuditLog(control_plane.audit_log))
    finally:
        kubelet.stop()
        control_plane.stop()


async def _measure(stage: Stage) -> Results:
    identity = await stage.control_plane.create_identity(stage.api, cluster.SYSTEM_NAMESPACE, cluster.OPERATOR)
    operator = Tunewright(stage.options.source, identity, stage.audit, stage.folder)
    jobs = stage.follow_prepare_jobs()
    contestant = Contestant(
        TUNEWRIGHT,
        operator,
        jobs,
        "/apis/tunewright.dev/v1alpha1/namespaces/{namespace}/finetunejobs",
        objects.build_job,
    )
    throughput = Throughput(stage.api, stage.daemons, _list_batch_namespaces())
    options = stage.options
    async with jobs.followed():
        try:
            await operator.start()
            await world.create_base_model(stage.api)
            async with _running_peer(stage) as peers:
                rounds = await throughput.compete([contestant, *peers], options.batch, options.rounds)
            # A running operator would change objects between their creation and the write of their status.
            await operator.stop()
            await world.create_world(stage.api, options)
            await operator.start()
            with console.step("waiting until the operator has worked on all of them"):
                settled = await world.wait_settled(stage.api, options)
            await operator.stop()
            canaries = Canaries(stage.api, jobs)
            with console.step("starting the operator in the full world"):
                start = await loaded.measure_start(operator, options, canaries)
            with console.step(f"measuring the steady state for {options.steady_seconds:.0f} s"):
                steady = await loaded.measure_steady(operator, stage.daemons, options.steady_seconds)
            backlog = await loaded.measure_backlog(throughput, contestant, options.batch, canaries, steady["cores"])
        finally:
            await operator.stop()
    return Results(
        rounds=rounds,
        settled=settled,
        start=start,
        steady=steady,
        backlog=backlog,
        canaries=canaries,
        peak_mib=operator.daemon.peak_mib,
        worst_lease_margin=operator.worst_lease_margin,
        repairs=operator.repairs,
    )


@contextlib.asynccontextmanager
async def _running_peer(stage: Stage) -> AsyncIterator[list[Contestant]]:
    """Yield the peer, if one is wanted, while it runs."""
    if not stage.options.has_peer:
        yield []
        return
    identity = await stage.control_plane.create_identity(stage.api, cluster.PEER_NAMESPACE, cluster.PEER)
    program = binaries.find_program(stage.paths, binaries.KUBERAY)
    peer = Peer(program, identity, stage.audit, stage.folder, stage.options.peer_concurrency)
    pods = stage.follow_head_pods()
    collection = "/apis/ray.io/v1/namespaces/{namespace}/rayclusters"
    try:
        await peer.start()
        async with pods.followed():
            yield [Contestant(PEER, peer, pods, collection, objects.build_ray_cluster)]
    finally:
        await peer.stop()


def _describe_kubelet(control_plane: ControlPlane, paths: Paths, folder: Path) -> Daemon:
    argv = [sys.executable, "-m", "scale_bench.kubelet", control_plane.url, str(paths.pki)]
    environment = {"PYTHONPATH": str(CLONE / "bench"), "PYTHONDONTWRITEBYTECODE": "1"}
    return Daemon("kubelet", argv, folder / "kubelet.log", environment)


def _list_batch_namespaces() -> list[str]:
    return [f"batch-{number:02d}" for number in range(NAMESPACES)]


def raise_file_limit() -> None:
    """Allow this process and its programs as many open files as possible: each simulated pod has sockets."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def keep_logs(folder: Path, target: Path) -> None:
    """Copy the logs of a failed run, and print where they are."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for log in folder.glob("*.log"):
        if log.name != AUDIT_LOG:
            shutil.copy(log, target)
    console.warn(f"  the logs of the failed run are in {target}")


def describe_machine(seconds: float) -> Body:
    """Return where and how long the run was measured."""
    return {
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "loadAverage": [round(load, 2) for load in os.getloadavg()],
        "nice": os.nice(0),
        "runSeconds": round(seconds),
    }
