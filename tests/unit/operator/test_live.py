"""How a server pod's counters become evidence."""

from __future__ import annotations

import pytest

from tunewright_contracts.serving_plan import BUCKETS, LATENCY_BOUNDS_MILLISECONDS, PodState, RevisionCounters
from tunewright_operator.api.adapter_deployment import AdapterDeploymentSpec
from tunewright_operator.domain.evidence import MAX_REGRESSION
from tunewright_operator.domain.live import build_window, derive_slow_limit, read_pods


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


def test_a_pod_that_counts_by_no_bucket_is_no_reading_for_it_would_be_added_again_later() -> None:
    whole = state(answers=13, unchecked_by_bucket=buckets(0))
    entry = whole.counters[0].model_copy(update={"answers_by_bucket": (), "unchecked_by_bucket": ()})
    without_route = whole.model_copy(update={"counters": (entry,)})
    assert read_pods([without_route], "support", "support--new", None) == []


def test_an_incumbent_that_answered_only_before_the_rollout_has_no_answers_by_bucket() -> None:
    entry = RevisionCounters(alias="support", revision="support--old", answers=7, unchecked_by_bucket=buckets(0))
    seen = PodState(pod_uid="pod", boot_id="boot", counters=(entry,))
    (reading,) = read_pods([seen], "support", "support--new", "support--old")
    assert sum(reading.incumbent.answers) == 0


def test_the_widest_rise_that_the_api_takes_can_be_tested() -> None:
    spec = AdapterDeploymentSpec.model_validate(
        {
            "modelName": "support",
            "serverRef": {"name": "pool"},
            "adapter": {"uri": "s3://models/team/a"},
            "storage": {"secretRef": {"name": "s3"}},
            "rollout": {"steps": [{"setWeight": 20}, {"observe": {}}]},
            "analysis": {"metrics": [{"type": "ErrorRate", "maxRegression": "0.999999"}]},
        }
    )
    window = build_window(spec, 1, has_incumbent=True, slow_limit_known=False)
    assert window.metrics[0].max_regression == MAX_REGRESSION


def slow_state(counts: dict[int, int], revision: str = "support--old") -> PodState:
    histogram = tuple(counts.get(index, 0) for index in range(len(LATENCY_BOUNDS_MILLISECONDS) + 1))
    entry = RevisionCounters(alias="support", revision=revision, latency_milliseconds=histogram)
    return PodState(pod_uid="pod", boot_id="boot", counters=(entry,))


def test_the_slow_limit_is_a_multiple_of_the_incumbents_p95_over_all_pods() -> None:
    pods = [slow_state({10: 60, 20: 2}), slow_state({10: 35, 20: 3}), slow_state({40: 999}, "support--new")]
    assert derive_slow_limit(pods, "support", "support--old", 2.0) == 2 * LATENCY_BOUNDS_MILLISECONDS[10], "95 of 100"
    pods.append(slow_state({20: 1}))
    assert derive_slow_limit(pods, "support", "support--old", 2.0) == 2 * LATENCY_BOUNDS_MILLISECONDS[20], "95 of 101"


def test_few_answers_give_no_slow_limit_and_endless_ones_the_last_bound() -> None:
    assert derive_slow_limit([slow_state({10: 49})], "support", "support--old", 2.0) is None
    beyond = len(LATENCY_BOUNDS_MILLISECONDS)
    assert (
        derive_slow_limit([slow_state({beyond: 50})], "support", "support--old", 1.0) == LATENCY_BOUNDS_MILLISECONDS[-1]
    )
