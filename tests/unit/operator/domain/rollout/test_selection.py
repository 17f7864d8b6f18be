"""Which adapter the spec names: that of a job, the newest of a selector, or the one at a URI."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from support.clusters.fake_cluster import Clock
from support.worlds.rollout_world import BASE_DIGEST, digest_of, make_situation, revision_of
from tunewright_contracts.phase_result import AdapterSummary, Outcome, PhaseResult
from tunewright_operator.api.fine_tune_job import FineTuneJob
from tunewright_operator.domain.job_run import JobRun, PodRun, RunState
from tunewright_operator.domain.rollout.observation import Situation
from tunewright_operator.domain.rollout.selection import Choice, choose_adapter

CLOCK = Clock()
NOW = CLOCK()
TIME = CLOCK.text


def revision(word: str, **changes: Any) -> dict[str, Any]:
    return {
        "revision": revision_of(word),
        "digest": digest_of(word),
        "uri": f"s3://models/team/{word}",
        "rank": 16,
        "baseModelDigest": BASE_DIGEST,
        **changes,
    }


def job(word: str, status: str = "True", *, at: int = 0, app: str = "support", published: bool = True) -> FineTuneJob:
    adapter = {key: value for key, value in revision(word).items() if key != "revision"}
    condition = {
        "type": "Succeeded",
        "status": status,
        "reason": "Because",
        "message": "line 41 is no JSON",
        "lastTransitionTime": TIME,
    }
    return FineTuneJob.from_body(
        {
            "metadata": {"name": word, "namespace": "team", "uid": f"{word}-uid", "labels": {"app": app}},
            "spec": {
                "baseModelRef": {"name": "smol"},
                "storage": {"secretRef": {"name": "s3"}},
                "dataset": {"sources": [{"name": "a", "s3": {"uri": "s3://bucket/x"}}]},
                "output": {"uri": "s3://models/team"},
            },
            "status": {
                "conditions": [condition],
                "completionTime": f"2026-01-01T00:00:{at:02}Z",
                "adapter": {**adapter, "bytes": 1, "evaluationDatasetURI": "s3://e"} if published else None,
            },
        }
    )


def choose(adapter: dict[str, Any], *jobs: FineTuneJob, **facts: Any) -> Choice:
    status = facts.pop("status", None)
    return choose_adapter(make_situation({"adapter": adapter}, status, jobs=jobs, **facts), NOW)


REFERENCE = {"fineTuneJobRef": {"name": "one"}}
SELECTOR = {"fineTuneJobSelector": {"matchLabels": {"app": "support"}}}


def test_the_adapter_of_a_referenced_job_is_copied() -> None:
    choice = choose(REFERENCE, job("two", at=9), job("one", at=3))
    assert choice.revision is not None
    assert choice.revision.to_wire() == revision(
        "one", evaluationDatasetURI="s3://e", sourceJob={"name": "one", "uid": "one-uid"}
    )
    assert choice.named
    assert choice.job is not None
    assert (choice.job.name, choice.job.uid, choice.job.completion_time) == ("one", "one-uid", "2026-01-01T00:00:03Z")


@pytest.mark.parametrize(
    ("jobs", "reason", "stalled", "words"),
    [
        ([job("two")], "JobNotFound", True, "'one'"),
        ([job("one", "False")], "JobFailed", True, "line 41 is no JSON"),
        ([job("one", "Unknown", published=False)], "JobNotFinished", False, "'one'"),
        ([job("one", published=False)], "JobNotFinished", False, "'one'"),
    ],
)
def test_a_referenced_job_without_an_adapter(jobs: list[FineTuneJob], reason: str, stalled: bool, words: str) -> None:
    choice = choose(REFERENCE, *jobs)
    assert choice.revision is None
    assert (choice.reason, choice.stalled) == (reason, stalled)
    assert words in choice.message


def test_a_deleted_job_is_not_missed_after_its_adapter_became_stable() -> None:
    stable = revision("one", since=TIME, sourceJob={"name": "one", "uid": "u"})
    assert choose(REFERENCE, status={"stable": stable}) == Choice()
    other = {**stable, "sourceJob": {"name": "two", "uid": "u"}}
    assert choose(REFERENCE, status={"stable": other}).reason == "JobNotFound"


def considered(word: str, at: int) -> dict[str, Any]:
    return {"name": word, "uid": f"{word}-uid", "completionTime": f"2026-01-01T00:00:{at:02}Z"}


@pytest.mark.parametrize(
    ("jobs", "status", "chosen"),
    [
        ([job("one", at=3), job("two", at=5), job("three", at=4)], {}, "two"),
        ([job("one", at=3), job("two", "Unknown", at=5)], {}, "one"),
        ([job("one", at=3), job("two", at=5, app="billing")], {}, "one"),
        ([job("one", at=3), job("two", at=5)], {"lastConsideredJob": considered("one", 3)}, "two"),
        ([job("one", at=3), job("two", at=5)], {"lastConsideredJob": considered("gone", 4)}, "two"),
        ([job("one", at=3), job("two", at=5)], {"lastConsideredJob": considered("two", 5)}, None),
        ([job("one", at=3)], {"lastConsideredJob": considered("gone", 4)}, None),
        ([job("one", at=3), job("two", at=3)], {"lastConsideredJob": considered("two", 3)}, "one"),
        (
            [job("one", at=3), job("two", at=3)],
            {"lastConsideredJob": considered("two", 3), "stable": revision("one", since=TIME)},
            None,
        ),
        (
            [job("one", at=3), job("two", at=3)],
            {
                "lastConsideredJob": considered("two", 3),
                "history": [revision("one", outcome="RolledBack", reason="X", to=TIME, **{"from": TIME})],
            },
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
        "another one in the same second",
        "another one in the same second is stable",
        "another one in the same second was rolled back",
    ],
)
def test_a_selector_takes_the_newest_job_and_never_goes_back(
    jobs: list[FineTuneJob], status: dict[str, Any], chosen: str | None
) -> None:
    choice = choose(SELECTOR, *jobs, status=status)
    assert (choice.revision and choice.revision.revision) == (chosen and revision_of(chosen))
    assert not choice.named
    assert choice.reason is None
    assert (choice.job and choice.job.name) == chosen


def test_a_selector_without_any_finished_job_waits() -> None:
    choice = choose(SELECTOR, job("one", "Unknown", published=False))
    assert (choice.revision, choice.reason, choice.stalled) == (None, "NoAdapterYet", False)


URI = "s3://models/team/one"
SUMMARY = AdapterSummary(
    uri=URI,
    digest=digest_of("one"),
    rank=16,
    bytes=1,
    base_model_digest=BASE_DIGEST,
    evaluation_dataset_uri="s3://e",
)
FOUND = PhaseResult(outcome=Outcome.SUCCEEDED, reason="Inspected", message="", adapter=SUMMARY)
FAILED = PhaseResult(outcome=Outcome.FAILED, reason="NoManifest", message="no manifest.json")


def inspection(state: RunState, **pod: Any) -> JobRun:
    return JobRun("inspect", "uid", state, pod=PodRun("p", "p-uid", **pod) if pod else None, began_at=NOW)


def test_the_adapter_at_a_uri_is_that_of_its_manifest() -> None:
    choice = choose({"uri": URI}, inspection=inspection(RunState.SUCCEEDED, result=FOUND))
    assert choice.revision is not None
    assert choice.revision.to_wire() == revision("one", evaluationDatasetURI="s3://e")
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


def test_a_known_adapter_is_not_read_again_and_has_the_name_of_the_current_alias() -> None:
    spec = {"adapter": {"uri": f"{URI}/"}, "modelName": "billing"}
    situation: Situation = make_situation(spec, {"stable": revision("one", since=TIME)})
    choice = choose_adapter(situation, NOW + dt.timedelta(days=1))
    assert choice.revision is not None
    assert choice.revision.to_wire() == revision("one", revision=revision_of("one", "billing"), evaluationDatasetURI="")
    assert choice.named
