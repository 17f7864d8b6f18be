"""The S3 store of the local cluster: SeaweedFS in a restricted pod, behind TLS by a private authority.

As users have it: an endpoint whose certificate no public bundle knows, and a separate identity for each duty. The
credentials are random, made at run time and kept in Secrets, whose keys are those of the AWS SDKs; copy a Secret into
the namespace that needs it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tunewright_dev import certificates, topology, waiting
from tunewright_dev.local import coredns

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tunewright_dev.kubectl import Kubectl
    from tunewright_dev.paths import Paths

NAMESPACE = "object-store"
SERVICE = "s3"
ENDPOINT = f"https://{SERVICE}.{NAMESPACE}.svc:{topology.OBJECT_STORE_PORT}"
REGION = "us-east-1"
BUCKET = "tunewright"
LOG_BUCKET = "tunewright-logs"
# SeaweedFS's actions (weed/s3api/s3_constants/s3_actions.go), limited to a bucket.
IDENTITIES: dict[str, tuple[str, ...]] = {
    "admin": ("Admin", "Read", "Write", "List", "Tagging"),
    "trainer": (f"Read:{BUCKET}", f"Write:{BUCKET}", f"List:{BUCKET}", f"Tagging:{BUCKET}"),
    "server": (f"Read:{BUCKET}", f"List:{BUCKET}"),
    "trafficlog": (f"Write:{LOG_BUCKET}",),
}
USER = 65532
CAPACITY_GIB = 20
LOOPBACK = "127.0.0.1"
_NAME = "seaweedfs"
# On the Secrets that hold an identity: what a FineTuneJob or a ModelServer may be pointed at.
_IDENTITY_LABEL = "tunewright.dev/use"
_LABELS = {"app.kubernetes.io/name": _NAME}
_READY_SECONDS = 90


@dataclass(frozen=True)
class Access:
    """One identity's credentials."""

    access_key: str
    secret_key: str


def deploy(paths: Paths, kubectl: Kubectl, image: str) -> None:
    """Bring the store's objects into the local cluster: its data on this disk, its Service at a fixed address."""
    folder = paths.object_store
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _give_to_user(folder)
    address = str(topology.OBJECT_STORE_SERVICE)
    _deploy(paths, kubectl, image, address, [*build_storage(folder), build_service(address)])


def deploy_anywhere(paths: Paths, kubectl: Kubectl, image: str) -> None:
    """Bring the store's objects into any cluster: a volume of its default class, reached by port-forward."""
    _deploy(paths, kubectl, image, LOOPBACK, [build_claim(), build_service()])


def _deploy(paths: Paths, kubectl: Kubectl, image: str, address: str, objects: list[dict[str, Any]]) -> None:
    """Apply everything; credentials that are there already stay as they are. The certificate also names ``address``."""
    authority = certificates.ensure_authority(paths.pki, "object-store-ca")
    names = [SERVICE, f"{SERVICE}.{NAMESPACE}", f"{SERVICE}.{NAMESPACE}.svc"]
    names += [f"{SERVICE}.{NAMESPACE}.svc.{topology.CLUSTER_DOMAIN}", address]
    pair = certificates.ensure_certificate(paths.pki, "object-store", authority, common_name=names[2], hosts=names)
    kubectl.apply([build_namespace()])
    ca = authority.certificate.read_text()
    known = read_identities(kubectl)
    identities = {name: known.get(name) or generate_access() for name in IDENTITIES}
    kubectl.apply([build_credentials(name, access, ca) for name, access in identities.items()])
    config = {
        "s3.json": build_identities(identities),
        "tls.crt": pair.certificate.read_text(),
        "tls.key": pair.key.read_text(),
    }
    kubectl.apply([build_config(config), *objects, build_deployment(image, config)])


def wait_ready(paths: Paths, kubectl: Kubectl) -> None:
    """Wait until the store answers, and make its buckets.

    Raises:
        DevError: it did not become ready; the message says how to look into it.
    """
    kubectl.run(f"--namespace={NAMESPACE}", "rollout", "status", f"deployment/{_NAME}", f"--timeout={_READY_SECONDS}s")
    # Imported here: they take longer than all else that a status or a down needs.
    from tunewright_dev.object_store import access as storage_access  # noqa: PLC0415
    from tunewright_dev.object_store import buckets  # noqa: PLC0415

    with storage_access.open_store(paths, kubectl) as client:
        for bucket in (BUCKET, LOG_BUCKET):
            waiting.wait_for(
                f"Making the bucket {bucket}",
                lambda bucket=bucket: buckets.ensure(client, bucket),  # type: ignore[misc]
                timeout=_READY_SECONDS,
                explain=lambda: f"See `kubectl --namespace {NAMESPACE} logs deployment/{_NAME}`.",
            )


def generate_access() -> Access:
    """Make up credentials of the shape that AWS's have."""
    return Access(access_key=secrets.token_hex(10).upper(), secret_key=secrets.token_urlsafe(30))


def read_identities(kubectl: Kubectl) -> dict[str, Access]:
    """Return the credentials of each identity that has a Secret in the cluster."""
    secrets_found = kubectl.list("secrets", NAMESPACE, selector=_IDENTITY_LABEL)
    return {secret["metadata"]["name"]: _read_access(secret["data"]) for secret in secrets_found}


def _read_access(data: Mapping[str, str]) -> Access:
    decoded = {key: base64.b64decode(data[key]).decode() for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    return Access(decoded["AWS_ACCESS_KEY_ID"], decoded["AWS_SECRET_ACCESS_KEY"])


def build_identities(identities: Mapping[str, Access]) -> str:
    """Return SeaweedFS's own file of identities."""
    entries = [
        {
            "name": name,
            "credentials": [{"accessKey": access.access_key, "secretKey": access.secret_key}],
            "actions": list(IDENTITIES[name]),
        }
        for name, access in sorted(identities.items())
    ]
    return json.dumps({"identities": entries})


def build_namespace() -> dict[str, Any]:
    """Return the namespace, with PodSecurity `restricted`."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}


def build_credentials(name: str, access: Access, ca: str) -> dict[str, Any]:
    """Return the Secret of one identity: what an AWS SDK reads from its environment, and the authority."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {_IDENTITY_LABEL: "allowed"}},
        "stringData": {
            "AWS_ACCESS_KEY_ID": access.access_key,
            "AWS_SECRET_ACCESS_KEY": access.secret_key,
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL_S3": ENDPOINT,
            "ca.crt": ca,
        },
    }


def build_config(config: Mapping[str, str]) -> dict[str, Any]:
    """Return the Secret that the store itself mounts."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": _metadata(), "stringData": dict(config)}


def build_storage(folder: Path) -> list[dict[str, Any]]:
    """Return a volume on the node's disk and the claim to it: the data outlives the pod."""
    common = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "",
        "volumeMode": "Filesystem",
    }
    size = f"{CAPACITY_GIB}Gi"
    match = {"key": "kubernetes.io/hostname", "operator": "In", "values": [topology.NODE_NAME]}
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"{NAMESPACE}-data"},
        "spec": {
            **common,
            "capacity": {"storage": size},
            "persistentVolumeReclaimPolicy": "Retain",
            "claimRef": {"namespace": NAMESPACE, "name": _NAME},
            "local": {"path": str(folder)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [match]}]}},
        },
    }
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": _metadata(),
        "spec": {**common, "volumeName": f"{NAMESPACE}-data", "resources": {"requests": {"storage": size}}},
    }
    return [volume, claim]


def build_claim() -> dict[str, Any]:
    """Return a claim to a volume of the cluster's default class."""
    resources = {"requests": {"storage": f"{CAPACITY_GIB}Gi"}}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": _metadata(),
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": resources},
    }


def build_service(address: str | None = None) -> dict[str, Any]:
    """Return the Service; at an address that the certificate names, the machine itself may use it."""
    port = topology.OBJECT_STORE_PORT
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {**_metadata(), "name": SERVICE},
        "spec": {
            **({"clusterIP": address} if address else {}),
            "selector": _LABELS,
            "ports": [{"name": "https", "port": port, "targetPort": port}],
        },
    }


def build_deployment(image: str, config: Mapping[str, str]) -> dict[str, Any]:
    """Return the Deployment; new certificates or identities replace its pod."""
    port = topology.OBJECT_STORE_PORT
    checksum = hashlib.sha256(json.dumps(dict(config), sort_keys=True).encode()).hexdigest()
    arguments = [
        "server",
        "-dir=/data",
        # Master, volume server and filer stay within the pod; only S3 is for others.
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-master.telemetry=false",
        "-master.volumeSizeLimitMB=1024",
        # A cluster of one: nobody else votes, and nobody need be told before it stops.
        "-master.electionTimeout=1s",
        "-volume.preStopSeconds=0",
        "-volume.max=0",
        "-s3",
        "-s3.ip.bind=0.0.0.0",
        f"-s3.port={port}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-s3.iam=false",
        "-s3.autoCreateBucket=false",
        "-s3.config=/config/s3.json",
        "-s3.cert.file=/config/tls.crt",
        "-s3.key.file=/config/tls.key",
    ]
    probe = {"httpGet": {"scheme": "HTTPS", "path": "/healthz", "port": port}}
    container = {
        "name": _NAME,
        "image": image,
        "args": arguments,
        "ports": [{"name": "https", "containerPort": port}],
        "readinessProbe": {**probe, "periodSeconds": 1},
        "livenessProbe": {**probe, "periodSeconds": 10, "failureThreshold": 6, "timeoutSeconds": 5},
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}},
        "securityContext": coredns.build_restricted_context(),
        "volumeMounts": [
            {"name": "data", "mountPath": "/data"},
            {"name": "config", "mountPath": "/config", "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    }
    pod = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 5,
        "securityContext": {"fsGroup": USER, "fsGroupChangePolicy": "OnRootMismatch"},
        "containers": [container],
        "volumes": [
            {"name": "data", "persistentVolumeClaim": {"claimName": _NAME}},
            {"name": "config", "secret": {"secretName": _NAME, "defaultMode": 0o440}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "256Mi"}},
        ],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(),
        "spec": {
            "replicas": 1,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": _LABELS},
            "template": {
                "metadata": {"labels": _LABELS, "annotations": {"tunewright.dev/config": checksum}},
                "spec": pod,
            },
        },
    }


def _metadata() -> dict[str, Any]:
    return {"name": _NAME, "namespace": NAMESPACE, "labels": _LABELS}


def _give_to_user(folder: Path) -> None:
    os.chown(folder, USER, USER)
