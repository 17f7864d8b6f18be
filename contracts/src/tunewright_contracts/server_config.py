"""The settings that a server pod reads at its start: JSON that the operator mounts at `SERVER_CONFIG_PATH`."""

from __future__ import annotations

from typing import Literal

from tunewright_contracts.document import Document
from tunewright_contracts.locations import BaseModelSource

SERVER_CONFIG_PATH = "/etc/tunewright/server/server.json"
STATE_DIRECTORY = "/var/lib/tunewright"
"""An emptyDir with base model, adapters and the last applied plan: it survives container restarts, not the pod."""

ADAPTERS_DIRECTORY = f"{STATE_DIRECTORY}/adapters"
"""Another emptyDir: adapters are tenants' files, and must not take the space of the base model or the node."""
ADAPTERS_VOLUME_GIBIBYTES = 100
MAX_ADAPTERS_BYTES = 95 << 30
"""The most that a pod downloads there: the kubelet evicts a pod whose volume is over its limit."""


class ServerConfig(Document):
    """The fixed settings of a replica; to change one of them means a new pod template."""

    server_uid: str
    namespace: str
    name: str
    base_model: BaseModelSource
    served_base_name: str
    """The name of the base model in vLLM; clients cannot request it."""
    max_rank: int
    max_adapters: int
    rollout_slots: int
    max_active_adapters: int
    max_model_length: int
    dtype: Literal["Auto", "BFloat16", "Float16", "Float32"] = "Auto"
    adapter_load_timeout_seconds: int = 120
    max_request_bytes: int = 1024 * 1024
