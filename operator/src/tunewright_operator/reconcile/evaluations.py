"""Evaluation Jobs in the cluster: create the wanted one, keep its token fresh, read its report, remove the others."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tunewright_contracts.document import ContractError
from tunewright_contracts.evaluation_report import EvaluationReport, EvaluationRequest
from tunewright_contracts.serving_plan import BASE_MODEL_TARGET
from tunewright_operator.api import labels
from tunewright_operator.api.kinds import ADAPTER_DEPLOYMENT, JOB, POD, SECRET
from tunewright_operator.cluster import Body, Cluster
from tunewright_operator.domain.job_run import read_job_run
from tunewright_operator.domain.rollout.observation import EvaluationView
from tunewright_operator.domain.times import format_time, seconds_since
from tunewright_operator.manifests import evaluation as manifests
from tunewright_operator.manifests.pods import ImageDefaults
from tunewright_operator.reconcile.children import NameTakenError, ensure_created
from tunewright_operator.signing import SigningKey

TOKEN_RENEWAL_SECONDS = 300.0
"""A third of a token's life: the kubelet takes up to two minutes to bring a renewed one into the pod."""


@dataclass(frozen=True)
class WantedEvaluation:
    """What an evaluation asks, of which server, with whose storage."""

    request: EvaluationRequest
    secret_name: str
    server_uid: str


class Evaluations:
    """The evaluation Jobs of AdapterDeployments."""

    def __init__(self, cluster: Cluster, images: ImageDefaults) -> None:
        self._cluster = cluster
        self._images = images

    async def ensure(
        self, owner: Body, name: str, wanted: WantedEvaluation, key: SigningKey, now: dt.datetime
    ) -> EvaluationView:
        """Make sure that an evaluation runs with a valid token, and return how it stands.

        Raises:
            NameTakenError: an object of its name belongs to somebody else.
            ClusterError: the API server refused or did not answer.
        """
        namespace = owner["metadata"]["namespace"]
        job = await self._cluster.get(JOB, namespace, name)
        if job is None:
            await ensure_created(
                self._cluster, manifests.build_evaluation_job(owner, name, wanted.secret_name, self._images)
            )
            job = await self._cluster.get(JOB, namespace, name)
        if job is None or job["metadata"].get("deletionTimestamp"):
            return EvaluationView()
        view = await self._read(job, now)
        if view.report is None and not view.failure:
            await self._equip(job, wanted, key, now)
        return view

    async def remove_others(self, owner: Body, wanted: str | None) -> None:
        """Delete the evaluations of this deployment that no step waits for any more, with all that they own."""
        metadata = owner["metadata"]
        selector = labels.build_labels(ADAPTER_DEPLOYMENT, metadata["name"], labels.Role.EVALUATE)
        for body in await self._cluster.list(JOB, metadata["namespace"], selector):
            found = body["metadata"]
            if labels.controller_uid(body) == metadata["uid"] and found["name"] != wanted:
                await self._cluster.delete(JOB, found["namespace"], found["name"], uid=found["uid"])

    async def _equip(self, job: Body, wanted: WantedEvaluation, key: SigningKey, now: dt.datetime) -> None:
        """Give the Job its request, and a token that is renewed long before it expires."""
        metadata = job["metadata"]
        secret = await self._cluster.read_metadata(SECRET, metadata["namespace"], metadata["name"])
        if secret is None:
            await ensure_created(self._cluster, manifests.build_request_config_map(job, wanted.request))
        elif labels.controller_uid(secret) != metadata["uid"]:
            raise NameTakenError(f"Secret {metadata['namespace']}/{metadata['name']}")
        issued = ((secret or {}).get("metadata", {}).get("annotations") or {}).get(manifests.ISSUED_AT)
        if issued and seconds_since(issued, now) < TOKEN_RENEWAL_SECONDS:
            return
        request = wanted.request
        targets = [target for target in (request.candidate, request.incumbent, BASE_MODEL_TARGET) if target]
        token = key.issue_evaluation_token(wanted.server_uid, targets, now)
        await self._cluster.apply(manifests.build_token_secret(job, token, format_time(now)))

    async def _read(self, job: Body, now: dt.datetime) -> EvaluationView:
        metadata = job["metadata"]
        selector = {labels.NAME: metadata["labels"][labels.NAME], labels.ROLE: labels.Role.EVALUATE.value}
        pods = [
            pod
            for pod in await self._cluster.list(POD, metadata["namespace"], selector)
            if labels.controller_uid(pod) == metadata["uid"]
        ]
        run = read_job_run(job, pods)
        report = next((found for found in map(read_report, pods) if found is not None), None)
        ended = format_time(run.ended_at or now)
        if report is not None:
            return EvaluationView(report=report, finished_at=ended)
        if not run.finished:
            return EvaluationView(waiting=run.explain_waiting(now))
        failure = (
            run.pod.describe_exit() if run.pod else f"the evaluation's pod is gone without a report. {run.failure}"
        )
        return EvaluationView(failure=failure.strip(), finished_at=ended)


def read_report(pod: Mapping[str, Any]) -> EvaluationReport | None:
    """Return the report that a pod left as its termination message."""
    for container in pod.get("status", {}).get("containerStatuses") or []:
        message = (container.get("state", {}).get("terminated") or {}).get("message") or ""
        if not message.lstrip().startswith("{"):
            continue
        try:
            return EvaluationReport.from_json(message)
        except ContractError:
            continue
    return None
