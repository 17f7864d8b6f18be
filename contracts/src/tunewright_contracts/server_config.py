"""What the operator tells a server pod at start: mounted as JSON at `SERVER_CONFIG_PATH`."""

from __future__ import annotations

from typing import Literal

from tunewright_contracts.document import Document
from tunewright_contracts.locations import BaseModelSource

SERVER_CONFIG_PATH = "/etc/tunewright/server/server.json"
STATE_DIRECTORY = "/var/lib/tunewright"
"""An emptyDir: base model, adapters and the last applied plan; survives a container restart, not the pod."""


class ServerConfig(Document):
    """One replica's fixed settings; a change of any of them is a new pod template."""

    server_uid: str
    namespace: str
    name: str
    base_model: BaseModelSource
    served_base_name: str
    """The name under which vLLM knows the base model; no client may call it."""
    max_rank: int
    max_adapters: int
    rollout_slots: int
    max_active_adapters: int
    max_model_length: int
    dtype: Literal["Auto", "BFloat16", "Float16", "Float32"] = "Auto"
    adapter_load_timeout_seconds: int = 120
    max_request_bytes: int = 1024 * 1024
