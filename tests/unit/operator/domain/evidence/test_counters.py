"""Counters of server processes: how they are written, added and compared."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright_operator.domain.evidence.counters import (
    NO_ANSWERS,
    ArmCounters,
    ArmTotals,
    Baseline,
    EvidenceError,
    PodReading,
    Tally,
    add_totals,
    decode_buckets,
    encode_buckets,
    gain,
    read_baseline,
)


@given(st.lists(st.integers(0, 3), min_size=64, max_size=64))
def test_bucket_text_reads_back(counts):
    assert decode_buckets(encode_buckets(counts)) == tuple(counts)


def test_bucket_text_is_short():
    assert encode_buckets((3, *(0,) * 62, 1)) == "3,0*62,1"


@pytest.mark.parametrize(
    ("counters", "message"),
    [
        (lambda: ArmCounters((1, 2)), "counters answers: expected 64 counts"),
        (lambda: ArmCounters(NO_ANSWERS, {"ErrorRate": (-1, *(0,) * 63)}), r"counters bad\[ErrorRate\].*minimum of -1"),
        (lambda: ArmCounters(NO_ANSWERS, {}, {"Latency": ()}), r"counters judged\[Latency\]: .*got 0"),
    ],
)
def test_counters_of_another_shape_are_refused(counters, message):
    with pytest.raises(EvidenceError, match=message):
        counters()


def test_text_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="64"):
        Tally.model_validate({"judged": "3,0*62"})


def totals(answers: int, *, judged: int = 0, bad: int = 0, metric: str = "ErrorRate") -> ArmTotals:
    tally = Tally(judged=(judged, *NO_ANSWERS[1:]), bad=(bad, *NO_ANSWERS[1:]))
    return ArmTotals(answers=answers, tallies={metric: tally})


def test_a_baseline_has_the_counters_of_the_watched_metrics() -> None:
    counted = {"ErrorRate": (1, *NO_ANSWERS[1:]), "OutputContract": (2, *NO_ANSWERS[1:]), "Latency": NO_ANSWERS}
    checked = {"OutputContract": (4, *NO_ANSWERS[1:])}
    candidate = ArmCounters((5, *NO_ANSWERS[1:]), counted, checked)
    baseline = read_baseline(PodReading("pod", "boot", candidate), ["ErrorRate", "OutputContract", "Unknown"])
    assert (baseline.pod_uid, baseline.boot_id, baseline.candidate.answers) == ("pod", "boot", 5)
    assert baseline.candidate.tally("ErrorRate").totals == (5, 1), "a metric without a count of its own judges all"
    assert baseline.candidate.tally("OutputContract").totals == (4, 2)
    assert baseline.candidate.tallies.keys() == {"ErrorRate", "OutputContract"}
    assert baseline.incumbent.answers == 0
    assert Baseline.from_wire(baseline.to_wire()) == baseline


def test_a_gain_is_the_difference_of_two_readings() -> None:
    gained = gain(totals(10, judged=8, bad=2), totals(25, judged=20, bad=5))
    assert gained is not None
    assert (gained.answers, gained.tally("ErrorRate").totals) == (15, (12, 3))
    new = gain(ArmTotals(), totals(3, judged=3, bad=1))
    assert new is not None
    assert new.tally("ErrorRate").totals == (3, 1)


@pytest.mark.parametrize(
    "current",
    [
        totals(9, judged=8, bad=2),
        totals(10, judged=7, bad=2),
        totals(10, judged=8, bad=1),
        ArmTotals(answers=10),
    ],
    ids=["answers", "judged", "bad", "a metric that disappeared"],
)
def test_there_is_no_gain_when_a_counter_has_decreased(current: ArmTotals) -> None:
    assert gain(totals(10, judged=8, bad=2), current) is None


def test_totals_are_added_by_metric() -> None:
    parts = [totals(3, judged=3, bad=1), totals(4, judged=2, metric="Latency"), totals(5, judged=5, bad=2)]
    added = add_totals(parts)
    assert added.answers == 12
    assert {metric: tally.totals for metric, tally in added.tallies.items()} == {"ErrorRate": (8, 3), "Latency": (2, 0)}
    assert add_totals(parts[::-1]) == added
    assert add_totals([]) == ArmTotals()
