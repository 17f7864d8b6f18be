"""The key of the support team's client: its hash is in a ModelClient, the key itself in a Secret of the team."""

from __future__ import annotations

import secrets
from typing import Any

from tunewright_contracts.clients.client_key import (
    ALPHABET,
    ID_LENGTH,
    SECRET_LENGTH,
    build_client_key,
    find_key_id,
    hash_client_key,
)
from tunewright_dev.demo.observed.world import find_condition
from tunewright_dev.errors import DevError
from tunewright_dev.kubectl import Kubectl

CLIENT, SECRET = "customers", "customers-key"
VARIABLE = "OPENAI_API_KEY"
"""The key's name in the Secret, and the variable in which OpenAI's clients expect it."""


def ensure_key(kubectl: Kubectl, namespace: str) -> None:
    """Create the client and its key, unless both exist."""
    if kubectl.get("modelclient", CLIENT, namespace) and kubectl.get("secret", SECRET, namespace):
        return
    kubectl.apply(build_objects(namespace, create_key()))


def create_key() -> str:
    """Return a new key."""
    return build_client_key(_choose(ID_LENGTH), _choose(SECRET_LENGTH))


def build_objects(namespace: str, key: str) -> list[dict[str, Any]]:
    """Return the Secret with a key, and the ModelClient with its hash, which may call every alias of the namespace."""
    entry = {"id": find_key_id(key), "sha256": hash_client_key(key)}
    return [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": SECRET, "namespace": namespace},
            "stringData": {VARIABLE: key},
        },
        {
            "apiVersion": "tunewright.dev/v1alpha1",
            "kind": "ModelClient",
            "metadata": {"name": CLIENT, "namespace": namespace},
            "spec": {"keys": [entry], "aliases": {"all": True}},
        },
    ]


def is_accepted(kubectl: Kubectl, namespace: str) -> bool:
    """Return whether every replica accepts the key."""
    try:
        client = kubectl.get("modelclient", CLIENT, namespace)
    except DevError:
        return False  # It is asked again.
    return find_condition(client, "Ready").get("status") == "True"


def _choose(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))
