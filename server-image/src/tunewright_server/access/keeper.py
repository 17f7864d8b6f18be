"""The access list in force in a pod."""

from __future__ import annotations

from pathlib import Path

from tunewright_contracts.clients.access_list import AccessList, SignedAccessList
from tunewright_server.auth import OperatorKey
from tunewright_server.kept_document import DocumentKeeper, ForeignDocumentError


class AccessKeeper(DocumentKeeper[AccessList]):
    """Keeps the access lists of one server."""

    name = "access list"
    # A full disk must not keep a revoked key alive.
    applies_unstored = True

    def __init__(self, key: OperatorKey, server_uid: str, stored_path: Path) -> None:
        super().__init__(stored_path)
        self._key = key
        self._server_uid = server_uid

    def read(self, text: bytes) -> AccessList:
        """Return the list in a signed text, if it is for this server."""
        access = AccessList.from_json(self._key.verify(SignedAccessList.from_json(text), self.name))
        if access.server_uid != self._server_uid:
            raise ForeignDocumentError(
                f"the access list is for ModelServer {access.server_uid}, but this is {self._server_uid}"
            )
        return access
