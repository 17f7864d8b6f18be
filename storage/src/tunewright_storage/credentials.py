"""The storage secret's values in this process's environment: cleaned once, before a library reads them."""

from __future__ import annotations

import os
from collections.abc import MutableMapping

from tunewright_contracts.locations import STORAGE_SECRET_KEYS
from tunewright_storage.errors import StorageError, StorageReason

_HEADER_KEYS = frozenset({"AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "HF_TOKEN"})
"""These are sent in an HTTP header as they are. The secret key signs only."""


def clean_environment(environment: MutableMapping[str, str] = os.environ) -> None:
    """Strip white space around each value of the storage secret, and remove a value that is blank.

    A Secret that was made from a file often ends in a line break.

    Raises:
        StorageError: a value contains a character that cannot be sent; the message names the key, never the value.
    """
    for key in STORAGE_SECRET_KEYS:
        value = environment.get(key)
        if value is None:
            continue
        stripped = value.strip()
        if not stripped:
            del environment[key]
            continue
        environment[key] = stripped
        if key in _HEADER_KEYS:
            _check_header_value(key, stripped)
        elif key == "AWS_SECRET_ACCESS_KEY" and not stripped.isprintable():
            raise _invalid_value(key, "a line break or a control character")


def _check_header_value(key: str, value: str) -> None:
    if not value.isascii() or not value.isprintable():
        raise _invalid_value(key, "a line break, a control character or a character that is not ASCII")
    if " " in value:
        raise _invalid_value(key, "a space")


def _invalid_value(key: str, what: str) -> StorageError:
    return StorageError(
        StorageReason.NO_CREDENTIALS, f"{key} in the storage secret contains {what}; write its value again without it"
    )
