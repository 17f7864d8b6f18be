"""Where a new key goes: stdout, a file or a Secret. It goes to exactly one of them, and exactly once.

`prepare` fails before the cluster knows the key, `deliver` hands it over, and `discard` leaves nothing behind.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import Final, Protocol

from tunewright_cli.cluster import AlreadyExistsError, Body, Cluster, ConflictError, Resource
from tunewright_cli.errors import CommandError
from tunewright_cli.new_key import NewKey
from tunewright_cli.output import Output
from tunewright_contracts.clients.client_key import find_key_id

VARIABLE: Final = "OPENAI_API_KEY"
"""The environment variable that OpenAI's clients read."""
CLIENT_ANNOTATION: Final = "tunewright.dev/model-client"
KEY_ANNOTATION: Final = "tunewright.dev/key-id"
FILE_MODE: Final = 0o600


class KeyTarget(Protocol):
    """A place for one key."""

    def prepare(self) -> None:
        """Check that the key can be delivered.

        Raises:
            CommandError: it cannot.
        """

    def deliver(self) -> None:
        """Hand over the key.

        Raises:
            CommandError: it failed, and the key is nowhere.
        """

    def discard(self) -> None:
        """Undo `prepare`."""


class PrintedKey:
    """The key as the only line on stdout."""

    def __init__(self, key: NewKey, output: Output) -> None:
        self._key = key
        self._output = output

    def prepare(self) -> None:
        """See `KeyTarget.prepare`."""

    def deliver(self) -> None:
        """See `KeyTarget.deliver`."""
        try:
            self._output.result(self._key.text)
        except OSError as error:
            raise CommandError(f"the key cannot be written to stdout: {error.strerror}") from error

    def discard(self) -> None:
        """See `KeyTarget.discard`."""


class KeyFile:
    """A file with one line ``OPENAI_API_KEY=…`` that only its owner can read."""

    def __init__(self, key: NewKey, path: Path, *, replaces: Collection[str] | None, output: Output) -> None:
        """Create the target; a file that exists is replaced if it has one of the keys whose ids are in ``replaces``."""
        self._key = key
        self._path = path
        self._replaces = replaces
        self._output = output
        self._partial = path.with_name(f".{path.name}.{key.id}")

    def prepare(self) -> None:
        """See `KeyTarget.prepare`."""
        if self._path.is_symlink() or self._path.exists():
            self._check_old_file()
        try:
            os.close(os.open(self._partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE))
        except OSError as error:
            raise CommandError(f"{self._path} cannot be written: {error.strerror}") from error

    def deliver(self) -> None:
        """See `KeyTarget.deliver`."""
        try:
            self._partial.write_text(f"{VARIABLE}={self._key.text}\n")
            self._partial.replace(self._path)
        except OSError as error:
            self.discard()
            raise CommandError(f"{self._path} cannot be written: {error.strerror}") from error
        self._output.note(f"the key is in {self._path}, as {VARIABLE}")

    def discard(self) -> None:
        """See `KeyTarget.discard`."""
        self._partial.unlink(missing_ok=True)

    def _check_old_file(self) -> None:
        if self._replaces is None:
            raise CommandError(f"{self._path} exists; name another file, or remove it")
        try:
            text = "" if self._path.is_symlink() else self._path.read_text()
        except (OSError, UnicodeDecodeError):
            text = ""
        match = re.fullmatch(rf"{VARIABLE}=(\S+)\n?", text)
        if match is None or find_key_id(match[1]) not in self._replaces:
            raise CommandError(
                f"{self._path} has something else than a line {VARIABLE}=<key> with a key of this client,"
                " so it is not replaced; name another file"
            )


class KeySecret:
    """A Secret with the key as ``OPENAI_API_KEY``; only a Secret of the same client is replaced."""

    def __init__(self, key: NewKey, name: str, *, client: str, replace: bool, cluster: Cluster, output: Output) -> None:
        self._key = key
        self._name = name
        self._client = client
        self._replace = replace
        self._cluster = cluster
        self._output = output
        self._version: str | None = None

    def prepare(self) -> None:
        """See `KeyTarget.prepare`."""
        found = self._cluster.get(Resource.SECRET, self._name)
        if found is not None:
            annotations = found["metadata"].get("annotations") or {}
            if not self._replace or annotations.get(CLIENT_ANNOTATION) != self._client:
                raise CommandError(self._refuse())
            self._version = found["metadata"]["resourceVersion"]
        self._write(dry_run=True)

    def deliver(self) -> None:
        """See `KeyTarget.deliver`."""
        self._write(dry_run=False)
        self._output.note(f"the key is in Secret {self._name}, as {VARIABLE}")

    def discard(self) -> None:
        """See `KeyTarget.discard`."""

    def _write(self, *, dry_run: bool) -> None:
        body = self._build()
        try:
            if self._version is None:
                self._cluster.create(Resource.SECRET, body, dry_run=dry_run)
            else:
                body["metadata"]["resourceVersion"] = self._version
                self._cluster.patch(Resource.SECRET, self._name, body, dry_run=dry_run)
        except AlreadyExistsError as error:
            raise CommandError(self._refuse()) from error
        except ConflictError as error:
            raise CommandError(f"Secret {self._name} was changed by another writer; try again") from error

    def _build(self) -> Body:
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": self._name,
                "annotations": {CLIENT_ANNOTATION: self._client, KEY_ANNOTATION: self._key.id},
            },
            "data": {VARIABLE: base64.b64encode(self._key.text.encode()).decode()},
        }

    def _refuse(self) -> str:
        reason = f"does not have the annotation {CLIENT_ANNOTATION}: {self._client}" if self._replace else "exists"
        return f"Secret {self._name} {reason}, so it is not replaced; name another Secret"
