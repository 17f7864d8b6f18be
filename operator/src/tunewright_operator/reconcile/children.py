"""Create and read the children of a custom resource.

Their names are deterministic, so that creating a child again finds the existing one.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from typing import Any

from tunewright_operator.api import labels
from tunewright_operator.api.kinds import EVENT, JOB, POD, SECRET, Kind, kind_of
from tunewright_operator.cluster import AlreadyExistsError, Bodies, Body, Cluster
from tunewright_operator.domain.job_run import JobRun, read_job_run
from tunewright_operator.domain.pod_admission import FAILED_CREATE, read_refusal
from tunewright_operator.domain.secrets import SecretFacts


class NameTakenError(Exception):
    """An object of the needed name exists and has another owner; the message has its kind, namespace and name."""


async def ensure_created(cluster: Cluster, body: Body) -> None:
    """Create a child, unless it exists and has the same controller.

    Raises:
        NameTakenError: an object of that name exists and has another controller, or none.
        ClusterError: the server refused or did not answer.
    """
    try:
        await cluster.create(body)
    except AlreadyExistsError as error:
        kind, metadata = kind_of(body), body["metadata"]
        existing = await cluster.get(kind, metadata["namespace"], metadata["name"])
        if existing is not None and labels.controller_uid(existing) != labels.controller_uid(body):
            raise NameTakenError(f"{kind} {metadata['namespace']}/{metadata['name']}") from error


async def list_runs(
    cluster: Cluster, namespace: str, owner_kind: Kind, owner: Mapping[str, Any], now: dt.datetime
) -> dict[str, JobRun]:
    """Return the Jobs that a custom resource controls in a namespace, with their pods, by Job name.

    Both owner references, of the Job and of the pod, are checked by UID: anyone who can create pods can set labels.
    """
    selector = {labels.KIND: owner_kind.name, labels.NAME: owner["metadata"]["name"]}
    jobs: Bodies = await cluster.list(JOB, namespace, selector)
    pods: Bodies = await cluster.list(POD, namespace, selector) if jobs else []
    uid = owner["metadata"]["uid"]
    runs = [await read_run(cluster, job, pods, now) for job in jobs if labels.controller_uid(job) == uid]
    return {run.name: run for run in runs}


async def read_run(cluster: Cluster, job: Body, pods: Bodies, now: dt.datetime) -> JobRun:
    """Return the state of a Job with its pod, and why the API server refused the pod if there is none."""
    run = read_job_run(job, pods)
    if not run.may_be_refused(now):
        return run
    fields = {"involvedObject.uid": run.uid, "reason": FAILED_CREATE}
    events = await cluster.list(EVENT, job["metadata"]["namespace"], fields=fields)
    return dataclasses.replace(run, refusal=read_refusal(events))


async def read_secret_facts(cluster: Cluster, namespace: str, name: str) -> SecretFacts:
    """Return whether a Secret exists and has the label that allows its use; only its metadata is read."""
    metadata = await cluster.read_metadata(SECRET, namespace, name)
    if metadata is None:
        return SecretFacts(exists=False)
    return SecretFacts(
        exists=True, allowed=(metadata["metadata"].get("labels") or {}).get(labels.USE) == labels.USE_ALLOWED
    )
