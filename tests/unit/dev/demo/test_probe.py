"""The adapter without an effect: servers accept it, and its alias answers without an evaluation."""

from __future__ import annotations

import jsonschema
import numpy as np
from safetensors.numpy import load, save_file

from support.crds.schema import read_crds, root_schema
from support.worlds.rollout_world import RolloutWorld, revision_of
from tunewright_contracts.adapter_manifest import CONFIG_NAME, MANIFEST_NAME, WEIGHTS_NAME, AdapterManifest
from tunewright_dev.demo import probe
from tunewright_server.adapters import preflight
from tunewright_storage import adapter_content
from tunewright_storage.base_shapes import read_base_shapes

MODEL = {
    "hidden_size": 24,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "num_key_value_heads": 1,
}
"""A Llama with grouped queries, like SmolLM2, and a head size of 8."""
SHAPES = {
    "self_attn.q_proj": (24, 24),
    "self_attn.k_proj": (8, 24),
    "self_attn.v_proj": (8, 24),
    "self_attn.o_proj": (24, 24),
    "mlp.gate_proj": (64, 24),
    "mlp.up_proj": (64, 24),
    "mlp.down_proj": (24, 64),
}
DIGEST = "sha256:" + "b" * 64


def test_a_server_accepts_it(tmp_path):
    base, adapter = tmp_path / "base", tmp_path / "adapter"
    base.mkdir()
    weights = {
        f"model.layers.{layer}.{module}.weight": np.ones(shape, np.float16)
        for layer in range(2)
        for module, shape in SHAPES.items()
    }
    save_file(weights, base / "model.safetensors")
    folder, files = probe.build_adapter(MODEL, "smollm2", DIGEST)
    adapter.mkdir()
    for name in (CONFIG_NAME, WEIGHTS_NAME):
        (adapter / name).write_bytes(files[name])
    shapes = read_base_shapes(base)
    adapter_content.check_folder(adapter, probe.RANK, shapes)
    manifest = AdapterManifest.from_json(files[MANIFEST_NAME])
    preflight.check_manifest(manifest, DIGEST, probe.RANK, shapes)
    assert folder == manifest.digest.replace(":", "-")
    assert list(files)[-1] == MANIFEST_NAME, "the commit mark is written last"


def test_it_has_no_effect_and_is_the_same_every_time():
    folder, files = probe.build_adapter(MODEL, "smollm2", DIGEST)
    assert probe.build_adapter(MODEL, "smollm2", DIGEST) == (folder, files)
    assert not any(tensor.any() for tensor in load(files[WEIGHTS_NAME]).values())


def test_an_explicit_head_size_of_the_model_is_used():
    _, files = probe.build_adapter({**MODEL, "head_dim": 16}, "smollm2", DIGEST)
    shape = load(files[WEIGHTS_NAME])["base_model.model.model.layers.1.self_attn.k_proj.lora_B.weight"].shape
    assert shape == (16, probe.RANK)


def test_its_alias_answers_all_requests_at_once_and_then_pauses():
    body = probe.build_deployment("support", {"name": "smollm2", "namespace": "serving"}, "s3://b/adapters/support/x")
    jsonschema.validate(body, root_schema(read_crds()["AdapterDeployment"]))
    rollout = body["spec"]["rollout"]
    world = RolloutWorld(rollout["steps"], bakeSeconds=rollout["bakeSeconds"])
    world.name_adapter("neutral")
    world.settle()
    assert set(world.ask(50)) == {revision_of("neutral")}
    world.clock.advance(3600)
    world.settle()
    assert set(world.ask(50)) == {revision_of("neutral")}
