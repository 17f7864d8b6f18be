"""How much of a tenant's text may enter a message: the operator reads at most 4 MiB of a pod's state, for all tenants.

The operator cannot read a pod that reports more, or whose report is not valid JSON, and then no other tenant's rollout
on it moves. So a name in a message is cut, a message is cut, and all messages of a state share the room that is left.
"""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from tunewright_contracts.serving_plan import MAX_STATE_BYTES, PodState

LONGEST_NAME = 200
LONGEST_MESSAGE = 512
_SHOWN_NAMES = 3


def shorten(text: str, limit: int = LONGEST_MESSAGE) -> str:
    """Return at most ``limit`` characters that JSON can hold, cut in the middle: a message ends with what to do."""
    text = text.encode(errors="backslashreplace").decode()  # half of a surrogate pair has no UTF-8
    if len(text) <= limit:
        return text
    kept = max(limit - 1, 0)
    return f"{text[: kept - kept // 2]}…{text[len(text) - kept // 2 :]}"[:limit]


def quote(value: object) -> str:
    """Return what a tenant wrote as a message shows it: as Python writes it, and cut."""
    return shorten(repr(value), LONGEST_NAME)


def list_names(names: Iterable[object]) -> str:
    """Return the first few names, each cut, and how many there are when that is not all of them."""
    every = list(names)
    more = f" ({len(every)} in all)" if len(every) > _SHOWN_NAMES else ""
    return ", ".join(quote(name) for name in every[:_SHOWN_NAMES]) + more


def fit_state(state: PodState) -> PodState:
    """Return the state within `MAX_STATE_BYTES`: when it is over, each message gets an equal share of what is left."""
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
