"""The local cluster's DNS: CoreDNS in a restricted pod."""

from __future__ import annotations

from typing import Any

from tunewright_dev import pod_security, topology

_NAME = "coredns"
_NAMESPACE = "kube-system"
_LABELS = {"k8s-app": "kube-dns"}
# Unprivileged ports: the Service maps 53 to it.
_DNS_PORT = 5353
_HEALTH_PORT = 8080
_READY_PORT = 8181

COREFILE = f"""\
.:{_DNS_PORT} {{
    errors
    health :{_HEALTH_PORT} {{
        lameduck 1s
    }}
    ready :{_READY_PORT}
    kubernetes {topology.CLUSTER_DOMAIN} in-addr.arpa ip6.arpa {{
        pods insecure
        ttl 5
    }}
    cache 5
    # No forwarding: a name outside the cluster does not exist, which a client learns at once.
    template ANY ANY . {{
        rcode NXDOMAIN
    }}
}}
"""


def build_dns(image: str) -> list[dict[str, Any]]:
    """Return the objects of the cluster's DNS."""
    metadata = {"name": _NAME, "namespace": _NAMESPACE, "labels": _LABELS}
    readable = ["endpoints", "services", "pods", "namespaces"]
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": f"system:{_NAME}"},
            "rules": [
                {"apiGroups": [""], "resources": readable, "verbs": ["list", "watch"]},
                {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
            ],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": f"system:{_NAME}"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": f"system:{_NAME}"},
            "subjects": [{"kind": "ServiceAccount", "name": _NAME, "namespace": _NAMESPACE}],
        },
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"Corefile": COREFILE}},
        _build_deployment(image, metadata),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {**metadata, "name": "kube-dns"},
            "spec": {
                "clusterIP": str(topology.DNS_SERVICE),
                "selector": _LABELS,
                "ports": [
                    {"name": "dns", "port": 53, "targetPort": _DNS_PORT, "protocol": "UDP"},
                    {"name": "dns-tcp", "port": 53, "targetPort": _DNS_PORT, "protocol": "TCP"},
                ],
            },
        },
    ]


def _build_deployment(image: str, metadata: dict[str, Any]) -> dict[str, Any]:
    container = {
        "name": _NAME,
        "image": image,
        "args": ["-conf", "/etc/coredns/Corefile"],
        "ports": [
            {"name": "dns", "containerPort": _DNS_PORT, "protocol": "UDP"},
            {"name": "dns-tcp", "containerPort": _DNS_PORT, "protocol": "TCP"},
        ],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": _READY_PORT}, "periodSeconds": 1},
        "livenessProbe": {
            "httpGet": {"path": "/health", "port": _HEALTH_PORT},
            "timeoutSeconds": 5,
            "failureThreshold": 5,
        },
        "resources": {"requests": {"cpu": "20m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
        "securityContext": pod_security.build_restricted_context(),
        "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns", "readOnly": True}],
    }
    pod = {
        "serviceAccountName": _NAME,
        "priorityClassName": "system-cluster-critical",
        "dnsPolicy": "Default",
        "containers": [container],
        "volumes": [{"name": "config", "configMap": {"name": _NAME}}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": _LABELS},
            "template": {"metadata": {"labels": _LABELS}, "spec": pod},
        },
    }
