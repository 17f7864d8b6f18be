"""The access list in force in a pod."""

from __future__ import annotations

from tunewright_contracts.clients.access_list import AccessList, SignedAccessList
from tunewright_server.kept_document import DocumentKeeper


class AccessKeeper(DocumentKeeper[AccessList]):
    """Keeps the access lists of one server."""

    name = "access list"
    kind = AccessList
    signed = SignedAccessList
    # A full disk must not keep a revoked key alive.
    applies_unstored = True
