"""What the operator may know of a tenant's Secret."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class SecretFacts:
    """What the operator may know of a tenant's Secret: that it is there, and whether it may be used."""

    exists: bool
    allowed: bool = False
