"""The FineTuneJob loop: it observes the job, its Jobs and their pods, decides, acts and reports."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from tunewright_contracts.progress import Progress
from tunewright_operator.api.base_model import BaseModel
from tunewright_operator.api.conditions import FineTuneJobCondition
from tunewright_operator.api.fine_tune_job import FineTuneJob
from tunewright_operator.api.kinds import JOB
from tunewright_operator.api.labels import ATTEMPT, Role
from tunewright_operator.cluster import Body, Cluster, Propagation
from tunewright_operator.domain.finetune import decision as finetune
from tunewright_operator.domain.finetune.observation import (
    CreatePrepareJob,
    CreateTrainJob,
    DeleteJob,
    FineTuneAction,
    FineTuneObservation,
    needs_prerequisites,
    prepare_job_name,
    train_job_name,
)
from tunewright_operator.domain.job_run import ExpireJob, RunState
from tunewright_operator.domain.scheduling import AllowedScheduling
from tunewright_operator.domain.secrets import UNREAD, EnsureDocumentKey
from tunewright_operator.manifests.jobs import (
    build_prepare_job,
    build_request_config_map,
    build_train_job,
    fine_tune_identity,
)
from tunewright_operator.manifests.pods import PodDefaults
from tunewright_operator.manifests.run_specs import build_run_spec
from tunewright_operator.reconcile.children import (
    confirm_unchanged,
    ensure_created,
    ensure_document_key,
    lacks_document_key,
    list_runs,
)
from tunewright_operator.reconcile.expiry import JobExpiry
from tunewright_operator.reconcile.refusals import REFUSED_WRITE, explain_refused_write
from tunewright_operator.reconcile.report import write_status
from tunewright_operator.runtime.clock import Now, utc_now
from tunewright_operator.runtime.key import Key
from tunewright_operator.runtime.polling.progress_polls import ProgressPolls
from tunewright_operator.runtime.runner import GoneError
from tunewright_operator.store.reads import Observed, Reads


class FineTuneJobReconciler:
    """Reconciles FineTuneJobs; it has no state that must survive a restart."""

    def __init__(
        self,
        cluster: Cluster,
        reads: Reads,
        trainers: ProgressPolls,
        defaults: PodDefaults,
        *,
        allowed_scheduling: AllowedScheduling = AllowedScheduling(),  # noqa: B008 - frozen
        expiry: JobExpiry,
        now: Now = utc_now,
    ) -> None:
        self._cluster = cluster
        self._reads = reads
        self._trainers = trainers
        self._defaults = defaults
        self._allowed_scheduling = allowed_scheduling
        self._now = now
        self._expiry = expiry

    async def reconcile(self, key: Key) -> float | None:
        """Reconcile once; return after how many seconds to reconcile again.

        Raises:
            GoneError: the job does not exist.
            ResourceError: the job or its BaseModel does not match this operator's API.
            ConflictError: the job changed since it was observed; reconcile again.
            ClusterError: the API server refused or did not answer; reconcile again.
        """
        found = await self._reads.observe_fine_tune_job(key.namespace, key.name)
        if not isinstance(found, Observed):
            self._trainers.forget(key)
            if found is None:
                raise GoneError(str(key))
            return None
        body = found.body
        observation = await self._observe(key, found.resource)
        decision = finetune.decide(observation, self._now())
        status, reconcile_after = decision.status, decision.reconcile_after_seconds
        try:
            for action in decision.actions:
                await self._act(body, observation, action)
        except REFUSED_WRITE as error:
            problem = explain_refused_write(error)
            status = finetune.report_refusal(observation.job, problem.reason, problem.message, self._now())
            reconcile_after = finetune.PENDING_SECONDS
        await write_status(self._cluster, body, observation.status, status, FineTuneJobCondition.SUCCEEDED)
        return reconcile_after

    async def _observe(self, key: Key, job: FineTuneJob) -> FineTuneObservation:
        namespace = job.metadata.namespace or ""
        found = FineTuneObservation(job, None, {}, UNREAD)
        uid, current = job.metadata.uid, found.current_name
        runs = await list_runs(self._reads, self._cluster, namespace, uid, current, now=self._now())
        found = dataclasses.replace(found, runs=runs)
        progress = self._read_progress(key, found)
        if not needs_prerequisites(job, runs):
            lacks_key = await self._lacks_key(found)
            return dataclasses.replace(found, progress=progress, lacks_key=lacks_key)
        base_model = self._reads.find_base_model(job.spec.base_model_ref.name)
        return FineTuneObservation(
            job=job,
            base_model=base_model,
            namespace_labels=await self._read_namespace_labels(namespace, base_model),
            storage=await self._reads.read_storage_facts(namespace, job.spec.storage, fresh=True),
            missing_config_maps=await self._find_missing_config_maps(job),
            allowed_scheduling=self._allowed_scheduling,
            runs=runs,
        )

    async def _read_namespace_labels(self, namespace: str, base_model: BaseModel | None) -> Mapping[str, str]:
        if base_model is None or base_model.spec.allowed_namespaces.from_ == "All":
            return {}
        return await self._reads.read_namespace_labels(namespace, fresh=True)

    async def _find_missing_config_maps(self, job: FineTuneJob) -> tuple[str, ...]:
        names = sorted({source.config_map.name for source in job.spec.dataset.sources if source.config_map})
        namespace = job.metadata.namespace or ""
        return tuple([name for name in names if not await self._reads.has_config_map(namespace, name)])

    def _read_progress(self, key: Key, found: FineTuneObservation) -> Progress | None:
        """Return the newest progress of the running trainer, which is polled as long as it runs."""
        run = found.current_run
        pod = run.pod if found.dataset_is_ready and run is not None and run.state is RunState.ACTIVE else None
        if pod is None or not pod.running or pod.ip is None:
            self._trainers.forget(key)
            return None
        return self._trainers.follow(key, pod.uid, pod.ip)

    async def _lacks_key(self, found: FineTuneObservation) -> bool:
        """Return whether the train pod waits for the Secret with its key, which was deleted since."""
        run, metadata = found.current_run, found.job.metadata
        if not found.dataset_is_ready or run is None or not run.may_lack_volumes(self._now()):
            return False
        return await lacks_document_key(self._cluster, metadata.namespace, metadata.name, metadata.uid)

    async def _act(self, body: Body, observation: FineTuneObservation, action: FineTuneAction) -> None:
        job = observation.job
        match action:
            case DeleteJob(name, uid):
                await confirm_unchanged(self._cluster, body)
                await self._delete_job(job, name, uid)
            case ExpireJob():
                await self._expiry.expire(body, job.metadata.namespace or "", action, self._now())
            case CreatePrepareJob(number):
                identity = fine_tune_identity(
                    body, prepare_job_name(job.metadata.name, number), Role.PREPARE, {ATTEMPT: str(number)}
                )
                spec = build_run_spec(job, _require(observation.base_model), attempt=number, micro_batch_size=None)
                await ensure_created(self._cluster, build_request_config_map(identity, spec))
                await ensure_created(self._cluster, build_prepare_job(identity, job, self._defaults))
            case EnsureDocumentKey():
                await ensure_document_key(self._cluster, body)
            case CreateTrainJob(attempt, micro_batch_size):
                await confirm_unchanged(self._cluster, body)
                identity = fine_tune_identity(
                    body, train_job_name(job.metadata.name, attempt), Role.TRAIN, {ATTEMPT: str(attempt)}
                )
                model = _require(observation.base_model)
                spec = build_run_spec(job, model, attempt=attempt, micro_batch_size=micro_batch_size)
                await ensure_created(self._cluster, build_request_config_map(identity, spec))
                await ensure_created(self._cluster, build_train_job(identity, job, self._defaults))

    async def _delete_job(self, job: FineTuneJob, name: str, uid: str) -> None:
        # In the foreground, so that the Job exists until its pod has ended: the loop then sees when the accelerator is
        # free.
        await self._cluster.delete(JOB, job.metadata.namespace, name, uid=uid, propagation=Propagation.FOREGROUND)


def _require(base_model: BaseModel | None) -> BaseModel:
    if base_model is None:
        raise RuntimeError("a decision creates a Job without a base model; find_problem should have reported that")
    return base_model
