"""The ModelServer loop: its objects, its pods, and the plan that joins its deployments' decisions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tunewright_contracts.serving_plan import PodState, ServingPlan
from tunewright_operator.api.adapter_deployment import AdapterDeployment
from tunewright_operator.api.base_model import BaseModel
from tunewright_operator.api.conditions import ModelServerCondition
from tunewright_operator.api.kinds import (
    ADAPTER_DEPLOYMENT,
    BASE_MODEL,
    DEPLOYMENT,
    MODEL_SERVER,
    NAMESPACE,
    POD,
    REPLICA_SET,
)
from tunewright_operator.api.model_server import ModelServer
from tunewright_operator.api.resource import Metadata, ResourceError
from tunewright_operator.cluster import Body, Cluster
from tunewright_operator.domain.problem import Problem
from tunewright_operator.domain.secrets import SecretFacts
from tunewright_operator.domain.serving.adapter_sources import SourcePolicy
from tunewright_operator.domain.serving.claim import ServerView, build_tenant, keep_tenant
from tunewright_operator.domain.serving.plan import PlanDecision, build_plan, report_pod
from tunewright_operator.domain.serving.pods import ServerPod, find_own_pods
from tunewright_operator.domain.serving.prerequisites import find_problem
from tunewright_operator.domain.serving.replica import view_pod
from tunewright_operator.domain.serving.status import PoolFacts, must_hold_update, report_pool
from tunewright_operator.manifests import model_server as manifests
from tunewright_operator.manifests.pods import ImageDefaults
from tunewright_operator.reconcile.applied import AppliedChildren
from tunewright_operator.reconcile.children import NameTakenError, read_secret_facts
from tunewright_operator.reconcile.refusals import REFUSED_WRITE, explain_refused_write
from tunewright_operator.reconcile.report import write_status
from tunewright_operator.reconcile.server_plan import (
    WrittenPlan,
    fetch_states,
    push_plan,
    read_written_plan,
    write_plan,
)
from tunewright_operator.reconcile.signing_keys import SigningKeys
from tunewright_operator.runtime.clock import Now, utc_now
from tunewright_operator.runtime.runner import GoneError
from tunewright_operator.runtime.server_board import ServerBoard, ServerSnapshot
from tunewright_operator.runtime.wakeups import Key
from tunewright_operator.serving import ServerPods
from tunewright_operator.signing import SigningKey

ROLLOUT_POLL_SECONDS = 2.0
QUIET_POLL_SECONDS = 10.0


@dataclass(frozen=True)
class _Surroundings:
    """What a server's spec refers to, and its Deployment."""

    base_model: BaseModel | None
    problem: Problem | None
    deployment: Body | None


@dataclass(frozen=True)
class _Tenants:
    """The AdapterDeployments that name the server; of the ``unread`` ones, which do not fit this operator's API, only metadata is known."""

    deployments: tuple[AdapterDeployment, ...]
    unread: tuple[Metadata, ...]


class ModelServerReconciler:
    """Reconciles ModelServers; it keeps nothing that a restart may not lose."""

    def __init__(
        self,
        cluster: Cluster,
        pods: ServerPods,
        keys: SigningKeys,
        board: ServerBoard,
        images: ImageDefaults,
        *,
        now: Now = utc_now,
    ) -> None:
        self._cluster = cluster
        self._pods = pods
        self._keys = keys
        self._board = board
        self._images = images
        self._now = now
        self._children = AppliedChildren(cluster)
        self._uids: dict[Key, str] = {}

    async def reconcile(self, key: Key) -> float | None:
        """Do one look's work and return when to look again.

        Raises:
            GoneError: the server does not exist.
            ConflictError: something changed between look and act; look again.
            ClusterError: the API server refused or did not answer; nothing was lost, look again.
        """
        body = await self._cluster.get(MODEL_SERVER, key.namespace, key.name)
        if body is None or body["metadata"].get("deletionTimestamp"):
            self._board.forget(self._uids.pop(key, ""))
            self._children.forget(key.namespace or "", key.name)
            if body is None:
                raise GoneError(str(key))
            return None
        self._uids[key] = body["metadata"]["uid"]
        server = ModelServer.from_body(body)
        signing_key = await self._keys.load()
        around = await self._look_around(server)
        problem, needs_surge = around.problem, False
        if problem is None and around.base_model is not None:
            try:
                needs_surge = await self._apply_children(body, server, around, signing_key)
            except REFUSED_WRITE as error:
                problem = explain_refused_write(error)
        return await self._serve(body, server, around, problem, signing_key, needs_surge=needs_surge)

    async def _serve(
        self,
        body: Body,
        server: ModelServer,
        around: _Surroundings,
        problem: Problem | None,
        signing_key: SigningKey,
        *,
        needs_surge: bool,
    ) -> float:
        """Plan, write, push, poll and report; a server with a problem goes on serving what it can."""
        own = await self._find_pods(server)
        token = signing_key.issue_state_token(server.metadata.uid, self._now())
        states = await fetch_states(self._pods, own, token)
        tenants = await self._list_tenants(server)
        written, decision = WrittenPlan(), None
        try:
            written = await read_written_plan(self._cluster, body)
            decision = await self._decide_plan(server, around.base_model, tenants, written.plan, states)
            if decision is not None and (decision.changed or not written.is_signed_by(signing_key)):
                written = await write_plan(self._cluster, body, written, decision.plan, signing_key)
            states = await push_plan(self._pods, own, states, written, token)
        except NameTakenError as error:
            problem = explain_refused_write(error)
        views = [view_pod(pod.uid, pod.name, ready=pod.ready, state=states.get(pod.uid)) for pod in own]
        if written.plan is not None and decision is not None:
            self._board.publish(
                server.metadata.uid,
                ServerSnapshot(self._now(), written.plan, tuple(views), decision.refusals, manifests.endpoint(server)),
            )
        replicas, updated = _count_replicas(around.deployment)
        refused = _find_refused_pods(around.deployment)
        facts = PoolFacts(
            pods=own,
            views=views,
            plan=written.plan,
            replicas=replicas,
            updated=updated,
            needs_surge=needs_surge,
            problem=problem,
            refused=refused,
            endpoint=manifests.endpoint(server),
            selector=",".join(
                f"{name}={value}" for name, value in manifests.build_selector(server.metadata.name).items()
            ),
        )
        status = report_pool(server, facts, self._now())
        await write_status(self._cluster, body, server.status, status, ModelServerCondition.READY)
        busy = any(item.status.candidate is not None for item in tenants.deployments)
        settled = all(view.ready and written.plan and view.generation >= written.plan.generation for view in views)
        return QUIET_POLL_SECONDS if settled and not busy and views else ROLLOUT_POLL_SECONDS

    async def _look_around(self, server: ModelServer) -> _Surroundings:
        namespace = server.metadata.namespace or ""
        model_body = await self._cluster.get(BASE_MODEL, None, server.spec.base_model_ref.name)
        base_model = None if model_body is None else BaseModel.from_body(model_body)
        secret: SecretFacts = await read_secret_facts(self._cluster, namespace, server.spec.storage.secret_ref.name)
        problem = find_problem(server, base_model, await self._read_labels(namespace), secret)
        deployment = await self._cluster.get(DEPLOYMENT, namespace, server.metadata.name)
        return _Surroundings(base_model, problem, deployment)

    async def _apply_children(
        self, body: Body, server: ModelServer, around: _Surroundings, signing_key: SigningKey
    ) -> bool:
        """Apply every object of the server; return whether a new pod template has to wait (NeedsSurge)."""
        if around.base_model is None:
            raise ValueError("a server without a base model has a problem and no children")
        now = self._now()
        config = manifests.build_server_config(server, around.base_model)
        config_map = manifests.build_config_map(body, config, signing_key.public_pem())
        deployment = manifests.build_deployment(body, server, config_map, self._images)
        await self._children.apply(manifests.build_service(body), now)
        await self._children.apply(manifests.build_disruption_budget(body), now)
        existing = around.deployment
        if existing is not None and manifests.template_hash(existing) != manifests.template_hash(deployment):
            ready = int(existing.get("status", {}).get("readyReplicas") or 0)
            wanted = server.spec.replicas
            if must_hold_update(server.spec.update_strategy, replicas=wanted, ready_replicas=ready):
                return True
        await self._children.apply(config_map, now)
        await self._children.apply(deployment, now)
        return False

    async def _find_pods(self, server: ModelServer) -> tuple[ServerPod, ...]:
        namespace = server.metadata.namespace
        selector = manifests.build_selector(server.metadata.name)
        deployment = await self._cluster.get(DEPLOYMENT, namespace, server.metadata.name)
        replica_sets = await self._cluster.list(REPLICA_SET, namespace, selector)
        pods = await self._cluster.list(POD, namespace, selector)
        return find_own_pods(server.metadata.uid, deployment, replica_sets, pods)

    async def _list_tenants(self, server: ModelServer) -> _Tenants:
        """Return who names the server. One that cannot be read must not stop the pool for the others."""
        deployments: list[AdapterDeployment] = []
        unread: list[Metadata] = []
        for body in await self._cluster.list(ADAPTER_DEPLOYMENT):
            if body["metadata"].get("deletionTimestamp") or not _names_server(body, server):
                continue
            try:
                deployments.append(AdapterDeployment.from_body(body))
            except ResourceError:
                # Its own loop says so, in its status and in the log.
                unread.append(Metadata.model_validate(body["metadata"]))
        return _Tenants(tuple(deployments), tuple(unread))

    async def _decide_plan(
        self,
        server: ModelServer,
        base_model: BaseModel | None,
        tenants: _Tenants,
        previous: ServingPlan | None,
        states: Mapping[str, PodState],
    ) -> PlanDecision | None:
        """Return the next plan; None while nobody knows which weights the pods run."""
        digest = base_model.status.digest if base_model is not None else ""
        if previous is not None and not digest:
            digest = previous.base_model_digest
        if not digest:
            return None
        spec = server.spec
        view = ServerView(
            uid=server.metadata.uid,
            namespace=server.metadata.namespace or "",
            served_base_name=spec.base_model_ref.name,
            base_model_digest=digest,
            max_rank=spec.lora.max_rank,
            max_adapters=spec.lora.max_adapters,
            rollout_slots=spec.lora.rollout_slots,
            sources=SourcePolicy(
                server.metadata.namespace or "", tuple(source.uri_prefix for source in spec.adapter_sources)
            ),
        )
        answers = list(states.values())
        planned = [
            build_tenant(
                item,
                namespace_allowed=server.admits(
                    item.metadata.namespace or "", await self._labels_for(server, item.metadata.namespace or "")
                ),
                previous=previous,
                states=answers,
            )
            for item in tenants.deployments
        ]
        for metadata in tenants.unread:
            namespace = metadata.namespace or ""
            allowed = server.admits(namespace, await self._labels_for(server, namespace))
            kept = keep_tenant(metadata, previous, namespace_allowed=allowed)
            planned += [kept] if kept is not None else []
        last = server.status.plan.generation if server.status.plan else 0
        return build_plan(view, planned, previous, [report_pod(state) for state in answers], last)

    async def _labels_for(self, server: ModelServer, namespace: str) -> dict[str, str]:
        """Return a namespace's labels, when the server's rule needs them."""
        return await self._read_labels(namespace) if server.spec.allowed_namespaces.from_ == "Selector" else {}

    async def _read_labels(self, namespace: str) -> dict[str, str]:
        body = await self._cluster.get(NAMESPACE, None, namespace)
        return dict((body or {}).get("metadata", {}).get("labels") or {})


def _names_server(body: Body, server: ModelServer) -> bool:
    reference = body.get("spec", {}).get("serverRef") or {}
    namespace = reference.get("namespace") or body["metadata"].get("namespace")
    return (reference.get("name"), namespace) == (server.metadata.name, server.metadata.namespace)


def _find_refused_pods(deployment: Body | None) -> str:
    """Return why the API server creates no more pods (a quota, a policy), in its words; empty when it does."""
    conditions = (deployment or {}).get("status", {}).get("conditions") or []
    failures = [item for item in conditions if item["type"] == "ReplicaFailure" and item["status"] == "True"]
    return str(failures[0].get("message") or "") if failures else ""


def _count_replicas(deployment: Body | None) -> tuple[int, bool]:
    """Return how many pods the Deployment has, and whether all run its newest template."""
    if deployment is None:
        return 0, False
    status = deployment.get("status", {})
    observed = int(status.get("observedGeneration") or 0) >= int(deployment["metadata"].get("generation") or 0)
    replicas = int(status.get("replicas") or 0)
    return replicas, observed and int(status.get("updatedReplicas") or 0) == replicas
