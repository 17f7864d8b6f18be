"""Metrics of the store."""

from __future__ import annotations

import functools
from typing import Final

from prometheus_client import Counter, Gauge

from tunewright_operator.api.kinds import Kind
from tunewright_operator.store.projections import STORED_KINDS
from tunewright_operator.store.sizes import estimate_bytes
from tunewright_operator.store.store import Store

STORE_OBJECTS: Final = Gauge("tunewright_store_objects", "Objects in the store.", ["kind"])
STORE_BYTES: Final = Gauge(
    "tunewright_store_bytes", "Memory that the objects in the store take, estimated from a sample.", ["kind"]
)
STORE_REPAIRS: Final = Counter(
    "tunewright_store_repairs_total", "Objects in the store that an audit corrected: a watch event was lost.", ["kind"]
)


def show(store: Store) -> None:
    """Let the metrics show a store; they are read at each scrape."""
    for kind in STORED_KINDS:
        STORE_OBJECTS.labels(kind.name).set_function(functools.partial(store.count, kind))
        STORE_BYTES.labels(kind.name).set_function(functools.partial(_estimate, store, kind))
        STORE_REPAIRS.labels(kind.name)


def _estimate(store: Store, kind: Kind) -> int:
    return estimate_bytes(store.entries(kind))
