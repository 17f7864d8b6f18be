"""The operator's metrics, served at ``/metrics``."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

QUEUE_DEPTH: Final = Gauge(
    "tunewright_operator_queue_depth",
    "Resources that are ready to be reconciled and wait for a worker.",
    ["kind", "urgency"],
)
QUEUE_OLDEST: Final = Gauge(
    "tunewright_operator_queue_oldest_seconds",
    "How long the oldest of these resources has been ready.",
    ["kind", "urgency"],
)
QUEUE_WAIT: Final = Histogram(
    "tunewright_operator_queue_wait_seconds",
    "How long a resource was ready before a worker took it.",
    ["kind", "urgency"],
    buckets=(0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)
TIMERS: Final = Gauge("tunewright_operator_timers", "Resources that will be reconciled at a certain time.", ["kind"])
WORKERS_BUSY: Final = Gauge("tunewright_operator_workers_busy", "Workers that reconcile a resource.", ["kind"])
WORKERS: Final = Gauge(
    "tunewright_operator_workers", "Workers: how many resources are reconciled at the same time.", ["kind"]
)
LOOP_LAG: Final = Histogram(
    "tunewright_operator_loop_lag_seconds",
    "How late the main event loop ran a timer that is due every second.",
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
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
POD_POLLS: Final = Counter(
    "tunewright_operator_pod_polls_total",
    "Polls of pods by outcome: changed, unchanged, unreachable.",
    ["kind", "outcome"],
)
POLLED_PODS: Final = Gauge("tunewright_operator_polled_pods", "Pods that are polled.", ["kind"])
POLL_DELAY: Final = Histogram(
    "tunewright_operator_pod_poll_delay_seconds",
    "Seconds from the time when a poll was due until it started.",
    buckets=(0.01, 0.05, 0.1, 0.5, 1, 2, 5, 10, 30),
)
