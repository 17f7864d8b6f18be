"""The BaseModel loop: a Job in the operator's namespace inspects the weights once."""

from __future__ import annotations

from tunewright_contracts.inspection import BaseModelInspection
from tunewright_contracts.locations import HuggingFaceSource, S3Source
from tunewright_operator.api import labels
from tunewright_operator.api.base_model import BaseModel
from tunewright_operator.api.conditions import BaseModelCondition
from tunewright_operator.api.containers import Container
from tunewright_operator.api.fine_tune_job import FineTuneJob
from tunewright_operator.api.kinds import BASE_MODEL, FINE_TUNE_JOB, JOB, MODEL_SERVER
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
from tunewright_operator.domain.finetune.observation import has_ended
from tunewright_operator.manifests.jobs import JobIdentity, build_inspect_job, build_request_config_map
from tunewright_operator.manifests.pods import ImageDefaults
from tunewright_operator.reconcile.children import ensure_created, list_runs, read_secret_facts
from tunewright_operator.reconcile.refusals import REFUSED_WRITE, explain_refused_write
from tunewright_operator.reconcile.report import write_status
from tunewright_operator.runtime.clock import Now, utc_now
from tunewright_operator.runtime.key import Key
from tunewright_operator.runtime.runner import GoneError


class BaseModelReconciler:
    """Reconciles BaseModels; ``namespace`` is that of the operator, where inspection Jobs and their Secrets are."""

    def __init__(self, cluster: Cluster, images: ImageDefaults, namespace: str, *, now: Now = utc_now) -> None:
        self._cluster = cluster
        self._images = images
        self._namespace = namespace
        self._now = now

    async def reconcile(self, key: Key) -> float | None:
        """Reconcile once; return after how many seconds to reconcile again.

        Raises:
            GoneError: the BaseModel does not exist.
            ClusterError: the API server refused or did not answer; reconcile again.
        """
        body = await self._cluster.get(BASE_MODEL, None, key.name)
        if body is None:
            raise GoneError(str(key))
        observation = await self._observe(body)
        model = observation.model
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

    async def _observe(self, body: Body) -> BaseModelObservation:
        model = BaseModel.from_body(body)
        if model.metadata.deletion_timestamp is not None:
            users = await self._find_users(model.metadata.name)
            return BaseModelObservation(model, self._namespace, users=users)
        if model.status.digest:
            return BaseModelObservation(model, self._namespace)
        secret = None
        if model.spec.storage is not None:
            secret = await read_secret_facts(self._cluster, self._namespace, model.spec.storage.secret_ref.name)
        runs = await list_runs(self._cluster, self._namespace, BASE_MODEL, body, self._now())
        run = runs.get(inspect_job_name(model.metadata.name))
        return BaseModelObservation(model, self._namespace, secret, run)

    async def _find_users(self, name: str) -> tuple[str, ...]:
        users: list[str] = []
        for kind in (MODEL_SERVER, FINE_TUNE_JOB):
            for body in await self._cluster.list(kind):
                if body["spec"]["baseModelRef"]["name"] != name:
                    continue
                if kind is FINE_TUNE_JOB and has_ended(FineTuneJob.from_body(body).status):
                    continue
                users.append(f"{kind} {body['metadata']['namespace']}/{body['metadata']['name']}")
        return tuple(users)

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
        secret = model.spec.storage.secret_ref.name if model.spec.storage else None
        await ensure_created(self._cluster, build_request_config_map(identity, request))
        await ensure_created(
            self._cluster, build_inspect_job(identity, Container.INSPECT_BASE_MODEL.value, secret, self._images)
        )
