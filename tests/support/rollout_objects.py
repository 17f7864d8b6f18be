"""Revisions, jobs and records of a rollout for the tests of its decisions."""

from __future__ import annotations

from typing import Any

from support.worlds.rollout_world import BASE_DIGEST, digest_of, revision_of
from tunewright_operator.api.fine_tune_job import FineTuneJob
from tunewright_operator.domain.rollout.jobs import SelectableJob, to_selectable

JOB_SPEC = {
    "baseModelRef": {"name": "smol"},
    "storage": {"secretRef": {"name": "s3"}},
    "dataset": {"sources": [{"name": "a", "s3": {"uri": "s3://bucket/x"}}]},
    "output": {"uri": "s3://models/team"},
}


def time_at(second: int) -> str:
    """Return the time that many seconds after the start of the tests' clock."""
    return f"2026-01-01T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}Z"


def build_revision(word: str, **changes: Any) -> dict[str, Any]:
    """Return a revision as it stands in a status."""
    return {
        "revision": revision_of(word),
        "digest": digest_of(word),
        "uri": f"s3://models/team/{word}",
        "rank": 16,
        "baseModelDigest": BASE_DIGEST,
        **changes,
    }


def build_source(word: str, created: int | None = None) -> dict[str, Any]:
    """Return the record of the job that a revision came from."""
    record = {"name": word, "uid": f"{word}-uid"}
    return record if created is None else {**record, "creationTime": time_at(created)}


def build_job(
    word: str,
    succeeded: str = "True",
    *,
    created: int = 0,
    done: int = 0,
    uid: str = "",
    app: str = "support",
    published: bool = True,
) -> SelectableJob:
    """Return a job whose adapter is that of `build_revision`; `created` and `done` are seconds."""
    adapter = {key: value for key, value in build_revision(word).items() if key != "revision"}
    condition = {
        "type": "Succeeded",
        "status": succeeded,
        "reason": "Because",
        "message": "line 41 is no JSON",
        "lastTransitionTime": time_at(done),
    }
    metadata = {"name": word, "namespace": "team", "uid": uid or f"{word}-uid", "labels": {"app": app}}
    body = {
        "metadata": {**metadata, "creationTimestamp": time_at(created)},
        "spec": JOB_SPEC,
        "status": {
            "conditions": [condition],
            "completionTime": time_at(done),
            "adapter": {**adapter, "bytes": 1, "evaluationDatasetURI": "s3://evaluation"} if published else None,
        },
    }
    return to_selectable(FineTuneJob.from_body(body))
