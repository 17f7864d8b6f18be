"""Observe a ModelServer: what its spec refers to, its objects, the state of its pods, its tenants and its plan.

Nothing is written.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from tunewright_contracts.serving_plan import PodState
from tunewright_operator.api.adapter_deployment import AdapterDeployment
from tunewright_operator.api.base_model import BaseModel
from tunewright_operator.api.kinds import (
    ADAPTER_DEPLOYMENT,
    BASE_MODEL,
    DEPLOYMENT,
    MODEL_SERVER,
    NAMESPACE,
    POD,
    REPLICA_SET,
)
from tunewright_operator.api.labels import build_server_labels
from tunewright_operator.api.model_server import ModelServer
from tunewright_operator.api.resource import Metadata, ResourceError
from tunewright_operator.cluster import Body, Cluster
from tunewright_operator.domain.serving.observation import ObservedTenant, PlanFacts, ServerObservation
from tunewright_operator.domain.serving.pods import (
    DeploymentFacts,
    EngineFacts,
    ServerPod,
    find_own_pods,
    read_deployment,
)
from tunewright_operator.manifests.model_server import Children, build_children, template_hash
from tunewright_operator.manifests.pods import ImageDefaults
from tunewright_operator.reconcile.children import NameTakenError, read_secret_facts
from tunewright_operator.reconcile.refusals import explain_refused_write
from tunewright_operator.reconcile.server_plan import WrittenPlan, read_written_plan
from tunewright_operator.reconcile.signing_keys import SigningKeys
from tunewright_operator.runtime.clock import Now
from tunewright_operator.runtime.key import Key
from tunewright_operator.runtime.polling.server_board import ServerBoard
from tunewright_operator.signing import SigningKey


@dataclasses.dataclass(frozen=True, slots=True)
class ObservedServer:
    """An observation with the Kubernetes objects that its actions refer to and replace."""

    body: Body
    observation: ServerObservation
    written: WrittenPlan
    children: Children | None
    """The wanted objects of the server; None without an inspected base model or a signing key."""
    signing_key: SigningKey | None
    is_polled: bool = True
    """Whether the last poll of every pod is known. Without it, nothing can be decided: a plan would be written as if
    no pod had requests in flight."""


class ServerObserver:
    """Reads everything that a decision about a ModelServer depends on."""

    def __init__(
        self, cluster: Cluster, board: ServerBoard, keys: SigningKeys, images: ImageDefaults, now: Now
    ) -> None:
        self._cluster = cluster
        self._board = board
        self._keys = keys
        self._images = images
        self._now = now

    async def observe(self, body: Body) -> ObservedServer:
        """Return the current observation of a server.

        Raises:
            ResourceError: the server or its BaseModel does not match this operator's API.
            SigningKeyError: the signing key cannot be used.
            ClusterError: the API server refused or did not answer.
        """
        server = ModelServer.from_body(body)
        namespace, uid = server.metadata.namespace or "", server.metadata.uid
        key = await self._keys.find()
        base_model = await self._read_base_model(server)
        deployment = await self._cluster.get(DEPLOYMENT, namespace, server.metadata.name)
        pods = await self._find_pods(server, deployment)
        states = self._read_states(server, pods, key)
        plan, written = await self._read_plan(body, key)
        children = self._build_children(body, server, base_model, key)
        facts, changed = read_deployment(uid, deployment), _is_template_changed(children, deployment)
        observation = ServerObservation(
            server=server,
            base_model=base_model,
            namespace_labels=await self._read_labels(namespace),
            secret=await read_secret_facts(self._cluster, namespace, server.spec.storage.secret_ref.name),
            has_signing_key=key is not None,
            deployment=facts,
            template_changed=changed,
            engine=None if changed else _read_engine(children, facts),
            pods=pods,
            states=states or {},
            tenants=await self._list_tenants(server),
            plan=plan,
        )
        return ObservedServer(body, observation, written, children, key, is_polled=states is not None)

    async def _read_base_model(self, server: ModelServer) -> BaseModel | None:
        body = await self._cluster.get(BASE_MODEL, None, server.spec.base_model_ref.name)
        return None if body is None else BaseModel.from_body(body)

    async def _find_pods(self, server: ModelServer, deployment: Body | None) -> tuple[ServerPod, ...]:
        namespace, selector = server.metadata.namespace, build_server_labels(server.metadata.name)
        replica_sets = await self._cluster.list(REPLICA_SET, namespace, selector)
        pods = await self._cluster.list(POD, namespace, selector)
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
            written = await read_written_plan(self._cluster, body)
        except NameTakenError as error:
            return PlanFacts(problem=explain_refused_write(error)), WrittenPlan()
        return PlanFacts(written.plan, is_signed=key is not None and written.is_signed_by(key)), written

    def _build_children(
        self, body: Body, server: ModelServer, base_model: BaseModel | None, key: SigningKey | None
    ) -> Children | None:
        if base_model is None or not base_model.status.digest or key is None:
            return None
        return build_children(body, server, base_model, key.public_pem(), self._images)

    async def _list_tenants(self, server: ModelServer) -> tuple[ObservedTenant, ...]:
        """Return the AdapterDeployments that refer to the server.

        They include those that cannot be parsed: one of them must not stop the pool for the others.
        """
        tenants: list[ObservedTenant] = []
        for body in await self._cluster.list(ADAPTER_DEPLOYMENT):
            if body["metadata"].get("deletionTimestamp") or not _names_server(body, server):
                continue
            metadata = Metadata.model_validate(body["metadata"])
            namespace = metadata.namespace or ""
            try:
                deployment = AdapterDeployment.from_body(body)
            except ResourceError:
                deployment = None  # The loop of the deployment reports the error, in its status and in the log.
            allowed = server.admits(namespace, await self._labels_for(server, namespace))
            tenants.append(ObservedTenant(metadata, namespace_allowed=allowed, deployment=deployment))
        return tuple(tenants)

    async def _labels_for(self, server: ModelServer, namespace: str) -> dict[str, str]:
        """Return the labels of a namespace; an empty dict when the server selects no namespaces by label."""
        return await self._read_labels(namespace) if server.spec.allowed_namespaces.from_ == "Selector" else {}

    async def _read_labels(self, namespace: str) -> dict[str, str]:
        body = await self._cluster.get(NAMESPACE, None, namespace)
        return dict((body or {}).get("metadata", {}).get("labels") or {})


def _read_engine(children: Children | None, facts: DeploymentFacts | None) -> EngineFacts | None:
    """Return the engine of the applied template, which is the wanted one."""
    return None if children is None or facts is None else EngineFacts(children.engine, everywhere=facts.updated)


def _is_template_changed(children: Children | None, deployment: Body | None) -> bool:
    if children is None or deployment is None:
        return False  # There is no Deployment to update, or no template for an update.
    return template_hash(deployment) != template_hash(children.deployment)


def _names_server(body: Body, server: ModelServer) -> bool:
    reference = body.get("spec", {}).get("serverRef") or {}
    namespace = reference.get("namespace") or body["metadata"].get("namespace")
    return (reference.get("name"), namespace) == (server.metadata.name, server.metadata.namespace)
