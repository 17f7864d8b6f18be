"""Measure the pool before the story starts: an adapter that changes nothing, served under a separate alias.

Clients reach only adapters, never the base model, and adapters cost time: on CPUs, vLLM generates fewer tokens with an
adapter than without. So the measurement uses the same path as every request in the story.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from safetensors.numpy import save

from tunewright_contracts.adapter_manifest import (
    CONFIG_NAME,
    MANIFEST_NAME,
    WEIGHTS_NAME,
    AdapterManifest,
    BaseModelIdentity,
    adapter_folder,
    compute_adapter_digest,
)
from tunewright_contracts.content_file import ContentFile

Body = dict[str, Any]

NAME = "speed"
"""The name of the alias, its AdapterDeployment and the client's pod."""
RANK = 16
"""The rank of the jobs' adapters; the cost depends on the rank, not on the values."""


def build_adapter(model: Mapping[str, Any], name: str, digest: str) -> tuple[str, dict[str, bytes]]:
    """Return the folder's name and the files of an adapter of zeros for every linear layer of a model.

    Args:
        model: the ``config.json`` of a model of the Llama family.
        name: the name of the BaseModel.
        digest: the digest of the BaseModel.
    """
    tensors: dict[str, np.ndarray[Any, np.dtype[np.float16]]] = {}
    shapes = _linear_layers(model)
    for layer in range(model["num_hidden_layers"]):
        for module, (outputs, inputs) in shapes.items():
            prefix = f"base_model.model.model.layers.{layer}.{module}"
            tensors[f"{prefix}.lora_A.weight"] = np.zeros((RANK, inputs), np.float16)
            tensors[f"{prefix}.lora_B.weight"] = np.zeros((outputs, RANK), np.float16)
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": RANK,
        "lora_alpha": RANK,
        "bias": "none",
        "target_modules": [module.rpartition(".")[2] for module in shapes],
        "base_model_name_or_path": name,
    }
    files = {CONFIG_NAME: json.dumps(config).encode(), WEIGHTS_NAME: save(tensors)}
    content = {path: f"sha256:{hashlib.sha256(data).hexdigest()}" for path, data in files.items()}
    manifest = AdapterManifest(
        digest=compute_adapter_digest(content),
        files=tuple(ContentFile(path=path, sha256=content[path], size=len(data)) for path, data in files.items()),
        base_model=BaseModelIdentity(name=name, digest=digest),
        rank=RANK,
        dataset_digest=f"sha256:{'0' * 64}",
        evaluation_dataset_uri="",
        training={},
        packages={},
        created_at="2026-01-01T00:00:00Z",
    )
    return adapter_folder(manifest.digest), {**files, MANIFEST_NAME: manifest.to_json().encode()}


def build_deployment(namespace: str, server: Mapping[str, str], uri: str) -> Body:
    """Return the AdapterDeployment of the alias; it has no incumbent, so its first weight gives it all requests."""
    return {
        "apiVersion": "tunewright.dev/v1alpha1",
        "kind": "AdapterDeployment",
        "metadata": {"name": NAME, "namespace": namespace},
        "spec": {
            "modelName": NAME,
            "serverRef": dict(server),
            "adapter": {"uri": uri},
            "storage": {"secretRef": {"name": "s3"}},
            "rollout": {"steps": [{"setWeight": 50}, {"pause": {}}], "bakeSeconds": 0},
        },
    }


def _linear_layers(model: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """Return (outputs, inputs) of the linear layers in a block of a Llama model, by name."""
    hidden, inner = model["hidden_size"], model["intermediate_size"]
    size = model.get("head_dim") or hidden // model["num_attention_heads"]
    queries, keys = size * model["num_attention_heads"], size * model["num_key_value_heads"]
    return {
        "self_attn.q_proj": (queries, hidden),
        "self_attn.k_proj": (keys, hidden),
        "self_attn.v_proj": (keys, hidden),
        "self_attn.o_proj": (hidden, queries),
        "mlp.gate_proj": (inner, hidden),
        "mlp.up_proj": (inner, hidden),
        "mlp.down_proj": (hidden, inner),
    }
