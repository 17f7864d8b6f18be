"""Which revisions may have answered, according to the observed plans and pods."""

from __future__ import annotations

from tunewright_dev.demo.observed.ledger import GONE_SECONDS, Ledger, PlanEntry

OLD, NEW = "support--aaa", "support--bbb"


def plan(generation, at, **shares):
    """Return a plan that was seen at a time and written in the second before; shares are those of `support`."""
    weights = {"old": OLD, "new": NEW}
    return PlanEntry(generation, at - 1, at, {"support": {weights[name]: weight for name, weight in shares.items()}})


def canary():
    """Plan 1: old. Plan 2 at 100: both. Plan 3 at 200: only new. Pods `a` and `b` apply each; `b` is 5 s later."""
    ledger = Ledger()
    ledger.record_plan(plan(1, 0, old=100))
    ledger.record_pods(10, {"a": 1, "b": 1})
    for generation, at, shares in ((2, 100, {"old": 80, "new": 20}), (3, 200, {"new": 100})):
        ledger.record_plan(plan(generation, at, **shares))
        ledger.record_pods(at + 1, {"a": generation, "b": generation - 1})
        ledger.record_pods(at + 5, {"a": generation, "b": generation})
    return ledger


def test_before_a_plan_is_written_only_the_old_revision_may_answer():
    assert canary().allowed("support", 50, 60) == {OLD}


def test_the_new_revision_may_answer_from_the_earliest_moment_of_the_write():
    ledger = canary()
    assert ledger.allowed("support", 90, 98.9) == {OLD}
    assert ledger.allowed("support", 90, 99) == {OLD, NEW}


def test_the_old_revision_may_answer_until_the_last_pod_reports_the_new_plan():
    ledger = canary()
    assert ledger.allowed("support", 204.9, 206) == {OLD, NEW}
    assert ledger.allowed("support", 205, 206) == {NEW}


def test_an_answer_that_began_before_the_change_may_be_from_either_revision():
    assert canary().allowed("support", 120, 230) == {OLD, NEW}


def test_a_rolled_back_revision_may_not_answer_again():
    ledger = canary()
    ledger.record_plan(plan(4, 300, old=100))
    ledger.record_pods(302, {"a": 4, "b": 4})
    assert ledger.allowed("support", 301, 303) == {OLD, NEW}
    assert ledger.allowed("support", 302, 303) == {OLD}


def test_a_revision_of_another_alias_may_not_answer():
    assert canary().allowed("billing", 0, 300) == frozenset()


def test_a_pod_that_has_not_reported_may_have_any_plan():
    ledger = canary()
    ledger.record_pods(250, {"a": 3, "b": 3, "c": 0})
    assert ledger.allowed("support", 251, 252) == {OLD, NEW}
    ledger.record_pods(260, {"a": 3, "b": 3, "c": 3})
    assert ledger.allowed("support", 261, 262) == {NEW}


def test_a_deleted_pod_may_still_finish_answers_for_a_while():
    ledger = Ledger()
    ledger.record_plan(plan(1, 0, old=100))
    ledger.record_pods(10, {"a": 1, "b": 1})
    ledger.record_plan(plan(2, 20, new=100))
    ledger.record_pods(22, {"a": 2})
    assert ledger.allowed("support", 30, 31) == {OLD, NEW}
    ledger.record_pods(11 + GONE_SECONDS, {"a": 2})
    assert ledger.allowed("support", 11 + GONE_SECONDS, 400) == {NEW}


def test_seeing_a_plan_again_does_not_change_when_it_was_written():
    ledger = canary()
    ledger.record_plan(plan(3, 900, new=100))
    assert ledger.allowed("support", 205, 206) == {NEW}


def test_an_alias_is_served_everywhere_when_each_pod_has_the_newest_plan_with_a_target():
    ledger = Ledger()
    assert not ledger.serves_everywhere("support")
    ledger.record_plan(plan(1, 0))
    ledger.record_pods(1, {"a": 1, "b": 1})
    assert not ledger.serves_everywhere("support")
    ledger.record_plan(plan(2, 5, new=100))
    ledger.record_pods(6, {"a": 2, "b": 1})
    assert not ledger.serves_everywhere("support")
    ledger.record_pods(7, {"a": 2, "b": 2})
    assert ledger.serves_everywhere("support")


def test_convergence_is_each_pods_longest_wait_without_its_start():
    ledger = canary()
    assert ledger.convergence_seconds() == {"a": 1, "b": 5}
    ledger.record_pods(500, {"a": 3, "b": 3, "late": 3})
    assert "late" not in ledger.convergence_seconds()


def test_shares_and_the_time_with_clients():
    ledger = canary()
    assert ledger.shares("support") == {NEW: 100}
    assert ledger.largest_share("support", OLD) == 100
    assert ledger.largest_share("support", "support--ccc") == 0
    assert ledger.live_interval("support", OLD) == (0, 200)
    assert ledger.live_interval("support", NEW) is None
