"""Files for users in the run's folder in S3."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from tunewright_contracts.storage_uri import StorageURI
from tunewright_storage.store import Store

CONFIG_NAME = "training-config.json"
SAMPLES_NAME = "samples.jsonl"
INVALID_RECORDS_NAME = "invalid-records.jsonl"


def metrics_name(attempt: int) -> str:
    """Return the name of the file with an attempt's losses."""
    return f"metrics-{attempt}.jsonl"


def write_lines(store: Store, uri: StorageURI, rows: Iterable[dict[str, Any]]) -> None:
    """Store rows as JSONL.

    Raises:
        StorageError: the write failed.
    """
    store.write(uri, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())
