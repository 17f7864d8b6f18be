"""The key of the demo's client: the cluster has its hash, the team's Secret has the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunewright_cli.arguments import parse_arguments
from tunewright_dev.demo import client_key
from tunewright_dev.errors import DevError


class FakeKubectl:
    kubeconfig = Path("kubeconfig")

    def __init__(self, *existing: str) -> None:
        self.existing = existing
        self.runs: list[tuple[str, ...]] = []
        self.status: dict | None = {}

    def get(self, kind: str, name: str, namespace: str) -> dict | None:
        assert namespace == "support"
        if self.status is None:
            raise DevError("no answer")
        return {"metadata": {"generation": 2}, "status": self.status} if f"{kind}/{name}" in self.existing else None

    def run(self, *arguments: str) -> None:
        self.runs.append(arguments)


@pytest.mark.parametrize(
    ("existing", "deletes", "creates"),
    [
        ((), False, True),
        (("modelclient/customers",), False, True),
        (("secret/customers-key",), True, True),
        (("modelclient/customers", "secret/customers-key"), False, False),
    ],
)
def test_a_key_is_kept_if_both_parts_of_it_exist(monkeypatch, existing, deletes, creates):
    kubectl = FakeKubectl(*existing)
    called: list[list[str]] = []
    monkeypatch.setattr("tunewright_dev.commands.capture", called.append)
    client_key.ensure_key(kubectl, "support")
    assert kubectl.runs == [("delete", "secret", "customers-key", "--namespace=support")] * deletes
    assert len(called) == creates
    for command in called:
        arguments = parse_arguments(command[command.index("key") :])
        assert (arguments.verb, arguments.name, arguments.namespace) == ("create", "customers", "support")
        assert (arguments.to_secret, arguments.all_aliases) == ("customers-key", True)
        assert arguments.kubeconfig == "kubeconfig"


@pytest.mark.parametrize(
    ("status", "generation", "accepted"), [("True", 2, True), ("True", 1, False), ("False", 2, False)]
)
def test_the_key_is_accepted_when_the_client_is_ready(status, generation, accepted):
    kubectl = FakeKubectl("modelclient/customers")
    assert not client_key.is_accepted(kubectl, "support")
    kubectl.status = {"conditions": [{"type": "Ready", "status": status, "observedGeneration": generation}]}
    assert client_key.is_accepted(kubectl, "support") == accepted
    kubectl.status = None
    assert not client_key.is_accepted(kubectl, "support")
