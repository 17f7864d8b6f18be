"""What the loops read: custom resources and their children from the store, and small facts through a cache.

Nothing here is a precondition of a write; each write has its own one. Two facts that no event reports, whether a Secret
may be used and the labels of a namespace, are at most `FRESH_SECONDS` old when a Job is created.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, Generic, TypeVar, cast

from tunewright_operator.api import labels
from tunewright_operator.api.adapter_deployment import AdapterDeployment
from tunewright_operator.api.base_model import BaseModel
from tunewright_operator.api.fine_tune_job import FineTuneJob
from tunewright_operator.api.kinds import (
    ADAPTER_DEPLOYMENT,
    BASE_MODEL,
    CONFIG_MAP,
    DEPLOYMENT,
    EVENT,
    FINE_TUNE_JOB,
    JOB,
    MODEL_CLIENT,
    MODEL_SERVER,
    NAMESPACE,
    POD,
    REPLICA_SET,
    SECRET,
    SERVICE_ACCOUNT,
    Kind,
)
from tunewright_operator.api.model_client import ModelClient
from tunewright_operator.api.model_server import ModelServer
from tunewright_operator.api.resource import LabelSelector, Resource, ResourceError, Storage
from tunewright_operator.cluster import Bodies, Body, Cluster
from tunewright_operator.domain.pod_admission import FAILED_CREATE, read_refusals
from tunewright_operator.domain.rollout.jobs import SelectableJob
from tunewright_operator.domain.secrets import ABSENT, StorageFacts, UseFacts
from tunewright_operator.runtime.clock import Now, utc_now
from tunewright_operator.store.documents import decode
from tunewright_operator.store.entries import StoredChild, StoredJob, StoredResource
from tunewright_operator.store.store import Store
from tunewright_operator.store.timed_cache import TimedCache

R = TypeVar("R", bound=Resource)

CACHE_SECONDS = 60.0
"""How long a fact that lets work continue is used without reading it again."""
FRESH_SECONDS = 5.0
"""The same for a fact on which the creation of a Job depends, and for one that stops work: a user may just fix it."""

REFUSAL_SECONDS = 25.0
"""How long the API server's message about the pod of a Job is used: a bit less than loops wait until they ask again."""
REFUSALS_PER_SECOND = 40.0
"""Where many pods are refused, they are listed less often: at most so many Events of a namespace in each second."""


@dataclasses.dataclass(frozen=True, slots=True)
class Ended:
    """A FineTuneJob for which nothing is left to do."""


@dataclasses.dataclass(frozen=True, slots=True)
class Observed(Generic[R]):
    """A custom resource that its own loop reconciles."""

    resource: R
    body: Body
    """The object without spec and status: the owner of children, the subject of Events, the target of a status write.

    Its resourceVersion is the precondition of that write.
    """


class Reads:
    """The read port of all loops."""

    def __init__(self, store: Store, cluster: Cluster, *, now: Now = utc_now) -> None:
        self._store = store
        self._cluster = cluster
        self._uses: TimedCache[UseFacts] = TimedCache(now)
        self._namespaces: TimedCache[dict[str, str]] = TimedCache(now)
        self._config_maps: TimedCache[bool] = TimedCache(now)
        self._refusals: TimedCache[dict[str, str]] = TimedCache(now)

    # Custom resources ---------------------------------------------------------------------------------------------

    def find_base_model(self, name: str) -> BaseModel | None:
        """Return a BaseModel; None if it does not exist.

        Raises:
            ResourceError: this operator's version of the API cannot read it.
        """
        return _parsed(BaseModel, self._store.find(BASE_MODEL, None, name))

    def find_model_server(self, namespace: str | None, name: str) -> ModelServer | None:
        """Return a ModelServer; None if it does not exist.

        Raises:
            ResourceError: this operator's version of the API cannot read it.
        """
        return _parsed(ModelServer, self._store.find(MODEL_SERVER, namespace, name))

    def observe_base_model(self, name: str) -> Observed[BaseModel] | None:
        """Return a BaseModel for its own loop, as `find_base_model`."""
        return _observed(BASE_MODEL, BaseModel, self._store.find(BASE_MODEL, None, name))

    def observe_model_server(self, namespace: str | None, name: str) -> Observed[ModelServer] | None:
        """Return a ModelServer for its own loop, as `find_model_server`."""
        return _observed(MODEL_SERVER, ModelServer, self._store.find(MODEL_SERVER, namespace, name))

    def observe_model_client(self, namespace: str | None, name: str) -> Observed[ModelClient] | None:
        """Return a ModelClient for its own loop.

        Raises:
            ResourceError: this operator's version of the API cannot read it.
        """
        return _observed(MODEL_CLIENT, ModelClient, self._store.find(MODEL_CLIENT, namespace, name))

    def observe_adapter_deployment(self, namespace: str | None, name: str) -> Observed[AdapterDeployment] | None:
        """Return an AdapterDeployment for its own loop.

        Raises:
            ResourceError: this operator's version of the API cannot read it.
        """
        return _observed(ADAPTER_DEPLOYMENT, AdapterDeployment, self._store.find_deployment(namespace, name))

    async def observe_fine_tune_job(self, namespace: str | None, name: str) -> Observed[FineTuneJob] | Ended | None:
        """Return a FineTuneJob for its own loop.

        Of one that has ended, the store does not have enough. It is read again if one of its Jobs still runs.

        Raises:
            ResourceError: this operator's version of the API cannot read it.
            ClusterError: the API server refused or did not answer.
        """
        found = self._store.find_job(namespace, name)
        if found is None:
            return None
        if found.parsed is not None and found.parsed.resource is not None:
            return Observed(found.parsed.resource, _identify(FINE_TUNE_JOB, found.parsed.metadata))
        if found.document is not None:
            body: Body | None = decode(found.document)
        elif not self._store.has_open_job(namespace, found.origin.uid):
            return Ended()
        else:
            body = await self._cluster.get(FINE_TUNE_JOB, namespace, name)
        if body is None:
            return None
        return Observed(FineTuneJob.from_body(body), _identify(FINE_TUNE_JOB, body["metadata"]))

    def find_selectable(self, namespace: str | None, name: str) -> SelectableJob | None:
        """Return what a selection reads of a FineTuneJob; None if it does not exist.

        Raises:
            ResourceError: this operator's version of the API cannot read it.
        """
        found = self._store.find_job(namespace, name)
        return None if found is None else _selectable(found)

    def list_selectable(self, namespace: str | None, selector: LabelSelector) -> tuple[SelectableJob, ...]:
        """Return what a selection reads of the FineTuneJobs that a selector matches.

        Raises:
            ResourceError: this operator's version of the API cannot read one of them.
        """
        found = self._store.list_jobs(namespace, selector.match_labels)
        return tuple(_selectable(job) for job in found if selector.matches(job.labels))

    def list_tenants(self, namespace: str | None, server: str) -> list[StoredResource[AdapterDeployment]]:
        """Return the AdapterDeployments that name a ModelServer, in the order of their names."""
        return sorted(self._store.list_tenants(namespace, server), key=lambda entry: entry.origin.address)

    def list_deployments(self, namespace: str | None) -> list[StoredResource[AdapterDeployment]]:
        """Return the AdapterDeployments of a namespace, in the order of their names."""
        return sorted(self._store.list_deployments(namespace), key=lambda entry: entry.origin.address)

    def list_clients(self, namespaces: Iterable[str]) -> list[StoredResource[ModelClient]]:
        """Return the ModelClients of some namespaces, in the order of their names."""
        found = [entry for namespace in namespaces for entry in self._store.list_clients(namespace)]
        return sorted(found, key=lambda entry: entry.origin.address)

    def list_users(self, base_model: str) -> tuple[str, ...]:
        """Return the ModelServers and the unfinished FineTuneJobs that use a base model, as texts."""
        servers = (f"{MODEL_SERVER} {'/'.join(_path(server))}" for server in self._store.list_servers(base_model))
        jobs = (f"{FINE_TUNE_JOB} {'/'.join(_path(job))}" for job in self._store.list_open_jobs(base_model))
        return (*sorted(servers), *sorted(jobs))

    # Children -----------------------------------------------------------------------------------------------------

    def list_jobs(self, namespace: str | None, owner_uid: str) -> Bodies:
        """Return the Jobs in a namespace that a resource controls, without the fields that no decision reads."""
        return _decode_all(self._store.list_children(JOB, namespace, owner_uid))

    def list_pods(self, namespace: str | None, *controllers: str) -> Bodies:
        """Return the pods in a namespace that these objects control, without the fields that no decision reads."""
        return _decode_all(pod for uid in controllers for pod in self._store.list_children(POD, namespace, uid))

    def list_replica_sets(self, namespace: str | None, deployment_uid: str) -> Bodies:
        """Return the ReplicaSets of a Deployment, without the fields that no decision reads."""
        return _decode_all(self._store.list_children(REPLICA_SET, namespace, deployment_uid))

    def find_deployment(self, namespace: str | None, name: str) -> Body | None:
        """Return a Deployment of the operator without the fields that no decision reads; None if it does not exist."""
        found = self._store.find(DEPLOYMENT, namespace, name)
        return None if found is None else _decode_all([cast("StoredChild", found)])[0]

    # What no event reports ------------------------------------------------------------------------------------------

    async def read_storage_facts(self, namespace: str, storage: Storage, *, fresh: bool = False) -> StorageFacts:
        """Return whether what a `spec.storage` names exists and has the label that allows its use.

        Only metadata is read, and nothing that the spec does not name.

        Args:
            namespace: the namespace of the Secret and the ServiceAccount.
            storage: the field of the spec.
            fresh: whether the answer must be at most `FRESH_SECONDS` old.

        Raises:
            ClusterError: the API server refused or did not answer.
        """
        return StorageFacts(
            secret=await self._read_use(SECRET, namespace, storage.secret_name, fresh=fresh),
            account=await self._read_use(SERVICE_ACCOUNT, namespace, storage.service_account_name, fresh=fresh),
        )

    async def _read_use(self, kind: Kind, namespace: str, name: str | None, *, fresh: bool) -> UseFacts:
        """Return whether an object exists and has the label that allows its use."""
        if name is None:
            return ABSENT

        async def read() -> UseFacts:
            metadata = await self._cluster.read_metadata(kind, namespace, name)
            if metadata is None:
                return ABSENT
            found = metadata["metadata"].get("labels") or {}
            return UseFacts(exists=True, allowed=found.get(labels.USE) == labels.USE_ALLOWED)

        def max_age(facts: UseFacts) -> float:
            return CACHE_SECONDS if facts.allowed and not fresh else FRESH_SECONDS

        return await self._uses.get((kind, namespace, name), max_age, read)

    async def read_namespace_labels(self, namespace: str, *, fresh: bool = False) -> dict[str, str]:
        """Return the labels of a namespace; none if it does not exist.

        ``fresh``: they are at most `FRESH_SECONDS` old.

        Raises:
            ClusterError: the API server refused or did not answer.
        """

        async def read() -> dict[str, str]:
            body = await self._cluster.read_metadata(NAMESPACE, None, namespace)
            return dict((body or {}).get("metadata", {}).get("labels") or {})

        return await self._namespaces.get(namespace, lambda _: FRESH_SECONDS if fresh else CACHE_SECONDS, read)

    async def is_admitted(self, server: ModelServer, namespace: str) -> bool:
        """Return whether AdapterDeployments of a namespace may use a server.

        Raises:
            ClusterError: the API server refused or did not answer.
        """
        selects = server.spec.allowed_namespaces.from_ == "Selector"
        return server.admits(namespace, await self.read_namespace_labels(namespace) if selects else {})

    async def has_config_map(self, namespace: str, name: str) -> bool:
        """Return whether a ConfigMap exists.

        Raises:
            ClusterError: the API server refused or did not answer.
        """

        async def read() -> bool:
            return await self._cluster.read_metadata(CONFIG_MAP, namespace, name) is not None

        return await self._config_maps.get((namespace, name), lambda _: FRESH_SECONDS, read)

    async def read_refusal(self, namespace: str, job_uid: str) -> str:
        """Return why the API server refuses to create the pod of a Job; empty if no Event of the Job shows that.

        One list serves all Jobs of a namespace: a quota refuses many pods, and each list makes the API server read all
        Events of the namespace.

        Raises:
            ClusterError: the API server refused or did not answer.
        """

        async def read() -> dict[str, str]:
            fields = {"involvedObject.kind": JOB.name, "reason": FAILED_CREATE}
            return read_refusals(await self._cluster.list(EVENT, namespace, fields=fields))

        def max_age(refusals: Mapping[str, str]) -> float:
            wanted = REFUSAL_SECONDS if job_uid in refusals else FRESH_SECONDS
            return max(wanted, len(refusals) / REFUSALS_PER_SECOND)

        return (await self._refusals.get(namespace, max_age, read)).get(job_uid, "")


def _parsed(_: type[R], entry: Any) -> R | None:
    if entry is None:
        return None
    if entry.resource is None:
        raise ResourceError(entry.problem)
    return cast("R", entry.resource)


def _observed(kind: Kind, model: type[R], entry: Any) -> Observed[R] | None:
    resource = _parsed(model, entry)
    return None if resource is None else Observed(resource, _identify(kind, entry.identity))


def _identify(kind: Kind, metadata: Mapping[str, Any]) -> Body:
    return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": dict(metadata)}


def _selectable(job: StoredJob) -> SelectableJob:
    if job.selectable is None:
        raise ResourceError(job.problem)
    return job.selectable


def _path(entry: StoredJob | StoredResource[Any]) -> tuple[str, ...]:
    return tuple(part for part in entry.origin.address if part)


def _decode_all(children: Iterable[StoredChild]) -> Bodies:
    ordered = sorted(children, key=lambda child: child.origin.name)
    return [decode(child.document) for child in ordered]
