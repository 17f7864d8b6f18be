"""Adapters that vLLM would accept silently, or that would stop its engine, are refused before they are loaded."""

import json
import pickle
import struct

import numpy as np
import pytest
from safetensors.numpy import save_file

import support.worlds.server_world as world
from support.worlds.packed_models import PACKED, write_packed_model
from tunewright_contracts.adapter_manifest import CONFIG_NAME, WEIGHTS_NAME
from tunewright_storage import adapter_content
from tunewright_storage.adapter_reasons import AdapterError, AdapterReason
from tunewright_storage.base_shapes import read_base_shapes

Q_A = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
Q_B = "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight"
V_B = "base_model.model.model.layers.1.self_attn.v_proj.lora_B.weight"


@pytest.fixture
def base(tmp_path):
    world.write_base_model(tmp_path / "base")
    return read_base_shapes(tmp_path / "base")


@pytest.fixture
def folder(tmp_path):
    target = tmp_path / "adapter"
    target.mkdir()
    write(target)
    return target


def write(folder, tensors=None, **config):
    save_file(world.make_tensors() if tensors is None else tensors, folder / WEIGHTS_NAME)
    (folder / CONFIG_NAME).write_text(json.dumps(world.make_config(**config)))


def reason_of(folder, base, max_rank=8) -> tuple[str, str]:
    with pytest.raises(AdapterError, match=world.WHAT_TO_DO) as caught:
        adapter_content.check_folder(folder, max_rank, base)
    assert not caught.value.failure.retryable
    return caught.value.failure.reason, str(caught.value)


def test_a_good_adapter_passes(folder, base):
    adapter_content.check_folder(folder, 8, base)


def test_a_wrapped_model_has_other_names_for_its_layers(folder, base):
    tensors = {
        name.replace("model.model.model.", "model.model.language_model."): t for name, t in world.make_tensors().items()
    }
    write(folder, tensors)
    adapter_content.check_folder(folder, 8, base)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64])
def test_numbers_that_are_not_finite(folder, base, value, dtype):
    tensors = {name: tensor.astype(dtype) for name, tensor in world.make_tensors().items()}
    preflight_tensors = dict(tensors)
    write(folder, preflight_tensors)
    adapter_content.check_folder(folder, 8, base)
    tensors[V_B][3, 1] = value
    write(folder, tensors)
    reason, message = reason_of(folder, base)
    assert reason == AdapterReason.NON_FINITE_WEIGHTS
    assert V_B in message


def test_a_pickle(folder, base):
    (folder / WEIGHTS_NAME).write_bytes(pickle.dumps({"weight": [1.0]}))
    reason, message = reason_of(folder, base)
    assert reason == AdapterReason.NOT_SAFETENSORS
    assert "pickle" in message


def test_a_pickle_beside_the_weights(folder, base):
    (folder / "adapter_model.bin").write_bytes(b"x")
    assert reason_of(folder, base)[0] == AdapterReason.FORBIDDEN_FILE


def test_a_link_out_of_the_folder(folder, base, tmp_path):
    (folder / "tokenizer.json").symlink_to(tmp_path / "base" / "model.safetensors")
    assert reason_of(folder, base)[0] == AdapterReason.FORBIDDEN_FILE


@pytest.mark.parametrize("keep", [0, 4, 20, 2000, -1])
def test_truncated_weights(folder, base, keep):
    path = folder / WEIGHTS_NAME
    path.write_bytes(path.read_bytes()[:keep])
    assert reason_of(folder, base)[0] == AdapterReason.NOT_SAFETENSORS


def test_a_header_that_contradicts_its_data(folder, base):
    header = json.dumps({Q_A: {"dtype": "F32", "shape": [4, 16], "data_offsets": [0, 8]}}).encode()
    (folder / WEIGHTS_NAME).write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 8)
    assert reason_of(folder, base)[0] == AdapterReason.NOT_SAFETENSORS


@pytest.mark.parametrize("shape", [(world.RANK, 8), (3, 16), (16, world.RANK)])
def test_wrong_shapes(folder, base, shape):
    write(folder, {**world.make_tensors(), Q_A: np.zeros(shape, np.float32)})
    assert reason_of(folder, base)[0] == AdapterReason.SHAPE_MISMATCH


def test_a_missing_half_of_a_pair(folder, base):
    tensors = world.make_tensors()
    del tensors[Q_B]
    write(folder, tensors)
    assert reason_of(folder, base)[0] == AdapterReason.SHAPE_MISMATCH


@pytest.mark.parametrize(
    "name",
    [
        "base_model.model.model.layers.7.self_attn.q_proj.lora_{}.weight",
        "base_model.model.model.layers.0.mlp.gate.lora_{}.weight",
        "model.layers.0.self_attn.q_proj.lora_{}.weight",
        "base_model.model.model.embed_tokens.lora_embedding_{}",
        "base_model.model.../x.lora_{}.weight",
    ],
)
def test_modules_that_the_base_does_not_have(folder, base, name):
    extra = {name.format("A"): np.zeros((4, 16), np.float32), name.format("B"): np.zeros((16, 4), np.float32)}
    write(folder, {**world.make_tensors(), **extra})
    assert reason_of(folder, base)[0] == AdapterReason.UNKNOWN_MODULES


LONG = "x" * 1_100_000


@pytest.mark.parametrize(
    "change",
    [
        {"tensors": {LONG: np.zeros((4, 16), np.float32)}},
        {"tensors": {f"base_model.model.{LONG}.lora_A.weight": np.zeros((4, 16), np.float32)}},
        {"tensors": {LONG: np.zeros((4, 16), np.int32)}},
        {"peft_type": "P" * 200_000},
        {"peft_type": "\ud800"},
        {"init_lora_weights": "P" * 200_000},
        {"r": "P" * 200_000},
        {"lora_alpha": "\ud800" * 10},
        {"rank_pattern": {"q_proj": "P" * 200_000}},
        {"target_modules": ["P" * 200_000, "\ud800"]},
        {"target_modules": [str(number) for number in range(20_000)]},
    ],
)
def test_texts_of_a_tenant_are_cut_in_messages(folder, base, change):
    write(folder, **change)
    message = reason_of(folder, base)[1]
    assert len(message) < 1000
    assert message.encode()


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [4], "data_offsets": [0, 8]},
        {"dtype": "F" * 200_000, "shape": [2], "data_offsets": [4, 8]},
        {"dtype": "F32", "shape": "S" * 200_000, "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": ["S" * 200_000], "data_offsets": [0, 8]},
    ],
)
def test_texts_of_a_header_are_cut_in_messages(folder, base, entry):
    header = json.dumps({LONG: entry}).encode()
    (folder / WEIGHTS_NAME).write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 8)
    reason, message = reason_of(folder, base)
    assert reason == AdapterReason.NOT_SAFETENSORS
    assert len(message) < 1000


@pytest.mark.parametrize("targets", [["q_proj", "v_proj", "nothing"], []])
def test_targets_without_weights(folder, base, targets):
    write(folder, target_modules=targets)
    assert reason_of(folder, base)[0] == AdapterReason.UNKNOWN_MODULES


def test_no_tensor_at_all(folder, base):
    write(folder, {})
    assert reason_of(folder, base)[0] == AdapterReason.UNKNOWN_MODULES


def test_integer_weights(folder, base):
    write(folder, {**world.make_tensors(), Q_A: np.zeros((4, 16), np.int32)})
    assert reason_of(folder, base)[0] == AdapterReason.UNSUPPORTED_ADAPTER


def test_rank_over_the_servers(folder, base):
    reason, message = reason_of(folder, base, max_rank=2)
    assert reason == AdapterReason.RANK_TOO_HIGH
    assert "maxRank" in message


def test_a_rank_pattern_counts(folder, base):
    write(folder, rank_pattern={"q_proj": 64})
    assert reason_of(folder, base)[0] == AdapterReason.RANK_TOO_HIGH
    write(folder, rank_pattern={"q_proj": 2})
    assert reason_of(folder, base)[0] == AdapterReason.SHAPE_MISMATCH
    write(folder, rank_pattern={"q_proj": 4})
    adapter_content.check_folder(folder, 8, base)


@pytest.mark.parametrize("field", ["rank_pattern", "alpha_pattern"])
@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("q_proj", True),
        ("self_attn.v_proj", True),
        ("model.layers.0.self_attn.q_proj", True),
        ("0.self_attn.q_proj", True),
        ("roj", False),
        ("layers.0", False),
        ("k_proj", False),
        ("model.layers.2.self_attn.q_proj", False),
        ("..q_proj", False),
    ],
)
def test_a_pattern_names_modules_that_exist(folder, base, field, name, known):
    write(folder, **{field: {name: 4}})
    if known:
        adapter_content.check_folder(folder, 8, base)
        return
    reason, message = reason_of(folder, base)
    assert reason == AdapterReason.UNKNOWN_MODULES
    assert name in message


@pytest.mark.parametrize("target", [7, None, [], {}, ["q_proj"]])
def test_a_target_that_is_no_name(folder, base, target):
    write(folder, target_modules=["q_proj", "v_proj", target])
    assert reason_of(folder, base)[0] == AdapterReason.UNKNOWN_MODULES


def test_a_header_that_no_adapter_of_the_base_model_needs_is_not_parsed(folder, base, monkeypatch):
    limit = base.largest_adapter_header_bytes
    (folder / WEIGHTS_NAME).write_bytes(struct.pack("<Q", limit + 1) + b" " * (limit + 1))
    monkeypatch.setattr("json.loads", lambda *_arguments, **_options: pytest.fail("parsed"))
    monkeypatch.setattr(adapter_content, "read_adapter_config", lambda *_: None)
    reason, message = reason_of(folder, base)
    assert reason == AdapterReason.NOT_SAFETENSORS
    assert f"at most {limit} are read" in message


def test_an_adapter_on_a_packed_layer(tmp_path, folder):
    base = write_packed_model(tmp_path / "packed", PACKED["gptq"])
    tensors = {name: tensor for name, tensor in world.make_tensors().items() if ".layers.0." in name}
    write(folder, tensors)
    adapter_content.check_folder(folder, 8, base)
