"""The AdapterDeployment loop: it observes spec, jobs, server and evaluation, decides, acts on Jobs and reports."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from tunewright_contracts.inspection import AdapterInspection
from tunewright_operator.api import labels
from tunewright_operator.api.adapter_deployment import AdapterDeployment
from tunewright_operator.api.conditions import AdapterDeploymentCondition
from tunewright_operator.api.containers import Container
from tunewright_operator.api.kinds import ADAPTER_DEPLOYMENT, JOB
from tunewright_operator.cluster import Body, Cluster
from tunewright_operator.domain.job_run import ExpireJob, JobRun, read_job_run
from tunewright_operator.domain.problem import Problem
from tunewright_operator.domain.reasons.adapter_deployment import AdapterDeploymentReason as Why
from tunewright_operator.domain.rollout.actions import (
    DeleteInspection,
    EnsureEvaluation,
    EnsureInspection,
    RemoveEvaluations,
    RenewToken,
    RolloutAction,
    WantedInspection,
)
from tunewright_operator.domain.rollout.decision import decide
from tunewright_operator.domain.rollout.evaluation.job import find_evaluation, may_change_evaluations
from tunewright_operator.domain.rollout.inspection import find_inspection
from tunewright_operator.domain.rollout.jobs import SelectableJob, list_named_jobs
from tunewright_operator.domain.rollout.observation import (
    Decision,
    Missing,
    Seen,
    Situation,
    UnrecordedEvidence,
    Unseen,
    Wait,
)
from tunewright_operator.domain.rollout.status import report
from tunewright_operator.domain.serving.replica import build_server_facts
from tunewright_operator.manifests.events import EventType
from tunewright_operator.manifests.jobs import JobIdentity, build_inspect_job, build_request_config_map
from tunewright_operator.manifests.pods import PodDefaults
from tunewright_operator.reconcile.children import confirm_unchanged, ensure_created, list_runs
from tunewright_operator.reconcile.evaluations import Evaluations
from tunewright_operator.reconcile.expiry import JobExpiry
from tunewright_operator.reconcile.refusals import REFUSED_WRITE, explain_refused_write
from tunewright_operator.reconcile.report import write_status
from tunewright_operator.reconcile.signing_keys import SigningKeys
from tunewright_operator.runtime.clock import Now, utc_now
from tunewright_operator.runtime.key import Key
from tunewright_operator.runtime.polling.progress_polls import ProgressPolls
from tunewright_operator.runtime.polling.server_board import ServerBoard
from tunewright_operator.runtime.runner import GoneError
from tunewright_operator.store.reads import Reads

WAITING_SECONDS = 10.0


class AdapterDeploymentReconciler:
    """Reconciles AdapterDeployments. It remembers only evidence that is not recorded yet, which a restart may lose."""

    def __init__(
        self,
        cluster: Cluster,
        reads: Reads,
        keys: SigningKeys,
        board: ServerBoard,
        *,
        evaluators: ProgressPolls,
        defaults: PodDefaults,
        expiry: JobExpiry,
        now: Now = utc_now,
    ) -> None:
        self._cluster = cluster
        self._reads = reads
        self._board = board
        self._defaults = defaults
        self._now = now
        self._evaluations = Evaluations(cluster, reads, keys, defaults, evaluators)
        self._expiry = expiry
        self._unrecorded: dict[Key, UnrecordedEvidence] = {}

    async def reconcile(self, key: Key) -> float | None:
        """Reconcile once, with at most one transition; return after how many seconds to reconcile again.

        Raises:
            GoneError: the deployment does not exist.
            ConflictError: the deployment or one of its Jobs changed since it was observed; reconcile again.
            ResourceError: the deployment, its server or one of its jobs does not match this operator's API.
            ClusterError: the API server refused or did not answer; reconcile again.
        """
        found = self._reads.observe_adapter_deployment(key.namespace, key.name)
        if found is None or found.resource.metadata.deletion_timestamp is not None:
            self._evaluations.forget(key)
        if found is None:
            self._unrecorded.pop(key, None)
            raise GoneError(str(key))
        deployment, body = found.resource, found.body
        if deployment.metadata.deletion_timestamp is not None:
            return None  # The server's loop removes its route from the plan; Kubernetes deletes its children.
        situation = dataclasses.replace(await self._observe(key, deployment), unrecorded=self._unrecorded.get(key))
        decision = decide(situation, self._now())
        refused = await self._act(body, situation, decision.actions)
        status = report(situation, decision, self._now(), refused)
        self._remember(key, decision)
        await write_status(self._cluster, body, situation.status, status, AdapterDeploymentCondition.READY)
        for notice in decision.notices:
            event_type = EventType.WARNING if notice.warning else EventType.NORMAL
            await self._cluster.emit_event(body, event_type, notice.reason.value, notice.message)
        return _delay_next(situation, decision, refused)

    def _remember(self, key: Key, decision: Decision) -> None:
        if decision.status.candidate is None:
            self._unrecorded.pop(key, None)
        elif decision.unrecorded is not None:
            self._unrecorded[key] = decision.unrecorded

    # Observe: it only reads ---------------------------------------------------------------------------------------

    async def _observe(self, key: Key, deployment: AdapterDeployment) -> Situation:
        namespace, uid = deployment.metadata.namespace or "", deployment.metadata.uid
        situation = Situation(deployment, self._observe_server(key, deployment), self._list_fine_tune_jobs(deployment))
        inspection, evaluation = find_inspection(deployment), find_evaluation(situation)
        wanted = {item.name for item in (inspection, evaluation) if item is not None}
        if wanted:
            creates = bool(wanted - {job["metadata"]["name"] for job in self._reads.list_jobs(namespace, uid)})
            facts = await self._reads.read_storage_facts(namespace, deployment.spec.storage, fresh=creates)
            situation = dataclasses.replace(situation, storage=facts)
        if inspection is not None and situation.storage_problem is None:
            runs = await list_runs(self._reads, self._cluster, namespace, uid, inspection.name, now=self._now())
            situation = dataclasses.replace(situation, inspection=runs.get(inspection.name))
        old = self._list_old_inspections(deployment, inspection)
        situation = dataclasses.replace(situation, old_inspections=old)
        if may_change_evaluations(situation):
            evaluations = await self._evaluations.observe(key, uid, evaluation, self._now())
            situation = dataclasses.replace(situation, evaluations=evaluations)
        else:
            self._evaluations.forget(key)
        return situation

    def _list_old_inspections(
        self, deployment: AdapterDeployment, wanted: WantedInspection | None
    ) -> tuple[JobRun, ...]:
        """Return the Jobs that read other addresses, or the one in the spec if its adapter is in the status."""
        metadata = deployment.metadata
        kept = None if wanted is None else wanted.name
        return tuple(
            read_job_run(job, ())
            for job in self._reads.list_jobs(metadata.namespace, metadata.uid)
            if job["metadata"]["labels"].get(labels.ROLE) == labels.Role.INSPECT and job["metadata"]["name"] != kept
        )

    def _list_fine_tune_jobs(self, deployment: AdapterDeployment) -> tuple[SelectableJob, ...]:
        """Return the FineTuneJobs that the spec can select, and those that the status names."""
        adapter, namespace = deployment.spec.adapter, deployment.metadata.namespace
        if adapter.fine_tune_job_ref is not None:
            found = self._reads.find_selectable(namespace, adapter.fine_tune_job_ref.name)
            return () if found is None else (found,)
        if adapter.fine_tune_job_selector is None:
            return ()
        jobs = {job.name: job for job in self._reads.list_selectable(namespace, adapter.fine_tune_job_selector)}
        for name in list_named_jobs(deployment.status):
            named = self._reads.find_selectable(namespace, name)
            if named is not None:
                jobs[name] = named
        return tuple(jobs.values())

    def _observe_server(self, key: Key, deployment: AdapterDeployment) -> Missing | Unseen | Seen:
        server = self._reads.find_model_server(deployment.server_namespace, deployment.spec.server_ref.name)
        if server is None:
            return Missing()
        reading = self._board.read(server.metadata.uid, self._now(), key)
        if reading is None:
            return Unseen()
        uid = deployment.metadata.uid
        facts = build_server_facts(
            uid,
            deployment.spec.model_name,
            reading.plan,
            reading.pods,
            reading.refusals.get(uid),
            engine=reading.engine,
        )
        return Seen(facts, server.metadata.uid, server.endpoint)

    # Act -----------------------------------------------------------------------------------------------------------

    async def _act(self, body: Body, situation: Situation, actions: Iterable[RolloutAction]) -> Problem | None:
        """Execute every action, even after a refused one; return the problem of a refused action."""
        refused: Problem | None = None
        for action in actions:
            try:
                await self._execute(body, situation.deployment, action)
            except REFUSED_WRITE as error:
                refused = explain_refused_write(error)
        return refused

    async def _execute(self, body: Body, deployment: AdapterDeployment, action: RolloutAction) -> None:
        namespace = body["metadata"]["namespace"]
        match action:
            case EnsureInspection(inspection):
                await self._create_inspection(body, deployment, inspection)
            case DeleteInspection(job):
                await self._cluster.delete(JOB, namespace, job.name, uid=job.uid)
            case EnsureEvaluation(evaluation):
                await self._evaluations.ensure(body, deployment, evaluation, self._now())
            case RenewToken(evaluation, job):
                await self._evaluations.renew_token(deployment, evaluation, job, self._now())
            case RemoveEvaluations(jobs):
                await confirm_unchanged(self._cluster, body)
                await self._evaluations.remove(namespace, jobs)
            case ExpireJob():
                await self._expiry.expire(body, namespace, action, self._now())

    async def _create_inspection(self, body: Body, deployment: AdapterDeployment, inspection: WantedInspection) -> None:
        identity = JobIdentity(
            name=inspection.name,
            namespace=body["metadata"]["namespace"],
            owner=body,
            labels=labels.build_labels(ADAPTER_DEPLOYMENT, deployment.metadata.name, labels.Role.INSPECT),
        )
        storage = deployment.spec.storage
        await ensure_created(self._cluster, build_request_config_map(identity, AdapterInspection(uri=inspection.uri)))
        await ensure_created(
            self._cluster, build_inspect_job(identity, Container.INSPECT_ADAPTER.value, storage, self._defaults)
        )


def _delay_next(situation: Situation, decision: Decision, refused: Problem | None) -> float | None:
    """Return after how many seconds to reconcile again; None: at the next event."""
    if decision.again:
        return 0.0
    if decision.reconcile_after_seconds is not None:
        return max(0.1, decision.reconcile_after_seconds)
    if refused is not None or (decision.wait is not None and not _is_waiting_for_board(situation, decision.wait)):
        return WAITING_SECONDS
    return None


def _is_waiting_for_board(situation: Situation, wait: Wait) -> bool:
    """Return whether the board ends the wait. Asking again at intervals would add work just when it is late."""
    return isinstance(situation.server, Unseen) and wait.reason in {Why.SERVER_NOT_READY, Why.WITHDRAWING}
