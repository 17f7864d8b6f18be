"""Limit tenants' text in messages: the operator reads at most 4 MiB of a pod's state, for all tenants.

The operator cannot read a larger state, or one that is not valid JSON, and then no tenant's rollout on this pod
continues. So names in messages and messages are truncated, and the messages of a state share the remaining room.
"""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from tunewright_contracts.serving_plan import MAX_STATE_BYTES, PodState

LONGEST_NAME = 200
LONGEST_MESSAGE = 512
_SHOWN_NAMES = 3


def shorten(text: str, limit: int = LONGEST_MESSAGE) -> str:
    """Return at most ``limit`` characters, valid in JSON; a message ends with the remedy, so the middle is removed."""
    text = text.encode(errors="backslashreplace").decode()  # UTF-8 cannot encode half of a surrogate pair
    if len(text) <= limit:
        return text
    kept = max(limit - 1, 0)
    return f"{text[: kept - kept // 2]}…{text[len(text) - kept // 2 :]}"[:limit]


def quote(value: object) -> str:
    """Return a tenant's text for a message: its Python form, truncated."""
    return shorten(repr(value), LONGEST_NAME)


def list_names(names: Iterable[object]) -> str:
    """Return the first few names, each truncated, and the number of names if there are more."""
    every = list(names)
    more = f" ({len(every)} in all)" if len(every) > _SHOWN_NAMES else ""
    return ", ".join(quote(name) for name in every[:_SHOWN_NAMES]) + more


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
