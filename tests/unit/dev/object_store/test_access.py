"""How this machine reaches the object store, in the local and in an existing cluster."""

from __future__ import annotations

import base64
import io

import pytest

from tunewright_dev.errors import DevError
from tunewright_dev.object_store import access


class Forward:
    """A fake `kubectl port-forward`: its first line, and how it was ended."""

    def __init__(self, line):
        self.stdout = io.StringIO(line)
        self.ended = []

    def terminate(self):
        self.ended.append("terminate")

    def communicate(self):
        self.ended.append("communicate")


class Cluster:
    """A fake kubectl with the Secrets of identities and a port-forward."""

    def __init__(self, *names, forward=None):
        self._names = names
        self._forward = forward
        self.started = []

    def list(self, kind, namespace, *, selector):
        assert (kind, namespace, selector) == ("secrets", "object-store", "tunewright.dev/use")
        return [
            {
                "metadata": {"name": name},
                "data": {**_encode("AWS_ACCESS_KEY_ID", name), **_encode("AWS_SECRET_ACCESS_KEY", "s")},
            }
            for name in self._names
        ]

    def start(self, *arguments):
        self.started.append(arguments)
        return self._forward


def _encode(key, value):
    return {key: base64.b64encode(value.encode()).decode()}


def test_the_node_uses_the_services_address():
    assert access.service_address() == "10.96.0.33:8333"


def test_the_store_of_an_existing_cluster_is_reached_through_a_forwarded_port():
    forward = Forward("Forwarding from 127.0.0.1:40123 -> 8333\n")
    cluster = Cluster(forward=forward)
    with access.forward_port(cluster) as address:
        assert address == "127.0.0.1:40123"
        assert forward.ended == []
    assert forward.ended == ["terminate", "communicate"]
    assert cluster.started == [
        ("port-forward", "--address=127.0.0.1", "--namespace=object-store", "service/s3", ":8333")
    ]


def test_a_store_that_cannot_be_reached_is_reported_with_the_command():
    forward = Forward("")
    with (
        pytest.raises(DevError, match="kubectl port-forward --namespace=object-store service/s3 :8333"),
        access.forward_port(Cluster(forward=forward)),
    ):
        pass
    assert forward.ended == ["terminate", "communicate"]


def test_the_administrators_credentials_and_the_stores_authority_are_used(monkeypatch, paths):
    asked = []
    monkeypatch.setattr(access.buckets, "connect", lambda *arguments: asked.append(arguments))
    access.connect(paths, Cluster("admin", "server"), "host:1")
    assert asked == [("https://host:1", "admin", "s", "us-east-1", paths.pki / "object-store-ca.crt")]


def test_a_store_without_its_administrator_is_reported(paths):
    with pytest.raises(DevError, match=r"object-store/admin does not exist\. Run `make up`"):
        access.connect(paths, Cluster("server"), "host:1")
