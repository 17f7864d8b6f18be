"""Waits until the replicas of all servers apply a change of a ModelClient, as its status reports."""

from __future__ import annotations

import datetime as dt
from typing import Final

from tunewright_cli.cluster import Cluster
from tunewright_cli.errors import NotPropagatedError
from tunewright_cli.model_client import UNREPORTED, ModelClient
from tunewright_cli.session import Session
from tunewright_cli.updates import fetch_client

INTERVAL_SECONDS: Final = 0.5


def wait_until_propagated(session: Session, cluster: Cluster, name: str, timeout: dt.timedelta) -> ModelClient:
    """Wait until the status reports that every replica applies the spec, and return the client.

    Raises:
        NotPropagatedError: it does not within the timeout; the message names the pods that are missing.
    """
    deadline = session.now() + timeout
    while True:
        client = fetch_client(cluster, name)
        report = client.propagated
        if report.is_true:
            session.output.note(f"Propagated: {client.converged}/{client.pods}. {report.message}")
            return client
        if session.now() >= deadline:
            counted = "" if report is UNREPORTED else f"{client.converged}/{client.pods}. "
            raise NotPropagatedError(
                f"the change is in ModelClient {name}, but is not known to be applied by all replicas after"
                f" {timeout.total_seconds():.0f} s: {counted}{report.message}"
            )
        session.sleep(INTERVAL_SECONDS)


def warn_unless_ready(session: Session, client: ModelClient) -> None:
    """Print why the client's keys are not accepted by every replica, if they are not."""
    if not client.ready.is_true:
        session.output.note(f"warning: {client.ready.message}")
