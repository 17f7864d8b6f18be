"""The choice of the arm follows the weights, is sticky, the same on all replicas, and independent of the bucket."""

import collections
import math
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from support.examples import examples
from tunewright_contracts.serving_plan import BUCKETS, Route, StickyKey, Target
from tunewright_server.http.routing import bucket_of, choose_target, find_sticky_key, make_own_key

KEYS = [f"session-{number}".encode() for number in range(4000)]


def make_route(*weights: int, salt: str = "rollout-1") -> Route:
    targets = tuple(Target(name=f"support--{index:012x}", weight=weight) for index, weight in enumerate(weights))
    fallback = targets[0].name if len(weights) > 1 else ""
    return Route(alias="support", namespace="a", targets=targets, salt=salt, fallback=fallback)


def always(_name: str) -> bool:
    return True


@settings(derandomize=True, max_examples=examples(25))
@given(weight=st.integers(1, 99), salt=st.text(max_size=80))
def test_weights_are_kept(weight, salt):
    route = make_route(100 - weight, weight, salt=salt)
    chosen = sum(choose_target(route, key, always) == route.targets[1].name for key in KEYS)
    share = weight / 100
    deviation = math.sqrt(len(KEYS) * share * (1 - share))
    assert abs(chosen - len(KEYS) * share) < 5 * deviation


@settings(derandomize=True)
@given(
    key=st.binary(min_size=1), weights=st.lists(st.integers(0, 100), min_size=1, max_size=4), seed=st.integers(0, 99)
)
def test_a_key_stays_on_its_arm_on_every_replica_and_in_any_order_of_targets(key, weights, seed):
    route = make_route(*weights)
    shuffled = list(route.targets)
    random.Random(seed).shuffle(shuffled)
    other = route.updated(targets=tuple(shuffled))
    assert choose_target(route, key, always) == choose_target(other, key, always)


@settings(derandomize=True)
@given(key=st.binary(min_size=1), low=st.integers(1, 98), step=st.integers(1, 98))
def test_raising_the_candidate_moves_no_key_away_from_it(key, low, step):
    high = min(99, low + step)
    before, after = make_route(100 - low, low), make_route(100 - high, high)
    candidate = before.targets[1].name
    if choose_target(before, key, always) == candidate:
        assert choose_target(after, key, always) == candidate


def test_arms_and_buckets_are_the_same_in_every_release():
    """During an update of a pool, old and new replicas serve together, and a session must keep its revision."""
    route = make_route(80, 20)
    names = [target.name for target in route.targets]
    chosen = "".join(str(names.index(choose_target(route, key, always))) for key in KEYS[:40])
    assert chosen == "0000000000000000010001010000001100000001"
    assert [bucket_of(key) for key in KEYS[:8]] == [3, 50, 8, 48, 50, 63, 38, 38]


def test_the_share_of_a_candidate_that_is_not_loaded_goes_to_the_incumbent():
    route = make_route(50, 50)
    incumbent, candidate = (target.name for target in route.targets)
    assert {choose_target(route, key, lambda name: name == incumbent) for key in KEYS} == {incumbent}
    assert {choose_target(route, key, always) for key in KEYS} == {incumbent, candidate}


def test_a_candidate_never_answers_more_than_its_share():
    route = make_route(90, 10)
    candidate = route.targets[1].name
    chosen = [choose_target(route, key, lambda name: name == candidate) for key in KEYS]
    assert set(chosen) == {None, candidate}
    assert chosen.count(candidate) == [choose_target(route, key, always) for key in KEYS].count(candidate)


def test_a_fallback_that_is_no_target_of_the_route_does_not_answer():
    route = make_route(0, 100).updated(fallback="support--000000000000")
    assert choose_target(route, b"key", lambda name: name == "support--000000000000") is None


def test_without_a_loaded_target_no_revision_answers():
    assert choose_target(make_route(100), b"key", lambda _name: False) is None
    assert choose_target(make_route(), b"key", always) is None


def test_a_revision_of_weight_zero_never_answers_even_when_only_it_is_loaded():
    route = make_route(100, 0)
    unproven = route.targets[1].name
    assert {choose_target(route, key, always) for key in KEYS} == {route.targets[0].name}
    assert choose_target(route, b"key", lambda name: name == unproven) is None


def test_rollouts_draw_independent_samples():
    first, second = make_route(50, 50, salt="one"), make_route(50, 50, salt="two")
    same = sum(choose_target(first, key, always) == choose_target(second, key, always) for key in KEYS)
    assert abs(same - len(KEYS) / 2) < 5 * math.sqrt(len(KEYS) / 4)


def test_buckets_are_even_and_independent_of_the_arm():
    route = make_route(50, 50)
    table = collections.Counter((bucket_of(key), choose_target(route, key, always)) for key in KEYS)
    expected = len(KEYS) / BUCKETS / 2
    statistic = sum(
        (table[bucket, t.name] - expected) ** 2 / expected for bucket in range(BUCKETS) for t in route.targets
    )
    degrees = 2 * BUCKETS - 1
    assert statistic < degrees + 5 * math.sqrt(2 * degrees)


def test_the_first_sticky_key_present_wins():
    sticky = (StickyKey(header="X-Session-Id"), StickyKey(body_field="user"))
    headers = {"x-session-id": "a"}
    assert find_sticky_key(sticky, headers.get, {"user": "b"}) == b"a"
    assert find_sticky_key(sticky, {}.get, {"user": "b"}) == b"b"
    assert find_sticky_key(sticky, {}.get, {"user": 7}) == b"7"
    for nothing in ({}, {"user": ""}, {"user": None}, {"user": ["b"]}, {"user": True}):
        assert find_sticky_key(sticky, {}.get, nothing) is None


def test_each_request_without_a_key_is_a_new_session():
    assert make_own_key() != make_own_key()
