"""What the operator knows of what gives a tenant's pods access to storage, and the Secret that it creates."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class SecretFacts:
    """What the operator knows of a tenant's Secret: whether it exists and may be used, but not its content."""

    exists: bool
    allowed: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class EnsureDocumentKey:
    """Create the Secret with the key of a resource's documents, unless it exists.

    It is never read and never replaced: if it was deleted, the next pod gets another key, and what was written with the
    old one is not accepted any more.
    """


@dataclasses.dataclass(frozen=True, slots=True)
class AccountFacts:
    """What the operator knows of the ServiceAccount that a tenant's pods run as."""

    exists: bool
    allowed: bool = False
