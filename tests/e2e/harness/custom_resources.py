"""Save and restore the custom resources that tests share, around a test that deletes their definitions."""

from __future__ import annotations

from e2e.harness.kubectl import Body, Kubectl, is_true

GROUP = "tunewright.dev"
# Tests share the kinds of the platform team; each job and each rollout belongs to one test.
_SHARED_KINDS = ("basemodel", "modelserver")


def list_definitions(kubectl: Kubectl) -> list[str]:
    """Return the names of this project's CustomResourceDefinitions on the API server."""
    return [
        body["metadata"]["name"] for body in kubectl.list("customresourcedefinition") if body["spec"]["group"] == GROUP
    ]


def save(kubectl: Kubectl) -> list[Body]:
    """Return the shared custom resources that are not being deleted."""
    leaving = {
        body["metadata"]["name"] for body in kubectl.list("namespace") if "deletionTimestamp" in body["metadata"]
    }
    return [
        body
        for kind in _SHARED_KINDS
        for body in kubectl.list(kind)
        if body["metadata"].get("namespace") not in leaving and "deletionTimestamp" not in body["metadata"]
    ]


def restore(kubectl: Kubectl, saved: list[Body]) -> None:
    """Create the resources that `save` returned, and wait until those that were ready are ready again."""
    if not saved:
        return
    kubectl.apply(*(_strip(body) for body in saved))
    for body in saved:
        if is_true(body, "Ready"):
            _wait_ready(kubectl, body)


def _wait_ready(kubectl: Kubectl, body: Body) -> None:
    replicas = body["status"].get("readyReplicas")

    def complete(now: Body) -> bool:
        return is_true(now, "Ready") and now["status"].get("readyReplicas") == replicas

    metadata = body["metadata"]
    kubectl.wait_for(body["kind"].lower(), metadata["name"], metadata.get("namespace"), complete, timeout=600)


def _strip(body: Body) -> Body:
    kept = {key: value for key, value in body["metadata"].items() if key in ("name", "namespace", "labels")}
    return {**{key: body[key] for key in ("apiVersion", "kind", "spec")}, "metadata": kept}
