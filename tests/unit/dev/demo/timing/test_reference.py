"""The reference machine's figures fit the story that they are compared with."""

from __future__ import annotations

import yaml

from tunewright_dev.demo.observed.rollouts import name_watched_stage
from tunewright_dev.demo.story import ACTS
from tunewright_dev.demo.timing.reference import load_reference
from tunewright_dev.paths import find_paths

EXAMPLE = find_paths().clone / "examples" / "support-triage"


def test_the_stages_are_those_of_the_story_in_their_order():
    steps = yaml.safe_load((EXAMPLE / "adapter-deployment.yaml").read_text())["spec"]["rollout"]["steps"]
    names = list(dict.fromkeys(name_watched_stage(steps, index) for index in range(len(steps) + 1)))
    # The last stage of each job in a successful run.
    ends = (names[-1], names[-1], names[0], names[1])
    expected = ["namespaces and data", "servers", "speed"]
    for act, end in zip(ACTS, ends, strict=True):
        expected += [f"{act.job}: {name}" for name in ("train", *names[: names.index(end) + 1])]
    assert list(load_reference().seconds.stages) == [*expected, "last answers"]


def test_the_story_takes_at_most_half_an_hour_on_the_reference_machine():
    assert load_reference().total_seconds <= 30 * 60


def test_the_remaining_time_includes_the_current_stage():
    reference = load_reference()
    stages = reference.seconds.stages
    assert reference.seconds_from("namespaces and data") == reference.total_seconds
    assert reference.seconds_from("last answers") == stages["last answers"]
    assert reference.seconds_from("support-triage-4: observe at 50 %") == 0, "the reference run has no such stage"
