"""Quote tenants' text in messages: truncated, and valid in JSON."""

from __future__ import annotations

from collections.abc import Iterable

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
