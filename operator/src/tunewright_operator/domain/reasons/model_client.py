"""Reasons of a ModelClient's conditions."""

from __future__ import annotations

from tunewright_contracts.reasons import Reason


class ModelClientReason(Reason):
    """Reasons of a ModelClient's conditions."""

    KNOWN = ("Known", "Every replica accepts the client's keys.", "No action needed.")
    KEY_EXPIRES_SOON = (
        "KeyExpiresSoon",
        "The last key of the client expires within 14 days; afterwards its requests are answered with 401.",
        "Add a key, give it to the client, and remove the old one (docs/how-to/client-keys.md).",
    )
    PROPAGATED = ("Propagated", "Every replica applies the spec.", "No action needed.")
    PROPAGATING = (
        "Propagating",
        "Not every replica has applied the spec yet: a new key may be refused, and a revoked one may be accepted.",
        (
            "No action needed if it ends within seconds. If the message names a pod that does not answer, see that pod "
            "and the conditions of its ModelServer."
        ),
    )
    SUSPENDED = ("Suspended", "`spec.suspended` is true: no key of the client is accepted.", "Set it to false.")
    NO_KEY = ("NoKey", "`spec.keys` is empty.", "Add a key (docs/how-to/client-keys.md).")
    KEYS_EXPIRED = (
        "KeysExpired",
        "Every key of the client has expired.",
        "Add a key, give it to the client, and remove the expired ones (docs/how-to/client-keys.md).",
    )
    NO_SERVER = (
        "NoServer",
        "No ModelServer that allows this namespace serves an alias of it, so no server knows the client.",
        "Create the ModelClient in the namespace of the AdapterDeployments, or create an AdapterDeployment.",
    )
    LIST_FULL = (
        "ListFull",
        "The server's list of clients has no room for this client: the namespace has too many of them.",
        "Delete clients that are not used any more, or serve the aliases on another ModelServer.",
    )
