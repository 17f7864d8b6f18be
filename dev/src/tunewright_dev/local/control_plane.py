"""How each Kubernetes program is started: certificates, configuration files, arguments and readiness.

All names and addresses are from `topology`. Comments explain where a setting differs from its default.
"""

from __future__ import annotations

import base64
import dataclasses
import json
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from tunewright_dev import certificates, files, topology
from tunewright_dev.certificates import KeyPair
from tunewright_dev.local import probes
from tunewright_dev.local.components import Component
from tunewright_dev.paths import Paths

_MASTERS = "system:masters"
_ISSUER = f"https://kubernetes.default.svc.{topology.CLUSTER_DOMAIN}"


@dataclasses.dataclass(frozen=True)
class Endpoints:
    """Where the control plane listens; the defaults are those of the local cluster.

    A benchmark starts a second control plane beside it, on loopback and with other ports.
    """

    api_address: IPv4Address = topology.NODE_ADDRESS
    api_port: int = topology.API_PORT
    etcd_port: int = topology.ETCD_PORT
    etcd_peer_port: int = topology.ETCD_PEER_PORT
    controller_manager_port: int = topology.CONTROLLER_MANAGER_PORT

    @property
    def api_url(self) -> str:
        """The API server's address."""
        return f"https://{self.api_address}:{self.api_port}"

    @property
    def etcd_url(self) -> str:
        """The address at which the API server reaches etcd."""
        return f"https://127.0.0.1:{self.etcd_port}"


LOCAL = Endpoints()


@dataclasses.dataclass(frozen=True)
class Credentials:
    """The certificates, keys and kubeconfigs of this cluster."""

    authority: KeyPair
    signing_key: KeyPair
    etcd: KeyPair
    api_server: KeyPair
    kubelet: KeyPair
    admin: KeyPair
    kubeconfigs: dict[str, Path]


def ensure_credentials(paths: Paths, endpoints: Endpoints = LOCAL) -> Credentials:
    """Create the cluster's missing certificates, keys and kubeconfigs."""
    folder, address = paths.pki, str(endpoints.api_address)
    authority = certificates.ensure_authority(folder, "cluster-ca")

    def issue(name: str, common_name: str, organization: str | None = None, hosts: tuple[str, ...] = ()) -> KeyPair:
        return certificates.ensure_certificate(
            folder, name, authority, common_name=common_name, organization=organization, hosts=hosts
        )

    service_names = (
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        f"kubernetes.default.svc.{topology.CLUSTER_DOMAIN}",
    )
    api_hosts = ("localhost", *service_names, address, "127.0.0.1", str(topology.KUBERNETES_SERVICE))
    users = {
        "admin": issue("admin", "admin", _MASTERS),
        "kube-controller-manager": issue("kube-controller-manager", "system:kube-controller-manager"),
        "kube-proxy": issue("kube-proxy", "system:kube-proxy"),
        "kube-scheduler": issue("kube-scheduler", "system:kube-scheduler"),
        "kubelet": issue(
            "kubelet", f"system:node:{topology.NODE_NAME}", "system:nodes", hosts=(topology.NODE_NAME, address)
        ),
    }
    kubeconfigs = {name: folder / f"{name}.kubeconfig" for name in users}
    for name, pair in users.items():
        files.write(kubeconfigs[name], build_kubeconfig(authority, pair, endpoints), mode=0o600)
    return Credentials(
        authority=authority,
        signing_key=certificates.ensure_signing_key(folder, "service-accounts"),
        etcd=issue("etcd", "etcd", hosts=("127.0.0.1",)),
        api_server=issue("kube-apiserver", "kube-apiserver", _MASTERS, hosts=api_hosts),
        kubelet=users["kubelet"],
        admin=users["admin"],
        kubeconfigs=kubeconfigs,
    )


def build_kubeconfig(authority: KeyPair, user: KeyPair, endpoints: Endpoints = LOCAL) -> str:
    """Return a kubeconfig that contains certificates and keys, so that it can be copied."""

    def embed(path: Path) -> str:
        return base64.b64encode(path.read_bytes()).decode()

    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "tunewright",
                "cluster": {
                    "server": endpoints.api_url,
                    "certificate-authority-data": embed(authority.certificate),
                },
            }
        ],
        "users": [
            {
                "name": "tunewright",
                "user": {
                    "client-certificate-data": embed(user.certificate),
                    "client-key-data": embed(user.key),
                },
            }
        ],
        "contexts": [{"name": "tunewright", "context": {"cluster": "tunewright", "user": "tunewright"}}],
        "current-context": "tunewright",
    }
    return json.dumps(config, indent=2) + "\n"


def describe_etcd(paths: Paths, programs: Path, credentials: Credentials, endpoints: Endpoints = LOCAL) -> Component:
    """Return etcd: it listens only on loopback, and clients need a certificate of this cluster."""
    client = endpoints.etcd_url
    pair, authority = credentials.etcd, credentials.authority.certificate
    return Component(
        name="etcd",
        argv=(
            str(programs / "etcd"),
            f"--data-dir={paths.state}/etcd",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls=http://127.0.0.1:{endpoints.etcd_peer_port}",
            f"--cert-file={pair.certificate}",
            f"--key-file={pair.key}",
            "--client-cert-auth",
            f"--trusted-ca-file={authority}",
            # A temporary cluster, which shares a disk with image builds: speed is more important than a power failure.
            "--unsafe-no-fsync",
            "--log-level=warn",
        ),
        is_ready=lambda: probes.answers(f"{client}/health", ca=authority, certificate=pair.certificate, key=pair.key),
        files=(pair.certificate, authority),
    )


def describe_api_server(
    programs: Path, credentials: Credentials, endpoints: Endpoints = LOCAL, options: tuple[str, ...] = ()
) -> Component:
    """Return the API server with all default admission plugins (PodSecurity among them) and NodeRestriction.

    ``options`` are additional arguments.
    """
    own, etcd, admin = credentials.api_server, credentials.etcd, credentials.admin
    authority = credentials.authority.certificate
    return Component(
        name="kube-apiserver",
        argv=(
            str(programs / "kube-apiserver"),
            f"--advertise-address={endpoints.api_address}",
            f"--bind-address={endpoints.api_address}",
            f"--secure-port={endpoints.api_port}",
            f"--tls-cert-file={own.certificate}",
            f"--tls-private-key-file={own.key}",
            f"--client-ca-file={authority}",
            f"--etcd-servers={endpoints.etcd_url}",
            f"--etcd-cafile={authority}",
            f"--etcd-certfile={etcd.certificate}",
            f"--etcd-keyfile={etcd.key}",
            f"--service-account-issuer={_ISSUER}",
            f"--service-account-key-file={credentials.signing_key.certificate}",
            f"--service-account-signing-key-file={credentials.signing_key.key}",
            f"--service-cluster-ip-range={topology.SERVICE_RANGE}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
            f"--kubelet-client-certificate={own.certificate}",
            f"--kubelet-client-key={own.key}",
            f"--kubelet-certificate-authority={authority}",
            # By address, so that logs and exec do not need DNS for the node's name on this machine.
            "--kubelet-preferred-address-types=InternalIP",
            *options,
        ),
        is_ready=lambda: probes.answers(
            f"{endpoints.api_url}/readyz", ca=authority, certificate=admin.certificate, key=admin.key
        ),
        files=(own.certificate, etcd.certificate, authority, credentials.signing_key.certificate),
    )


def describe_controller_manager(
    programs: Path, credentials: Credentials, endpoints: Endpoints = LOCAL, options: tuple[str, ...] = ()
) -> Component:
    """Return the controller manager; ``options`` are additional arguments."""
    authority = credentials.authority
    return Component(
        name="kube-controller-manager",
        argv=(
            str(programs / "kube-controller-manager"),
            f"--kubeconfig={credentials.kubeconfigs['kube-controller-manager']}",
            "--bind-address=127.0.0.1",
            "--leader-elect=false",
            "--use-service-account-credentials",
            f"--service-account-private-key-file={credentials.signing_key.key}",
            f"--root-ca-file={authority.certificate}",
            f"--cluster-signing-cert-file={authority.certificate}",
            f"--cluster-signing-key-file={authority.key}",
            f"--cluster-cidr={topology.POD_RANGE}",
            f"--service-cluster-ip-range={topology.SERVICE_RANGE}",
            # A claim that is processed before its volume waits for the next sync, by default 15 s.
            "--pvclaimbinder-sync-period=1s",
            *options,
        ),
        is_ready=lambda: probes.answers(f"https://127.0.0.1:{endpoints.controller_manager_port}/healthz"),
        files=(credentials.kubeconfigs["kube-controller-manager"], credentials.signing_key.certificate),
    )


def describe_scheduler(programs: Path, credentials: Credentials) -> Component:
    """Return the scheduler."""
    return Component(
        name="kube-scheduler",
        argv=(
            str(programs / "kube-scheduler"),
            f"--kubeconfig={credentials.kubeconfigs['kube-scheduler']}",
            "--bind-address=127.0.0.1",
            "--leader-elect=false",
        ),
        is_ready=lambda: probes.answers("https://127.0.0.1:10259/healthz"),
        files=(credentials.kubeconfigs["kube-scheduler"],),
    )


def describe_kubelet(paths: Paths, programs: Path, credentials: Credentials) -> Component:
    """Return the kubelet of the one node."""
    config = _write_config(paths, "kubelet.json", build_kubelet_config(paths, credentials))
    return Component(
        name="kubelet",
        argv=(
            str(programs / "kubelet"),
            f"--config={config}",
            f"--kubeconfig={credentials.kubeconfigs['kubelet']}",
            f"--hostname-override={topology.NODE_NAME}",
            f"--node-ip={topology.NODE_ADDRESS}",
            f"--root-dir={paths.state}/kubelet",
        ),
        is_ready=lambda: probes.answers("http://127.0.0.1:10248/healthz"),
        files=(config, credentials.kubelet.certificate),
    )


def build_kubelet_config(paths: Paths, credentials: Credentials) -> dict[str, Any]:
    """Return the KubeletConfiguration."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": str(topology.NODE_ADDRESS),
        "port": topology.KUBELET_PORT,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(credentials.authority.certificate)},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(credentials.kubelet.certificate),
        "tlsPrivateKeyFile": str(credentials.kubelet.key),
        # Both cgroup versions work: 1.34 still supports v1, and this driver needs no systemd.
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": False,
        "failSwapOn": False,
        "containerRuntimeEndpoint": f"unix://{paths.containerd_socket}",
        "clusterDomain": topology.CLUSTER_DOMAIN,
        "clusterDNS": [str(topology.DNS_SERVICE)],
        # Pods cannot reach the machine's resolvers, so they do not get their addresses.
        "resolvConf": "",
        "podLogsDir": str(paths.logs / "pods"),
        "serializeImagePulls": False,
        # A developer's disk is often nearly full; large images would be deleted and fetched repeatedly.
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
    }


def describe_proxy(paths: Paths, programs: Path, credentials: Credentials) -> Component:
    """Return kube-proxy."""
    config = _write_config(paths, "kube-proxy.json", build_proxy_config(credentials))
    return Component(
        name="kube-proxy",
        argv=(str(programs / "kube-proxy"), f"--config={config}", f"--hostname-override={topology.NODE_NAME}"),
        is_ready=lambda: probes.answers("http://127.0.0.1:10256/livez"),
        files=(config, credentials.kubeconfigs["kube-proxy"]),
    )


def build_proxy_config(credentials: Credentials) -> dict[str, Any]:
    """Return the KubeProxyConfiguration."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clusterCIDR": str(topology.POD_RANGE),
        "clientConnection": {"kubeconfig": str(credentials.kubeconfigs["kube-proxy"])},
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        # Do not change the machine's connection tracking, and do not route its loopback addresses.
        "conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "iptables": {"localhostNodePorts": False},
        "nodePortAddresses": ["primary"],
    }


def _write_config(paths: Paths, name: str, config: dict[str, Any]) -> Path:
    path = paths.config / name
    files.write(path, json.dumps(config, indent=2))
    return path
