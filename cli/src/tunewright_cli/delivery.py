"""Delivers a new key to the place that the user chose, and removes it from the ModelClient if that fails."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Collection, Iterator
from pathlib import Path

from tunewright_cli.cluster import Cluster
from tunewright_cli.errors import CommandError
from tunewright_cli.key_target import KeyFile, KeySecret, KeyTarget, PrintedKey
from tunewright_cli.model_client import remove_keys
from tunewright_cli.new_key import NewKey
from tunewright_cli.session import Session
from tunewright_cli.updates import update_client


@contextlib.contextmanager
def prepared(target: KeyTarget) -> Iterator[None]:
    """Prepare a target, and discard that if the command fails."""
    target.prepare()
    try:
        yield
    except BaseException:
        target.discard()
        raise


@contextlib.contextmanager
def withdrawn_on_failure(session: Session, cluster: Cluster, client: str, key: NewKey) -> Iterator[None]:
    """Remove the hash of a key that could not be delivered: it would take one of the client's places for keys."""
    try:
        yield
    except BaseException:
        try:
            update_client(cluster, client, lambda current: remove_keys(current, {key.id}))
        except CommandError as error:
            session.output.note(f"the entry of the new key, {key.id}, is still in ModelClient {client}: {error}")
        else:
            session.output.note(f"the new key, {key.id}, was removed again; the other keys are unchanged")
        raise


def build_target(
    arguments: argparse.Namespace,
    session: Session,
    cluster: Cluster,
    key: NewKey,
    *,
    replaces: Collection[str] | None = None,
) -> KeyTarget:
    """Return the place for a key that the arguments name.

    Args:
        arguments: those of the command.
        session: where messages go.
        cluster: where a Secret is.
        key: the new key.
        replaces: the ids of the keys that it may replace in a file. None: it replaces no file and no Secret.
    """
    if arguments.to_secret:
        return KeySecret(
            key,
            arguments.to_secret,
            client=arguments.name,
            replace=replaces is not None,
            cluster=cluster,
            output=session.output,
        )
    if arguments.env_file:
        return build_file(arguments, session, key, replaces=replaces)
    return PrintedKey(key, session.output)


def build_file(
    arguments: argparse.Namespace, session: Session, key: NewKey, *, replaces: Collection[str] | None = None
) -> KeyFile:
    """Return the file for a key that the arguments name."""
    return KeyFile(key, Path(arguments.env_file), replaces=replaces, output=session.output)
