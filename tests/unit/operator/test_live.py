"""How a server pod's counters become evidence."""

from __future__ import annotations

import pytest

from tunewright_contracts.serving_plan import BUCKETS, PodState, RevisionCounters
from tunewright_operator.domain.live import read_pods


def buckets(*first: int) -> tuple[int, ...]:
    return (*first, *(0,) * (BUCKETS - len(first)))


def state(**counters: object) -> PodState:
    entry = RevisionCounters(alias="support", revision="support--new", answers_by_bucket=buckets(9, 4), **counters)
    return PodState(pod_uid="pod", boot_id="boot", counters=(entry,))


def test_unchecked_answers_are_judged_by_every_metric_but_the_contract() -> None:
    seen = state(bad_by_bucket={"OutputContract": buckets(1)}, unchecked_by_bucket=buckets(2, 3))
    (reading,) = read_pods([seen], "support", "support--new", None)
    assert reading.candidate.judged["OutputContract"] == buckets(7, 1)
    assert reading.candidate.bad["OutputContract"] == buckets(1)
    assert "ErrorRate" not in reading.candidate.judged
    assert reading.candidate.answers == buckets(9, 4)


def test_a_server_that_does_not_report_unchecked_answers_judged_them_all() -> None:
    (reading,) = read_pods([state()], "support", "support--new", None)
    assert reading.candidate.judged["OutputContract"] == buckets(9, 4)


@pytest.mark.parametrize("unchecked", [buckets(10), (1, 2)])
def test_counters_that_make_no_sense_are_no_reading(unchecked: tuple[int, ...]) -> None:
    assert read_pods([state(unchecked_by_bucket=unchecked)], "support", "support--new", None) == []
