"""The operator's signing key: created once, kept in a Secret, and never replaced."""

from __future__ import annotations

import pytest

from support.clusters.fake_cluster import FakeCluster
from tunewright_operator.api.kinds import SECRET
from tunewright_operator.cluster import AlreadyExistsError
from tunewright_operator.reconcile.signing_keys import PRIVATE_KEY, SIGNING_KEY_SECRET, SigningKeys
from tunewright_operator.signing import SigningKeyError

NAMESPACE = "tunewright-system"


async def test_the_key_is_created_once_and_loaded_afterwards():
    cluster = FakeCluster()
    cluster.readable_secrets.add(SIGNING_KEY_SECRET)
    first = await SigningKeys(cluster, NAMESPACE).load()
    second = await SigningKeys(cluster, NAMESPACE).load()
    assert first.public_pem() == second.public_pem()
    assert [verb for verb, _ in cluster.writes] == ["create"]


@pytest.mark.parametrize("data", [{}, {PRIVATE_KEY: "bm90IGEga2V5"}])
async def test_a_broken_key_is_never_replaced(data):
    cluster = FakeCluster()
    cluster.readable_secrets.add(SIGNING_KEY_SECRET)
    metadata = {"name": SIGNING_KEY_SECRET, "namespace": NAMESPACE}
    cluster.put({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})
    with pytest.raises(SigningKeyError, match="Restore it"):
        await SigningKeys(cluster, NAMESPACE).load()
    assert cluster.peek(SECRET, NAMESPACE, SIGNING_KEY_SECRET)["data"] == data


async def test_finding_a_key_writes_nothing():
    cluster = FakeCluster()
    cluster.readable_secrets.add(SIGNING_KEY_SECRET)
    keys = SigningKeys(cluster, NAMESPACE)
    assert await keys.find() is None
    assert cluster.writes == []
    key = await keys.load()
    assert await keys.find() is key
    assert (await SigningKeys(cluster, NAMESPACE).find()).public_pem() == key.public_pem()


async def test_the_key_of_the_replica_that_created_it_first_is_used(monkeypatch):
    cluster, other = FakeCluster(), FakeCluster()
    for one in (cluster, other):
        one.readable_secrets.add(SIGNING_KEY_SECRET)
    first = await SigningKeys(other, NAMESPACE).load()

    async def create(body):
        cluster.put(other.peek(SECRET, NAMESPACE, SIGNING_KEY_SECRET))
        raise AlreadyExistsError("exists")

    monkeypatch.setattr(cluster, "create", create)
    assert (await SigningKeys(cluster, NAMESPACE).load()).public_pem() == first.public_pem()
