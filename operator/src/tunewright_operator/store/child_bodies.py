"""Children of custom resources without the fields that no decision reads.

The functions that read a child's body (`domain.job_run`, `domain.serving.pods`) get the same result from its trimmed
body; a test compares them on complete objects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tunewright_operator.api.kinds import DEPLOYMENT, JOB, POD, REPLICA_SET, Kind

Body = dict[str, Any]

_METADATA = (
    "name",
    "namespace",
    "uid",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "labels",
    "annotations",
    "finalizers",
)
_CONDITION = ("type", "status", "reason", "message", "lastTransitionTime")
_CONTAINER_STATUS = ("name", "state", "lastState")


def trim_child(kind: Kind, body: Mapping[str, Any]) -> Body:
    """Return a child's body without the fields that no decision reads."""
    return {
        "apiVersion": kind.api_version,
        "kind": kind.name,
        "metadata": _trim_child_metadata(body["metadata"]),
        **_TRIMMED[kind](body),
    }


def _trim_child_metadata(metadata: Mapping[str, Any]) -> Body:
    controllers = [
        {"uid": reference["uid"], "controller": True}
        for reference in metadata.get("ownerReferences") or []
        if reference.get("controller")
    ]
    return {**_pick(metadata, _METADATA), "ownerReferences": controllers}


def _trim_job(body: Mapping[str, Any]) -> Body:
    spec, status = body.get("spec") or {}, body.get("status") or {}
    return {
        "spec": {**_pick(spec, ("suspend", "ttlSecondsAfterFinished")), "template": _trim_template(spec)},
        "status": {**_pick(status, ("startTime",)), "conditions": _pick_each(status.get("conditions"), _CONDITION)},
    }


def _trim_pod(body: Mapping[str, Any]) -> Body:
    status = body.get("status") or {}
    return {
        "spec": _trim_containers(body.get("spec") or {}),
        "status": {
            **_pick(status, ("phase", "podIP", "reason", "message")),
            "conditions": _pick_each(status.get("conditions"), _CONDITION),
            "containerStatuses": _pick_each(status.get("containerStatuses"), _CONTAINER_STATUS),
            "initContainerStatuses": _pick_each(status.get("initContainerStatuses"), _CONTAINER_STATUS),
        },
    }


def _trim_deployment(body: Mapping[str, Any]) -> Body:
    status = body.get("status") or {}
    counts = ("observedGeneration", "replicas", "readyReplicas", "updatedReplicas")
    return {
        "status": {**_pick(status, counts), "conditions": _pick_each(status.get("conditions"), _CONDITION)},
    }


def _trim_replica_set(body: Mapping[str, Any]) -> Body:
    return {"spec": {"template": _trim_template(body.get("spec") or {})}}


def _trim_template(spec: Mapping[str, Any]) -> Body:
    return {"spec": _trim_containers((spec.get("template") or {}).get("spec") or {})}


def _trim_containers(spec: Mapping[str, Any]) -> Body:
    return {"containers": _pick_each(spec.get("containers"), ("name", "resources"))}


def _pick_each(items: Iterable[Mapping[str, Any]] | None, fields: tuple[str, ...]) -> list[Body]:
    return [_pick(item, fields) for item in items or ()]


def _pick(source: Mapping[str, Any], fields: tuple[str, ...]) -> Body:
    return {field: source[field] for field in fields if field in source}


_TRIMMED: Mapping[Kind, Callable[[Mapping[str, Any]], Body]] = {
    JOB: _trim_job,
    POD: _trim_pod,
    DEPLOYMENT: _trim_deployment,
    REPLICA_SET: _trim_replica_set,
}

CHILD_KINDS: tuple[Kind, ...] = tuple(_TRIMMED)
"""Kinds of children that are watched, by our label. The loops write ConfigMaps, Services and Secrets unwatched."""
