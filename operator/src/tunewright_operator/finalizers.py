"""Remove the operator's finalizers before an uninstall: afterwards no operator would remove them.

A running operator would add them again. So it is stopped first, and its Lease is held meanwhile.
"""

from __future__ import annotations

import structlog

from tunewright_operator.api.kinds import CUSTOM_RESOURCE_DEFINITION, DEPLOYMENT, GROUP, OWN_KINDS, kind_of
from tunewright_operator.cluster import Body, Cluster, ConflictError, NotFoundError, UnavailableError

log = structlog.get_logger(__name__)


async def stop_operator(cluster: Cluster, namespace: str, name: str) -> None:
    """Scale the operator's Deployment to zero, if it exists.

    Raises:
        ClusterError: the API server refused or did not answer.
    """
    deployment = await cluster.get(DEPLOYMENT, namespace, name)
    if deployment is None:
        return  # An apply would try to create it.
    metadata = {"name": name, "namespace": namespace}
    body = {
        "apiVersion": DEPLOYMENT.api_version,
        "kind": DEPLOYMENT.name,
        "metadata": metadata,
        "spec": {"replicas": 0},
    }
    await cluster.apply(body, field_manager="tunewright-uninstall")


async def release_finalizers(cluster: Cluster) -> int:
    """Remove the operator's finalizers from every custom resource; return the number of resources that had one.

    Raises:
        ClusterError: the API server refused or did not answer. A second run continues where this one ended.
    """
    released = 0
    for kind in OWN_KINDS:
        try:
            found = await cluster.list(kind)
        except NotFoundError:
            continue
        except UnavailableError:
            # For a kind that it does not serve, the API server answers with a 404 that is not about an object.
            if await cluster.get(CUSTOM_RESOURCE_DEFINITION, None, f"{kind.plural}.{kind.group}") is not None:
                raise
            continue
        for body in found:
            released += await _release(cluster, body)
    return released


async def _release(cluster: Cluster, body: Body) -> bool:
    current: Body | None = body
    while current is not None:
        metadata = current["metadata"]
        ours = [item for item in metadata.get("finalizers") or [] if item.startswith(f"{GROUP}/")]
        if not ours:
            return False
        try:
            await cluster.patch_metadata(
                kind_of(current),
                metadata.get("namespace"),
                metadata["name"],
                finalizers=[item for item in metadata["finalizers"] if item not in ours],
                resource_version=metadata["resourceVersion"],
            )
        except ConflictError:
            current = await cluster.get(kind_of(current), metadata.get("namespace"), metadata["name"])
        except NotFoundError:
            return False
        else:
            log.info("finalizer_released", kind=current["kind"], name=metadata["name"], finalizers=ours)
            return True
    return False
