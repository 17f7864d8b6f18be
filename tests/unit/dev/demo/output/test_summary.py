"""The summary has the documented keys, and each requirement is checked."""

from __future__ import annotations

import json

import pytest

from support.worlds.demo_objects import GOOD
from tunewright_dev.demo.output.summary import Qualities, Quality, find_violations


def change(part, **changes):
    return GOOD.model_copy(update={part: getattr(GOOD, part).model_copy(update=changes)})


def change_tuned(**changes):
    tuned = GOOD.quality.tuned.model_copy(update=changes)
    return GOOD.model_copy(update={"quality": GOOD.quality.model_copy(update={"tuned": tuned})})


def change_rollout(index, **changes):
    rollouts = list(GOOD.rollouts)
    rollouts[index] = rollouts[index].model_copy(update=changes)
    return GOOD.model_copy(update={"rollouts": tuple(rollouts)})


def test_the_keys_are_exactly_the_documented_ones():
    data = json.loads(GOOD.to_json())
    assert set(data) == {
        "quality",
        "answers",
        "rollouts",
        "seconds",
        "speed",
        "convergenceSeconds",
        "peakMemoryMiB",
        "coldSetupSeconds",
    }
    assert set(data["quality"]) == {"base", "tuned"}
    assert set(data["quality"]["tuned"]) == {"exactMatch", "validJSON", "n"}
    assert set(data["answers"]) == {"total", "wrong", "failed", "byRevision"}
    assert set(data["rollouts"][0]) == {"name", "outcome", "stage", "candidateSharePercent", "reason"}
    assert set(data["seconds"]) == {
        "applyToTrained",
        "trainedToPromoted",
        "badOfflineToRolledBack",
        "badLiveToRolledBack",
        "stages",
    }
    assert data["seconds"]["stages"] == {"servers": 45.0, "support-triage-1: train": 150.0}
    assert data["speed"] == {"tokensPerSecond": 63.5}


def test_a_good_summary_violates_nothing():
    assert find_violations(GOOD) == []
    assert find_violations(change_tuned(exact_match=0.70, valid_json=0.95)) == []


@pytest.mark.parametrize(
    ("summary", "says"),
    [
        (change_tuned(exact_match=0.699), "tuned exact match is 0.699"),
        (change_tuned(valid_json=0.949), "tuned valid JSON is 0.949"),
        (change_tuned(n=199), "only 199 held-out records"),
        (
            GOOD.model_copy(
                update={
                    "quality": Qualities(base=Quality(exact_match=0.2, valid_json=0, n=200), tuned=GOOD.quality.tuned)
                }
            ),
            "base exact match is 0.200",
        ),
        (GOOD.model_copy(update={"quality": None}), "no quality"),
        (change("answers", wrong=1), "1 answers are from a revision"),
        (change("answers", failed=2), "2 requests failed"),
        (change("answers", total=99), "only 99 answers"),
        (change_rollout(0, outcome="RolledBack"), "one is RolledBack at bake"),
        (change_rollout(1, outcome="RolledBack"), "two is RolledBack at bake"),
        (change_rollout(2, outcome="Promoted"), "three is Promoted"),
        (change_rollout(3, outcome="Promoted"), "four is Promoted"),
        (change_rollout(2, candidate_share_percent=20), "three answered 20 % of clients"),
        (change_rollout(3, candidate_share_percent=0), "four was rolled back before it answered clients"),
        (GOOD.model_copy(update={"rollouts": GOOD.rollouts[:3]}), "3 rollouts ended"),
    ],
)
def test_each_violated_requirement_is_named(summary, says):
    violations = find_violations(summary)
    assert len(violations) == 1
    assert says in violations[0]
