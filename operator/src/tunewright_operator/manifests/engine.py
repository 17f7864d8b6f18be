"""What identifies a server's engine: equal identities give equal answers to the same question."""

from __future__ import annotations

import hashlib
import json
from typing import Final

from tunewright_contracts.server_config import ServerConfig
from tunewright_operator.api.model_server import ModelServer

WITHOUT_EFFECT: Final = frozenset(
    {
        "schemaVersion",
        "serverUid",
        "namespace",
        "name",
        "servedBaseName",
        "maxAdapters",
        "rolloutSlots",
        "maxActiveAdapters",
        "adapterLoadTimeoutSeconds",
        "maxRequestBytes",
    }
)
"""Fields of the replicas' configuration that change no answer. Every other one counts, also one that is added later."""


def identify_engine(server: ModelServer, config: ServerConfig, image: str) -> str:
    """Return ``sha256:<hex>`` of all that the operator knows of a server and that can change an answer.

    Resources and scheduling choose the accelerator, whose arithmetic can change an answer. An image without a digest
    counts by its name.
    """
    wire = config.to_wire()
    kept = {name: value for name, value in wire.items() if name not in WITHOUT_EFFECT}
    kept["baseModel"] = {"digest": config.base_model.digest, "chatTemplate": config.base_model.chat_template}
    facts = {
        "image": image,
        "config": kept,
        "resources": server.spec.resources.to_wire(),
        "scheduling": server.spec.scheduling.to_wire(),
    }
    return f"sha256:{hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()}"
