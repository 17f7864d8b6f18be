"""What keeps the operator from acting on a resource."""

from __future__ import annotations

import dataclasses

from tunewright_contracts.reasons import Reason


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """Why the operator cannot create or change the objects of a resource as the spec asks.

    ``transient``: it ends without a user's action. ``final``: no change of another object can fix it.
    """

    reason: Reason
    message: str
    transient: bool = False
    final: bool = False
