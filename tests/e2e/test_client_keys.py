"""Keys of clients on a real pool: who is refused, what a client sees, and that a revoked key remains refused."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator

import pytest

from e2e.harness import serving
from e2e.harness.bucket import Bucket
from e2e.harness.kubectl import Kubectl, condition, is_true, wait_until
from tunewright_cli.new_key import create_key
from tunewright_contracts.clients.client_key import find_key_id
from tunewright_dev import commands, tenants
from tunewright_dev.kubectl import Kubectl as DevKubectl

pytestmark = pytest.mark.e2e

REVOKED_WITHIN_SECONDS = 60


@pytest.fixture
def other_team(platform: Kubectl, dev_kubectl: DevKubectl) -> Iterator[str]:
    """A second team on the same pool, with a client of its own."""
    name = f"other-{uuid.uuid4().hex[:8]}"
    tenants.ensure_namespace(dev_kubectl, name, tenant=True)
    tenants.ensure_storage_secret(dev_kubectl, name, "s3", "trainer")
    yield name
    platform.delete("namespace", name, None, "--wait=false")


def statuses(platform: Kubectl, pool: str, alias: str, key: str) -> set[int]:
    """Return with which statuses the pool's pods answer a request."""
    return {
        serving.ask(address, alias, key=key).status_code for address in serving.pod_addresses(platform, pool).values()
    }


def test_a_client_calls_only_what_its_key_allows(
    platform: Kubectl, pool: str, team: str, other_team: str, bucket: Bucket, base_digest: str
) -> None:
    own, foreign, foreign_key = f"k{team[5:]}", f"f{other_team[6:]}", create_key(None).text
    serving.deploy(platform, bucket, pool, team, base_digest, 91, own)
    platform.apply(serving.build_client(other_team, foreign_key))
    serving.deploy(platform, bucket, pool, other_team, base_digest, 92, foreign)
    assert statuses(platform, pool, own, "") == {401}
    assert statuses(platform, pool, own, create_key(None).text) == {401}
    assert statuses(platform, pool, own, serving.KEY[:-1]) == {401}
    assert statuses(platform, pool, own, serving.KEY) == {200}
    assert statuses(platform, pool, foreign, foreign_key) == {200}
    assert statuses(platform, pool, foreign, serving.KEY) == {404}, "another team's alias does not exist"
    for address in serving.pod_addresses(platform, pool).values():
        assert serving.list_models(address, "").status_code == 401
        listed = serving.list_models(address, foreign_key).json()["data"]
        assert [model["id"] for model in listed] == [foreign]
        refused = serving.ask(address, foreign, key=serving.KEY).json()["error"]["message"]
        assert foreign not in refused.partition("you can call")[2]


def test_a_revoked_key_stops_working_and_stays_out(
    platform: Kubectl, pool: str, team: str, bucket: Bucket, base_digest: str
) -> None:
    alias, old, new = f"v{team[5:]}", create_key(None).text, create_key(None).text
    platform.apply(serving.build_client(team, old, new, name="web"))
    serving.deploy(platform, bucket, pool, team, base_digest, 93, alias)
    serving.wait_known(platform, team, "web")
    assert statuses(platform, pool, alias, old) == statuses(platform, pool, alias, new) == {200}

    platform.apply(serving.build_client(team, new, name="web"))
    body = platform.wait_for(
        "modelclient", "web", team, lambda body: is_true(body, "Propagated"), timeout=REVOKED_WITHIN_SECONDS
    )
    assert condition(body, "Propagated")["message"].startswith("2/2 pods of ")
    assert statuses(platform, pool, alias, old) == {401}
    assert statuses(platform, pool, alias, new) == {200}

    with serving.operator_down(platform):
        before = serving.pod_addresses(platform, pool)
        platform.run("delete", "pod", min(before), "-n", pool, "--grace-period=0", "--force")

        def is_replaced() -> bool:
            fresh = serving.pod_addresses(platform, pool)
            return len(fresh) == 2 and fresh != before and all(serving.is_ready(address) for address in fresh.values())

        wait_until(is_replaced, timeout=300)
        assert statuses(platform, pool, alias, new) == {200}
        assert statuses(platform, pool, alias, old) == {401}
    platform.apply(serving.build_client(team, new, name="web", suspended=True))
    wait_until(lambda: statuses(platform, pool, alias, new) == {401}, timeout=REVOKED_WITHIN_SECONDS)


def plugin(kubectl: DevKubectl, *arguments: str) -> str:
    """Run `kubectl tunewright key` and return what it prints on stdout."""
    command = [sys.executable, "-m", "tunewright_cli", "key", *arguments, f"--kubeconfig={kubectl.kubeconfig}"]
    return commands.capture(command).strip()


def test_the_plugin_creates_rotates_and_revokes_keys(
    platform: Kubectl, dev_kubectl: DevKubectl, pool: str, team: str, bucket: Bucket, base_digest: str
) -> None:
    alias = f"p{team[5:]}"
    serving.deploy(platform, bucket, pool, team, base_digest, 94, alias)
    old = plugin(dev_kubectl, "create", "plugin", "-n", team, "--alias", alias, "--wait")
    assert statuses(platform, pool, alias, old) == {200}
    new = plugin(dev_kubectl, "rotate", "plugin", "-n", team)
    assert statuses(platform, pool, alias, old) == statuses(platform, pool, alias, new) == {200}
    listed = plugin(dev_kubectl, "list", "plugin", "-n", team)
    assert all(f"plugin   {find_key_id(key)}" in listed for key in (old, new))
    plugin(dev_kubectl, "revoke", "plugin", str(find_key_id(old)), "-n", team)
    assert statuses(platform, pool, alias, old) == {401}
    assert statuses(platform, pool, alias, new) == {200}
