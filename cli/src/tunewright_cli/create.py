"""``key create``: a new client with a key, or another key for a client that exists."""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
from typing import Final

import yaml

from tunewright_cli.cluster import AlreadyExistsError, Body, Cluster, Resource
from tunewright_cli.delivery import build_file, build_target, prepared, withdrawn_on_failure
from tunewright_cli.errors import CommandError
from tunewright_cli.expiry import NEVER, parse_expiry
from tunewright_cli.model_client import ModelClient, add_key, build_client, parse_client
from tunewright_cli.new_key import NewKey, create_key
from tunewright_cli.propagation import wait_until_propagated, warn_unless_ready
from tunewright_cli.session import Session
from tunewright_cli.updates import find_client, update_client

ALIAS_OPTIONS: Final = "--alias, --selector or --all-aliases"


def run_create(arguments: argparse.Namespace, session: Session) -> None:
    """Create a key and store its hash, or print the hash as YAML.

    Raises:
        CommandError: the arguments contradict each other, or the cluster refused a request.
    """
    now = session.now()
    aliases = read_aliases(arguments)
    key = create_key(parse_expiry(arguments.expires, now))
    if arguments.dry_run or arguments.output:
        _print_manifest(arguments, session, aliases, key)
        return
    cluster = session.connect()
    target = build_target(arguments, session, cluster, key)
    with prepared(target):
        client = _store_key(cluster, arguments.name, aliases, key, now)
        with withdrawn_on_failure(session, cluster, client.name, key):
            target.deliver()
    session.output.note(f"ModelClient {client.name} in namespace {client.namespace} has the new key {key}")
    if arguments.wait:
        warn_unless_ready(session, wait_until_propagated(session, cluster, client.name, arguments.timeout))


def read_aliases(arguments: argparse.Namespace) -> Body | None:
    """Return ``spec.aliases`` from the options; None if there is none of them.

    Raises:
        CommandError: the selector is not a list of labels.
    """
    if arguments.all_aliases:
        return {"all": True}
    if arguments.alias:
        return {"names": sorted(set(arguments.alias))}
    if not arguments.selector:
        return None
    labels: dict[str, str] = {}
    for part in arguments.selector.split(","):
        name, equals, value = part.partition("=")
        if not (name and equals) or name.endswith("!") or value.startswith("="):
            raise CommandError(
                f"{part!r} is not a label; write --selector key=value,key=value."
                " For matchExpressions, edit the YAML that --dry-run prints"
            )
        labels[name] = value
    return {"selector": {"matchLabels": labels}}


def _print_manifest(arguments: argparse.Namespace, session: Session, aliases: Body | None, key: NewKey) -> None:
    """Print the manifest, and write the key to a file: on stdout, it would end up in the repository of the manifest."""
    if arguments.to_secret:
        raise CommandError("--dry-run and -o yaml write nothing to the cluster; use --env-file instead of --to-secret")
    if not arguments.env_file:
        raise CommandError(
            "--dry-run and -o yaml print the manifest on stdout; name a file for the key: --env-file FILE"
        )
    target = build_file(arguments, session, key)
    with prepared(target):
        target.deliver()
    manifest = build_client(arguments.name, arguments.namespace, aliases, key)
    session.output.result(yaml.safe_dump(manifest, sort_keys=False).rstrip("\n"))
    if aliases is None:
        session.output.note(
            f"the manifest has no aliases: add its entry of spec.keys to the ModelClient {arguments.name} that exists,"
            f" or name aliases for a new one ({ALIAS_OPTIONS})"
        )
    if key.not_after is None:
        session.output.note(f"the key does not end (--expires {NEVER})")


def _store_key(cluster: Cluster, name: str, aliases: Body | None, key: NewKey, now: dt.datetime) -> ModelClient:
    client = find_client(cluster, name)
    if client is None:
        if aliases is None:
            raise CommandError(
                f"namespace {cluster.namespace} has no ModelClient {name}; to create it, name the aliases that it may"
                f" call: {ALIAS_OPTIONS}"
            )
        with contextlib.suppress(AlreadyExistsError):
            manifest = build_client(name, cluster.namespace, aliases, key)
            return parse_client(cluster.create(Resource.MODEL_CLIENT, manifest))

    def decide(current: ModelClient) -> Body:
        if aliases is not None and not _grants(current, aliases):
            raise CommandError(
                f"ModelClient {name} exists, with other aliases. To add a key to it, leave out {ALIAS_OPTIONS};"
                f" to change its aliases: kubectl edit -n {current.namespace} modelclient {name}"
            )
        return add_key(current, key, now)

    return update_client(cluster, name, decide)


def _grants(client: ModelClient, aliases: Body) -> bool:
    """Return whether the client has exactly these aliases; the API server adds ``all: false``."""
    found = {name: value for name, value in client.aliases.items() if value is not False}
    return found | ({"names": sorted(found["names"])} if "names" in found else {}) == aliases
