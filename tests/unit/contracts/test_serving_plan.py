"""The hash of a plan, its signed bytes, and the limits of its fields."""

import base64
import binascii

import pytest

from tunewright_contracts.document import ContractError
from tunewright_contracts.serving_plan import (
    LATENCY_BOUNDS_MILLISECONDS,
    AdapterEntry,
    PodState,
    RevisionCounters,
    Route,
    ServingPlan,
    SignedPlan,
    Target,
)

DIGEST = "sha256:" + "0" * 64


def _plan(generation: int = 1, weight: int = 100, **changes: object) -> ServingPlan:
    route = Route(alias="support", namespace="team", targets=(Target(name="support--abc", weight=weight),))
    fields = {"server_uid": "uid", "generation": generation, "base_model_digest": DIGEST, "routes": (route,)}
    return ServingPlan(**(fields | changes))


def test_content_hash_ignores_only_the_generation():
    assert _plan(generation=1).content_hash == _plan(generation=7).content_hash
    assert _plan(weight=100).content_hash != _plan(weight=90).content_hash


@pytest.mark.parametrize("weight", [-1, 101])
def test_a_weight_is_a_percentage(weight):
    wire = _plan().to_wire()
    wire["routes"][0]["targets"][0]["weight"] = weight
    with pytest.raises(ContractError, match=r"routes\.0\.targets\.0\.weight"):
        ServingPlan.from_wire(wire)


def test_the_signed_bytes_are_those_of_the_payload():
    payload = _plan().to_json().encode()
    signed = SignedPlan(payload=base64.b64encode(payload).decode(), signature="")
    assert signed.payload_bytes() == payload
    with pytest.raises(binascii.Error):
        signed.updated(payload=f"{signed.payload[:8]}?{signed.payload[8:]}").payload_bytes()


def test_the_bounds_of_the_latency_histogram_increase_from_5_ms_to_3_minutes():
    assert list(LATENCY_BOUNDS_MILLISECONDS) == sorted(set(LATENCY_BOUNDS_MILLISECONDS))
    assert LATENCY_BOUNDS_MILLISECONDS[0] == 5
    assert 170_000 < LATENCY_BOUNDS_MILLISECONDS[-1] < 190_000


def test_a_route_of_an_earlier_operator_has_no_targets_and_counts_no_buckets():
    route = Route.from_wire({"alias": "support", "namespace": "team"})
    assert (route.targets, route.fallback, route.salt) == ((), "", "")
    assert not route.count_by_key_bucket


def test_a_state_of_an_earlier_server_has_no_requests_and_no_plan():
    adapter = {"name": "support--abc", "digest": DIGEST, "phase": "Loaded"}
    state = PodState.from_wire({"podUid": "p", "bootId": "b", "adapters": [adapter]})
    assert (state.plan_generation, state.plan_status, state.settled) == (0, "None", False)
    assert [item.in_flight for item in state.adapters] == [0]


def test_counters_of_an_earlier_server_do_not_show_what_clients_abandoned():
    counters = RevisionCounters.from_wire({"alias": "support", "revision": "support--abc", "answers": 3})
    assert (counters.requests, counters.abandoned, counters.overloaded) == (0, 0, 0)
    assert (counters.requests_by_bucket, counters.abandoned_by_bucket) == ((), ())


def test_an_entry_of_an_earlier_operator_has_no_stop_tokens_and_the_same_hash():
    entry = {"name": "support--abc", "digest": DIGEST, "uri": "s3://bucket/a", "rank": 8, "namespace": "team"}
    plan = _plan(adapters=(AdapterEntry.from_wire(entry),))
    assert plan.to_wire()["adapters"] == [entry]
    taught = _plan(adapters=(AdapterEntry.from_wire({**entry, "stopTokenIds": [2]}),))
    assert taught.adapters[0].stop_token_ids == (2,)
    assert taught.content_hash != plan.content_hash
