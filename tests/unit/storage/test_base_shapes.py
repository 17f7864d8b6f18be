"""The shapes of a base model's linear layers, under the names that an adapter may use for them."""

import numpy as np
import pytest
from safetensors.numpy import save_file

import support.worlds.server_world as world
from tunewright_storage.base_shapes import BaseShapes, read_base_shapes
from tunewright_storage.safetensors_file import SafetensorsError

QUERY, VALUE = "layers.0.self_attn.q_proj", "layers.1.self_attn.v_proj"


@pytest.fixture
def base(tmp_path):
    world.write_base_model(tmp_path / "base")
    return read_base_shapes(tmp_path / "base")


def test_only_matrices_are_linear_layers(base):
    assert base.modules[f"model.{QUERY}"] == (world.HIDDEN, world.HIDDEN)
    assert base.modules[f"model.{VALUE}"] == (world.KEYS, world.HIDDEN)
    assert not [name for name in base.modules if "layernorm" in name]


@pytest.mark.parametrize(
    ("module", "found"),
    [
        (f"model.{QUERY}", f"model.{QUERY}"),
        (f"model.language_model.{QUERY}", f"model.{QUERY}"),
        (f"language_model.model.{VALUE}", f"model.{VALUE}"),
        ("model.layers.7.self_attn.q_proj", None),
        ("model.norm", None),
    ],
)
def test_a_layer_is_found_under_any_name_of_the_model_around_it(base, module, found):
    assert base.find(module) == found


def test_two_modules_with_the_same_end_of_name_are_found_only_by_their_whole_name(tmp_path):
    names = [f"{tower}.{QUERY}" for tower in ("text", "vision")]
    save_file({f"{name}.weight": np.zeros((2, 2), np.float32) for name in names}, tmp_path / "model.safetensors")
    base = read_base_shapes(tmp_path)
    assert [base.find(name) for name in names] == names
    assert base.find(f"model.{QUERY}") is None


def test_the_layers_of_all_files_are_read(tmp_path):
    for number in (1, 2):
        tensors = {f"model.layers.{number}.up.weight": np.zeros((3, number), np.float32)}
        save_file(tensors, tmp_path / f"model-{number}.safetensors")
    base = read_base_shapes(tmp_path)
    assert base.modules == {"model.layers.1.up": (3, 1), "model.layers.2.up": (3, 2)}
    assert base.largest_adapter_elements_per_rank == 4 + 5


def test_one_unknown_shape_makes_the_largest_size_unknown():
    assert BaseShapes({"a": (2, 3), "b": None}, {}).largest_adapter_elements_per_rank is None


def test_a_folder_without_weights(tmp_path):
    with pytest.raises(SafetensorsError, match="no safetensors file"):
        read_base_shapes(tmp_path)


def test_a_file_that_is_no_safetensors_file(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"\x80\x04 a pickle")
    with pytest.raises(SafetensorsError, match="pickle"):
        read_base_shapes(tmp_path)
