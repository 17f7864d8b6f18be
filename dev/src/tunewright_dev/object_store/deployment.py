"""The S3 store of a cluster: SeaweedFS in a restricted pod, with TLS by a private authority.

It is like users' stores: its certificate is not signed by a public authority, and each duty has a separate identity.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tunewright_dev import certificates, pod_security, topology
from tunewright_dev.kubectl import Kubectl
from tunewright_dev.object_store import identities
from tunewright_dev.object_store.endpoint import LOOPBACK, NAMESPACE, SERVICE
from tunewright_dev.paths import Paths

NAME = "seaweedfs"
USER = 65532
CAPACITY_GIB = 20
_LABELS = {"app.kubernetes.io/name": NAME}


def deploy(paths: Paths, kubectl: Kubectl, image: str) -> None:
    """Create the store in the local cluster, with its data on this disk and its Service at a fixed address."""
    folder = paths.object_store
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _give_to_user(folder)
    address = str(topology.OBJECT_STORE_SERVICE)
    _deploy(paths, kubectl, image, address, [*build_storage(folder), build_service(address)])


def deploy_anywhere(paths: Paths, kubectl: Kubectl, image: str) -> None:
    """Create the store in any cluster, with a volume of the default class; clients use a port-forward."""
    _deploy(paths, kubectl, image, LOOPBACK, [build_claim(), build_service()])


def _deploy(paths: Paths, kubectl: Kubectl, image: str, address: str, objects: list[dict[str, Any]]) -> None:
    """Apply all objects; existing credentials do not change. The certificate is also valid for ``address``."""
    authority = certificates.ensure_authority(paths.pki, "object-store-ca")
    names = [SERVICE, f"{SERVICE}.{NAMESPACE}", f"{SERVICE}.{NAMESPACE}.svc"]
    names += [f"{SERVICE}.{NAMESPACE}.svc.{topology.CLUSTER_DOMAIN}", address]
    pair = certificates.ensure_certificate(paths.pki, "object-store", authority, common_name=names[2], hosts=names)
    kubectl.apply([build_namespace()])
    ca = authority.certificate.read_text()
    known = identities.read_identities(kubectl)
    accesses = {name: known.get(name) or identities.generate_access() for name in identities.IDENTITIES}
    kubectl.apply([identities.build_credentials(name, access, ca) for name, access in accesses.items()])
    config = {
        "s3.json": identities.build_identities(accesses),
        "tls.crt": pair.certificate.read_text(),
        "tls.key": pair.key.read_text(),
    }
    kubectl.apply([build_config(config), *objects, build_deployment(image, config)])


def build_namespace() -> dict[str, Any]:
    """Return the namespace, with PodSecurity `restricted`."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}


def build_config(config: Mapping[str, str]) -> dict[str, Any]:
    """Return the Secret that the store mounts."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": _metadata(), "stringData": dict(config)}


def build_storage(folder: Path) -> list[dict[str, Any]]:
    """Return a volume on the node's disk and a claim to it, so that the data outlives the pod."""
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
            "claimRef": {"namespace": NAMESPACE, "name": NAME},
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
    """Return the Service; with an address that the certificate is valid for, the machine can use it, too."""
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
        # Master, volume server and filer listen only inside the pod; only S3 is for clients.
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-master.telemetry=false",
        "-master.volumeSizeLimitMB=1024",
        # A cluster of one server: there are no votes to wait for, and no other servers to notify before it stops.
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
        "name": NAME,
        "image": image,
        "args": arguments,
        "ports": [{"name": "https", "containerPort": port}],
        "readinessProbe": {**probe, "periodSeconds": 1},
        "livenessProbe": {**probe, "periodSeconds": 10, "failureThreshold": 6, "timeoutSeconds": 5},
        # Go's heap stays well below the limit. Otherwise no room is left for the page cache after some gigabytes of
        # uploads, and the server reads its files again and again until it no longer answers the probe.
        "env": [{"name": "GOMEMLIMIT", "value": "640MiB"}],
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "1536Mi"}},
        "securityContext": pod_security.build_restricted_context(),
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
            {"name": "data", "persistentVolumeClaim": {"claimName": NAME}},
            {"name": "config", "secret": {"secretName": NAME, "defaultMode": 0o440}},
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
    return {"name": NAME, "namespace": NAMESPACE, "labels": _LABELS}


def _give_to_user(folder: Path) -> None:
    os.chown(folder, USER, USER)
