"""Create and read the children of a custom resource.

Their names are deterministic, so that creating a child again finds the existing one.
"""

from __future__ import annotations

import dataclasses
import datetime as dt

from tunewright_contracts.authentication.document_key import DocumentKey
from tunewright_operator.api import labels
from tunewright_operator.api.kinds import POD, SECRET, kind_of
from tunewright_operator.cluster import AlreadyExistsError, Bodies, Body, Cluster, ConflictError
from tunewright_operator.domain.job_run import JobRun, read_job_run
from tunewright_operator.manifests.document_keys import build_document_key_secret, document_key_name
from tunewright_operator.store.reads import Reads


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
        # The operator never reads the content of a tenant's Secret.
        read = cluster.read_metadata if kind is SECRET else cluster.get
        existing = await read(kind, metadata["namespace"], metadata["name"])
        if existing is not None and labels.controller_uid(existing) != labels.controller_uid(body):
            raise NameTakenError(f"{kind} {metadata['namespace']}/{metadata['name']}") from error


async def ensure_document_key(cluster: Cluster, owner: Body) -> None:
    """Create the Secret with the key of a resource's documents, unless it exists and belongs to the resource.

    Raises:
        NameTakenError: a Secret of that name exists and has another controller, or none: its key may be known.
        ClusterError: the server refused or did not answer.
    """
    await ensure_created(cluster, build_document_key_secret(owner, DocumentKey.generate()))


async def lacks_document_key(cluster: Cluster, namespace: str | None, name: str, uid: str) -> bool:
    """Return whether the Secret with the key of a resource's documents, which its pods must mount, does not exist.

    Raises:
        ClusterError: the server refused or did not answer.
    """
    return await cluster.read_metadata(SECRET, namespace, document_key_name(name, uid)) is None


async def confirm_unchanged(cluster: Cluster, observed: Body) -> None:
    """Read a resource again before an act that costs money or data, and is decided from what may be late.

    Raises:
        ConflictError: it has changed since it was observed; the decision may be stale.
        ClusterError: the API server refused or did not answer.
    """
    kind, metadata = kind_of(observed), observed["metadata"]
    current = await cluster.get(kind, metadata.get("namespace"), metadata["name"])
    identity = current and (current["metadata"]["uid"], current["metadata"]["resourceVersion"])
    if identity != (metadata["uid"], metadata["resourceVersion"]):
        raise ConflictError(f"{kind} {metadata.get('namespace')}/{metadata['name']} changed since it was observed")


async def list_runs(
    reads: Reads, cluster: Cluster, namespace: str, owner_uid: str, current: str, *, now: dt.datetime
) -> dict[str, JobRun]:
    """Return the Jobs in a namespace that a custom resource controls, with their pods, by Job name.

    Both owner references, of the Job and of the pod, are checked by UID: anyone who can create pods can set labels.
    ``current`` is the name of the Job whose result is decided on.
    """
    runs: dict[str, JobRun] = {}
    for job in reads.list_jobs(namespace, owner_uid):
        metadata = job["metadata"]
        if metadata["name"] == current:
            run = await read_run(reads, job, await list_pods(reads, cluster, job), now)
        else:
            run = read_job_run(job, reads.list_pods(namespace, metadata["uid"]))
        runs[run.name] = run
    return runs


async def list_pods(reads: Reads, cluster: Cluster, job: Body) -> Bodies:
    """Return the pods that a Job controls.

    The watches of Jobs and pods are independent. If the Job has ended and its pod does not seem to have, the pods are
    read from the API server. Otherwise a result that is late would count as lost.
    """
    metadata = job["metadata"]
    pods = reads.list_pods(metadata["namespace"], metadata["uid"])
    run = read_job_run(job, pods)
    if not run.finished or (run.pod is not None and run.pod.exit_code is not None):
        return pods
    selector = {key: metadata["labels"][key] for key in (labels.KIND, labels.NAME, labels.ROLE)}
    found = await cluster.list(POD, metadata["namespace"], selector)
    return [pod for pod in found if labels.controller_uid(pod) == metadata["uid"]]


async def read_run(reads: Reads, job: Body, pods: Bodies, now: dt.datetime) -> JobRun:
    """Return the state of a Job with its pod, and why the API server refused the pod if there is none."""
    run = read_job_run(job, pods)
    if not run.may_be_refused(now):
        return run
    return dataclasses.replace(run, refusal=await reads.read_refusal(job["metadata"]["namespace"], run.uid))
