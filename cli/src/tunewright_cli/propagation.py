"""Waits until the replicas of all servers apply a change of a ModelClient, as its status reports."""

from __future__ import annotations

import datetime as dt
from typing import Final

from tunewright_cli.cluster import Cluster
from tunewright_cli.errors import NotPropagatedError
from tunewright_cli.model_client import ModelClient
from tunewright_cli.session import Session
from tunewright_cli.updates import fetch_client

INTERVAL_SECONDS: Final = 0.5


def wait_until_propagated(session: Session, cluster: Cluster, changed: ModelClient, timeout: dt.timedelta) -> None:
    """Wait until the status is about the changed spec, or a later one, and says that it is propagated.

    Raises:
        NotPropagatedError: it does not within the timeout; the message names the replicas that are missing.
    """
    deadline = session.now() + timeout
    while True:
        client = fetch_client(cluster, changed.name)
        if client.propagated:
            session.output.note(f"Propagated: {_describe(client)}")
            return
        if session.now() >= deadline:
            raise NotPropagatedError(_explain(client, timeout))
        session.sleep(INTERVAL_SECONDS)


def _explain(client: ModelClient, timeout: dt.timedelta) -> str:
    if client.observed_generation < client.generation:
        detail = "the operator has not reported on this change; check that it runs"
    else:
        detail = _describe(client)
    return (
        f"the change is in ModelClient {client.name}, but is not known to be applied everywhere after"
        f" {timeout.total_seconds():.0f} s: {detail}. To wait longer:"
        f" kubectl wait -n {client.namespace} modelclient/{client.name} --for=condition=Propagated --timeout=10m"
    )


def _describe(client: ModelClient) -> str:
    servers = ", ".join(str(server) for server in client.servers) or "no server serves aliases of this namespace"
    return f"{servers} ({client.message})" if client.message else servers
