"""The actions on the Job that reads an adapter's manifest, and how it is shown."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import pytest

from support.clusters.fake_cluster import Clock
from support.worlds.rollout_world import BASE_DIGEST, digest_of, make_situation
from tunewright_contracts.phase_result import AdapterSummary, Outcome, PhaseResult
from tunewright_operator.domain.job_run import ExpireJob, JobRun, PodRun, RunState
from tunewright_operator.domain.rollout.actions import (
    DeleteInspection,
    EnsureInspection,
    JobReference,
    WantedInspection,
)
from tunewright_operator.domain.rollout.decision import decide
from tunewright_operator.domain.rollout.observation import Situation
from tunewright_operator.domain.secrets import StorageFacts, UseFacts

CLOCK = Clock()
NOW = CLOCK()
URI = "s3://models/team/one"
REFERENCE = JobReference("support-inspect-1", "run-uid")
STABLE = {
    "revision": "support--one",
    "digest": digest_of("one"),
    "uri": URI,
    "rank": 8,
    "baseModelDigest": BASE_DIGEST,
    "since": CLOCK.text,
}


def observe(adapter: dict[str, Any] | None = None, status: dict[str, Any] | None = None, **facts: Any) -> Situation:
    return make_situation({"adapter": adapter or {"uri": URI}}, status, **facts)


def run(state: RunState, result: PhaseResult | None = None, *, ended: float | None = None, **pod: Any) -> JobRun:
    return JobRun(
        REFERENCE.name,
        REFERENCE.uid,
        state,
        ended_at=None if ended is None else NOW - dt.timedelta(seconds=ended),
        pod=PodRun("pod", "pod-uid", result=result, **pod),
    )


SUMMARY = AdapterSummary(uri=URI, digest=digest_of("one"), rank=8, bytes=1, base_model_digest=BASE_DIGEST)
FOUND = PhaseResult(outcome=Outcome.SUCCEEDED, reason="Inspected", message="", adapter=SUMMARY)
NOT_FOUND = PhaseResult(
    outcome=Outcome.FAILED, reason="NoManifest", message="s3://models/team/one has no manifest.json"
)


@pytest.mark.parametrize(
    ("situation", "actions"),
    [
        pytest.param(observe(), ["ensure"], id="a URI that was never read"),
        pytest.param(observe(inspection=run(RunState.ACTIVE)), [], id="it is being read"),
        pytest.param(observe(inspection=run(RunState.DELETING)), [], id="its Job is being deleted"),
        pytest.param(observe(inspection=run(RunState.SUCCEEDED, FOUND, ended=900)), [], id="it was read"),
        pytest.param(observe(inspection=run(RunState.FAILED, NOT_FOUND, ended=299)), [], id="reading failed recently"),
        pytest.param(
            observe(inspection=run(RunState.FAILED, NOT_FOUND, ended=300)), ["delete"], id="reading failed long ago"
        ),
        pytest.param(observe(inspection=run(RunState.FAILED, ended=300)), ["delete"], id="its pod died long ago"),
        pytest.param(
            observe(inspection=run(RunState.FAILED, NOT_FOUND.updated(adapter=SUMMARY), ended=300)),
            ["delete"],
            id="a failure that names an adapter",
        ),
        pytest.param(observe({"fineTuneJobRef": {"name": "job"}}), [], id="the spec names a job"),
        pytest.param(observe({"fineTuneJobSelector": {}}), [], id="the spec selects jobs"),
        pytest.param(observe(status={"stable": STABLE}), [], id="the URI was read before"),
        pytest.param(observe({"uri": f"{URI}/"}, {"stable": STABLE}), [], id="the URI was read in another spelling"),
        pytest.param(observe({"uri": "s3://models/../x"}), [], id="the URI is invalid"),
        pytest.param(observe(storage=StorageFacts()), [], id="there is no Secret"),
        pytest.param(observe(storage=StorageFacts(secret=UseFacts(exists=True))), [], id="the Secret is not allowed"),
        pytest.param(
            observe(status={"stable": STABLE}, old_inspections=(run(RunState.SUCCEEDED, FOUND, ended=1),)),
            ["expire"],
            id="the URI was read before, and the Job is still there",
        ),
        pytest.param(
            observe(
                status={"stable": STABLE},
                old_inspections=(dataclasses.replace(run(RunState.SUCCEEDED, FOUND, ended=1), expires=True),),
            ),
            [],
            id="the Job expires",
        ),
        pytest.param(
            observe(inspection=run(RunState.ACTIVE), old_inspections=(run(RunState.FAILED, ended=1),)),
            ["expire"],
            id="the Job of another URI is still there",
        ),
        pytest.param(
            observe(inspection=run(RunState.ACTIVE), old_inspections=(run(RunState.ACTIVE),)),
            [],
            id="the Job of another URI has not finished",
        ),
    ],
)
def test_actions_on_an_inspection(situation, actions):
    found = decide(situation, NOW).actions
    (wanted,) = [item.inspection for item in decide(observe(), NOW).actions if isinstance(item, EnsureInspection)]
    expire = ExpireJob(REFERENCE.name, REFERENCE.uid, NOW - dt.timedelta(seconds=1))
    expected = {"ensure": EnsureInspection(wanted), "delete": DeleteInspection(REFERENCE), "expire": expire}
    assert found == tuple(expected[name] for name in actions)


def test_all_spellings_of_a_uri_have_the_same_job():
    first, second = (decide(observe({"uri": uri}), NOW).actions for uri in (URI, f"{URI}/"))
    assert first == second == (EnsureInspection(WantedInspection(first[0].inspection.name, URI)),)
    assert first != decide(observe({"uri": f"{URI}-2"}), NOW).actions
    assert first[0].inspection.name.startswith("support-inspect-")


@pytest.mark.parametrize(
    ("situation", "reason", "message", "stalled"),
    [
        pytest.param(observe(), "InspectingAdapter", URI, False, id="not started"),
        pytest.param(observe(inspection=run(RunState.ACTIVE)), "InspectingAdapter", URI, False, id="reading"),
        pytest.param(
            observe(inspection=run(RunState.ACTIVE, waiting="ErrImagePull: no such image")),
            "PodPending",
            "ErrImagePull: no such image",
            False,
            id="its pod waits",
        ),
        pytest.param(
            observe(inspection=run(RunState.QUEUED)),
            "Queued",
            "suspended by another controller",
            False,
            id="another controller has suspended it",
        ),
        pytest.param(
            observe(inspection=run(RunState.FAILED, NOT_FOUND, ended=1)),
            "AdapterUnreadable",
            "NoManifest: s3://models/team/one has no manifest.json",
            True,
            id="no manifest",
        ),
        pytest.param(
            observe(inspection=run(RunState.FAILED, ended=1, exit_code=137)),
            "AdapterUnreadable",
            "exit code 137",
            True,
            id="its pod died",
        ),
        pytest.param(
            observe(inspection=JobRun("job", "uid", RunState.FAILED, failure="deadline exceeded")),
            "AdapterUnreadable",
            "The inspection's pod is gone without a result. Deadline exceeded.",
            True,
            id="its pod is gone",
        ),
        pytest.param(
            observe({"uri": "s3://models/../x"}),
            "AdapterUnreadable",
            "InvalidURI: spec.adapter.uri",
            True,
            id="an invalid URI",
        ),
        pytest.param(
            observe(storage=StorageFacts(secret=UseFacts(exists=True)), inspection=run(RunState.SUCCEEDED, FOUND)),
            "AdapterUnreadable",
            "SecretNotAllowed: spec.storage.secretRef",
            True,
            id="the Secret is not allowed",
        ),
    ],
)
def test_what_an_inspection_shows(situation, reason, message, stalled):
    wait = decide(situation, NOW).wait
    assert (wait.reason, wait.stalled) == (reason, stalled)
    assert message in wait.message


def test_the_inspected_adapter_becomes_the_candidate():
    decision = decide(observe(inspection=run(RunState.ACTIVE, FOUND)), NOW)
    assert decision.status.candidate.digest == digest_of("one")
