from __future__ import annotations

import prometheus_client
import pytest

from scale_bench.operator_metrics import OperatorMetrics
from tunewright_operator.runtime import metrics
from tunewright_operator.store import metrics as store_metrics

EARLY = """
tunewright_operator_loops{kind="FineTuneJob"} 7
tunewright_operator_reconciles_total{kind="FineTuneJob",outcome="ok"} 5
tunewright_operator_reconciles_total{kind="FineTuneJob",outcome="error"} 1
tunewright_operator_leader 1
"""
LATE = """
tunewright_operator_loops{kind="FineTuneJob"} 2
tunewright_store_objects{kind="FineTuneJob"} 100
tunewright_operator_queue_depth{kind="FineTuneJob",class="user"} 2
tunewright_operator_queue_depth{kind="ModelServer",class="user"} 1
tunewright_store_repairs_total{kind="FineTuneJob"} 1
"""


def histogram(*cumulated: int) -> str:
    bounds = ("0.5", "1", "2", "8", "+Inf")
    name = "tunewright_operator_lease_margin_seconds"
    lines = [f'{name}_bucket{{le="{bound}"}} {count}' for bound, count in zip(bounds, cumulated, strict=True)]
    return "\n".join([f"# TYPE {name} histogram", *lines, f"{name}_count {cumulated[-1]}", f"{name}_sum 1"]) + "\n"


def test_an_operator_without_a_store_is_read_by_its_loops():
    found = OperatorMetrics(EARLY)
    assert found.leads
    assert (found.known("FineTuneJob"), found.reconciles("FineTuneJob")) == (7, 6)
    assert (found.queued, found.repairs, found.worst_lease_margin) == (None, None, None)
    assert found.known("ModelServer") == 0


def test_an_operator_with_a_store_is_read_by_it():
    found = OperatorMetrics(LATE)
    assert not found.leads
    assert (found.known("FineTuneJob"), found.queued, found.repairs) == (100, 3, 1)


@pytest.mark.parametrize(
    ("cumulated", "margin"),
    [((0, 0, 0, 0, 0), None), ((0, 0, 0, 0, 4), 8.0), ((0, 0, 1, 4, 4), 1.0), ((1, 1, 1, 1, 1), 0.0)],
)
def test_the_worst_lease_margin_is_the_lower_bound_of_its_bucket(cumulated, margin):
    assert OperatorMetrics(histogram(*cumulated)).worst_lease_margin == margin


def test_the_names_are_those_of_the_operator():
    metrics.LEADER.set(1)
    metrics.LEASE_MARGIN.observe(7.5)
    metrics.RECONCILES.labels("Bench", "ok").inc()
    metrics.QUEUE_DEPTH.labels("Bench", "timer").set(3)
    store_metrics.STORE_OBJECTS.labels("Bench").set(4)
    store_metrics.STORE_REPAIRS.labels("Bench").inc()
    found = OperatorMetrics(prometheus_client.generate_latest().decode())
    assert found.leads
    assert found.worst_lease_margin is not None
    assert (found.reconciles("Bench"), found.known("Bench")) == (1, 4)
    assert found.queued >= 3
    assert found.repairs >= 1
