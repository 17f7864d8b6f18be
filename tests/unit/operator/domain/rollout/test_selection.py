"""Which adapter the spec names: that of a job, the newest of a selector, or the one at a URI."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import pytest

from support.clusters.fake_cluster import Clock
from support.rollout_objects import build_job, build_revision, build_source, time_at
from support.worlds.rollout_world import BASE_DIGEST, digest_of, make_situation, revision_of
from tunewright_contracts.phase_result import AdapterSummary, Outcome, PhaseResult
from tunewright_operator.domain.job_run import JobRun, PodRun, RunState
from tunewright_operator.domain.rollout.jobs import SelectableJob
from tunewright_operator.domain.rollout.observation import Situation
from tunewright_operator.domain.rollout.selection import Choice, choose_adapter, find_expected_name, find_passed_over

CLOCK = Clock()
NOW = CLOCK()
TIME = CLOCK.text


def choose(adapter: dict[str, Any], *jobs: SelectableJob, **facts: Any) -> Choice:
    status = facts.pop("status", None)
    return choose_adapter(make_situation({"adapter": adapter}, status, jobs=jobs, **facts), NOW)


REFERENCE = {"fineTuneJobRef": {"name": "one"}}
SELECTOR = {"fineTuneJobSelector": {"matchLabels": {"app": "support"}}}


def test_the_adapter_of_a_referenced_job_is_copied() -> None:
    choice = choose(REFERENCE, build_job("two", created=9), build_job("one", created=3, done=8))
    assert choice.revision is not None
    assert choice.revision.to_wire() == build_revision(
        "one", evaluationDatasetURI="s3://evaluation", sourceJob=build_source("one", 3)
    )
    assert choice.named
    assert choice.job is not None
    assert choice.job.to_wire() == {"name": "one", "uid": "one-uid", "creationTime": time_at(3)}


@pytest.mark.parametrize(
    ("jobs", "reason", "stalled", "words"),
    [
        ([build_job("two")], "JobNotFound", True, "'one'"),
        ([build_job("one", "False")], "JobFailed", True, "line 41 is no JSON"),
        ([build_job("one", "Unknown", published=False)], "JobNotFinished", False, "'one'"),
        ([build_job("one", published=False)], "JobNotFinished", False, "'one'"),
    ],
)
def test_a_referenced_job_without_an_adapter(jobs: list[SelectableJob], reason: str, stalled: bool, words: str) -> None:
    choice = choose(REFERENCE, *jobs)
    assert choice.revision is None
    assert (choice.reason, choice.stalled) == (reason, stalled)
    assert words in choice.message


def test_a_deleted_job_is_not_missed_after_its_adapter_became_stable() -> None:
    stable = build_revision("one", since=TIME, sourceJob={"name": "one", "uid": "u"})
    assert choose(REFERENCE, status={"stable": stable}) == Choice()
    other = {**stable, "sourceJob": {"name": "two", "uid": "u"}}
    assert choose(REFERENCE, status={"stable": other}).reason == "JobNotFound"


def considered(word: str, created: int) -> dict[str, Any]:
    return {"name": word, "uid": f"{word}-uid", "creationTime": time_at(created)}


ONE, TWO = build_job("one", created=3, done=9), build_job("two", created=5, done=6)


@pytest.mark.parametrize(
    ("jobs", "status", "chosen"),
    [
        ([ONE, TWO, build_job("three", created=4, done=8)], {}, "two"),
        ([ONE, build_job("two", "Unknown", created=5)], {}, "one"),
        ([ONE, build_job("two", created=5, app="billing")], {}, "one"),
        ([ONE, TWO], {"lastConsideredJob": considered("one", 3)}, "two"),
        ([ONE, TWO], {"lastConsideredJob": considered("gone", 4)}, "two"),
        ([ONE, TWO], {"lastConsideredJob": considered("two", 5)}, None),
        ([ONE], {"lastConsideredJob": considered("gone", 4)}, None),
        ([ONE, build_job("two", created=3)], {"lastConsideredJob": considered("one", 3)}, "two"),
        ([ONE, build_job("two", created=3)], {"lastConsideredJob": considered("two", 3)}, None),
        (
            [ONE, build_job("two", created=5, app="billing")],
            {"stable": build_revision("two", since=TIME, sourceJob=build_source("two"))},
            None,
        ),
    ],
    ids=[
        "the newest",
        "an unfinished job does not count",
        "a job with other labels does not count",
        "newer than the last considered one",
        "newer than a deleted one",
        "all are considered",
        "only older ones",
        "a later name in the same second",
        "an earlier name in the same second",
        "older than the stable revision's job, which the selector no longer matches",
    ],
)
def test_a_selector_takes_the_newest_job_and_never_goes_back(
    jobs: list[SelectableJob], status: dict[str, Any], chosen: str | None
) -> None:
    choice = choose(SELECTOR, *jobs, status=status)
    assert (choice.revision and choice.revision.revision) == (chosen and revision_of(chosen))
    assert not choice.named
    assert choice.reason is None
    assert (choice.job and choice.job.name) == chosen


def test_a_user_may_name_a_job_that_the_selector_passes_over() -> None:
    status = {"lastConsideredJob": considered("two", 5)}
    assert choose(SELECTOR, ONE, TWO, status=status) == Choice()
    choice = choose(REFERENCE, ONE, status=status)
    assert (choice.revision and choice.revision.revision) == revision_of("one")


@pytest.mark.parametrize(("adapter", "named"), [(SELECTOR, ["one"]), (REFERENCE, []), ({"uri": "s3://models/one"}, [])])
def test_only_a_selector_passes_jobs_over(adapter: dict[str, Any], named: list[str]) -> None:
    jobs = (ONE, TWO, build_job("other", created=1, app="billing"))
    situation = make_situation({"adapter": adapter}, {"lastConsideredJob": considered("two", 5)}, jobs=jobs)
    assert [item.name for item in find_passed_over(situation, situation.status)] == named


def test_a_selector_without_any_finished_job_waits() -> None:
    choice = choose(SELECTOR, build_job("one", "Unknown", published=False))
    assert (choice.revision, choice.reason, choice.stalled) == (None, "NoAdapterYet", False)


URI = "s3://models/team/one"
SUMMARY = AdapterSummary(
    uri=URI,
    digest=digest_of("one"),
    rank=16,
    bytes=1,
    base_model_digest=BASE_DIGEST,
    evaluation_dataset_uri="s3://evaluation",
)
FOUND = PhaseResult(outcome=Outcome.SUCCEEDED, reason="Inspected", message="", adapter=SUMMARY)
FAILED = PhaseResult(outcome=Outcome.FAILED, reason="NoManifest", message="no manifest.json")


def inspection(state: RunState, **pod: Any) -> JobRun:
    return JobRun("inspect", "uid", state, pod=PodRun("p", "p-uid", **pod) if pod else None, began_at=NOW)


def test_the_adapter_at_a_uri_is_that_of_its_manifest() -> None:
    choice = choose({"uri": URI}, inspection=inspection(RunState.SUCCEEDED, result=FOUND))
    assert choice.revision is not None
    assert choice.revision.to_wire() == build_revision("one", evaluationDatasetURI="s3://evaluation")
    assert choice.named
    assert choice.job is None


@pytest.mark.parametrize(
    ("run", "reason", "stalled", "words"),
    [
        (None, "InspectingAdapter", False, URI),
        (inspection(RunState.ACTIVE), "InspectingAdapter", False, URI),
        (inspection(RunState.ACTIVE, waiting="ImagePullBackOff"), "PodPending", False, "ImagePullBackOff"),
        (inspection(RunState.FAILED, result=FAILED), "AdapterUnreadable", True, "NoManifest: no manifest.json"),
    ],
)
def test_an_adapter_whose_manifest_is_not_read(run: JobRun | None, reason: str, stalled: bool, words: str) -> None:
    choice = choose({"uri": URI}, inspection=run)
    assert choice.revision is None
    assert (choice.reason, choice.stalled) == (reason, stalled)
    assert words in choice.message


@pytest.mark.parametrize("source", ["job", "manifest", "status"])
def test_the_tokens_that_end_answers_are_copied(source: str) -> None:
    if source == "job":
        found = build_job("one")
        assert found.adapter is not None
        taught = found.adapter.updated(stop_token_ids=(2, 7))
        choice = choose(REFERENCE, dataclasses.replace(found, adapter=taught))
    elif source == "manifest":
        result = FOUND.updated(adapter=SUMMARY.updated(stop_token_ids=(2, 7)))
        choice = choose({"uri": URI}, inspection=inspection(RunState.SUCCEEDED, result=result))
    else:
        choice = choose({"uri": URI}, status={"stable": build_revision("one", since=TIME, stopTokenIDs=[2, 7])})
    assert choice.revision is not None
    assert choice.revision.to_wire()["stopTokenIDs"] == [2, 7]


def test_a_known_adapter_is_not_read_again_and_has_the_name_of_the_current_alias() -> None:
    spec = {"adapter": {"uri": f"{URI}/"}, "modelName": "billing"}
    situation: Situation = make_situation(spec, {"stable": build_revision("one", since=TIME)})
    choice = choose_adapter(situation, NOW + dt.timedelta(days=1))
    assert choice.revision is not None
    renamed = build_revision("one", revision=revision_of("one", "billing"), evaluationDatasetURI="")
    assert choice.revision.to_wire() == renamed
    assert choice.named


HEX = digest_of("one").removeprefix("sha256:")


@pytest.mark.parametrize(
    ("adapter", "run", "expected"),
    [
        ({"uri": f"s3://models/team/sha256-{HEX}/"}, None, revision_of("one")),
        ({"uri": f"s3://models/team/sha256-{HEX}"}, inspection(RunState.ACTIVE), revision_of("one")),
        ({"uri": f"s3://models/team/sha256-{HEX}"}, inspection(RunState.FAILED, result=FAILED), None),
        ({"uri": URI}, inspection(RunState.SUCCEEDED, result=FOUND), revision_of("one")),
        (REFERENCE, None, None),
    ],
)
def test_the_name_of_the_next_candidate_is_known_before_its_manifest_is_read(
    adapter: dict[str, Any], run: JobRun | None, expected: str | None
) -> None:
    assert find_expected_name(make_situation({"adapter": adapter}, inspection=run), NOW) == expected
