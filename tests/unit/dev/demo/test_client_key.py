"""The key of the demo's client: the cluster has its hash, the team's Secret has the key."""

from __future__ import annotations

import json

import pytest

from tunewright_contracts.clients.client_key import find_key_id, hash_client_key
from tunewright_dev.demo import client_key
from tunewright_dev.errors import DevError


class FakeKubectl:
    def __init__(self, *existing: str) -> None:
        self.existing = existing
        self.applied: list[dict] = []
        self.status: dict | None = {}

    def get(self, kind: str, name: str, namespace: str) -> dict | None:
        assert namespace == "support"
        if self.status is None:
            raise DevError("no answer")
        return {"metadata": {"generation": 2}, "status": self.status} if f"{kind}/{name}" in self.existing else None

    def apply(self, objects: list[dict]) -> None:
        self.applied += objects


@pytest.mark.parametrize(
    ("existing", "is_kept"),
    [
        ((), False),
        (("modelclient/customers",), False),
        (("secret/customers-key",), False),
        (("modelclient/customers", "secret/customers-key"), True),
    ],
)
def test_a_key_is_kept_if_both_parts_of_it_exist(existing, is_kept):
    kubectl = FakeKubectl(*existing)
    client_key.ensure_key(kubectl, "support")
    assert (kubectl.applied == []) == is_kept


def test_the_client_has_only_the_hash_of_the_key_in_the_secret():
    key = client_key.create_key()
    assert key != client_key.create_key()
    secret, client = client_key.build_objects("support", key)
    assert secret["stringData"] == {"OPENAI_API_KEY": key}
    assert client["spec"]["keys"] == [{"id": find_key_id(key), "sha256": hash_client_key(key)}]
    assert key not in json.dumps(client)


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
