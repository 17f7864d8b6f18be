"""``key rotate``: a new key that works everywhere, then an end for the old one.

A rotation that fails changes nothing: until the replicas know the new key, it is delivered nowhere and ends no other.
"""

from __future__ import annotations

import argparse

from tunewright_cli.delivery import build_target, prepared, withdrawn_on_failure
from tunewright_cli.errors import CommandError
from tunewright_cli.expiry import parse_expiry
from tunewright_cli.model_client import add_key, choose_ended_keys, end_keys
from tunewright_cli.new_key import create_key
from tunewright_cli.propagation import wait_until_propagated, warn_unless_ready
from tunewright_cli.session import Session
from tunewright_cli.updates import fetch_client, update_client
from tunewright_contracts.times import format_time


def run_rotate(arguments: argparse.Namespace, session: Session) -> None:
    """Add a key, deliver it, and let the old ones end.

    Raises:
        CommandError: there is no such client or key, or the cluster refused a request.
    """
    now = session.now()
    key = create_key(parse_expiry(arguments.expires, now))
    end = now + arguments.overlap
    if key.not_after is not None and key.not_after <= end:
        raise CommandError("the new key would end before the old one; raise --expires, or lower --overlap")
    cluster = session.connect()
    client = fetch_client(cluster, arguments.name)
    key_ids = tuple(one.id for one in client.keys) if arguments.all else arguments.key_id
    ended = choose_ended_keys(client, key_ids, end)
    target = build_target(arguments, session, cluster, key, replaces=[one.id for one in client.keys])
    with prepared(target):
        update_client(cluster, client.name, lambda current: add_key(current, key, now, forget=True))
        with withdrawn_on_failure(session, cluster, client.name, key):
            if arguments.wait:
                warn_unless_ready(session, wait_until_propagated(session, cluster, client.name, arguments.timeout))
            target.deliver()
    session.output.note(f"ModelClient {client.name} in namespace {client.namespace} has the new key {key}")
    update_client(cluster, client.name, lambda current: end_keys(current, ended, end))
    for key_id in ended:
        session.output.note(f"the old key {key_id} ends at {format_time(end)} or earlier")
