"""Answers are counted by alias and revision, and by bucket during a rollout."""

import pytest

from tunewright_contracts.metrics import LiveMetricType
from tunewright_contracts.serving_plan import BUCKETS, LATENCY_BOUNDS_MILLISECONDS
from tunewright_server.telemetry.counters import Answer, Counters


def answer(**changes) -> Answer:
    fields = {"alias": "support", "revision": "support--1", "bucket": 3, "milliseconds": 20.0}
    fields |= {"bad": frozenset(), "unchecked": False, "by_bucket": True}
    return Answer(**{**fields, **changes})


def counted(*answers, bucketed=("support",)):
    counters = Counters()
    for item in answers:
        counters.add(item)
    return {item.revision: item for item in counters.snapshot(frozenset(bucketed))}


def test_new_counters_are_empty():
    assert Counters().snapshot() == ()


def test_answers_of_two_revisions_are_counted_separately():
    seen = counted(answer(), answer(), answer(revision="support--2"))
    assert {name: item.answers for name, item in seen.items()} == {"support--1": 2, "support--2": 1}


def test_every_metric_exists_after_the_first_answer():
    wrong = frozenset({LiveMetricType.ERROR_RATE, LiveMetricType.LATENCY})
    seen = counted(answer(), answer(bad=wrong, unchecked=True))["support--1"]
    assert seen.bad == {"ErrorRate": 1, "Latency": 1, "OutputContract": 0}
    assert seen.unchecked == 1


def test_arrays_by_bucket():
    seen = counted(answer(), answer(bucket=5, bad=frozenset({LiveMetricType.ERROR_RATE}), unchecked=True))["support--1"]
    assert [seen.answers_by_bucket[bucket] for bucket in (3, 4, 5)] == [1, 0, 1]
    assert [seen.unchecked_by_bucket[bucket] for bucket in (3, 5)] == [0, 1]
    assert {metric: sum(counts) for metric, counts in seen.bad_by_bucket.items()} == {"ErrorRate": 1}
    assert seen.bad_by_bucket["ErrorRate"][5] == 1
    assert len(seen.answers_by_bucket) == len(seen.bad_by_bucket["ErrorRate"]) == BUCKETS


@pytest.mark.parametrize(("by_bucket", "bucketed"), [(False, ("support",)), (True, ())])
def test_arrays_by_bucket_only_when_they_are_requested(by_bucket, bucketed):
    seen = counted(answer(by_bucket=by_bucket, bad=frozenset({LiveMetricType.LATENCY})), bucketed=bucketed)
    assert seen["support--1"].answers_by_bucket == ()
    assert seen["support--1"].bad_by_bucket == {}
    assert seen["support--1"].bad["Latency"] == 1


@pytest.mark.parametrize(
    ("milliseconds", "position"),
    [
        (0.0, 0),
        (LATENCY_BOUNDS_MILLISECONDS[7], 7),
        (LATENCY_BOUNDS_MILLISECONDS[7] + 0.1, 8),
        (1e9, len(LATENCY_BOUNDS_MILLISECONDS)),
    ],
)
def test_a_latency_counts_in_the_first_bin_whose_bound_it_does_not_exceed(milliseconds, position):
    histogram = counted(answer(milliseconds=milliseconds))["support--1"].latency_milliseconds
    assert [index for index, count in enumerate(histogram) if count] == [position]
    assert len(histogram) == len(LATENCY_BOUNDS_MILLISECONDS) + 1


def test_only_named_revisions_are_kept():
    counters = Counters()
    for revision in ("support--1", "support--2"):
        counters.add(answer(revision=revision))
    counters.keep(frozenset({"support--2", "support--3"}))
    assert [item.revision for item in counters.snapshot()] == ["support--2"]


def test_sums():
    counters = Counters()
    for milliseconds in (1.5, 2.0):
        counters.add(answer(milliseconds=milliseconds))
    assert list(counters.sums()) == [("support", "support--1", 3.5)]


def test_a_request_counts_even_if_its_client_left_before_there_was_an_answer():
    slow = frozenset({LiveMetricType.LATENCY})
    items = (answer(), answer(bad=None, abandoned=True), answer(bad=slow, abandoned=True, bucket=5))
    seen = counted(*items)["support--1"]
    assert (seen.requests, seen.abandoned, seen.answers) == (3, 2, 2)
    assert [seen.requests_by_bucket[bucket] for bucket in (3, 4, 5)] == [2, 0, 1]
    assert [seen.abandoned_by_bucket[bucket] for bucket in (3, 4, 5)] == [1, 0, 1]
    assert [seen.answers_by_bucket[bucket] for bucket in (3, 4, 5)] == [1, 0, 1]
    assert sum(seen.latency_milliseconds) == 2
    assert seen.bad["Latency"] == 1


@pytest.mark.parametrize(("by_bucket", "bucketed"), [(False, ("support",)), (True, ())])
def test_requests_by_bucket_only_when_they_are_requested(by_bucket, bucketed):
    seen = counted(answer(bad=None, abandoned=True, by_bucket=by_bucket), bucketed=bucketed)["support--1"]
    assert (seen.requests, seen.abandoned) == (1, 1)
    assert sum(seen.requests_by_bucket) == sum(seen.abandoned_by_bucket) == 0


def test_requests_that_vllm_refused_for_its_load_are_counted_separately():
    counters = Counters()
    counters.add_overloaded("support", "support--1")
    counters.add(answer())
    (seen,) = counters.snapshot()
    assert (seen.overloaded, seen.requests, seen.answers) == (1, 1, 1)
