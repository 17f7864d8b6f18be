"""The ModelServer loop: it reconciles the server's objects, its plan and its list of clients.

The plan combines the decisions of all deployments, the list has the clients of their namespaces.
"""

from __future__ import annotations

from collections.abc import Mapping

from tunewright_contracts.serving_plan import PodState
from tunewright_operator.api.conditions import ModelServerCondition
from tunewright_operator.cluster import Cluster
from tunewright_operator.domain.scheduling import AllowedScheduling
from tunewright_operator.domain.serving.access import find_pods_without_access
from tunewright_operator.domain.serving.decision import decide
from tunewright_operator.domain.serving.observation import (
    ApplyChildren,
    CreateSigningKey,
    PushAccess,
    PushPlan,
    ServerDecision,
    ServerOutcome,
    WriteAccess,
    WritePlan,
)
from tunewright_operator.domain.serving.pods import find_pods_without
from tunewright_operator.domain.serving.status import ServerReport, report
from tunewright_operator.manifests.pods import PodDefaults
from tunewright_operator.reconcile.applied import AppliedChildren
from tunewright_operator.reconcile.refusals import REFUSED_WRITE, explain_refused_write
from tunewright_operator.reconcile.report import write_status
from tunewright_operator.reconcile.server_observer import ObservedServer, ServerObserver
from tunewright_operator.reconcile.signed_documents import Pushed, ServerDocuments, push
from tunewright_operator.reconcile.signing_keys import SigningKeys
from tunewright_operator.runtime.clock import Now, utc_now
from tunewright_operator.runtime.key import Key
from tunewright_operator.runtime.polling.access_board import AccessBoard
from tunewright_operator.runtime.polling.server_board import ServerBoard, ServerSnapshot
from tunewright_operator.runtime.polling.server_polls import ServerPolls
from tunewright_operator.runtime.runner import GoneError
from tunewright_operator.serving import ServerPods
from tunewright_operator.store.reads import Reads


class ModelServerReconciler:
    """Reconciles ModelServers; it has no state that must survive a restart."""

    def __init__(
        self,
        cluster: Cluster,
        reads: Reads,
        pods: ServerPods,
        polls: ServerPolls,
        *,
        keys: SigningKeys,
        board: ServerBoard,
        clients: AccessBoard,
        defaults: PodDefaults,
        allowed_scheduling: AllowedScheduling = AllowedScheduling(),  # noqa: B008 - frozen
        now: Now = utc_now,
    ) -> None:
        self._cluster = cluster
        self._pods = pods
        self._polls = polls
        self._keys = keys
        self._board = board
        self._clients = clients
        self._now = now
        self._reads = reads
        self._documents = ServerDocuments(cluster, now)
        self._observer = ServerObserver(
            reads, self._documents, board, keys, defaults, allowed_scheduling=allowed_scheduling, now=now
        )
        self._children = AppliedChildren(cluster)
        self._uids: dict[Key, str] = {}

    async def reconcile(self, key: Key) -> float | None:
        """Reconcile once; return after how many seconds to reconcile again.

        Raises:
            GoneError: the server does not exist.
            ResourceError: the server or its BaseModel does not match this operator's API.
            ConflictError: an object changed since it was observed; reconcile again.
            ClusterError: the API server did not answer; reconcile again.
        """
        found = self._reads.observe_model_server(key.namespace, key.name)
        if found is None or found.resource.metadata.deletion_timestamp is not None:
            self.forget(key)
            if found is None:
                raise GoneError(str(key))
            return None
        uid = found.resource.metadata.uid
        if self._uids.get(key) != uid:
            self.forget(key)
        self._uids[key] = uid
        observed = await self._observer.observe(found)
        if observed.signing_key is not None:
            self._polls.follow(key, uid, observed.observation.pods, observed.signing_key)
        if not observed.is_polled:
            return None  # The board wakes the server when all its pods were polled.
        decision = decide(observed.observation)
        outcome = await self._act(key, observed, decision)
        reported = report(observed.observation, decision, outcome, self._now())
        self._polls.set_interval(key, reported.polls.seconds)
        await self._report(observed, decision, outcome, reported)
        return reported.reconcile_after_seconds

    def forget(self, key: Key) -> None:
        """Forget a deleted server, and do not poll its pods any more."""
        uid = self._uids.pop(key, "")
        self._polls.forget(key)
        self._board.forget(uid)
        self._clients.forget(uid)
        self._children.forget(uid)
        self._documents.forget(uid)

    async def _act(self, key: Key, observed: ObservedServer, decision: ServerDecision) -> ServerOutcome:
        """Execute every action, even after a refused one; return the outcome, with the problem of a refused action."""
        written, access = observed.written, observed.access
        pods, states, problem = observed.observation.pods, observed.observation.states, None
        for action in decision.actions:
            try:
                match action:
                    case CreateSigningKey():
                        await self._keys.load()
                    case ApplyChildren():
                        await self._apply_children(observed, action)
                    case WritePlan(plan):
                        signing_key = await self._keys.load()
                        written = await self._documents.plans.write(observed.body, written, plan, signing_key)
                    case PushPlan():
                        pushed = await push(written, pods, states, find_pods_without, self._pods.push_plan)
                        states = {**states, **await self._read_again(key, observed, pushed)}
                    case WriteAccess(wanted):
                        signing_key = await self._keys.load()
                        access = await self._documents.lists.write(observed.body, access, wanted, signing_key)
                    case PushAccess():
                        pushed = await push(access, pods, states, find_pods_without_access, self._pods.push_access)
                        states = {**states, **await self._read_again(key, observed, pushed)}
            except REFUSED_WRITE as error:
                problem = explain_refused_write(error)
        return ServerOutcome(written.document, states, problem, access.document)

    async def _apply_children(self, observed: ObservedServer, action: ApplyChildren) -> None:
        children, now = observed.children, self._now()
        if children is None:
            raise RuntimeError("a decision applies a server's objects without a base model or a signing key")
        await self._children.apply(children.service, now)
        await self._children.apply(children.disruption_budget, now)
        if not action.hold_update:
            await self._children.apply(children.config_map, now)
            await self._children.apply(children.deployment, now)

    async def _read_again(self, key: Key, observed: ObservedServer, pushed: Pushed) -> Mapping[str, PodState]:
        """Return the states of the pods that got a document, which are read again."""
        self._polls.hurry(key, pushed.failed)
        await self._polls.poll_now(key, pushed.answered)
        server_uid = observed.observation.server.metadata.uid
        return self._board.find_states(server_uid, [pod.uid for pod in pushed.answered])

    async def _report(
        self, observed: ObservedServer, decision: ServerDecision, outcome: ServerOutcome, reported: ServerReport
    ) -> None:
        server = observed.observation.server
        if outcome.access is not None and outcome.access == decision.access:  # It could be written.
            self._clients.publish(
                server.metadata.uid,
                outcome.access,
                observed.observation.access.clients,
                decision.omitted_clients,
                pods=observed.observation.pods,
                states=outcome.states,
            )
        if outcome.plan is not None and decision.refusals is not None:
            # Before the status write, which wakes the rollouts that read the snapshot.
            pods, engine = observed.observation.pods, observed.observation.engine
            snapshot = ServerSnapshot(self._now(), outcome.plan, pods, decision.refusals, reported.polls, engine)
            self._board.publish(server.metadata.uid, snapshot)
        await write_status(self._cluster, observed.body, server.status, reported.status, ModelServerCondition.READY)
