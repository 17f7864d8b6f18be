"""The generations of a server's plan and of its access list."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeVar

from tunewright_contracts.document import NumberedDocument

SIGNATURE_OVERHEAD_BYTES: Final = 256
"""What a signed document needs besides its payload in Base64."""

D = TypeVar("D", bound=NumberedDocument)


def number(
    content: D, previous: D | None, reported: Iterable[int], status_generation: int, *, disputed: bool
) -> tuple[D, bool]:
    """Return the next document, and whether it is a new one; otherwise it is the last one again.

    The generation exceeds every one that a pod may have applied, also if the ConfigMap was lost or restored.

    Args:
        content: the wanted document, of any generation.
        previous: the document in the ConfigMap, as read now.
        reported: the generations that pods report.
        status_generation: the highest generation in the ModelServer's status.
        disputed: whether a pod has another document of the last generation.
    """
    last = previous.generation if previous is not None else 0
    highest = max([last, status_generation, *reported])
    is_same = previous is not None and previous.content_hash == content.content_hash
    if previous is not None and is_same and highest == last and not disputed:
        return previous, False
    return content.updated(generation=highest + 1), True
