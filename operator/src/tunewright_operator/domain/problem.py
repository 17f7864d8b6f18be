"""What keeps a resource from being acted on."""

from __future__ import annotations

import dataclasses

from tunewright_contracts.reasons import Reason


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """Why the objects of a resource cannot be created or changed as its spec says.

    ``transient``: it ends without anyone acting. ``final``: no change of another object can fix it.
    """

    reason: Reason
    message: str
    transient: bool = False
    final: bool = False
