"""Limit tenants' text in messages: the operator reads at most 4 MiB of a pod's state, for all tenants.

The operator cannot read a larger state, or one that is not valid JSON, and then no tenant's rollout on this pod
continues. So names in messages and messages are truncated, and the messages of a state share the remaining room.
"""

from __future__ import annotations

import orjson

from tunewright_contracts.serving_plan import MAX_STATE_BYTES, PodState
from tunewright_storage.quoting import shorten


def fit_state(state: PodState) -> PodState:
    """Return the state within `MAX_STATE_BYTES`: if it is larger, all messages get an equal share of the rest."""
    size = len(state.to_json().encode())
    if size <= MAX_STATE_BYTES:
        return state
    sizes = [len(orjson.dumps(adapter.message)) for adapter in state.adapters if adapter.message]
    share = (MAX_STATE_BYTES - (size - sum(sizes))) // max(1, len(sizes))
    adapters = (adapter.updated(message=_fit(adapter.message, share)) for adapter in state.adapters)
    return state.updated(adapters=tuple(adapters))


def _fit(message: str, limit: int) -> str:
    while message and len(orjson.dumps(message)) > limit:
        message = shorten(message, len(message) * 3 // 4)
    return message
