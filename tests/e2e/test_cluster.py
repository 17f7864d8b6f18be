"""What the local cluster guarantees: pods reach no other machine, the project's namespaces are restricted,
and each identity of the object store has only the rights that it needs.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import botocore.exceptions
import pytest

from e2e.harness.kubectl import Body, Kubectl
from tunewright_dev import paths, topology
from tunewright_dev.kubectl import Kubectl as DevKubectl
from tunewright_dev.object_store import buckets, identities
from tunewright_dev.object_store import endpoint as object_store
from tunewright_operator.manifests import pods

pytestmark = pytest.mark.e2e

PATHS = paths.find_paths()
OUTSIDE = "203.0.113.7"  # reserved for documentation (RFC 5737): no host has it
KUBELET_PORT = 10250
TRY = """
import json, socket, sys
results = {}
for place in sys.argv[1:]:
    host, _, port = place.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
        results[place] = "connected"
    except OSError as error:
        results[place] = type(error).__name__
print(json.dumps(results))
"""


def build_pod(namespace: str, *command: str) -> Body:
    images = json.loads((PATHS.build / "images.json").read_text())
    container = {
        "name": "try",
        "image": images["operator"],
        "command": ["python", "-c", *command],
        "securityContext": pods.build_container_security_context(),
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "try", "namespace": namespace},
        "spec": {
            "securityContext": pods.build_pod_security_context(),
            "automountServiceAccountToken": False,
            "restartPolicy": "Never",
            "containers": [container],
        },
    }


def test_pods_reach_pods_and_the_api_server_and_nothing_else(platform: Kubectl, team: str) -> None:
    api, store = f"{topology.NODE_ADDRESS}:{topology.API_PORT}", f"s3.object-store.svc:{topology.OBJECT_STORE_PORT}"
    kubelet, outside = f"{topology.NODE_ADDRESS}:{KUBELET_PORT}", f"{OUTSIDE}:443"
    platform.apply(build_pod(team, TRY, api, store, kubelet, outside))
    platform.wait_for("pod", "try", team, lambda body: body["status"]["phase"] == "Succeeded", timeout=120)
    results = json.loads(platform.run("logs", "try", "-n", team).stdout)
    # The firewall refuses both at once. Without it the kubelet would accept, and the other connection would time out.
    assert results == {
        api: "connected",
        store: "connected",
        kubelet: "ConnectionRefusedError",
        outside: "ConnectionRefusedError",
    }


@pytest.mark.parametrize(
    "loosen",
    [
        lambda spec: spec["containers"][0].pop("securityContext"),
        lambda spec: spec.update(hostNetwork=True),
        lambda spec: spec["securityContext"].update(runAsNonRoot=False),
    ],
    ids=["no-context", "host-network", "root"],
)
def test_pod_outside_the_restricted_standard_is_refused(
    platform: Kubectl, team: str, loosen: Callable[[dict[str, Any]], object]
) -> None:
    pod = build_pod(team, "pass")
    loosen(pod["spec"])
    done = platform.run("create", "-f", "-", "--dry-run=server", stdin=json.dumps(pod), check=False)
    assert done.returncode != 0
    assert 'violates PodSecurity "restricted' in done.stderr


def test_traffic_logs_can_be_written_and_not_read(platform: Kubectl, dev_kubectl: DevKubectl) -> None:
    access = identities.read_identities(dev_kubectl)["trafficlog"]
    address = f"https://{topology.OBJECT_STORE_SERVICE}:{topology.OBJECT_STORE_PORT}"
    authority = PATHS.pki / "object-store-ca.crt"
    store = buckets.connect(address, access.access_key, access.secret_key, object_store.REGION, authority)
    store.put_object(Bucket=object_store.LOG_BUCKET, Key="e2e/line", Body=b"{}")
    for refused in (
        lambda: store.get_object(Bucket=object_store.LOG_BUCKET, Key="e2e/line"),
        lambda: store.put_object(Bucket=object_store.BUCKET, Key="adapters/e2e/line", Body=b"{}"),
    ):
        with pytest.raises(botocore.exceptions.ClientError, match="AccessDenied"):
            refused()
