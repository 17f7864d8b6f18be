"""The form of every word that says why: each beside what it means and what to do, since reasons are API.

`docs/reference/conditions.md` is rendered from the enums of this form.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Self

TRANSIENT: Final = True
"""The fourth part of a reason for a failure that is retried automatically."""


class Reason(StrEnum):
    """A CamelCase word with its documentation; where nobody must act, ``remedy`` begins with "Nothing".

    ``transient``: something failed and is retried automatically; an Event about it is a warning.
    """

    meaning: str
    remedy: str
    transient: bool

    def __new__(cls, value: str, meaning: str, remedy: str, transient: bool = False) -> Self:
        """Make a member that compares equal to its word."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        member.remedy = remedy
        member.transient = transient
        return member
