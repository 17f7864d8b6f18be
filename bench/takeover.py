"""Measure how long no replica of the operator works after the active one ends, with one replica and with two.

    .venv/bin/python bench/takeover.py [--rounds 3] [--report build/bench/takeover.json]

It needs the local cluster with the chart installed (`make install`), and no other work on it. The active replica ends
in three ways:

- stopped: its pod is deleted, as by a drain or an upgrade. It releases the Lease.
- crashed: its process is killed. The kubelet starts it again in the same pod.
- lost: its process is killed and its pod is removed, as with a lost node. Nothing starts it again under its name.

"Lease" is the time until a replica holds the Lease, "write" the time until it has written what a resource that was
created meanwhile needs: the finalizer of a BaseModel. Both begin with the end of the active replica, and both are
compared with the goal of 20 s. At the end, the operator has as many replicas as before.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime as dt
import json
import statistics
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from e2e.harness import replicas
from e2e.harness.kubectl import Body, Kubectl, wait_until
from e2e.harness.recorder import Recorder
from tunewright_dev import chart, paths

GOAL_SECONDS = 20.0
LIMIT_SECONDS = 300.0
SYSTEM = chart.NAMESPACE
LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases"
BASE_MODELS = "/apis/tunewright.dev/v1alpha1/basemodels"


@dataclasses.dataclass(frozen=True)
class Takeover:
    """Seconds from the end of the active replica until another one holds the Lease, and until its first write."""

    lease: float
    write: float


def stop(kubectl: Kubectl, pod: str) -> None:
    """Delete a pod as a drain does."""
    kubectl.run("delete", "pod", pod, "-n", SYSTEM, "--wait=false")


def crash(kubectl: Kubectl, pod: str) -> None:
    """Kill a pod's process."""
    if not replicas.crash(kubectl, pod):
        raise SystemExit(f"{pod} does not run on this machine: this measurement needs the local cluster")


def lose(kubectl: Kubectl, pod: str) -> None:
    """Kill a pod's process and remove the pod."""
    crash(kubectl, pod)
    replicas.delete_at_once(kubectl, pod)


ENDS: dict[str, Callable[[Kubectl, str], None]] = {"stopped": stop, "crashed": crash, "lost": lose}


def build_base_model(name: str) -> Body:
    """Return a BaseModel that the operator cannot inspect, so that no pod starts."""
    return {
        "apiVersion": "tunewright.dev/v1alpha1",
        "kind": "BaseModel",
        "metadata": {"name": name},
        "spec": {
            "source": {"s3": {"uri": f"s3://nowhere/{name}"}},
            "storage": {"secretRef": {"name": "takeover-has-none"}},
            "contextLength": 512,
        },
    }


def wait_for(recorder: Recorder, holds: Callable[[Body], bool]) -> float:
    """Wait until an event's object is accepted, and return when that event arrived."""
    found: list[float] = []

    def search() -> bool:
        events = zip(recorder.events, recorder.arrivals, strict=False)
        found[:] = [arrival for event, arrival in events if holds(event["object"])][:1]
        return bool(found)

    wait_until(search, timeout=LIMIT_SECONDS, poll=0.02)
    return found[0]


def measure(kubectl: Kubectl, how: str) -> Takeover:
    """End the active replica once."""
    active, name = replicas.find_active(kubectl), f"takeover-{uuid.uuid4().hex[:8]}"
    with Recorder(kubectl, LEASES) as leases, Recorder(kubectl, BASE_MODELS) as models:
        wait_until(lambda: bool(leases.events), timeout=60)
        ended, ended_at = time.monotonic(), dt.datetime.now(dt.UTC)
        ENDS[how](kubectl, active)

        def is_later(lease: Body) -> bool:
            renewed = lease["spec"].get("renewTime")
            return renewed is not None and dt.datetime.fromisoformat(renewed) > ended_at

        def is_taken(lease: Body) -> bool:
            holder = lease["spec"].get("holderIdentity")
            return bool(holder) and is_later(lease) and (how == "crashed" or holder != active)

        if how == "stopped":  # Until then, it could still write.
            wait_for(leases, lambda lease: lease["spec"].get("holderIdentity") != active)
        kubectl.apply(build_base_model(name))
        written = wait_for(
            models, lambda body: body["metadata"]["name"] == name and bool(body["metadata"].get("finalizers"))
        )
        taken = wait_for(leases, is_taken)
    kubectl.delete("basemodel", name)
    renew_pods(kubectl, active)
    return Takeover(round(taken - ended, 2), round(written - ended, 2))


def renew_pods(kubectl: Kubectl, ended: str) -> None:
    """Replace a pod that has restarted, since the kubelet waits longer and longer before it restarts one again."""
    replicas.wait_complete(kubectl)
    if any(pod["metadata"]["name"] == ended for pod in replicas.list_pods(kubectl)):
        kubectl.run("delete", "pod", ended, "-n", SYSTEM)
        replicas.wait_complete(kubectl)


def scale(kubectl: Kubectl, number: int) -> None:
    """Set the number of replicas, and wait until they are ready."""
    kubectl.run("scale", f"deployment/{replicas.DEPLOYMENT}", "-n", SYSTEM, f"--replicas={number}")
    replicas.wait_complete(kubectl)


def summarize(found: list[Takeover]) -> dict[str, object]:
    """Return medians and all values."""
    return {
        "leaseSeconds": statistics.median(one.lease for one in found),
        "writeSeconds": statistics.median(one.write for one in found),
        "worstWriteSeconds": max(one.write for one in found),
        "rounds": [dataclasses.asdict(one) for one in found],
    }


def main() -> None:
    """Measure all ends, print a table and write a report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--report", type=Path)
    arguments = parser.parse_args()
    found_paths = paths.find_paths()
    kubectl = Kubectl(str(found_paths.build / "bin" / "kubectl"), found_paths.kubeconfig)
    deployment = kubectl.get("deployment", replicas.DEPLOYMENT, SYSTEM)
    if deployment is None:
        raise SystemExit("the operator is not installed: `make install` installs it")
    report: dict[str, dict[str, object]] = {}
    print(f"{'replicas':<10}{'active one':<12}{'Lease':>8}{'write':>8}{'worst':>8}   goal {GOAL_SECONDS:.0f} s")
    try:
        for number in (1, 2):
            scale(kubectl, number)
            for how in ENDS:
                found = [measure(kubectl, how) for _ in range(arguments.rounds)]
                summary = report.setdefault(str(number), {})[how] = summarize(found)
                values = [float(str(summary[key])) for key in ("leaseSeconds", "writeSeconds", "worstWriteSeconds")]
                verdict = "met" if values[2] <= GOAL_SECONDS else "missed"
                print(
                    f"{number:<10}{how:<12}{values[0]:>8.1f}{values[1]:>8.1f}{values[2]:>8.1f}   {verdict}", flush=True
                )
    finally:
        scale(kubectl, deployment["spec"]["replicas"])
    if arguments.report is not None:
        arguments.report.parent.mkdir(parents=True, exist_ok=True)
        arguments.report.write_text(json.dumps({"goalSeconds": GOAL_SECONDS, "replicas": report}, indent=2) + "\n")


if __name__ == "__main__":
    main()
