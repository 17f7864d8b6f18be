"""A tenant's texts cannot make a pod's state too large for the operator."""

import pytest

from tunewright_contracts.serving_plan import (
    BUCKETS,
    MAX_STATE_BYTES,
    AdapterPhase,
    AdapterState,
    PodState,
    RevisionCounters,
)
from tunewright_server import message_limits
from tunewright_storage.quoting import LONGEST_MESSAGE

MOST_ADAPTERS = 1024 + 64
"""The most aliases and rollout slots of a ModelServer."""
METRICS = ("ErrorRate", "Latency", "OutputContract")
DIGEST = "sha256:" + "a" * 64


def make_state(messages, counters=0, bucketed=0) -> PodState:
    return PodState(
        pod_uid="p" * 36,
        boot_id="b" * 32,
        adapters=tuple(
            AdapterState(
                name=f"{'a' * 40}--{number:012d}",
                digest=DIGEST,
                phase=AdapterPhase.FAILED,
                reason="NonFiniteWeights",
                message=message,
            )
            for number, message in enumerate(messages)
        ),
        counters=tuple(
            RevisionCounters(
                alias="a" * 40,
                revision=f"{'a' * 40}--{number:012d}",
                answers=9_999_999,
                bad=dict.fromkeys(METRICS, 9_999_999),
                latency_milliseconds=(9_999_999,) * 49,
                answers_by_bucket=(9_999_999,) * BUCKETS * (number < bucketed),
                bad_by_bucket=dict.fromkeys(METRICS, (9_999_999,) * BUCKETS) if number < bucketed else {},
                unchecked_by_bucket=(9_999_999,) * BUCKETS * (number < bucketed),
                requests=9_999_999,
                abandoned=9_999_999,
                overloaded=9_999_999,
                requests_by_bucket=(9_999_999,) * BUCKETS * (number < bucketed),
                abandoned_by_bucket=(9_999_999,) * BUCKETS * (number < bucketed),
            )
            for number in range(counters)
        ),
    )


@pytest.mark.parametrize("letter", ["x", '"', "\x01", "é", "\N{GRINNING FACE}"])
@pytest.mark.parametrize("counters", [0, 1000])
def test_a_state_of_failures_only_fits_and_keeps_every_reason(letter, counters):
    state = make_state([letter * LONGEST_MESSAGE] * MOST_ADAPTERS, counters)
    fitted = message_limits.fit_state(state)
    assert len(fitted.to_json().encode()) <= MAX_STATE_BYTES
    assert [(item.name, item.reason) for item in fitted.adapters] == [
        (item.name, item.reason) for item in state.adapters
    ]
    assert fitted.counters == state.counters
    assert all(item.message for item in fitted.adapters)


def test_the_counters_of_a_full_pool_take_less_than_half_of_the_limit():
    """During a rollout, both revisions of an alias are counted by bucket."""
    state = make_state([], MOST_ADAPTERS, bucketed=2 * 64)
    assert len(state.to_json().encode()) < MAX_STATE_BYTES / 2


def test_a_state_that_fits_is_unchanged():
    state = make_state(["fix it; publish it again"] * MOST_ADAPTERS)
    assert message_limits.fit_state(state) is state


def test_too_long_messages_get_equal_shares_and_short_ones_stay_whole():
    messages = ["\N{GRINNING FACE}" * 1000 + "; publish it again"] * MOST_ADAPTERS + ["train it again"]
    fitted = [item.message for item in message_limits.fit_state(make_state(messages, counters=1000)).adapters]
    assert fitted[-1] == "train it again"
    assert len(set(fitted[:MOST_ADAPTERS])) == 1
    assert fitted[0].endswith("; publish it again")
    assert 500 < len(fitted[0]) < 1000
