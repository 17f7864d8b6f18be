"""What the operator knows of a tenant's Secret."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class SecretFacts:
    """What the operator knows of a tenant's Secret: whether it exists and may be used, but not its content."""

    exists: bool
    allowed: bool = False
