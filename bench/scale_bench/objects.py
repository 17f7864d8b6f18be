"""The resources of a run, as users and earlier work of the operator would have left them."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Mapping
from typing import Any

from scale_bench.api import Body
from scale_bench.options import Options
from tunewright_contracts.adapter_manifest import revision_name

API_VERSION = "tunewright.dev/v1alpha1"
BASE_MODEL = "smol"
SECRET = "s3"
SERVING = "serving"
CANARY = "canary"
TRAINING_PREFIX = "train-"
"""The names of the jobs that run to the end of their prepare phase and then train."""
LONG_AGO = "2026-01-01T00:00:00Z"
MIN_ADAPTERS = 64
MIN_SLOTS = 4
# Never reached, so that rollouts observe during the whole run.
_ENDLESS = 1_000_000
_RANK = 16
_MAX_RECORD_SECONDS = 86_400


def digest_of(word: str) -> str:
    """Return a digest that depends only on the word."""
    return f"sha256:{hashlib.sha256(word.encode()).hexdigest()}"


BASE_DIGEST = digest_of(BASE_MODEL)


def tenant(options: Options, number: int) -> str:
    """Return the namespace of the n-th resource of a kind."""
    return f"team-{number % options.namespaces:03d}"


def list_namespaces(options: Options) -> list[str]:
    """Return the namespaces of tenants, servers and canaries."""
    return [SERVING, CANARY, *(tenant(options, number) for number in range(options.namespaces))]


def build_secret(namespace: str) -> Body:
    """Return the Secret that jobs and servers name."""
    metadata = {"name": SECRET, "namespace": namespace, "labels": {"tunewright.dev/use": "allowed"}}
    return {"metadata": metadata, "stringData": {"AWS_REGION": "here"}}


def build_base_model() -> Body:
    """Return the one base model; its inspection runs as a Job."""
    spec = {
        "source": {"s3": {"uri": f"s3://models/{BASE_MODEL}"}},
        "storage": {"secretRef": {"name": SECRET}},
        "contextLength": 2048,
    }
    return _build("BaseModel", BASE_MODEL, None, spec)


def build_job(name: str, namespace: str) -> Body:
    """Return a new FineTuneJob."""
    spec = {
        "baseModelRef": {"name": BASE_MODEL},
        "storage": {"secretRef": {"name": SECRET}},
        "dataset": {"sources": [{"name": "tickets", "s3": {"uri": "s3://data/tickets/"}}]},
        "output": {"uri": f"s3://adapters/{namespace}"},
        "resources": {"limits": {"cpu": "4", "memory": "8Gi"}},
    }
    return _build("FineTuneJob", name, namespace, spec, {"app": "triage"})


def build_adapter(name: str, namespace: str) -> Body:
    """Return what the status of a succeeded job records of its adapter."""
    digest = digest_of(f"{namespace}/{name}")
    folder = f"s3://adapters/{namespace}"
    return {
        "uri": f"{folder}/{digest.replace(':', '-')}",
        "digest": digest,
        "rank": _RANK,
        "bytes": 48_000_000,
        "baseModelDigest": BASE_DIGEST,
        "evaluationDatasetURI": f"{folder}/datasets/evaluation.jsonl",
    }


def build_ended_status(name: str, namespace: str) -> Body:
    """Return the status of a job that has succeeded."""
    adapter = build_adapter(name, namespace)
    reasons = {
        "Succeeded": "Succeeded",
        "DatasetReady": "Prepared",
        "Trained": "Trained",
        "Evaluated": "Evaluated",
        "Published": "Published",
    }
    conditions = [_build_condition(kind, reason) for kind, reason in reasons.items()]
    return {
        "observedGeneration": 1,
        "conditions": conditions,
        "phase": "Succeeded",
        "attempt": 1,
        "restarts": 0,
        "startTime": LONG_AGO,
        "completionTime": LONG_AGO,
        "activeSeconds": 600,
        "dataset": {
            "digest": digest_of("dataset"),
            "uri": f"s3://adapters/{namespace}/datasets/{name}",
            "train": 800,
            "validation": 50,
            "evaluation": 150,
        },
        "progress": {"step": 100, "totalSteps": 100, "percent": 100, "trainLoss": "0.512", "checkpointStep": 100},
        "evaluation": [{"type": "ExactMatch", "base": "0.11", "tuned": "0.87", "samples": 150}],
        "adapter": adapter,
    }


def build_server(name: str, options: Options) -> Body:
    """Return a ModelServer with room for its share of the deployments and rollouts."""
    lora = {
        "maxRank": _RANK,
        "maxAdapters": max(MIN_ADAPTERS, math.ceil(options.deployments / options.servers)),
        "rolloutSlots": max(MIN_SLOTS, math.ceil(options.rollouts / options.servers) + 1),
    }
    spec = {
        "baseModelRef": {"name": BASE_MODEL},
        "replicas": options.pods,
        "lora": lora,
        "storage": {"secretRef": {"name": SECRET}},
        "allowedNamespaces": {"from": "All"},
        "adapterSources": [{"uriPrefix": "s3://adapters/{namespace}/"}],
    }
    return _build("ModelServer", name, SERVING, spec)


@dataclasses.dataclass(frozen=True)
class Placement:
    """The n-th deployment: its namespace, its server, the job that its spec names, and whether it is rolled out."""

    number: int
    namespace: str
    server: str
    job: str
    rolls_out: bool

    @property
    def name(self) -> str:
        """The deployment's name, which is also its alias."""
        return f"alias-{self.number:05d}"


def server_name(number: int) -> str:
    """Return the name of the n-th server."""
    return f"pool-{number:04d}"


def job_name(number: int) -> str:
    """Return the name of the n-th job that has succeeded."""
    return f"job-{number:06d}"


def place(number: int, options: Options) -> Placement:
    """Return the n-th deployment; rollouts are spread over the servers."""
    jobs_per_tenant = options.ended // options.namespaces
    rank = (number // options.namespaces) % jobs_per_tenant
    return Placement(
        number=number,
        namespace=tenant(options, number),
        server=server_name(number % options.servers),
        job=job_name(number % options.namespaces + rank * options.namespaces),
        rolls_out=number < options.rollouts,
    )


def build_deployment(placement: Placement) -> Body:
    """Return an AdapterDeployment; the steps only matter while it is rolled out."""
    spec = {
        "modelName": placement.name,
        "serverRef": {"name": placement.server, "namespace": SERVING},
        "adapter": {"fineTuneJobRef": {"name": placement.job}},
        "storage": {"secretRef": {"name": SECRET}},
        "rollout": {
            "steps": [
                {"setWeight": 50},
                {"observe": {"minRequests": _ENDLESS, "maxSeconds": _MAX_RECORD_SECONDS}},
            ]
        },
        "analysis": {"metrics": [{"type": "ErrorRate", "maxRegression": "0.05"}]},
    }
    return _build("AdapterDeployment", placement.name, placement.namespace, spec)


def build_deployment_status(placement: Placement, job: Body) -> Body:
    """Return the status of a deployment whose stable revision is that of its job, or an older one before a rollout.

    Args:
        placement: the deployment.
        job: the created job that its spec names.
    """
    metadata = job["metadata"]
    if placement.rolls_out:
        word = f"{placement.job}-before"
        adapter, source = build_adapter(word, placement.namespace), {"name": word, "uid": word}
    else:
        adapter = build_adapter(placement.job, placement.namespace)
        source = {"name": placement.job, "uid": metadata["uid"], "creationTime": metadata["creationTimestamp"]}
    revision = {key: value for key, value in adapter.items() if key != "bytes"}
    stable = {
        "revision": revision_name(placement.name, adapter["digest"]),
        **revision,
        "since": LONG_AGO,
        "sourceJob": source,
    }
    return {"stable": stable}


def build_ray_cluster(name: str, namespace: str) -> Body:
    """Return what the peer makes one pod of."""
    resources = {"limits": {"cpu": "1", "memory": "2Gi"}, "requests": {"cpu": "1", "memory": "2Gi"}}
    pod = {"containers": [{"name": "ray-head", "image": "ray:1", "resources": resources}]}
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayCluster",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"rayVersion": "2.46.0", "headGroupSpec": {"rayStartParams": {}, "template": {"spec": pod}}},
    }


def _build(kind: str, name: str, namespace: str | None, spec: Body, labels: Mapping[str, Any] | None = None) -> Body:
    metadata: Body = {"name": name}
    if namespace is not None:
        metadata["namespace"] = namespace
    if labels:
        metadata["labels"] = dict(labels)
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}


def _build_condition(kind: str, reason: str) -> Body:
    return {
        "type": kind,
        "status": "True",
        "reason": reason,
        "message": "",
        "lastTransitionTime": LONG_AGO,
        "observedGeneration": 1,
    }
