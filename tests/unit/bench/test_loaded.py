from __future__ import annotations

import pytest

from scale_bench.loaded import count_resources, is_caught_up, is_synced
from scale_bench.operator_metrics import OperatorMetrics
from scale_bench.options import Options

RESOURCES = count_resources(Options(jobs=10, deployments=3, servers=2))


def make_metrics(known: int, reconciled: int, queued: int | None = None) -> OperatorMetrics:
    lines = [f'tunewright_operator_loops{{kind="{kind}"}} {min(known, number)}' for kind, number in RESOURCES.items()]
    lines += [
        f'tunewright_operator_reconciles_total{{kind="{kind}",outcome="ok"}} {min(reconciled, number)}'
        for kind, number in RESOURCES.items()
    ]
    if queued is not None:
        lines.append(f'tunewright_operator_queue_depth{{kind="FineTuneJob"}} {queued}')
    return OperatorMetrics("\n".join(lines) + "\n")


@pytest.mark.parametrize(("known", "synced"), [(9, False), (10, True)])
def test_the_operator_is_synced_when_it_knows_all_resources(known, synced):
    assert is_synced(make_metrics(known, 0), RESOURCES) == synced


@pytest.mark.parametrize(
    ("metrics", "caught_up"),
    [
        (make_metrics(10, 9), False),
        (make_metrics(10, 10), True),
        (make_metrics(10, 0, queued=50), False),
        (make_metrics(10, 0, queued=2), True),
    ],
)
def test_it_has_caught_up_when_nothing_waits_for_its_first_reconciliation(metrics, caught_up):
    assert is_caught_up(metrics, RESOURCES) == caught_up
