"""The BaseModel loop: a Job in the operator's namespace inspects the weights once."""

from __future__ import annotations

from tunewright_contracts.inspection import BaseModelInspection
from tunewright_contracts.locations import HuggingFaceSource, S3Source
from tunewright_operator.api import labels
from tunewright_operator.api.base_model import BaseModel
from tunewright_operator.api.conditions import BaseModelCondition
from tunewright_operator.api.containers import Container
from tunewright_operator.api.kinds import BASE_MODEL, JOB
from tunewright_operator.cluster import Body, Cluster, Propagation
from tunewright_operator.domain import base_model
from tunewright_operator.domain.base_model import (
    BaseModelAction,
    BaseModelObservation,
    CreateInspection,
    DeleteInspection,
    SetFinalizer,
    inspect_job_name,
)
from tunewright_operator.domain.job_run import ExpireJob
from tunewright_operator.domain.secrets import UNREAD
from tunewright_operator.manifests.jobs import JobIdentity, build_inspect_job, build_request_config_map
from tunewright_operator.manifests.pods import PodDefaults
from tunewright_operator.reconcile.children import ensure_created, list_runs
from tunewright_operator.reconcile.expiry import JobExpiry
from tunewright_operator.reconcile.refusals import REFUSED_WRITE, explain_refused_write
from tunewright_operator.reconcile.report import write_status
from tunewright_operator.runtime.clock import Now, utc_now
from tunewright_operator.runtime.key import Key
from tunewright_operator.runtime.runner import GoneError
from tunewright_operator.store.reads import Reads


class BaseModelReconciler:
    """Reconciles BaseModels; ``namespace`` is that of the operator, where inspection Jobs and their Secrets are."""

    def __init__(
        self,
        cluster: Cluster,
        reads: Reads,
        defaults: PodDefaults,
        namespace: str,
        *,
        expiry: JobExpiry,
        now: Now = utc_now,
    ) -> None:
        self._cluster = cluster
        self._reads = reads
        self._defaults = defaults
        self._namespace = namespace
        self._expiry = expiry
        self._now = now

    async def reconcile(self, key: Key) -> float | None:
        """Reconcile once; return after how many seconds to reconcile again.

        Raises:
            GoneError: the BaseModel does not exist.
            ResourceError: the BaseModel does not match this operator's API.
            ClusterError: the API server refused or did not answer; reconcile again.
        """
        found = self._reads.observe_base_model(key.name)
        if found is None:
            raise GoneError(str(key))
        model, body = found.resource, found.body
        observation = await self._observe(model)
        decision = base_model.decide(observation, self._now())
        status, reconcile_after = decision.status, decision.reconcile_after_seconds
        try:
            for action in decision.actions:
                await self._act(body, model, action)
        except REFUSED_WRITE as error:
            status = base_model.report_problem(model, explain_refused_write(error), self._now())
            reconcile_after = base_model.RETRY_SECONDS
        await write_status(self._cluster, body, model.status, status, BaseModelCondition.READY)
        return reconcile_after

    async def _observe(self, model: BaseModel) -> BaseModelObservation:
        if model.metadata.deletion_timestamp is not None:
            users = self._reads.list_users(model.metadata.name)
            return BaseModelObservation(model, self._namespace, users=users)
        facts = UNREAD
        if model.spec.storage is not None and not model.status.digest:
            facts = await self._reads.read_storage_facts(self._namespace, model.spec.storage, fresh=True)
        name = inspect_job_name(model.metadata.name)
        runs = await list_runs(self._reads, self._cluster, self._namespace, model.metadata.uid, name, now=self._now())
        return BaseModelObservation(model, self._namespace, facts, runs.get(name))

    async def _act(self, body: Body, model: BaseModel, action: BaseModelAction) -> None:
        match action:
            case SetFinalizer(present):
                others = [item for item in model.metadata.finalizers if item != base_model.IN_USE_FINALIZER]
                await self._cluster.patch_metadata(
                    BASE_MODEL,
                    None,
                    model.metadata.name,
                    finalizers=[*others, base_model.IN_USE_FINALIZER] if present else others,
                    resource_version=model.metadata.resource_version,
                )
            case DeleteInspection(uid):
                name = inspect_job_name(model.metadata.name)
                await self._cluster.delete(JOB, self._namespace, name, uid=uid, propagation=Propagation.BACKGROUND)
            case ExpireJob():
                await self._expiry.expire(body, self._namespace, action, self._now())
            case CreateInspection():
                await self._create_inspection(body, model)

    async def _create_inspection(self, body: Body, model: BaseModel) -> None:
        source = model.spec.source
        hub = source.hugging_face
        request = BaseModelInspection(
            name=model.metadata.name,
            s3=S3Source(uri=source.s3.uri) if source.s3 else None,
            hugging_face=HuggingFaceSource(repository=hub.repository, revision=hub.revision) if hub else None,
        )
        identity = JobIdentity(
            name=inspect_job_name(model.metadata.name),
            namespace=self._namespace,
            owner=body,
            labels=labels.build_labels(BASE_MODEL, model.metadata.name, labels.Role.INSPECT),
        )
        storage = model.spec.storage
        await ensure_created(self._cluster, build_request_config_map(identity, request))
        await ensure_created(
            self._cluster, build_inspect_job(identity, Container.INSPECT_BASE_MODEL.value, storage, self._defaults)
        )
