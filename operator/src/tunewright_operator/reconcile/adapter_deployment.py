"""The AdapterDeployment loop: look at the spec, the jobs, the server and the evaluation; decide; write the status once."""

from __future__ import annotations

import dataclasses
import hashlib

from tunewright_contracts.inspection import AdapterInspection
from tunewright_contracts.phase_result import Outcome as RunOutcome
from tunewright_contracts.storage_uri import StorageURI, StorageURIError
from tunewright_operator.api import labels
from tunewright_operator.api.adapter_deployment import AdapterDeployment, CandidateRevision
from tunewright_operator.api.conditions import AdapterDeploymentCondition
from tunewright_operator.api.fine_tune_job import FineTuneJob
from tunewright_operator.api.kinds import ADAPTER_DEPLOYMENT, FINE_TUNE_JOB, JOB, MODEL_SERVER
from tunewright_operator.api.model_server import ModelServer
from tunewright_operator.cluster import Body, Cluster
from tunewright_operator.domain.job_run import JobRun
from tunewright_operator.domain.problem import Problem
from tunewright_operator.domain.reasons.adapter_deployment import AdapterDeploymentReason as Why
from tunewright_operator.domain.reasons.common import CommonReason
from tunewright_operator.domain.references import check_secret
from tunewright_operator.domain.rollout import steps
from tunewright_operator.domain.rollout.decision import decide
from tunewright_operator.domain.rollout.observation import Decision, Missing, Seen, Situation, Unseen, Wait
from tunewright_operator.domain.rollout.selection import Choice, Inspection, choose_adapter, find_known_address
from tunewright_operator.domain.rollout.status import report
from tunewright_operator.domain.serving.replica import build_server_facts
from tunewright_operator.manifests.evaluation import build_evaluation_request, evaluation_name
from tunewright_operator.manifests.events import EventType
from tunewright_operator.manifests.jobs import JobIdentity, build_inspect_job, build_request_config_map
from tunewright_operator.manifests.model_server import endpoint
from tunewright_operator.manifests.pods import ImageDefaults
from tunewright_operator.reconcile.children import ensure_created, list_runs, read_secret_facts
from tunewright_operator.reconcile.evaluations import Evaluations, WantedEvaluation
from tunewright_operator.reconcile.refusals import REFUSED_WRITE, explain_refused_write
from tunewright_operator.reconcile.report import write_status
from tunewright_operator.reconcile.signing_keys import SigningKeys
from tunewright_operator.runtime.clock import Now, utc_now
from tunewright_operator.runtime.runner import GoneError
from tunewright_operator.runtime.server_board import ServerBoard
from tunewright_operator.runtime.wakeups import Key

WAITING_SECONDS = 10.0
INSPECTION_RETRY_SECONDS = 300.0


class AdapterDeploymentReconciler:
    """Reconciles AdapterDeployments; it keeps nothing that a restart may not lose."""

    def __init__(
        self, cluster: Cluster, keys: SigningKeys, board: ServerBoard, images: ImageDefaults, *, now: Now = utc_now
    ) -> None:
        self._cluster = cluster
        self._keys = keys
        self._board = board
        self._images = images
        self._now = now
        self._evaluations = Evaluations(cluster, images)

    async def reconcile(self, key: Key) -> float | None:
        """Do one look's work, one transition at most, and return when to look again.

        Raises:
            GoneError: the deployment does not exist.
            ConflictError: it changed between look and write; look again.
            ClusterError: the API server refused or did not answer; nothing was lost, look again.
        """
        body = await self._cluster.get(ADAPTER_DEPLOYMENT, key.namespace, key.name)
        if body is None:
            raise GoneError(str(key))
        if body["metadata"].get("deletionTimestamp"):
            return None  # Its route leaves the plan; everything else is collected with it.
        deployment = AdapterDeployment.from_body(body)
        situation, problem = await self._observe(body, deployment)
        decision = decide(situation, self._now())
        if problem is not None:
            decision = dataclasses.replace(decision, wait=Wait(problem.reason, problem.message, stalled=True))
        status = report(situation, decision, self._now())
        await write_status(self._cluster, body, deployment.status, status, AdapterDeploymentCondition.READY)
        for notice in decision.notices:
            event_type = EventType.WARNING if notice.warning else EventType.NORMAL
            await self._cluster.emit_event(body, event_type, notice.reason.value, notice.message)
        if decision.again:
            return 0.0
        return _next_look(decision)

    async def _observe(self, body: Body, deployment: AdapterDeployment) -> tuple[Situation, Problem | None]:
        """Look at everything; what a look needs done first (an inspection, an evaluation) is started on the way."""
        problem: Problem | None = None
        try:
            choice = await self._choose(body, deployment)
        except REFUSED_WRITE as error:
            choice, problem = Choice(), explain_refused_write(error)
        situation = await self._look_at_server(deployment, choice)
        try:
            situation = await self._look_at_evaluation(body, deployment, situation)
        except REFUSED_WRITE as error:
            problem = explain_refused_write(error)
        except _SecretRefusedError as error:
            problem = error.problem
        return situation, problem

    async def _choose(self, body: Body, deployment: AdapterDeployment) -> Choice:
        adapter = deployment.spec.adapter
        namespace = deployment.metadata.namespace
        jobs: list[FineTuneJob] = []
        inspection: Inspection | None = None
        if adapter.fine_tune_job_ref is not None:
            found = await self._cluster.get(FINE_TUNE_JOB, namespace, adapter.fine_tune_job_ref.name)
            jobs = [FineTuneJob.from_body(found)] if found is not None else []
        elif adapter.fine_tune_job_selector is not None:
            jobs = [FineTuneJob.from_body(item) for item in await self._cluster.list(FINE_TUNE_JOB, namespace)]
        elif find_known_address(deployment.status, adapter.uri or "") is None:
            inspection = await self._inspect(body, deployment, adapter.uri or "")
        return choose_adapter(deployment.spec, deployment.status, jobs, inspection)

    async def _inspect(self, body: Body, deployment: AdapterDeployment, uri: str) -> Inspection:
        """Have a Job read the manifest at an address: it has the credentials that the operator does not have."""
        try:
            address = StorageURI.parse(uri)
        except StorageURIError as error:
            return Inspection(reason=CommonReason.INVALID_URI.value, message=f"spec.adapter.uri: {error}")
        namespace = deployment.metadata.namespace or ""
        secret_name = deployment.spec.storage.secret_ref.name
        refused = check_secret(secret_name, namespace, await read_secret_facts(self._cluster, namespace, secret_name))
        if refused is not None:
            return Inspection(reason=refused.reason.value, message=refused.message)
        name = inspection_name(deployment.metadata.name, str(address))
        run = (await list_runs(self._cluster, namespace, ADAPTER_DEPLOYMENT, body)).get(name)
        if run is None:
            identity = JobIdentity(
                name=name,
                namespace=namespace,
                owner=body,
                labels=labels.build_labels(ADAPTER_DEPLOYMENT, deployment.metadata.name, labels.Role.INSPECT),
            )
            request = AdapterInspection(uri=str(address))
            await ensure_created(self._cluster, build_request_config_map(identity, request))
            await ensure_created(
                self._cluster, build_inspect_job(identity, "inspect-adapter", secret_name, self._images)
            )
            return Inspection()
        return await self._read_inspection(namespace, run)

    async def _read_inspection(self, namespace: str, run: JobRun) -> Inspection:
        result = run.result
        if result is not None and result.outcome is RunOutcome.SUCCEEDED and result.adapter is not None:
            return Inspection(adapter=result.adapter)
        if not run.finished:
            return Inspection(waiting=run.explain_waiting(self._now()))
        waited = (self._now() - run.ended_at).total_seconds() if run.ended_at else 0.0
        if waited >= INSPECTION_RETRY_SECONDS:
            await self._cluster.delete(JOB, namespace, run.name, uid=run.uid)
        if result is not None:
            return Inspection(reason=result.reason, message=result.message)
        words = run.pod.describe_exit() if run.pod else f"the pod is gone without a result. {run.failure}"
        return Inspection(reason=Why.ADAPTER_UNREADABLE.value, message=words)

    async def _look_at_server(self, deployment: AdapterDeployment, choice: Choice) -> Situation:
        name, namespace = deployment.spec.server_ref.name, deployment.server_namespace
        body = await self._cluster.get(MODEL_SERVER, namespace, name)
        if body is None:
            return Situation(deployment, choice, Missing())
        server = ModelServer.from_body(body)
        snapshot = self._board.read(server.metadata.uid, self._now())
        if snapshot is None:
            return Situation(deployment, choice, Unseen())
        facts = build_server_facts(
            deployment.metadata.uid,
            deployment.spec.model_name,
            snapshot.plan,
            snapshot.pods,
            snapshot.refusals.get(deployment.metadata.uid),
        )
        return Situation(deployment, choice, Seen(facts, server.metadata.uid, endpoint(server)))

    async def _look_at_evaluation(self, body: Body, deployment: AdapterDeployment, situation: Situation) -> Situation:
        """Keep exactly the evaluation that the status asks for."""
        candidate, server = deployment.status.candidate, situation.server
        if (
            candidate is None
            or not isinstance(server, Seen)
            or not steps.wants_evaluation(situation)
            or not _is_admitted(server, candidate)
        ):
            if isinstance(server, Seen) or candidate is None or candidate.ending is not None:
                await self._evaluations.remove_others(body, None)
            return situation
        dataset = steps.dataset_of(situation, candidate)
        if not dataset:
            return situation
        namespace = deployment.metadata.namespace or ""
        secret_name = deployment.spec.storage.secret_ref.name
        refused = check_secret(secret_name, namespace, await read_secret_facts(self._cluster, namespace, secret_name))
        if refused is not None:
            raise _SecretRefusedError(refused)
        name = evaluation_name(deployment.metadata.name, steps.evaluation_key(candidate))
        await self._evaluations.remove_others(body, name)
        request = build_evaluation_request(deployment, candidate, dataset, server.url)
        asked = WantedEvaluation(request, secret_name, server.uid)
        view = await self._evaluations.ensure(body, name, asked, await self._keys.load(), self._now())
        return dataclasses.replace(situation, evaluation=view)


def _is_admitted(server: Seen, candidate: CandidateRevision) -> bool:
    """Whether the server lets the deployment ask its candidate: a token opens the base model, too."""
    refusals = server.facts.refusals
    return refusals.alias is None and candidate.revision not in refusals.revisions


class _SecretRefusedError(Exception):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def inspection_name(deployment_name: str, uri: str) -> str:
    """Return the name of the Job that reads the manifest at an address."""
    return f"{deployment_name}-inspect-{hashlib.sha256(uri.encode()).hexdigest()[:8]}"


def _next_look(decision: Decision) -> float | None:
    if decision.look_after is not None:
        return max(0.1, decision.look_after)
    return WAITING_SECONDS if decision.wait is not None else None
