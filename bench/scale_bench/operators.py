"""The measured operators: ours, from any clone, and the peer."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import sys
from collections import Counter
from pathlib import Path

from scale_bench import operator_metrics
from scale_bench.audit import LAG_SECONDS, AuditLog
from scale_bench.cluster import PEER_NAMESPACE, Identity, find_free_ports
from scale_bench.daemons import Daemon
from scale_bench.operator_metrics import OperatorMetrics
from scale_bench.waiting import wait_until
from tunewright_dev.errors import DevError
from tunewright_dev.local import probes

PACKAGES = ("contracts", "operator")
READY_SECONDS = 300.0


class MeasuredOperator:
    """A running operator, with its process and its API calls."""

    def __init__(self, daemon: Daemon, identity: Identity, audit: AuditLog) -> None:
        self.daemon = daemon
        self._identity = identity
        self._audit = audit

    async def count_calls(self, start: dt.datetime, end: dt.datetime) -> Counter[str]:
        """Return the API calls in a time that has just ended, by verb and resource."""
        await asyncio.sleep(LAG_SECONDS)
        return self._audit.count(self._identity.user, start, end)


class Tunewright(MeasuredOperator):
    """Our operator."""

    def __init__(self, source: Path, identity: Identity, audit: AuditLog, folder: Path) -> None:
        """Prepare the operator of the clone `source`; its log is in `folder`."""
        (self._port,) = find_free_ports(1)
        environment = {
            # Before the packages that are installed in this environment.
            "PYTHONPATH": ":".join(str(source / package / "src") for package in PACKAGES),
            "PYTHONDONTWRITEBYTECODE": "1",
            "KUBECONFIG": str(identity.kubeconfig),
            "TUNEWRIGHT_NAMESPACE": identity.namespace,
            "TUNEWRIGHT_POD_NAME": "bench",
            "TUNEWRIGHT_OPERATOR_IMAGE": "operator:1",
            "TUNEWRIGHT_TRAINER_IMAGE": "trainer:1",
            "TUNEWRIGHT_SERVER_IMAGE": "server:1",
            "TUNEWRIGHT_PROBE_PORT": str(self._port),
        }
        argv = [sys.executable, "-m", "tunewright_operator"]
        super().__init__(Daemon("operator", argv, folder / "operator.log", environment), identity, audit)
        self._lease_margins: list[float] = []
        self._repairs: list[float] = []

    async def start(self) -> None:
        """Start the operator and wait until it leads.

        Raises:
            DevError: it ended or did not lead in time.
        """
        self.daemon.start()
        await wait_until("the operator to lead", self._leads, seconds=READY_SECONDS, explain=self.daemon.explain)

    async def _leads(self) -> bool:
        try:
            return (await operator_metrics.scrape(self._port)).leads
        except DevError:
            self.daemon.require_running()
            return False

    async def read_metrics(self) -> OperatorMetrics:
        """Return the current metrics.

        Raises:
            DevError: the operator ended or did not answer.
        """
        self.daemon.require_running()
        return await operator_metrics.scrape(self._port)

    async def stop(self) -> None:
        """Stop the operator, after keeping its Lease margin, its repairs and its peak of memory."""
        with contextlib.suppress(DevError):  # It has ended already.
            metrics = await self.read_metrics()
            self.daemon.read_usage()
            if metrics.worst_lease_margin is not None:
                self._lease_margins.append(metrics.worst_lease_margin)
            if metrics.repairs is not None:
                self._repairs.append(metrics.repairs)
        await asyncio.to_thread(self.daemon.stop)

    @property
    def worst_lease_margin(self) -> float | None:
        """The worst Lease margin of all runs that have ended; None if this operator does not report it."""
        return min(self._lease_margins, default=None)

    @property
    def repairs(self) -> int | None:
        """The repairs in all runs that have ended; None if this operator does not report them."""
        return int(sum(self._repairs)) if self._repairs else None


class Peer(MeasuredOperator):
    """KubeRay's operator, as its chart starts it except for its concurrency."""

    def __init__(self, program: Path, identity: Identity, audit: AuditLog, folder: Path, concurrency: int) -> None:
        """Prepare the operator; its log is in `folder`."""
        metrics, self._health = find_free_ports(2)
        argv = [
            str(program),
            f"--metrics-addr=127.0.0.1:{metrics}",
            f"--health-probe-bind-address=127.0.0.1:{self._health}",
            f"--leader-election-namespace={PEER_NAMESPACE}",
            f"--reconcile-concurrency={concurrency}",
        ]
        daemon = Daemon("ray-operator", argv, folder / "peer.log", {"KUBECONFIG": str(identity.kubeconfig)})
        super().__init__(daemon, identity, audit)

    async def start(self) -> None:
        """Start the operator and wait until it is ready.

        Raises:
            DevError: it ended or was not ready in time.
        """
        self.daemon.start()
        url = f"http://127.0.0.1:{self._health}/readyz"
        await self.daemon.wait_ready(lambda: probes.answers(url), seconds=READY_SECONDS)

    async def stop(self) -> None:
        """Stop the operator."""
        await asyncio.to_thread(self.daemon.stop)
