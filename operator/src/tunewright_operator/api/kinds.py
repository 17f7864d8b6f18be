"""The resource kinds that the operator reads or writes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

GROUP = "tunewright.dev"
VERSION = "v1alpha1"


@dataclasses.dataclass(frozen=True, slots=True)
class Kind:
    """A resource kind: ``group`` is empty for the core API; ``name`` is the value of ``kind`` in an object."""

    group: str
    version: str
    plural: str
    name: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """Return the value of ``apiVersion`` in an object."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def __str__(self) -> str:
        return self.name


BASE_MODEL = Kind(GROUP, VERSION, "basemodels", "BaseModel", namespaced=False)
FINE_TUNE_JOB = Kind(GROUP, VERSION, "finetunejobs", "FineTuneJob")
MODEL_SERVER = Kind(GROUP, VERSION, "modelservers", "ModelServer")
ADAPTER_DEPLOYMENT = Kind(GROUP, VERSION, "adapterdeployments", "AdapterDeployment")
MODEL_CLIENT = Kind(GROUP, VERSION, "modelclients", "ModelClient")

CONFIG_MAP = Kind("", "v1", "configmaps", "ConfigMap")
EVENT = Kind("", "v1", "events", "Event")
NAMESPACE = Kind("", "v1", "namespaces", "Namespace", namespaced=False)
POD = Kind("", "v1", "pods", "Pod")
SECRET = Kind("", "v1", "secrets", "Secret")
SERVICE_ACCOUNT = Kind("", "v1", "serviceaccounts", "ServiceAccount")
SERVICE = Kind("", "v1", "services", "Service")
DEPLOYMENT = Kind("apps", "v1", "deployments", "Deployment")
REPLICA_SET = Kind("apps", "v1", "replicasets", "ReplicaSet")
JOB = Kind("batch", "v1", "jobs", "Job")
LEASE = Kind("coordination.k8s.io", "v1", "leases", "Lease")
POD_DISRUPTION_BUDGET = Kind("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
CUSTOM_RESOURCE_DEFINITION = Kind(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)

OWN_KINDS: tuple[Kind, ...] = (BASE_MODEL, FINE_TUNE_JOB, MODEL_SERVER, ADAPTER_DEPLOYMENT, MODEL_CLIENT)
"""The custom resources, in the order of their use: catalogue, training, serving."""

ALL_KINDS: tuple[Kind, ...] = (
    *OWN_KINDS,
    CONFIG_MAP,
    EVENT,
    NAMESPACE,
    POD,
    SECRET,
    SERVICE_ACCOUNT,
    SERVICE,
    DEPLOYMENT,
    REPLICA_SET,
    JOB,
    LEASE,
    POD_DISRUPTION_BUDGET,
    CUSTOM_RESOURCE_DEFINITION,
)

_BY_BODY = {(kind.api_version, kind.name): kind for kind in ALL_KINDS}


def kind_of(body: Mapping[str, Any]) -> Kind:
    """Return the kind of an object.

    Raises:
        LookupError: the kind is not in `ALL_KINDS` (a programming error).
    """
    key = (str(body.get("apiVersion")), str(body.get("kind")))
    if key not in _BY_BODY:
        raise LookupError(f"{key[0]} {key[1]} is not in tunewright_operator.api.kinds.ALL_KINDS; add it there")
    return _BY_BODY[key]
