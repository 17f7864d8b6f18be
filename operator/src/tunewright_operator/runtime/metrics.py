"""The operator's metrics, served at ``/metrics``."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

LOOPS: Final = Gauge("tunewright_operator_loops", "Resources that have a running loop.", ["kind"])
RECONCILES: Final = Counter(
    "tunewright_operator_reconciles_total",
    "Reconciliations by outcome: ok, conflict, error, gone.",
    ["kind", "outcome"],
)
RECONCILE_SECONDS: Final = Histogram(
    "tunewright_operator_reconcile_seconds",
    "Duration of one reconciliation.",
    ["kind"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
LEADER: Final = Gauge("tunewright_operator_leader", "1 in the replica that holds the Lease.")
WARM: Final = Gauge("tunewright_operator_warm", "1 in a replica whose caches are filled, so that it can take over.")
LEASE_MARGIN: Final = Histogram(
    "tunewright_operator_lease_margin_seconds",
    "Seconds left until the renew deadline when the Lease was renewed.",
    buckets=(0.5, 1, 2, 3, 4, 5, 6, 7, 8, 9),
)
