"""The objects of one ModelServer: a Deployment of vLLM pods, its configuration, its Service and disruption budget."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Final

from tunewright_contracts.clients.access_list import ACCESS_DIRECTORY, ACCESS_KEY
from tunewright_contracts.document import SignedDocument
from tunewright_contracts.server_config import (
    ADAPTERS_DIRECTORY,
    ADAPTERS_VOLUME_GIBIBYTES,
    SERVER_CONFIG_PATH,
    ServerConfig,
)
from tunewright_contracts.serving_plan import (
    ADMIN_PREFIX,
    GRACE_SECONDS,
    LEAVE_SECONDS,
    PLAN_DIRECTORY,
    PLAN_KEY,
    PUBLIC_KEY_PATH,
    SERVER_PORT,
)
from tunewright_operator.api import labels
from tunewright_operator.api.base_model import BaseModel
from tunewright_operator.api.containers import Container
from tunewright_operator.api.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    GROUP,
    POD_DISRUPTION_BUDGET,
    SERVICE,
    Kind,
)
from tunewright_operator.api.model_server import ModelServer
from tunewright_operator.manifests import pods
from tunewright_operator.manifests.engine import identify_engine
from tunewright_operator.manifests.resources import build_resources
from tunewright_operator.manifests.run_specs import build_base_model_source

Body = dict[str, Any]

CONTAINER: Final = Container.SERVER.value
CONFIG_KEY: Final = PurePosixPath(SERVER_CONFIG_PATH).name
PUBLIC_KEY_KEY: Final = PurePosixPath(PUBLIC_KEY_PATH).name
CONFIG_HASH: Final = f"{GROUP}/config-hash"
"""Annotation of the pod template: pods read their configuration at start, so a change must replace the pods."""
TEMPLATE_HASH: Final = f"{GROUP}/template-hash"
"""Annotation of the Deployment: the hash of the pod template that was applied last."""
STATE_SIZE: Final = "200Gi"
"""The maximum size of the base model and caches; nothing is reserved."""
START_MINUTES: Final = 60
"""How long a pod may fetch and load its base model before the kubelet restarts the container."""


@dataclasses.dataclass(frozen=True, slots=True)
class Children:
    """The objects of one server, without the ConfigMaps of its plan and access list, and what identifies its engine."""

    service: Body
    disruption_budget: Body
    config_map: Body
    deployment: Body
    engine: str
    """The identity of the engine of pods with this configuration and this template."""


def build_children(
    owner: Mapping[str, Any],
    server: ModelServer,
    base_model: BaseModel,
    public_key: str,
    defaults: pods.PodDefaults,
) -> Children:
    """Return the objects of a server; ``base_model`` must have been inspected."""
    config = build_server_config(server, base_model)
    config_map = build_config_map(owner, config, public_key)
    return Children(
        service=build_service(owner),
        disruption_budget=build_disruption_budget(owner),
        config_map=config_map,
        deployment=build_deployment(owner, server, config_map, defaults),
        engine=identify_engine(server, config, defaults.server),
    )


def config_map_name(name: str) -> str:
    """Return the name of the ConfigMap with the configuration and the public key."""
    return f"{name}-server"


def plan_name(name: str) -> str:
    """Return the name of the ConfigMap with the serving plan."""
    return f"{name}-plan"


def access_name(name: str) -> str:
    """Return the name of the ConfigMap with the access list."""
    return f"{name}-access"


def build_server_config(server: ModelServer, base_model: BaseModel) -> ServerConfig:
    """Return the configuration of the replicas."""
    spec = server.spec
    return ServerConfig(
        server_uid=server.metadata.uid,
        namespace=server.metadata.namespace or "",
        name=server.metadata.name,
        base_model=build_base_model_source(base_model),
        served_base_name=base_model.metadata.name,
        max_rank=spec.lora.max_rank,
        max_adapters=spec.lora.max_adapters,
        rollout_slots=spec.lora.rollout_slots,
        max_active_adapters=spec.lora.max_active_adapters,
        max_model_length=spec.vllm.max_model_length or base_model.spec.context_length,
        dtype=spec.vllm.dtype,
        adapter_load_timeout_seconds=spec.adapter_load_timeout_seconds,
    )


def build_config_map(owner: Mapping[str, Any], config: ServerConfig, public_key: str) -> Body:
    """Return the ConfigMap with the pods' configuration, and with the public key for plans and tokens."""
    body = _build_object(CONFIG_MAP, owner, config_map_name(config.name))
    body["data"] = {CONFIG_KEY: config.to_json(), PUBLIC_KEY_KEY: public_key}
    return body


def build_signed_config_map(owner: Mapping[str, Any], name: str, key: str, signed: SignedDocument) -> Body:
    """Return the ConfigMap that stores a plan or an access list under a key."""
    body = _build_object(CONFIG_MAP, owner, name)
    body["data"] = {key: signed.to_json()}
    return body


def build_service(owner: Mapping[str, Any]) -> Body:
    """Return the Service that clients call."""
    name = owner["metadata"]["name"]
    body = _build_object(SERVICE, owner, name)
    body["spec"] = {
        "selector": labels.build_server_labels(name),
        "ports": [{"name": "http", "port": SERVER_PORT, "targetPort": "http", "protocol": "TCP"}],
    }
    return body


def build_disruption_budget(owner: Mapping[str, Any]) -> Body:
    """Return the PodDisruptionBudget, which lets a drain evict one pod at a time."""
    name = owner["metadata"]["name"]
    body = _build_object(POD_DISRUPTION_BUDGET, owner, name)
    body["spec"] = {"maxUnavailable": 1, "selector": {"matchLabels": labels.build_server_labels(name)}}
    return body


def build_deployment(
    owner: Mapping[str, Any], server: ModelServer, config_map: Mapping[str, Any], defaults: pods.PodDefaults
) -> Body:
    """Return the Deployment of the replicas.

    A pod that is replaced first leaves the Service and then finishes its requests. The new pod is ready when it has
    loaded or rejected every adapter of its plan.
    """
    spec = server.spec
    selector = labels.build_server_labels(server.metadata.name)
    body = _build_object(DEPLOYMENT, owner, server.metadata.name)
    body["spec"] = {
        "replicas": spec.replicas,
        "selector": {"matchLabels": selector},
        "strategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {
                "maxSurge": spec.update_strategy.max_surge,
                "maxUnavailable": spec.update_strategy.max_unavailable,
            },
        },
        "revisionHistoryLimit": 2,
        "progressDeadlineSeconds": START_MINUTES * 60 * 2,
        "template": {
            "metadata": {"labels": selector, "annotations": {CONFIG_HASH: _hash_data(config_map)}},
            "spec": _build_pod_spec(server, defaults),
        },
    }
    template = json.dumps(body["spec"]["template"], sort_keys=True)
    body["metadata"]["annotations"] = {TEMPLATE_HASH: hashlib.sha256(template.encode()).hexdigest()[:16]}
    return body


def template_hash(deployment: Mapping[str, Any]) -> str | None:
    """Return the hash of the pod template that was applied last; None when the operator did not apply the Deployment.

    The template cannot be compared: the API server adds defaults and rewrites quantities.
    """
    annotations = deployment["metadata"].get("annotations") or {}
    value: str | None = annotations.get(TEMPLATE_HASH)
    return value


def _build_pod_spec(server: ModelServer, defaults: pods.PodDefaults) -> Body:
    spec = server.spec
    scheduling = spec.scheduling
    volumes, mounts = pods.join_volumes(
        _build_own_volumes(server.metadata.name),
        pods.build_ca_volume(spec.storage),
        pods.build_scratch_volumes(STATE_SIZE, shared_memory=True),
        _build_adapters_volume(),
    )
    container: Body = {
        "name": CONTAINER,
        "image": defaults.server,
        "imagePullPolicy": defaults.pull_policy,
        "command": ["python", "-m", "tunewright_server"],
        # vLLM and torch write caches into the working directory.
        "workingDir": pods.STATE_DIRECTORY,
        "env": [*pods.build_common_env(), *pods.build_credential_env(spec.storage)],
        "ports": [{"name": "http", "containerPort": SERVER_PORT, "protocol": "TCP"}],
        "securityContext": pods.build_container_security_context(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "startupProbe": {**_build_probe("healthz"), "periodSeconds": 5, "failureThreshold": START_MINUTES * 12},
        "readinessProbe": {**_build_probe("readyz"), "periodSeconds": 2, "failureThreshold": 3},
        "livenessProbe": {**_build_probe("healthz"), "periodSeconds": 10, "failureThreshold": 6},
        "lifecycle": {"preStop": {"sleep": {"seconds": LEAVE_SECONDS}}},
        "resources": build_resources(spec.resources, defaults.resources.server, accelerators=True),
        "volumeMounts": mounts,
    }
    pod_spec: Body = {
        **pods.build_pod_base(defaults, spec.storage),
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "containers": [container],
        "volumes": volumes,
    }
    optional: Body = {
        "nodeSelector": scheduling.node_selector,
        "tolerations": [item.to_wire() for item in scheduling.tolerations],
        "priorityClassName": scheduling.priority_class_name,
        "runtimeClassName": scheduling.runtime_class_name,
    }
    return pod_spec | {key: value for key, value in optional.items() if value}


def _build_own_volumes(name: str) -> tuple[list[Body], list[Body]]:
    """Return (volumes, mounts) of configuration, key, plan and access list.

    Each is a whole directory, since the kubelet does not update a file that is mounted by subPath.
    """
    folders = {
        "config": (config_map_name(name), CONFIG_KEY, str(PurePosixPath(SERVER_CONFIG_PATH).parent)),
        "keys": (config_map_name(name), PUBLIC_KEY_KEY, str(PurePosixPath(PUBLIC_KEY_PATH).parent)),
        "plan": (plan_name(name), PLAN_KEY, PLAN_DIRECTORY),
        "access": (access_name(name), ACCESS_KEY, ACCESS_DIRECTORY),
    }
    volumes: list[Body] = []
    mounts: list[Body] = []
    for volume, (config_map, key, folder) in folders.items():
        source = {"name": config_map, "items": [{"key": key, "path": key}]}
        volumes.append({"name": volume, "configMap": source})
        mounts.append({"name": volume, "mountPath": folder, "readOnly": True})
    return volumes, mounts


def _build_adapters_volume() -> tuple[list[Body], list[Body]]:
    """Return the volume of the adapters: tenants' files must not take the space of the base model or the node."""
    volume = {"name": "adapters", "emptyDir": {"sizeLimit": f"{ADAPTERS_VOLUME_GIBIBYTES}Gi"}}
    return [volume], [{"name": "adapters", "mountPath": ADAPTERS_DIRECTORY}]


def _build_probe(path: str) -> Body:
    return {"httpGet": {"path": f"{ADMIN_PREFIX}/{path}", "port": "http"}, "timeoutSeconds": 2}


def _build_object(kind: Kind, owner: Mapping[str, Any], name: str) -> Body:
    metadata = owner["metadata"]
    return {
        "apiVersion": kind.api_version,
        "kind": kind.name,
        "metadata": {
            "name": name,
            "namespace": metadata["namespace"],
            "labels": labels.build_server_labels(metadata["name"]),
            "ownerReferences": [labels.build_owner_reference(owner)],
        },
    }


def _hash_data(config_map: Mapping[str, Any]) -> str:
    text = "\0".join(f"{key}\0{value}" for key, value in sorted(config_map["data"].items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
