"""``key revoke``: remove keys, or suspend the client, and wait until no replica accepts them."""

from __future__ import annotations

import argparse

from tunewright_cli.cluster import Body, Cluster, ClusterError, Resource
from tunewright_cli.errors import CommandError, NotPropagatedError
from tunewright_cli.model_client import ModelClient, check_key_ids, parse_client, remove_keys, suspend
from tunewright_cli.propagation import wait_until_propagated
from tunewright_cli.session import Session
from tunewright_cli.updates import fetch_client, update_client


def run_revoke(arguments: argparse.Namespace, session: Session) -> None:
    """Revoke keys.

    Raises:
        CommandError: there is no such client or key, or the cluster refused a request.
        NotPropagatedError: the keys are removed, but a replica may still accept them.
    """
    if sum((bool(arguments.key_id), arguments.all, arguments.suspend)) != 1:
        raise CommandError(
            "name the keys to revoke, or --all, or --suspend to stop the client without removing its keys"
        )
    cluster = session.connect()
    client = fetch_client(cluster, arguments.name)
    check_key_ids(client, arguments.key_id)

    def find_revoked(current: ModelClient) -> set[str]:
        return {key.id for key in current.keys if arguments.all or key.id in arguments.key_id}

    def decide(current: ModelClient) -> Body:
        nonlocal client
        client = current
        return suspend(current) if arguments.suspend else remove_keys(current, find_revoked(current))

    changed = update_client(cluster, client.name, decide)
    revoked = find_revoked(client)
    where = f"ModelClient {client.name} in namespace {client.namespace}"
    if arguments.suspend:
        session.output.note(
            f"{where} is suspended. To undo it: kubectl patch -n {client.namespace} modelclient {client.name}"
            """ --type=merge -p '{"spec":{"suspended":false}}'"""
        )
    else:
        session.output.note(f"{where}: removed {', '.join(sorted(revoked)) or 'no key'}; left: {changed.key_ids}")
    _warn_of_copies(session, cluster, client, revoked)
    if arguments.wait:
        try:
            wait_until_propagated(session, cluster, client.name, arguments.timeout)
        except NotPropagatedError:
            session.output.note(
                f"to wait longer: kubectl wait -n {client.namespace} modelclient/{client.name}"
                " --for=condition=Propagated --timeout=10m"
            )
            raise


def _warn_of_copies(session: Session, cluster: Cluster, client: ModelClient, revoked: set[str]) -> None:
    """Name other clients of the namespace that have the same keys: there, they are still valid."""
    try:
        others = [parse_client(body) for body in cluster.list_all(Resource.MODEL_CLIENT)]
    except ClusterError:
        return  # A user may have the right to change this client only.
    hashes = {key.body["sha256"] for key in client.keys if key.id in revoked}
    for other in others:
        copies = [key.id for key in other.keys if key.body["sha256"] in hashes]
        if other.name != client.name and copies:
            session.output.note(
                f"warning: ModelClient {other.name} has the key {', '.join(copies)} too; revoke it there"
            )
