"""``key list``: the keys of a namespace's clients, by their public ids."""

from __future__ import annotations

import argparse
import datetime as dt

from tunewright_cli.cluster import Resource
from tunewright_cli.model_client import Key, ModelClient, parse_client
from tunewright_cli.session import Session
from tunewright_cli.updates import fetch_client
from tunewright_contracts.times import format_time

HEADER = ("CLIENT", "KEY", "ENDS", "STATE")


def run_list(arguments: argparse.Namespace, session: Session) -> None:
    """Print a table with one line for each key.

    Raises:
        CommandError: there is no such client, or the cluster refused a request.
    """
    cluster = session.connect()
    if arguments.name:
        clients = [fetch_client(cluster, arguments.name)]
    else:
        clients = [parse_client(body) for body in cluster.list_all(Resource.MODEL_CLIENT)]
    now = session.now()
    rows = [
        (
            client.name,
            key.id,
            "never" if key.not_after is None else format_time(key.not_after),
            _state(client, key, now),
        )
        for client in sorted(clients, key=lambda client: client.name)
        for key in client.keys
    ]
    if not rows:
        session.output.note(f"no keys in namespace {cluster.namespace}")
        return
    session.output.result(format_table([HEADER, *rows]))


def format_table(rows: list[tuple[str, ...]]) -> str:
    """Return rows with columns of equal width, as kubectl prints them."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join(
        "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _state(client: ModelClient, key: Key, now: dt.datetime) -> str:
    if key.ends_by(now):
        return "ended"
    return "suspended" if client.suspended else "valid"
