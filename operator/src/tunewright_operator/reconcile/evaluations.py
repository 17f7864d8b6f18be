"""Evaluation Jobs in the cluster: read them, and execute a rollout's actions on them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any

from tunewright_contracts.evaluation_report import EvaluationReport, EvaluationRequest
from tunewright_contracts.phase_result import read_termination_message
from tunewright_contracts.progress import Progress
from tunewright_contracts.serving_plan import BASE_MODEL_TARGET
from tunewright_contracts.times import format_time
from tunewright_operator.api import labels
from tunewright_operator.api.adapter_deployment import AdapterDeployment
from tunewright_operator.api.containers import Container, find_container_status
from tunewright_operator.api.kinds import JOB, SECRET
from tunewright_operator.cluster import Body, Cluster
from tunewright_operator.domain.job_run import JobRun, RunState, read_job_run
from tunewright_operator.domain.rollout.actions import JobReference, WantedEvaluation
from tunewright_operator.domain.rollout.observation import EvaluationRun
from tunewright_operator.manifests import evaluation as manifests
from tunewright_operator.manifests.pods import PodDefaults
from tunewright_operator.reconcile.children import (
    NameTakenError,
    ensure_created,
    ensure_document_key,
    lacks_document_key,
    list_pods,
    read_run,
)
from tunewright_operator.reconcile.signing_keys import SigningKeys
from tunewright_operator.runtime.key import Key
from tunewright_operator.runtime.polling.progress_polls import ProgressPolls
from tunewright_operator.store.reads import Reads


class Evaluations:
    """The evaluation Jobs of AdapterDeployments."""

    def __init__(
        self, cluster: Cluster, reads: Reads, keys: SigningKeys, defaults: PodDefaults, polls: ProgressPolls
    ) -> None:
        self._cluster = cluster
        self._reads = reads
        self._keys = keys
        self._defaults = defaults
        self._polls = polls

    async def observe(
        self, key: Key, owner_uid: str, wanted: WantedEvaluation | None, now: dt.datetime
    ) -> tuple[EvaluationRun, ...]:
        """Return the existing evaluations of a deployment; pods and token are read only for the wanted one.

        Its pod is polled as long as it runs.
        """
        jobs = self._reads.list_jobs(key.namespace, owner_uid)
        own = [job for job in jobs if job["metadata"]["labels"].get(labels.ROLE) == labels.Role.EVALUATE]
        name = None if wanted is None else wanted.name
        if all(job["metadata"]["name"] != name for job in own):
            self.forget(key)
        return tuple(
            [
                await self._observe_wanted(key, owner_uid, job, now)
                if job["metadata"]["name"] == name
                else EvaluationRun(read_job_run(job, []))
                for job in own
            ]
        )

    def forget(self, key: Key) -> None:
        """Do not poll the pod of a deployment's evaluation any more."""
        self._polls.forget(key)

    async def ensure(
        self, owner: Body, deployment: AdapterDeployment, wanted: WantedEvaluation, now: dt.datetime
    ) -> None:
        """Create the deployment's document key, and an evaluation's Job, request and first token, unless they exist.

        The key is first: without it, or if its Secret belongs to another owner, there must be no pod that uses it.

        Raises:
            NameTakenError: an object of that name exists and has another owner.
            ClusterError: the API server refused or did not answer.
        """
        await ensure_document_key(self._cluster, owner)
        storage = deployment.spec.storage
        await ensure_created(self._cluster, manifests.build_evaluation_job(owner, wanted.name, storage, self._defaults))
        job = await self._cluster.get(JOB, owner["metadata"]["namespace"], wanted.name)
        if job is None or job["metadata"].get("deletionTimestamp"):
            return
        request = manifests.build_evaluation_request(deployment, wanted)
        await ensure_created(self._cluster, manifests.build_request_config_map(job, request))
        # The token is last: if it exists, the request exists too.
        secret = await self._read_token_metadata(job)
        if secret is not None and labels.controller_uid(secret) != job["metadata"]["uid"]:
            raise NameTakenError(f"Secret {secret['metadata']['namespace']}/{secret['metadata']['name']}")
        await self._issue_token(job, wanted, request, now)

    async def renew_token(
        self, deployment: AdapterDeployment, wanted: WantedEvaluation, expected: JobReference, now: dt.datetime
    ) -> None:
        """Replace the token of an evaluation, unless its Job was deleted meanwhile.

        Raises:
            ClusterError: the API server refused or did not answer.
        """
        job = await self._cluster.get(JOB, deployment.metadata.namespace, expected.name)
        if job is not None and job["metadata"]["uid"] == expected.uid:
            await self._issue_token(job, wanted, manifests.build_evaluation_request(deployment, wanted), now)

    async def remove(self, namespace: str, jobs: Iterable[JobReference]) -> None:
        """Delete evaluation Jobs with all objects that they own.

        Raises:
            ConflictError: a Job of that name exists with another UID.
            ClusterError: the API server refused or did not answer.
        """
        for job in jobs:
            await self._cluster.delete(JOB, namespace, job.name, uid=job.uid)

    async def _observe_wanted(self, key: Key, owner_uid: str, job: Body, now: dt.datetime) -> EvaluationRun:
        metadata = job["metadata"]
        pods = await list_pods(self._reads, self._cluster, job)
        run = await read_run(self._reads, job, pods, now)
        progress = self._read_progress(key, run)
        report = next((found for found in map(read_report, pods) if found is not None), None)
        if report is not None or run.finished or run.state is RunState.DELETING:
            return EvaluationRun(run, report)
        secret = await self._read_token_metadata(job)
        if secret is None or labels.controller_uid(secret) != metadata["uid"]:
            return EvaluationRun(run)
        annotations = secret["metadata"].get("annotations") or {}
        issued_at = annotations.get(manifests.ISSUED_AT) or ""
        lacks_key = run.may_lack_volumes(now) and await lacks_document_key(
            self._cluster, key.namespace, key.name, owner_uid
        )
        return EvaluationRun(run, token_issued_at=issued_at, progress=progress, lacks_key=lacks_key)

    def _read_progress(self, key: Key, run: JobRun) -> Progress | None:
        """Return the newest progress of the running pod, which is polled as long as it runs."""
        pod = run.pod if run.state is RunState.ACTIVE else None
        if pod is None or not pod.running or pod.ip is None:
            self.forget(key)
            return None
        return self._polls.follow(key, pod.uid, pod.ip)

    async def _read_token_metadata(self, job: Body) -> Body | None:
        return await self._cluster.read_metadata(SECRET, job["metadata"]["namespace"], job["metadata"]["name"])

    async def _issue_token(
        self, job: Body, wanted: WantedEvaluation, request: EvaluationRequest, now: dt.datetime
    ) -> None:
        targets = [target for target in (request.candidate, request.incumbent, BASE_MODEL_TARGET) if target]
        key = await self._keys.load()
        token = key.issue_evaluation_token(wanted.server_uid, targets, now)
        await self._cluster.apply(manifests.build_token_secret(job, token, format_time(now)))


def read_report(pod: Mapping[str, Any]) -> EvaluationReport | None:
    """Return the report in the termination message of a pod's evaluator; None without one."""
    container = find_container_status(pod, {Container.EVALUATE})
    message = (container.get("state", {}).get("terminated") or {}).get("message") or ""
    return read_termination_message(EvaluationReport, message)
