"""The ModelClient loop: it reports where a client is known. The loops of the servers bring its keys to the pods."""

from __future__ import annotations

from tunewright_operator.api.conditions import ModelClientCondition
from tunewright_operator.api.model_client import ModelClient
from tunewright_operator.cluster import Cluster
from tunewright_operator.domain import model_client
from tunewright_operator.domain.model_client import ClientObservation, OwnAlias, ServerOfClient
from tunewright_operator.reconcile.report import write_status
from tunewright_operator.runtime.clock import Now, utc_now
from tunewright_operator.runtime.key import Key
from tunewright_operator.runtime.polling.access_board import AccessBoard
from tunewright_operator.runtime.runner import GoneError
from tunewright_operator.store.reads import Reads


class ModelClientReconciler:
    """Reconciles ModelClients; all that it writes is their status."""

    def __init__(self, cluster: Cluster, reads: Reads, board: AccessBoard, *, now: Now = utc_now) -> None:
        self._cluster = cluster
        self._reads = reads
        self._board = board
        self._now = now

    async def reconcile(self, key: Key) -> float | None:
        """Reconcile once; return after how many seconds to reconcile again.

        Raises:
            GoneError: the client does not exist.
            ResourceError: the client does not match this operator's API.
            ConflictError: the client changed since it was observed; reconcile again.
            ClusterError: the API server refused or did not answer; reconcile again.
        """
        found = self._reads.observe_model_client(key.namespace, key.name)
        if found is None:
            raise GoneError(str(key))
        client = found.resource
        if client.metadata.deletion_timestamp is not None:
            return None
        decision = model_client.decide(await self._observe(client), self._now())
        await write_status(self._cluster, found.body, client.status, decision.status, ModelClientCondition.READY)
        return decision.reconcile_after_seconds

    async def _observe(self, client: ModelClient) -> ClientObservation:
        deployments = [
            entry
            for entry in self._reads.list_deployments(client.metadata.namespace)
            if entry.metadata.deletion_timestamp is None
        ]
        addresses = {entry.refers_to for entry in deployments if entry.refers_to is not None}
        servers = [await self._observe_server(client, *address) for address in sorted(addresses, key=str)]
        return ClientObservation(
            client,
            servers=tuple(server for server in servers if server is not None),
            aliases=tuple(
                OwnAlias(entry.resource.spec.model_name, entry.metadata.labels)
                for entry in deployments
                if entry.resource is not None
            ),
        )

    async def _observe_server(self, client: ModelClient, namespace: str | None, name: str) -> ServerOfClient | None:
        """Return a server as the client sees it; None if it does not exist or does not allow the client's namespace."""
        server = self._reads.find_model_server(namespace, name)
        own = client.metadata.namespace or ""
        if server is None or not await self._reads.is_admitted(server, own):
            return None
        presence = self._board.read(server.metadata.uid, client.metadata.uid)
        return ServerOfClient(namespace or "", name, presence)
