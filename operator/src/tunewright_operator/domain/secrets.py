"""What the operator knows of what gives a tenant's pods access to storage, and the Secret that it creates."""

from __future__ import annotations

import dataclasses
from typing import Final


@dataclasses.dataclass(frozen=True, slots=True)
class UseFacts:
    """Whether a tenant's Secret or ServiceAccount exists and may be used; nothing is known of a Secret's content."""

    exists: bool
    allowed: bool = False


ABSENT: Final = UseFacts(exists=False)


@dataclasses.dataclass(frozen=True, slots=True)
class StorageFacts:
    """What the operator knows of what a `spec.storage` names; what it does not name, or was not read, is absent."""

    secret: UseFacts = ABSENT
    account: UseFacts = ABSENT


UNREAD: Final = StorageFacts()


@dataclasses.dataclass(frozen=True, slots=True)
class EnsureDocumentKey:
    """Create the Secret with the key of a resource's documents, unless it exists.

    It is never read and never replaced: if it was deleted, the next pod gets another key, and what was written with the
    old one is not accepted any more.
    """
