"""A control plane of its own: etcd, the API server and some controllers, on loopback and with free ports.

There is no kubelet and no scheduler. It shares nothing with a local cluster that runs on the machine.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import functools
import json
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address
from pathlib import Path

import yaml

from scale_bench.api import Api, Body, has_condition
from scale_bench.daemons import Daemon
from scale_bench.waiting import wait_until
from tunewright_dev.local.components import Component
from tunewright_dev.local.control_plane import (
    Credentials,
    Endpoints,
    describe_api_server,
    describe_controller_manager,
    describe_etcd,
    ensure_credentials,
)
from tunewright_dev.paths import Paths

SYSTEM_NAMESPACE = "tunewright-system"
PEER_NAMESPACE = "ray-system"
OPERATOR, PEER = "tunewright-operator", "ray-operator"
# The service account controller makes the account without which no pod is admitted.
CONTROLLERS = (
    "job-controller",
    "deployment-controller",
    "replicaset-controller",
    "garbage-collector-controller",
    "ttl-after-finished-controller",
    "serviceaccount-controller",
)
# High enough that the controllers are not what is measured; the defaults are 20 and 30.
_CONTROLLER_QPS = 500
_TOKEN_SECONDS = 24 * 3600
_MANY_MEGABYTES = 100_000
AUDIT_LOG = "audit.log"
READY_SECONDS = 300.0
"""On a busy machine, an API server needs minutes for its first start."""
SERVED_SECONDS = 60.0
_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
# The peer's definitions have a megabyte each, but PyYAML may have been built without libyaml.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclasses.dataclass(frozen=True)
class Identity:
    """A service account of one of the measured operators; ``kubeconfig`` has its token."""

    namespace: str
    name: str
    kubeconfig: Path

    @property
    def user(self) -> str:
        """The user name in the audit log."""
        return f"system:serviceaccount:{self.namespace}:{self.name}"


class ControlPlane:
    """The running control plane; `stop` ends its programs."""

    def __init__(self, paths: Paths, programs: Path) -> None:
        """Prepare certificates and configuration in the state folder of `paths`."""
        ports = find_free_ports(4)
        self._endpoints = Endpoints(IPv4Address("127.0.0.1"), *ports)
        self._paths = paths
        self.credentials: Credentials = ensure_credentials(paths, self._endpoints)
        self.audit_log = paths.state / AUDIT_LOG
        policy = paths.state / "audit-policy.json"
        policy.write_text(json.dumps(build_audit_policy()))
        audit = (
            f"--audit-policy-file={policy}",
            f"--audit-log-path={self.audit_log}",
            "--audit-log-mode=batch",
            "--audit-log-batch-max-wait=500ms",
            f"--audit-log-maxsize={_MANY_MEGABYTES}",
            # The Service `kubernetes` may not have an address on loopback.
            "--endpoint-reconciler-type=none",
        )
        controllers = (
            f"--secure-port={self._endpoints.controller_manager_port}",
            f"--controllers={','.join(CONTROLLERS)}",
            f"--kube-api-qps={_CONTROLLER_QPS}",
            f"--kube-api-burst={2 * _CONTROLLER_QPS}",
        )
        self._components = (
            describe_etcd(paths, programs, self.credentials, self._endpoints),
            describe_api_server(programs, self.credentials, self._endpoints, audit),
            describe_controller_manager(programs, self.credentials, self._endpoints, controllers),
        )
        self.daemons = {component.name: self._build_daemon(component) for component in self._components}

    def _build_daemon(self, component: Component) -> Daemon:
        log = self._paths.state / f"{component.name}.log"
        return Daemon(component.name, component.argv, log, component.environment)

    async def start_servers(self) -> None:
        """Start etcd and the API server, and wait until they are ready.

        Raises:
            DevError: one of them did not become ready.
        """
        await self._start(self._components[:-1])

    async def start_controllers(self) -> None:
        """Start the controllers: the garbage collector learns at its start which kinds exist.

        Raises:
            DevError: they did not become ready.
        """
        await self._start(self._components[-1:])

    async def _start(self, components: Sequence[Component]) -> None:
        for component in components:
            self.daemons[component.name].start()
            await self.daemons[component.name].wait_ready(component.is_ready, seconds=READY_SECONDS)

    @property
    def url(self) -> str:
        """The API server's address."""
        return self._endpoints.api_url

    def stop(self) -> None:
        """Stop all programs."""
        for daemon in reversed(self.daemons.values()):
            daemon.stop()

    def connect(self) -> Api:
        """Return a connection as the administrator."""
        return Api(self._endpoints.api_url, self.credentials.authority, self.credentials.admin)

    async def create_identity(self, api: Api, namespace: str, name: str) -> Identity:
        """Create a service account, and a kubeconfig with its token."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        await api.create(path, {"metadata": {"name": name}})
        request = {"spec": {"expirationSeconds": _TOKEN_SECONDS}}
        token = (await api.create(f"{path}/{name}/token", request))["status"]["token"]
        kubeconfig = self._paths.state / f"{name}.kubeconfig"
        kubeconfig.write_text(json.dumps(self._build_kubeconfig(token)))
        kubeconfig.chmod(0o600)
        return Identity(namespace, name, kubeconfig)

    def _build_kubeconfig(self, token: str) -> Body:
        authority = base64.b64encode(self.credentials.authority.certificate.read_bytes()).decode()
        cluster = {"server": self._endpoints.api_url, "certificate-authority-data": authority}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "bench", "cluster": cluster}],
            "users": [{"name": "bench", "user": {"token": token}}],
            "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}],
            "current-context": "bench",
        }


def find_free_ports(count: int) -> list[int]:
    """Return free ports of the loopback address."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def build_audit_policy() -> Body:
    """Return the policy that records every finished request of the measured operators, and nothing else."""
    users = [f"system:serviceaccount:{SYSTEM_NAMESPACE}:{OPERATOR}", f"system:serviceaccount:{PEER_NAMESPACE}:{PEER}"]
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived", "ResponseStarted"],
        "rules": [{"level": "Metadata", "users": users}, {"level": "None"}],
    }


async def install_tunewright(api: Api, clone: Path) -> None:
    """Create the CRDs of a clone, the operator's namespace, and the roles that its chart gives the operator."""
    await _create_definitions(api, clone / "crds")
    await api.create("/api/v1/namespaces", {"metadata": {"name": SYSTEM_NAMESPACE}})
    text = (clone / "charts" / "tunewright" / "files" / "operator-rules.yaml").read_text()
    rules: dict[str, list[Body]] = yaml.safe_load(text)
    # Clones of earlier releases have the rights in tenants' namespaces among those of the cluster.
    await _grant(api, [*rules["cluster"], *rules.get("tenants", [])], None)
    await _grant(api, rules["namespace"], SYSTEM_NAMESPACE)


async def _create_definitions(api: Api, folder: Path) -> None:
    """Create the custom resource definitions of a folder, and wait until the API server serves them."""
    for definition in _read_definitions(folder):
        await api.create(_DEFINITIONS, definition)
        path = f"{_DEFINITIONS}/{definition['metadata']['name']}"
        is_served = functools.partial(_is_served, api, path)
        await wait_until(f"the API server to serve {path}", is_served, seconds=SERVED_SECONDS)


async def _is_served(api: Api, path: str) -> bool:
    return has_condition(await api.request("GET", path), "Established")


def _read_definitions(folder: Path) -> list[Body]:
    return [yaml.load(path.read_text(), _LOADER) for path in sorted(folder.glob("*.yaml"))]


async def _grant(api: Api, rules: list[Body], namespace: str | None) -> None:
    kind = "Role" if namespace else "ClusterRole"
    scope = f"/namespaces/{namespace}" if namespace else ""
    root = f"/apis/rbac.authorization.k8s.io/v1{scope}"
    granted = [{key: value for key, value in rule.items() if key != "reason"} for rule in rules]
    await api.create(f"{root}/{kind.lower()}s", {"metadata": {"name": OPERATOR}, "rules": granted})
    await api.create(f"{root}/{kind.lower()}bindings", build_binding(kind, OPERATOR, SYSTEM_NAMESPACE, OPERATOR))


def build_binding(kind: str, role: str, namespace: str, account: str) -> Body:
    """Return the binding of a role to a service account."""
    return {
        "metadata": {"name": account},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
        "subjects": [{"kind": "ServiceAccount", "namespace": namespace, "name": account}],
    }


async def install_peer(api: Api, crds: Path) -> None:
    """Create the peer's CRDs and its namespace; its operator may do everything, which costs it nothing."""
    await _create_definitions(api, crds)
    await api.create("/api/v1/namespaces", {"metadata": {"name": PEER_NAMESPACE}})
    binding = build_binding("ClusterRole", "cluster-admin", PEER_NAMESPACE, PEER)
    await api.create("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding)
