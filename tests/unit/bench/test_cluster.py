from __future__ import annotations

import json

import pytest

from scale_bench import cluster
from scale_bench.api import has_condition
from scale_bench.options import CLONE
from tunewright_dev.paths import Paths


@pytest.fixture
def control_plane(tmp_path):
    paths = Paths(clone=tmp_path, cache=tmp_path, state=tmp_path / "state", run=tmp_path, kubeconfig=tmp_path / "none")
    paths.state.mkdir()
    return cluster.ControlPlane(paths, tmp_path)


def test_everything_listens_on_loopback_and_on_ports_of_its_own(control_plane, tmp_path):
    words = [word for daemon in control_plane.daemons.values() for word in daemon._argv]
    addresses = [word for word in words if "address=" in word or "listen-" in word]
    assert addresses
    assert all("=127.0.0.1" in word or "//127.0.0.1:" in word for word in addresses)
    assert not [word for word in words if any(word.endswith(f":{port}") for port in (2379, 2380, 6443))]
    assert control_plane.url.startswith("https://127.0.0.1:")


def test_free_ports_differ():
    assert len(set(cluster.find_free_ports(5))) == 5


def test_only_the_measured_operators_are_audited():
    first, last = cluster.build_audit_policy()["rules"]
    assert first["users"] == [
        "system:serviceaccount:tunewright-system:tunewright-operator",
        "system:serviceaccount:ray-system:ray-operator",
    ]
    assert last == {"level": "None"}


class Api:
    """Records what is created; every definition is established at once."""

    def __init__(self) -> None:
        self.created = []

    async def create(self, path, body):
        self.created.append((path, body))
        return {"status": {"token": "secret"}}

    async def request(self, method, path):
        assert method == "GET"
        return {"status": {"conditions": [{"type": "Established", "status": "True"}]}}


async def test_the_operator_gets_the_rights_of_its_chart():
    api = Api()
    await cluster.install_tunewright(api, CLONE)
    paths = [path for path, _ in api.created]
    assert sum(path.endswith("customresourcedefinitions") for path in paths) == 5
    roles = [body for path, body in api.created if path.endswith("roles")]
    assert all("reason" not in rule for role in roles for rule in role["rules"])
    bindings = [body for path, body in api.created if path.endswith("bindings")]
    assert [body["roleRef"]["kind"] for body in bindings] == ["ClusterRole", "Role"]
    assert {body["subjects"][0]["name"] for body in bindings} == {cluster.OPERATOR}


async def test_an_identity_is_a_kubeconfig_with_a_token(control_plane):
    identity = await control_plane.create_identity(Api(), "ns", "account")
    config = json.loads(identity.kubeconfig.read_text())
    assert config["users"][0]["user"] == {"token": "secret"}
    assert config["clusters"][0]["cluster"]["server"] == control_plane.url
    assert identity.kubeconfig.stat().st_mode & 0o077 == 0
    assert identity.user == "system:serviceaccount:ns:account"


def test_a_condition_must_be_true():
    body = {"status": {"conditions": [{"type": "Ready", "status": "False"}, {"type": "Done", "status": "True"}]}}
    assert (has_condition(body, "Ready"), has_condition(body, "Done"), has_condition({}, "Done")) == (
        False,
        True,
        False,
    )
