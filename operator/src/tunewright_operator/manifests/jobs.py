"""The prepare, train and inspect Jobs.

Each has one pod, which Kubernetes never restarts: the loop decides whether there is another attempt.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

from tunewright_contracts.document import Document
from tunewright_contracts.locations import SOURCES_ROOT
from tunewright_contracts.progress import PROGRESS_PORT
from tunewright_operator.api import labels
from tunewright_operator.api.containers import Container
from tunewright_operator.api.fine_tune_job import FineTuneJob
from tunewright_operator.api.kinds import CONFIG_MAP, FINE_TUNE_JOB, JOB
from tunewright_operator.api.resource import ApiModel, ResourceRequirements, Storage
from tunewright_operator.manifests import pods
from tunewright_operator.manifests.document_keys import build_document_key_volume
from tunewright_operator.manifests.resources import build_resources

Body = dict[str, Any]

TRAIN_GRACE_SECONDS: Final = 120
"""From SIGTERM to SIGKILL: time for a checkpoint to reach S3."""
SHORT_GRACE_SECONDS: Final = 10
TRAIN_STATE_SIZE: Final = "200Gi"
"""The maximum size of base model, checkpoints and caches; nothing is reserved."""
PREPARE_STATE_SIZE: Final = "50Gi"


@dataclasses.dataclass(frozen=True, slots=True)
class JobIdentity:
    """The name, the labels and the owner of a Job; the ConfigMap with its request has the same ones."""

    name: str
    namespace: str
    owner: Mapping[str, Any]
    """The custom resource as an object of the API."""
    labels: Mapping[str, str]
    annotations: Mapping[str, str] = dataclasses.field(default_factory=dict)


def build_request_config_map(identity: JobIdentity, request: Document) -> Body:
    """Return the immutable ConfigMap with the request that a pod reads."""
    return {
        "apiVersion": CONFIG_MAP.api_version,
        "kind": CONFIG_MAP.name,
        "metadata": _build_metadata(identity),
        "immutable": True,
        "data": {pods.RUN_SPEC_KEY: request.to_json()},
    }


def build_prepare_job(identity: JobIdentity, job: FineTuneJob, defaults: pods.PodDefaults) -> Body:
    """Return the Job that reads, checks, splits and stores the dataset, without an accelerator and on any node.

    It does not use the node selector and the runtime class of the spec, which are for the training node.
    """
    spec = job.spec
    volumes, mounts = pods.join_volumes(
        pods.build_request_volume(identity.name),
        pods.build_ca_volume(spec.storage),
        pods.build_scratch_volumes(PREPARE_STATE_SIZE),
        _build_source_volumes(job),
    )
    container = {
        **_build_trainer_container(Container.PREPARE, defaults, spec.storage, mounts),
        "resources": build_resources(spec.resources, defaults.resources.job, accelerators=False),
    }
    pod_spec = {
        **pods.build_job_pod_base(defaults, spec.storage, SHORT_GRACE_SECONDS),
        **_keep({"priorityClassName": spec.scheduling.priority_class_name}),
        **_keep({"tolerations": _to_wire_list(spec.scheduling.tolerations)}),
        "containers": [container],
        "volumes": volumes,
    }
    return _build_job(identity, pod_spec)


def build_train_job(identity: JobIdentity, job: FineTuneJob, defaults: pods.PodDefaults) -> Body:
    """Return the Job of one training attempt; with a Kueue queue it is suspended until Kueue starts it."""
    spec = job.spec
    volumes, mounts = pods.join_volumes(
        pods.build_request_volume(identity.name),
        pods.build_ca_volume(spec.storage),
        build_document_key_volume(identity.owner),
        pods.build_scratch_volumes(TRAIN_STATE_SIZE, shared_memory=True),
    )
    container = {
        **_build_trainer_container(Container.TRAIN, defaults, spec.storage, mounts),
        "ports": [{"name": "progress", "containerPort": PROGRESS_PORT}],
        "resources": build_resources(spec.resources, defaults.resources.train, accelerators=True),
    }
    scheduling = spec.scheduling
    pod_spec = {
        **pods.build_job_pod_base(defaults, spec.storage, TRAIN_GRACE_SECONDS),
        **_keep({"nodeSelector": scheduling.node_selector}),
        **_keep({"tolerations": _to_wire_list(scheduling.tolerations)}),
        **_keep({"priorityClassName": scheduling.priority_class_name}),
        **_keep({"runtimeClassName": scheduling.runtime_class_name}),
        "containers": [container],
        "volumes": volumes,
    }
    body = _build_job(identity, pod_spec)
    if job.queue_name is not None:
        body["metadata"]["labels"][labels.QUEUE_NAME] = job.queue_name
        body["spec"]["suspend"] = True
    return body


def build_inspect_job(identity: JobIdentity, command: str, storage: Storage | None, defaults: pods.PodDefaults) -> Body:
    """Return the Job that reads storage for the operator: ``inspect-base-model`` or ``inspect-adapter``."""
    volumes, mounts = pods.join_volumes(
        pods.build_request_volume(identity.name),
        pods.build_ca_volume(storage),
        pods.build_scratch_volumes(PREPARE_STATE_SIZE),
    )
    container = {
        "name": command,
        "image": defaults.operator,
        "imagePullPolicy": defaults.pull_policy,
        "command": ["python", "-m", "tunewright_storage", command],
        "env": [*pods.build_common_env(), *pods.build_credential_env(storage)],
        "securityContext": pods.build_container_security_context(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": build_resources(ResourceRequirements(), defaults.resources.job, accelerators=False),
        "volumeMounts": mounts,
    }
    pod_spec = {
        **pods.build_job_pod_base(defaults, storage, SHORT_GRACE_SECONDS),
        "containers": [container],
        "volumes": volumes,
    }
    return _build_job(identity, pod_spec)


def build_job_expiry(namespace: str, name: str, uid: str, seconds: int) -> Body:
    """Return the fields to apply so that an existing Job is deleted some seconds after its end."""
    return {
        "apiVersion": JOB.api_version,
        "kind": JOB.name,
        "metadata": {"name": name, "namespace": namespace, "uid": uid},
        "spec": {"ttlSecondsAfterFinished": seconds},
    }


def fine_tune_identity(
    owner: Mapping[str, Any], name: str, role: labels.Role, annotations: Mapping[str, str] | None = None
) -> JobIdentity:
    """Return the identity of a FineTuneJob's Job."""
    metadata = owner["metadata"]
    return JobIdentity(
        name=name,
        namespace=metadata["namespace"],
        owner=owner,
        labels=labels.build_labels(FINE_TUNE_JOB, metadata["name"], role),
        annotations=annotations or {},
    )


def _build_job(identity: JobIdentity, pod_spec: Body) -> Body:
    return {
        "apiVersion": JOB.api_version,
        "kind": JOB.name,
        "metadata": _build_metadata(identity),
        "spec": {
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            # A pod on an unreachable node must have ended before the Job counts as failed and another one starts.
            "podReplacementPolicy": "Failed",
            # Distinguishes preemption and drains from failures of the job.
            "podFailurePolicy": {
                "rules": [{"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]
            },
            "template": {"metadata": pods.build_job_pod_metadata(identity.labels, pod_spec), "spec": pod_spec},
        },
    }


def _build_metadata(identity: JobIdentity) -> Body:
    return {
        "name": identity.name,
        "namespace": identity.namespace,
        "labels": dict(identity.labels),
        **_keep({"annotations": dict(identity.annotations)}),
        "ownerReferences": [labels.build_owner_reference(identity.owner)],
    }


def _build_trainer_container(
    phase: Container, defaults: pods.PodDefaults, storage: Storage, mounts: list[Body]
) -> Body:
    return {
        "name": phase.value,
        "image": defaults.trainer,
        "imagePullPolicy": defaults.pull_policy,
        "command": ["python", "-m", "tunewright_trainer", phase.value],
        # Unsloth writes a compile cache into the working directory.
        "workingDir": pods.STATE_DIRECTORY,
        "env": [
            *pods.build_common_env(),
            {"name": "TUNEWRIGHT_WORK", "value": pods.STATE_DIRECTORY},
            # By default torch starts a thread for every core of the node. This is the CPU limit; without a limit, it is
            # the number of these cores.
            {"name": "OMP_NUM_THREADS", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
            *pods.build_credential_env(storage),
        ],
        "securityContext": pods.build_container_security_context(),
        # A killed process writes no result. Then the termination message is the end of its log.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts,
    }


def _build_source_volumes(job: FineTuneJob) -> tuple[list[Body], list[Body]]:
    volumes: list[Body] = []
    mounts: list[Body] = []
    for index, source in enumerate(job.spec.dataset.sources):
        if source.config_map is not None:
            volumes.append({"name": f"source-{index}", "configMap": {"name": source.config_map.name}})
            mounts.append({"name": f"source-{index}", "mountPath": f"{SOURCES_ROOT}/{source.name}", "readOnly": True})
    return volumes, mounts


def _to_wire_list(models: tuple[ApiModel, ...]) -> list[Body]:
    return [model.to_wire() for model in models]


def _keep(fields: Body) -> Body:
    """Return the fields that are not empty."""
    return {name: value for name, value in fields.items() if value}
