"""The base of all enums of reasons: each reason has a meaning and a remedy, because reasons are an API.

`docs/reference/conditions.md` is generated from these enums.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Self

TRANSIENT: Final = True
"""The fourth value of a reason for a failure that is retried automatically."""


class Reason(StrEnum):
    """A CamelCase word with its documentation; if no user needs to act, ``remedy`` begins with "No action needed".

    ``transient``: something failed and is retried automatically; an Event about it is a warning.
    """

    meaning: str
    remedy: str
    transient: bool

    def __new__(cls, value: str, meaning: str, remedy: str, transient: bool = False) -> Self:
        """Create a member that is equal to its word."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        member.remedy = remedy
        member.transient = transient
        return member
