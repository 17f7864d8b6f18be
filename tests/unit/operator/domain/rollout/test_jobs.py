"""Which of a selector's jobs is the newest, and which are passed over: creation decides, never completion."""

from __future__ import annotations

from typing import Any

import pytest

from support.clusters.fake_cluster import Clock
from support.crds.schema import read_crds, root_schema
from support.rollout_objects import build_job, build_revision, build_source, time_at
from tunewright_operator.api.adapter_deployment import AdapterDeploymentStatus, ConsideredJob
from tunewright_operator.domain.rollout.jobs import (
    MAX_MESSAGE,
    MAX_PASSED_OVER,
    SelectableJob,
    convert_considered,
    find_newest,
    list_limits,
    list_passed_over,
    record_considered,
)

CLOCK = Clock()
CLOCK.advance(3600)
NOW = CLOCK()


def status_of(**fields: Any) -> AdapterDeploymentStatus:
    return AdapterDeploymentStatus.model_validate(fields)


def considered(word: str, created: int, uid: str = "") -> dict[str, Any]:
    return {"name": word, "uid": uid or f"{word}-uid", "creationTime": time_at(created)}


def stable(word: str, created: int | None) -> dict[str, Any]:
    return build_revision(word, since=time_at(9), sourceJob=build_source(word, created))


def ended(word: str, created: int) -> dict[str, Any]:
    end = {"outcome": "RolledBack", "reason": "X", "from": time_at(9), "to": time_at(9)}
    return build_revision(word, sourceJob=build_source(word, created), **end)


SLOW, FAST = build_job("slow", created=3, done=9), build_job("fast", created=5, done=6)
ROWS = [
    ("the newest by creation, not by completion", [SLOW, FAST], {}, "fast", []),
    ("of one second, the last by name", [build_job("b", created=3), build_job("a", created=3, done=9)], {}, "b", []),
    ("a running job does not count", [build_job("one"), build_job("two", "Unknown", created=5)], {}, "one", []),
    (
        "a job without an adapter does not count",
        [build_job("one"), build_job("two", created=5, published=False)],
        {},
        "one",
        [],
    ),
    ("a failed job is named", [build_job("bad", "False", created=5), SLOW], {}, "slow", ["bad JobFailed"]),
    (
        "newer than the last considered one",
        [SLOW, FAST],
        {"lastConsideredJob": considered("slow", 3)},
        "fast",
        [],
    ),
    (
        "older than the last considered one, finished later",
        [SLOW, FAST],
        {"lastConsideredJob": considered("fast", 5), "stable": stable("fast", 5)},
        None,
        ["slow CreatedEarlier"],
    ),
    (
        "older than a last considered one that was deleted",
        [SLOW],
        {"lastConsideredJob": considered("gone", 4)},
        None,
        ["slow CreatedEarlier"],
    ),
    (
        "newer than one that was deleted",
        [SLOW, FAST],
        {"lastConsideredJob": considered("gone", 4)},
        "fast",
        ["slow CreatedEarlier"],
    ),
    (
        "older than the stable revision's job, newer than the last considered one",
        [SLOW],
        {"lastConsideredJob": considered("first", 1), "stable": stable("fast", 5)},
        None,
        ["slow CreatedEarlier"],
    ),
    (
        "older than the candidate's job, newer than the last considered one",
        [SLOW],
        {
            "lastConsideredJob": considered("first", 1),
            "candidate": build_revision("fast", acceptedAt=time_at(9), sourceJob=build_source("fast", 5)),
        },
        None,
        ["slow CreatedEarlier"],
    ),
    (
        "the stable revision's job has no recorded time but exists",
        [SLOW, FAST],
        {"stable": stable("fast", None)},
        None,
        ["slow CreatedEarlier"],
    ),
    ("the stable revision has no job", [SLOW], {"stable": build_revision("uri", since=time_at(9))}, "slow", []),
    (
        "after a rollback to an older revision, the last considered job still counts",
        [SLOW],
        {"lastConsideredJob": considered("fast", 5), "stable": stable("first", 1), "history": [ended("fast", 5)]},
        None,
        ["slow CreatedEarlier"],
    ),
    (
        "a job that was a candidate is not passed over",
        [SLOW, FAST],
        {"lastConsideredJob": considered("fast", 5), "stable": stable("fast", 5), "history": [ended("slow", 3)]},
        None,
        [],
    ),
    (
        "a job with the adapter of a candidate is not passed over",
        [build_job("one", created=3, uid="other")],
        {"lastConsideredJob": considered("fast", 5), "history": [ended("one", 4)]},
        None,
        [],
    ),
    (
        "in the same second, a later name is newer",
        [build_job("a", created=3), build_job("c", created=3)],
        {"lastConsideredJob": considered("b", 3)},
        "c",
        ["a CreatedEarlier"],
    ),
    (
        "a job that was created again under its name in the same second is newer",
        [build_job("one", created=3, uid="second")],
        {"lastConsideredJob": considered("one", 3, "first")},
        "one",
        [],
    ),
    (
        "a job that was created again under its name later is newer",
        [build_job("one", created=7, uid="second")],
        {"lastConsideredJob": considered("one", 3, "first")},
        "one",
        [],
    ),
    (
        "a failed job that is older than the last considered one is not named",
        [build_job("bad", "False", created=2)],
        {"lastConsideredJob": considered("slow", 3)},
        None,
        [],
    ),
]


@pytest.mark.parametrize(
    ("jobs", "status", "newest", "passed_over"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS]
)
@pytest.mark.parametrize("direction", [1, -1], ids=["listed", "listed in reverse"])
def test_the_newest_job_and_those_that_are_passed_over(
    jobs: list[SelectableJob], status: dict[str, Any], newest: str | None, passed_over: list[str], direction: int
) -> None:
    jobs = jobs[::direction]
    limits = list_limits(status_of(**status), jobs)
    found = find_newest(jobs, limits)
    assert (found and found.name) == newest
    named = list_passed_over(status_of(**status), jobs, limits)
    assert [f"{item.name} {item.reason}" for item in named] == passed_over


@pytest.mark.parametrize(
    ("job", "parts"),
    [
        (SLOW, ("created at 2026-01-01T00:00:03Z, before FineTuneJob 'fast' (2026-01-01T00:00:05Z)", "fineTuneJobRef")),
        (build_job("a", created=5), ("in the same second as FineTuneJob 'fast'", "the last one by name")),
        (build_job("new", "False", created=9), ("Because: line 41 is no JSON",)),
    ],
)
def test_a_job_that_is_passed_over_is_named_with_the_reason(job: SelectableJob, parts: tuple[str, ...]) -> None:
    status = status_of(lastConsideredJob=considered("fast", 5))
    (item,) = list_passed_over(status, [job], list_limits(status, [job]))
    assert (item.name, item.uid) == (job.name, job.uid)
    assert item.creation_time == job.created_at
    assert all(part in item.message for part in parts), item.message


def test_the_list_of_jobs_that_are_passed_over_is_bounded_and_begins_with_the_newest() -> None:
    jobs = [build_job(f"job-{number:02}", created=number) for number in range(20)]
    status = status_of(lastConsideredJob=considered("last", 30))
    named = list_passed_over(status, jobs, list_limits(status, jobs))
    assert [item.name for item in named] == [f"job-{number}" for number in range(19, 9, -1)]
    properties = root_schema(read_crds()["AdapterDeployment"])["properties"]["status"]["properties"]
    assert properties["passedOverJobs"]["maxItems"] == MAX_PASSED_OVER
    assert properties["passedOverJobs"]["items"]["properties"]["message"]["maxLength"] == MAX_MESSAGE


@pytest.mark.parametrize(
    ("jobs", "completed", "time"),
    [
        pytest.param([build_job("one", created=3, done=9)], 9, time_at(3), id="the job exists"),
        pytest.param([build_job("one", created=3, uid="other")], 9, time_at(9), id="another job has its name"),
        pytest.param([], 9, time_at(9), id="the job was deleted"),
        pytest.param([], 7200, time_at(3600), id="a node's clock was an hour fast"),
        pytest.param([], None, time_at(3600), id="the record has no time at all"),
    ],
)
def test_a_record_with_only_a_completion_time_is_converted(
    jobs: list[SelectableJob], completed: int | None, time: str
) -> None:
    last = ConsideredJob(name="one", uid="one-uid", completion_time=None if completed is None else time_at(completed))
    converted = convert_considered(last, jobs, NOW)
    assert converted == ConsideredJob(name="one", uid="one-uid", creation_time=time)


def test_a_considered_job_is_recorded_with_name_uid_and_creation_time() -> None:
    assert record_considered(build_job("one", created=3, done=9)).to_wire() == considered("one", 3)
