"""The key of the support team's client: its hash is in a ModelClient, the key itself in a Secret of the team."""

from __future__ import annotations

import sys

from tunewright_dev import commands
from tunewright_dev.demo.observed.world import find_condition
from tunewright_dev.errors import DevError
from tunewright_dev.kubectl import Kubectl

CLIENT, SECRET = "customers", "customers-key"
VARIABLE = "OPENAI_API_KEY"
"""The key's name in the Secret, and the variable in which OpenAI's clients expect it."""


def ensure_key(kubectl: Kubectl, namespace: str) -> None:
    """Create the client and its key with the kubectl plugin, unless both exist."""
    if kubectl.get("secret", SECRET, namespace):
        if kubectl.get("modelclient", CLIENT, namespace):
            return
        # The plugin never replaces a key that it did not write for this client.
        kubectl.run("delete", "secret", SECRET, f"--namespace={namespace}")
    commands.capture(
        [
            *(sys.executable, "-m", "tunewright_cli", "key", "create", CLIENT, "--all-aliases"),
            *(f"--to-secret={SECRET}", f"--namespace={namespace}", f"--kubeconfig={kubectl.kubeconfig}"),
        ]
    )


def is_accepted(kubectl: Kubectl, namespace: str) -> bool:
    """Return whether every replica accepts the key."""
    try:
        client = kubectl.get("modelclient", CLIENT, namespace)
    except DevError:
        return False  # It is asked again.
    return find_condition(client, "Ready").get("status") == "True"
