"""Kubernetes Events, one for each transition; `kubectl describe` shows them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from tunewright_contracts.times import format_time
from tunewright_contracts.values import show
from tunewright_operator.api.kinds import EVENT
from tunewright_operator.domain.sentences import join_sentences

COMPONENT: Final = "tunewright-operator"
MAX_EVENT_MESSAGE: Final = 1024
"""The API server's limit for the message of an Event."""
MAX_NAME: Final = 253


class EventType(StrEnum):
    """The type of an Event."""

    NORMAL = "Normal"
    WARNING = "Warning"


def build_event(
    regarding: Mapping[str, Any],
    event_type: EventType,
    reason: str,
    message: str,
    *,
    instance: str,
    now: dt.datetime,
    suffix: str,
) -> dict[str, Any]:
    """Return a core Event about an object; its message ends with a period.

    An Event about a cluster-scoped object is in the namespace ``default``. ``suffix`` makes its name unique.
    """
    metadata = regarding["metadata"]
    namespace = metadata.get("namespace") or "default"
    stamp = format_time(now)
    return {
        "apiVersion": EVENT.api_version,
        "kind": EVENT.name,
        "metadata": {"name": _name(metadata["name"], suffix), "namespace": namespace},
        "involvedObject": {
            "apiVersion": regarding["apiVersion"],
            "kind": regarding["kind"],
            "name": metadata["name"],
            "namespace": metadata.get("namespace"),
            "uid": metadata.get("uid"),
            "resourceVersion": metadata.get("resourceVersion"),
        },
        "type": event_type.value,
        "reason": reason,
        "action": reason,
        "message": show(join_sentences(message), MAX_EVENT_MESSAGE),
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
        "count": 1,
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "reportingInstance": instance,
    }


def _name(regarding: str, suffix: str) -> str:
    """Return a name within the API server's limit; no part of it may end with a dash or a dot."""
    return f"{regarding[: MAX_NAME - len(suffix) - 1].rstrip('-.')}.{suffix}"
