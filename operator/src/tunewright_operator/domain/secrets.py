"""What the operator knows of the objects that give a tenant's pods access to storage."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class SecretFacts:
    """What the operator knows of a tenant's Secret: whether it exists and may be used, but not its content."""

    exists: bool
    allowed: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class AccountFacts:
    """What the operator knows of the ServiceAccount that a tenant's pods run as."""

    exists: bool
    allowed: bool = False
