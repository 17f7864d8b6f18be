"""What all pods have: a restricted security context, credentials, a CA bundle, and volumes with a size limit."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, Final

from tunewright_contracts.locations import CA_BUNDLE_PATH, RUN_SPEC_PATH, STORAGE_SECRET_KEYS
from tunewright_operator.api.containers import DEFAULT_CONTAINER
from tunewright_operator.api.resource import Storage
from tunewright_operator.manifests.resources import DefaultResources

USER_ID: Final = 65532
"""The user and the group of the images ("nonroot" in distroless images)."""
STATE_DIRECTORY: Final = "/var/lib/tunewright"
IDENTITY_KEYS: Final = frozenset({"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"})
CA_KEY: Final = "ca.crt"
RUN_SPEC_KEY: Final = PurePosixPath(RUN_SPEC_PATH).name
TMP_SIZE: Final = "8Gi"
SHARED_MEMORY_SIZE: Final = "1Gi"

Body = dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class PodDefaults:
    """What the platform team decides for all pods: the images of one release, how they are pulled, and resources."""

    operator: str
    trainer: str
    server: str
    pull_policy: str = "IfNotPresent"
    pull_secrets: tuple[str, ...] = ()
    resources: DefaultResources = dataclasses.field(default_factory=DefaultResources)


def build_pod_security_context() -> Body:
    """Return the pod's part of the `restricted` profile."""
    return {
        "runAsNonRoot": True,
        "runAsUser": USER_ID,
        "runAsGroup": USER_ID,
        "fsGroup": USER_ID,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def build_container_security_context() -> Body:
    """Return the container's part of the `restricted` profile, with a read-only root file system."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def build_pod_base(defaults: PodDefaults, storage: Storage | None) -> Body:
    """Return the common fields of all pod specs: security, no token, no service links, identity, pull Secrets.

    A ServiceAccount of the spec is who the pod is for the object store. The platform's webhook for identities gives the
    pod a token for that purpose; a token for the API server is never mounted.
    """
    base: Body = {
        "securityContext": build_pod_security_context(),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
    }
    if storage is not None and storage.service_account_name is not None:
        base["serviceAccountName"] = storage.service_account_name
    if defaults.pull_secrets:
        base["imagePullSecrets"] = [{"name": name} for name in defaults.pull_secrets]
    return base


def build_job_pod_base(defaults: PodDefaults, storage: Storage | None, grace_seconds: int) -> Body:
    """Return the common fields of all Jobs' pod specs: those of all pods, and how the pod ends.

    Args:
        defaults: what all pods have, with the pull Secrets.
        storage: the credentials of the spec.
        grace_seconds: the time from SIGTERM to SIGKILL.
    """
    return {
        **build_pod_base(defaults, storage),
        "restartPolicy": "Never",
        # The kernel ignores SIGTERM for the first process of a PID namespace until it has a handler. So a pod that is
        # deleted while Python starts would stay for its whole grace period. With a shared namespace, the first process
        # is the pause container, and Python ends at once.
        "shareProcessNamespace": True,
        "terminationGracePeriodSeconds": grace_seconds,
    }


def build_job_pod_metadata(labels: Mapping[str, str], pod_spec: Mapping[str, Any]) -> Body:
    """Return the metadata of a Job's pods: its labels, and which container is ours if others are added."""
    (container,) = pod_spec["containers"]
    return {"labels": dict(labels), "annotations": {DEFAULT_CONTAINER: container["name"]}}


def build_common_env() -> list[Body]:
    """Return the pod's identity, the directories that it can write to, and limits for Python and the AWS libraries."""
    return [
        {"name": "POD_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}},
        {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "HOME", "value": "/tmp"},  # noqa: S108 - an emptyDir of this pod
        {"name": "TMPDIR", "value": "/tmp"},  # noqa: S108 - an emptyDir of this pod
        {"name": "PYTHONUNBUFFERED", "value": "1"},
        # Downloads lie in the working directory: without this, Python would import modules from there.
        {"name": "PYTHONSAFEPATH", "value": "1"},
        # A Secret without keys must be an error. From the metadata service, the pod would get the node's identity.
        {"name": "AWS_EC2_METADATA_DISABLED", "value": "true"},
    ]


def build_credential_env(storage: Storage | None) -> list[Body]:
    """Return the allowed keys of a Secret as optional variables; an empty list without a Secret.

    Keys of AWS would take precedence over the identity of a ServiceAccount, so they are left out together with one.
    """
    if storage is None or storage.secret_name is None:
        return []
    left_out = IDENTITY_KEYS if storage.service_account_name is not None else frozenset[str]()
    return [
        {"name": key, "valueFrom": {"secretKeyRef": {"name": storage.secret_name, "key": key, "optional": True}}}
        for key in STORAGE_SECRET_KEYS
        if key not in left_out
    ]


def build_ca_volume(storage: Storage | None) -> tuple[list[Body], list[Body]]:
    """Return (volumes, mounts) of the Secret's ``ca.crt`` at `CA_BUNDLE_PATH`; the key is optional."""
    if storage is None or storage.secret_name is None:
        return [], []
    source = {"secret": {"name": storage.secret_name, "optional": True, "items": [{"key": CA_KEY, "path": CA_KEY}]}}
    folder = str(PurePosixPath(CA_BUNDLE_PATH).parent)
    return [{"name": "ca", "projected": {"sources": [source]}}], [{"name": "ca", "mountPath": folder, "readOnly": True}]


def build_scratch_volumes(state_size: str, *, shared_memory: bool = False) -> tuple[list[Body], list[Body]]:
    """Return (volumes, mounts) of the writable directories: /tmp, the state directory and, optionally, /dev/shm.

    Each has a size limit; /dev/shm counts towards the memory limit.
    """
    volumes: list[Body] = [
        {"name": "tmp", "emptyDir": {"sizeLimit": TMP_SIZE}},
        {"name": "state", "emptyDir": {"sizeLimit": state_size}},
    ]
    mounts: list[Body] = [
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - an emptyDir of this pod
        {"name": "state", "mountPath": STATE_DIRECTORY},
    ]
    if shared_memory:
        volumes.append({"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": SHARED_MEMORY_SIZE}})
        mounts.append({"name": "shared-memory", "mountPath": "/dev/shm"})  # noqa: S108 - as above
    return volumes, mounts


def build_request_volume(config_map: str) -> tuple[list[Body], list[Body]]:
    """Return (volumes, mounts) of the request document at `RUN_SPEC_PATH`."""
    return (
        [{"name": "request", "configMap": {"name": config_map}}],
        [{"name": "request", "mountPath": RUN_SPEC_PATH, "subPath": RUN_SPEC_KEY, "readOnly": True}],
    )


def join_volumes(
    *parts: tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]],
) -> tuple[list[Body], list[Body]]:
    """Return all volumes and all mounts of several (volumes, mounts) pairs."""
    volumes = [dict(volume) for part in parts for volume in part[0]]
    mounts = [dict(mount) for part in parts for mount in part[1]]
    return volumes, mounts
