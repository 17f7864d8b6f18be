"""The access list: which clients a ModelServer's replicas know, and which aliases each may call.

The operator signs it with the key of its plans, writes it into a ConfigMap that server pods mount, and pushes the same
bytes over HTTP. It is separate from the plan: a new key changes no plan, and so no window of a rollout's evidence.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import StringConstraints

from tunewright_contracts.clients.client_key import HASH_PATTERN, ID_PATTERN
from tunewright_contracts.document import Message, NumberedDocument, SignedDocument
from tunewright_contracts.serving_plan import ADMIN_PREFIX

ACCESS_KEY = "access.json"
"""The key in the list's ConfigMap; its value is a `SignedAccessList`."""
ACCESS_DIRECTORY = "/etc/tunewright/access"
ACCESS_PATH = f"{ADMIN_PREFIX}/access"
MAX_ACCESS_BYTES = 900 * 1024
"""The largest signed list, which fits into a ConfigMap (1 MiB) and has room for 3,000 clients with a key."""

KeyId = Annotated[str, StringConstraints(pattern=ID_PATTERN)]
KeyHash = Annotated[str, StringConstraints(pattern=HASH_PATTERN)]


class KeyEntry(Message):
    """A key of a client, which pods know only by its hash."""

    id: KeyId
    sha256: KeyHash
    expires_at: int | None = None
    """The end of the key's validity, in seconds since 1970. None: it does not expire."""


class ClientEntry(Message):
    """A client of one namespace. It can call only aliases of this namespace, even if ``aliases`` names others."""

    namespace: str
    name: str
    keys: tuple[KeyEntry, ...] = ()
    all_aliases: bool = False
    """Whether the client can call every alias of its namespace, also later ones."""
    aliases: tuple[str, ...] = ()


class AccessList(NumberedDocument):
    """The clients of one ModelServer.

    Key ids and hashes need not be unique: anyone who can read the hash of a key can repeat it in another ModelClient.
    """

    kind: Literal["AccessList"]
    """Plans are signed by the same key: without this field, a signed plan would be a list without clients."""
    anonymous: bool = False
    """Whether requests without a key are answered."""
    clients: tuple[ClientEntry, ...] = ()


class SignedAccessList(SignedDocument):
    """A signed `AccessList`."""
