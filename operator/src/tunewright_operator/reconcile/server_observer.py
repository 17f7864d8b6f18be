"""Observe a ModelServer: what its spec refers to, its objects, its pods' states, its tenants and their
clients, its plan and its access list.

Nothing is written.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from tunewright_contracts.serving_plan import PodState
from tunewright_operator.api.base_model import BaseModel
from tunewright_operator.api.kinds import MODEL_SERVER
from tunewright_operator.api.labels import controller_uid
from tunewright_operator.api.model_server import ModelServer
from tunewright_operator.cluster import Body
from tunewright_operator.domain.scheduling import AllowedScheduling
from tunewright_operator.domain.serving.observation import AccessFacts, ObservedTenant, PlanFacts, ServerObservation
from tunewright_operator.domain.serving.pods import (
    DeploymentFacts,
    EngineFacts,
    ServerPod,
    find_own_pods,
    read_deployment,
)
from tunewright_operator.manifests.model_server import Children, build_children, template_hash
from tunewright_operator.manifests.pods import PodDefaults
from tunewright_operator.reconcile.children import NameTakenError
from tunewright_operator.reconcile.refusals import explain_refused_write
from tunewright_operator.reconcile.signed_documents import ServerDocuments, Written, WrittenAccess, WrittenPlan
from tunewright_operator.reconcile.signing_keys import SigningKeys
from tunewright_operator.runtime.clock import Now
from tunewright_operator.runtime.key import Key
from tunewright_operator.runtime.polling.server_board import ServerBoard
from tunewright_operator.signing import SigningKey
from tunewright_operator.store.reads import Observed, Reads


@dataclasses.dataclass(frozen=True, slots=True)
class ObservedServer:
    """An observation with the Kubernetes objects that its actions refer to and replace."""

    body: Body
    observation: ServerObservation
    written: WrittenPlan
    access: WrittenAccess
    children: Children | None
    """The wanted objects of the server; None without an inspected base model or a signing key."""
    signing_key: SigningKey | None
    is_polled: bool = True
    """Whether the last poll of every pod is known. Without it, nothing can be decided: a plan would be written as if
    no pod had requests in flight."""


class ServerObserver:
    """Reads everything that a decision about a ModelServer depends on."""

    def __init__(
        self,
        reads: Reads,
        documents: ServerDocuments,
        board: ServerBoard,
        keys: SigningKeys,
        defaults: PodDefaults,
        *,
        allowed_scheduling: AllowedScheduling,
        now: Now,
    ) -> None:
        self._reads = reads
        self._documents = documents
        self._board = board
        self._keys = keys
        self._defaults = defaults
        self._allowed_scheduling = allowed_scheduling
        self._now = now

    async def observe(self, found: Observed[ModelServer]) -> ObservedServer:
        """Return the current observation of a server.

        Raises:
            ResourceError: its BaseModel does not match this operator's API.
            SigningKeyError: the signing key cannot be used.
            ClusterError: the API server refused or did not answer.
        """
        server, body = found.resource, found.body
        namespace, uid = server.metadata.namespace or "", server.metadata.uid
        key = await self._keys.find()
        base_model = self._reads.find_base_model(server.spec.base_model_ref.name)
        deployment = self._reads.find_deployment(namespace, server.metadata.name)
        pods = self._find_pods(server, deployment)
        states = self._read_states(server, pods, key)
        tenants = await self._list_tenants(server)
        plan, written = await self._read_plan(body, key)
        access, written_access = await self._read_access(body, tenants, key)
        children = self._build_children(body, server, base_model, key)
        facts, changed = read_deployment(uid, deployment), _is_template_changed(children, deployment)
        observation = ServerObservation(
            server=server,
            base_model=base_model,
            namespace_labels=await self._reads.read_namespace_labels(namespace),
            storage=await self._reads.read_storage_facts(namespace, server.spec.storage),
            has_signing_key=key is not None,
            allowed_scheduling=self._allowed_scheduling,
            deployment=facts,
            template_changed=changed,
            engine=None if changed else _read_engine(children, facts),
            pods=pods,
            states=states or {},
            tenants=tenants,
            plan=plan,
            access=access,
        )
        return ObservedServer(body, observation, written, written_access, children, key, is_polled=states is not None)

    def _find_pods(self, server: ModelServer, deployment: Body | None) -> tuple[ServerPod, ...]:
        if deployment is None or controller_uid(deployment) != server.metadata.uid:
            return ()
        namespace = server.metadata.namespace
        replica_sets = self._reads.list_replica_sets(namespace, deployment["metadata"]["uid"])
        pods = self._reads.list_pods(namespace, *(item["metadata"]["uid"] for item in replica_sets))
        return find_own_pods(server.metadata.uid, deployment, replica_sets, pods)

    def _read_states(
        self, server: ModelServer, pods: tuple[ServerPod, ...], key: SigningKey | None
    ) -> Mapping[str, PodState] | None:
        if key is None:
            return {}
        name = Key(MODEL_SERVER, server.metadata.namespace, server.metadata.name)
        return self._board.read_states(name, server.metadata.uid, pods, self._now())

    async def _read_plan(self, body: Body, key: SigningKey | None) -> tuple[PlanFacts, WrittenPlan]:
        try:
            written = await self._documents.plans.read(body)
        except NameTakenError as error:
            return PlanFacts(problem=explain_refused_write(error)), Written()
        return PlanFacts(written.document, is_signed=key is not None and written.is_signed_by(key)), written

    async def _read_access(
        self, body: Body, tenants: tuple[ObservedTenant, ...], key: SigningKey | None
    ) -> tuple[AccessFacts, WrittenAccess]:
        namespaces = {tenant.metadata.namespace or "" for tenant in tenants if tenant.namespace_allowed}
        # A client that cannot be read has no access; its loop reports the error.
        found = [entry.resource for entry in self._reads.list_clients(sorted(namespaces))]
        clients = tuple(client for client in found if client is not None)
        try:
            written = await self._documents.lists.read(body)
        except NameTakenError as error:
            return AccessFacts(problem=explain_refused_write(error), clients=clients), Written()
        is_signed = key is not None and written.is_signed_by(key)
        return AccessFacts(written.document, is_signed=is_signed, clients=clients), written

    def _build_children(
        self, body: Body, server: ModelServer, base_model: BaseModel | None, key: SigningKey | None
    ) -> Children | None:
        if base_model is None or not base_model.status.digest or key is None:
            return None
        return build_children(body, server, base_model, key.public_pem(), self._defaults)

    async def _list_tenants(self, server: ModelServer) -> tuple[ObservedTenant, ...]:
        """Return the AdapterDeployments that refer to the server.

        They include those that cannot be parsed: one of them must not stop the pool for the others.
        """
        tenants: list[ObservedTenant] = []
        for entry in self._reads.list_tenants(server.metadata.namespace, server.metadata.name):
            metadata = entry.metadata
            if metadata.deletion_timestamp is not None:
                continue
            namespace = metadata.namespace or ""
            allowed = await self._reads.is_admitted(server, namespace)
            # Without a resource: the loop of the deployment reports the error, in its status and in the log.
            tenants.append(ObservedTenant(metadata, namespace_allowed=allowed, deployment=entry.resource))
        return tuple(tenants)


def _read_engine(children: Children | None, facts: DeploymentFacts | None) -> EngineFacts | None:
    """Return the engine of the applied template, which is the wanted one."""
    return None if children is None or facts is None else EngineFacts(children.engine, everywhere=facts.updated)


def _is_template_changed(children: Children | None, deployment: Body | None) -> bool:
    if children is None or deployment is None:
        return False  # There is no Deployment to update, or no template for an update.
    return template_hash(deployment) != template_hash(children.deployment)
