"""Small objects of every kind that the store keeps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tunewright_operator.api.kinds import (
    ADAPTER_DEPLOYMENT,
    BASE_MODEL,
    DEPLOYMENT,
    FINE_TUNE_JOB,
    JOB,
    MODEL_CLIENT,
    MODEL_SERVER,
    POD,
    REPLICA_SET,
    Kind,
)
from tunewright_operator.api.labels import Role, build_labels
from tunewright_operator.store.store import Store

Body = dict[str, Any]
DIGEST = "sha256:" + "a" * 64
TIME = "2026-01-01T00:00:00Z"


def build(kind: Kind, name: str, namespace: str | None = "team", **fields: Any) -> Body:
    """Return an object; `uid` and `version` are of its metadata, as `metadata` is. All else is beside the metadata."""
    metadata = {
        "name": name,
        "uid": fields.pop("uid", f"{name}-uid"),
        "resourceVersion": str(fields.pop("version", 1)),
        "generation": 1,
        "creationTimestamp": TIME,
        **({"namespace": namespace} if kind.namespaced else {}),
        **fields.pop("metadata", {}),
    }
    return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata, **fields}


def build_condition(condition_type: str, status: str, reason: str = "Because") -> Body:
    return {"type": condition_type, "status": status, "reason": reason, "lastTransitionTime": TIME}


def build_job(name: str = "job", succeeded: str = "", **fields: Any) -> Body:
    """Return a FineTuneJob; `succeeded` is the status of its condition, none if empty."""
    status: Body = {"observedGeneration": 1}
    if succeeded:
        status["conditions"] = [build_condition("Succeeded", succeeded)]
    if succeeded == "True":
        adapter = {"uri": "s3://b/a", "digest": DIGEST, "rank": 8, "bytes": 1, "baseModelDigest": DIGEST}
        status["adapter"] = adapter
    spec = {
        "baseModelRef": {"name": "model"},
        "storage": {"secretRef": {"name": "s3"}},
        "dataset": {"sources": [{"name": "a", "s3": {"uri": "s3://bucket/x"}}]},
        "output": {"uri": "s3://bucket/out"},
    }
    return build(FINE_TUNE_JOB, name, **({"spec": spec, "status": status} | fields))


def build_model(name: str = "model", **fields: Any) -> Body:
    spec = {"source": {"s3": {"uri": "s3://bucket/model"}}, "contextLength": 2048}
    status = {"digest": DIGEST, "conditions": [build_condition("Ready", "True")]}
    return build(BASE_MODEL, name, **({"spec": spec, "status": status} | fields))


def build_server(name: str = "pool", **fields: Any) -> Body:
    spec = {"baseModelRef": {"name": "model"}, "storage": {"secretRef": {"name": "s3"}}}
    return build(MODEL_SERVER, name, **({"spec": spec, "status": {}} | fields))


def build_client(name: str = "web", **fields: Any) -> Body:
    return build(MODEL_CLIENT, name, **({"spec": {"keys": [], "aliases": {"all": True}}, "status": {}} | fields))


def build_deployment(name: str = "support", adapter: Body | None = None, **fields: Any) -> Body:
    """Return an AdapterDeployment on the server `pool`."""
    spec = {
        "modelName": name,
        "serverRef": {"name": "pool"},
        "adapter": adapter or {"fineTuneJobSelector": {"matchLabels": {"app": "support"}}},
        "storage": {"secretRef": {"name": "s3"}},
        "rollout": {"steps": [{"setWeight": 50}]},
    }
    return build(ADAPTER_DEPLOYMENT, name, **({"spec": spec, "status": {}} | fields))


def build_child(kind: Kind, name: str, owner: Body, **fields: Any) -> Body:
    """Return a child that the owner controls, with the labels of children."""
    owner_kind = next(item for item in (FINE_TUNE_JOB, MODEL_SERVER, BASE_MODEL) if item.name == owner["kind"])
    metadata = {
        "labels": build_labels(owner_kind, owner["metadata"]["name"], Role.TRAIN),
        "ownerReferences": [{"uid": owner["metadata"]["uid"], "controller": True}],
    }
    return build(kind, name, **({"metadata": metadata, "status": {}} | fields))


def fill(store: Store, *bodies: Body) -> Store:
    """Put objects into a store and let it be synced."""
    for body in bodies:
        store.upsert(kind_named(body["kind"]), body)
    for kind in KINDS:
        store.synced(kind)
    return store


def _build_children_of(kind: Kind) -> Callable[..., Body]:
    def build_one(name: str = "child", **fields: Any) -> Body:
        return build_child(kind, name, build_job(), **fields)

    return build_one


KINDS = (BASE_MODEL, FINE_TUNE_JOB, MODEL_SERVER, ADAPTER_DEPLOYMENT, MODEL_CLIENT, JOB, POD, DEPLOYMENT, REPLICA_SET)
BUILDERS: dict[Kind, Callable[..., Body]] = {
    BASE_MODEL: build_model,
    MODEL_CLIENT: build_client,
    FINE_TUNE_JOB: build_job,
    MODEL_SERVER: build_server,
    ADAPTER_DEPLOYMENT: build_deployment,
    **{kind: _build_children_of(kind) for kind in (JOB, POD, DEPLOYMENT, REPLICA_SET)},
}
"""A function for each kind, which returns an object of a name and with other fields."""


def kind_named(name: str) -> Kind:
    return next(kind for kind in KINDS if kind.name == name)
