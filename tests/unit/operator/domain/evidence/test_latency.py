"""The latency limit of a rollout, from the histograms of the incumbent."""

from __future__ import annotations

from tunewright_contracts.serving_plan import LATENCY_BOUNDS_MILLISECONDS, PodState, RevisionCounters
from tunewright_operator.domain.evidence.latency import MIN_ANSWERS_FOR_P95, derive_slow_limit


def slow_state(counts: dict[int, int], revision: str = "support--old") -> PodState:
    histogram = tuple(counts.get(index, 0) for index in range(len(LATENCY_BOUNDS_MILLISECONDS) + 1))
    entry = RevisionCounters(alias="support", revision=revision, latency_milliseconds=histogram)
    return PodState(pod_uid="pod", boot_id="boot", counters=(entry,))


def test_the_slow_limit_is_a_multiple_of_the_incumbents_p95_over_all_pods() -> None:
    pods = [slow_state({10: 60, 20: 2}), slow_state({10: 35, 20: 3}), slow_state({40: 999}, "support--new")]
    assert derive_slow_limit(pods, "support", "support--old", 2.0) == 2 * LATENCY_BOUNDS_MILLISECONDS[10], "95 of 100"
    pods.append(slow_state({20: 1}))
    assert derive_slow_limit(pods, "support", "support--old", 2.0) == 2 * LATENCY_BOUNDS_MILLISECONDS[20], "95 of 101"


def test_few_answers_give_no_slow_limit_and_very_slow_ones_the_last_bound() -> None:
    assert derive_slow_limit([slow_state({10: 49})], "support", "support--old", 2.0) is None
    beyond = len(LATENCY_BOUNDS_MILLISECONDS)
    assert (
        derive_slow_limit([slow_state({beyond: 50})], "support", "support--old", 1.0) == LATENCY_BOUNDS_MILLISECONDS[-1]
    )


def test_answers_of_another_alias_or_revision_do_not_count() -> None:
    histogram = (MIN_ANSWERS_FOR_P95,) + (0,) * len(LATENCY_BOUNDS_MILLISECONDS)
    others = [("billing", "support--old"), ("support", "support--new")]
    entries = tuple(
        RevisionCounters(alias=alias, revision=revision, latency_milliseconds=histogram) for alias, revision in others
    )
    state = PodState(pod_uid="pod", boot_id="boot", counters=entries)
    assert derive_slow_limit([state], "support", "support--old", 2.0) is None
    assert derive_slow_limit([state], "support", "support--new", 2.0) == 10


def test_a_limit_is_at_least_one_millisecond() -> None:
    fast = slow_state({0: MIN_ANSWERS_FOR_P95})
    assert derive_slow_limit([fast], "support", "support--old", 0.01) == 1


def test_a_limit_may_be_above_the_last_bound() -> None:
    slow = slow_state({len(LATENCY_BOUNDS_MILLISECONDS): MIN_ANSWERS_FOR_P95})
    assert derive_slow_limit([slow], "support", "support--old", 2.0) == 2 * LATENCY_BOUNDS_MILLISECONDS[-1]
