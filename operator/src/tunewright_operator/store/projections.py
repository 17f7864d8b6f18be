"""Make the entry of an object at once when an event arrives, so that its body need not be kept.

A resource that this operator's version of the API cannot read becomes an entry, too: its loop reports the error, and
its server keeps its route.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from tunewright_operator.api import labels as child_labels
from tunewright_operator.api.adapter_deployment import AdapterDeployment
from tunewright_operator.api.base_model import BaseModel
from tunewright_operator.api.fine_tune_job import FineTuneJob
from tunewright_operator.api.kinds import (
    ADAPTER_DEPLOYMENT,
    BASE_MODEL,
    FINE_TUNE_JOB,
    MODEL_CLIENT,
    MODEL_SERVER,
    OWN_KINDS,
    Kind,
)
from tunewright_operator.api.model_client import ModelClient
from tunewright_operator.api.model_server import ModelServer
from tunewright_operator.api.resource import Metadata, Resource, ResourceError
from tunewright_operator.domain.finetune.observation import has_ended, may_continue
from tunewright_operator.domain.rollout.jobs import to_selectable
from tunewright_operator.runtime.key import Key
from tunewright_operator.store.child_bodies import CHILD_KINDS, trim_child
from tunewright_operator.store.documents import decode, encode
from tunewright_operator.store.entries import Address, Entry, Origin, ParsedJob, StoredChild, StoredJob, StoredResource

Body = Mapping[str, Any]

STORED_KINDS: tuple[Kind, ...] = (*OWN_KINDS, *CHILD_KINDS)

SELECTORS: Mapping[Kind, Mapping[str, str]] = {
    kind: {child_labels.MANAGED_BY: child_labels.MANAGED_BY_VALUE} if kind in CHILD_KINDS else {}
    for kind in STORED_KINDS
}
"""The labels by which the API server selects the objects for the store: it does not send every pod of the cluster."""

_MODELS: Mapping[Kind, type[Resource]] = {
    BASE_MODEL: BaseModel,
    MODEL_SERVER: ModelServer,
    ADAPTER_DEPLOYMENT: AdapterDeployment,
    MODEL_CLIENT: ModelClient,
}
_KINDS_BY_NAME = {kind.name: kind for kind in OWN_KINDS}


def project(kind: Kind, body: Body) -> Entry:
    """Return what the store keeps of an object of one of `STORED_KINDS`."""
    if kind == FINE_TUNE_JOB:
        return _project_job(body)
    if kind in CHILD_KINDS:
        return _project_child(kind, body)
    return _project_resource(kind, body)


def read_origin(kind: Kind, body: Body) -> Origin:
    """Return which object a body is, and its version."""
    metadata = body["metadata"]
    namespace = metadata.get("namespace") if kind.namespaced else None
    return Origin(namespace, metadata["name"], metadata["uid"], parse_version(metadata.get("resourceVersion")))


def parse_version(text: str | None) -> int:
    """Return a resourceVersion as a number; 0 if it is none.

    Kubernetes documents that they can be compared since 1.35; before, they were the revisions of etcd as well.
    """
    return int(text) if text and text.isdecimal() else 0


def read_owner(body: Body) -> Key | None:
    """Return the custom resource that a child's labels name."""
    metadata = body["metadata"]
    found = metadata.get("labels") or {}
    owner_kind, name = _KINDS_BY_NAME.get(found.get(child_labels.KIND, "")), found.get(child_labels.NAME)
    if owner_kind is None or not name:
        return None
    return Key(owner_kind, metadata.get("namespace") if owner_kind.namespaced else None, name)


def _project_job(body: Body) -> StoredJob:
    origin, metadata = read_origin(FINE_TUNE_JOB, body), body["metadata"]
    trimmed = _trim(body)
    base_model = str(_dig(body, "spec", "baseModelRef", "name") or "")
    generation, deleting = int(metadata.get("generation") or 0), bool(metadata.get("deletionTimestamp"))
    found = metadata.get("labels") or {}
    try:
        job = FineTuneJob.from_body(trimmed)
    except ResourceError as error:
        return StoredJob(
            origin,
            generation,
            deleting,
            found,
            base_model,
            ended=False,
            document=encode(trimmed),
            selectable=None,
            problem=str(error),
        )
    ended = not deleting and is_over(job)
    return StoredJob(
        origin,
        generation,
        deleting,
        job.metadata.labels,
        base_model,
        ended=ended,
        document=None if ended else encode(trimmed),
        selectable=to_selectable(job),
        parsed=None if ended else ParsedJob(job, trimmed["metadata"]),
    )


def is_over(job: FineTuneJob) -> bool:
    """Return whether a job has a result, its status shows its present spec, and no raised limit continues it."""
    shown = job.status.observed_generation >= job.metadata.generation
    return shown and has_ended(job.status) and not may_continue(job)


def _project_resource(kind: Kind, body: Body) -> StoredResource[Any]:
    trimmed = _trim(body)
    identity, origin, refers_to = trimmed["metadata"], read_origin(kind, body), _find_reference(kind, body)
    try:
        resource = _MODELS[kind].from_body(trimmed)
    except ResourceError as error:
        metadata = Metadata.model_validate(identity)
        return StoredResource(origin, metadata, identity, refers_to, None, str(error))
    return StoredResource(origin, resource.metadata, identity, refers_to, resource)


def _trim(body: Body) -> dict[str, Any]:
    metadata = {field: value for field, value in body["metadata"].items() if field != "managedFields"}
    return {"metadata": metadata, "spec": body.get("spec"), "status": body.get("status") or {}}


def _find_reference(kind: Kind, body: Body) -> Address | None:
    if kind == MODEL_SERVER:
        return None, str(_dig(body, "spec", "baseModelRef", "name") or "")
    if kind == ADAPTER_DEPLOYMENT:
        namespace = _dig(body, "spec", "serverRef", "namespace") or body["metadata"].get("namespace")
        return str(namespace), str(_dig(body, "spec", "serverRef", "name") or "")
    return None


def _project_child(kind: Kind, body: Body) -> StoredChild:
    conditions = _dig(body, "status", "conditions") or []
    return StoredChild(
        origin=read_origin(kind, body),
        owner=read_owner(body),
        controller=child_labels.controller_uid(body),
        done=(body.get("spec") or {}).get("ttlSecondsAfterFinished") is not None
        and any(item["type"] in {"Complete", "Failed"} and item["status"] == "True" for item in conditions),
        has_finalizers=bool(body["metadata"].get("finalizers")),
        document=encode(trim_child(kind, body)),
    )


def mark_deleting(child: StoredChild, time: str) -> StoredChild:
    """Return a child that is being deleted since a time; the event that reports it has a newer version."""
    body = decode(child.document)
    body["metadata"].setdefault("deletionTimestamp", time)
    return dataclasses.replace(child, document=encode(body))


def _dig(body: Any, *path: str) -> Any:
    for field in path:
        body = body.get(field) if isinstance(body, Mapping) else None
    return body
