"""Every pod that the development tools create."""

from __future__ import annotations

import pytest

from tunewright_dev.local import coredns
from tunewright_dev.object_store import deployment as object_store


@pytest.mark.parametrize(
    "deployment",
    [
        next(item for item in coredns.build_dns("image") if item["kind"] == "Deployment"),
        object_store.build_deployment("image", {"s3.json": "{}"}),
    ],
    ids=["dns", "object store"],
)
def test_pods_of_the_tools_are_restricted(deployment):
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    context = container["securityContext"]
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["readOnlyRootFilesystem"] is True
    assert context["runAsNonRoot"] is True
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert context["allowPrivilegeEscalation"] is False
