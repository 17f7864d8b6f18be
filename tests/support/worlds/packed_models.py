"""Base models whose layers are quantised on disk."""

import numpy as np
from safetensors.numpy import save_file

from tunewright_storage.base_shapes import read_base_shapes


def write_packed_model(folder, packed):
    """Write a base with one plain layer, its norm, and one layer in the form of a quantised checkpoint."""
    layer = "model.layers.0.self_attn"
    tensors = {
        f"{layer}.q_proj.weight": np.zeros((16, 16), np.float32),
        "model.layers.0.input_layernorm.weight": np.zeros((16,), np.float32),
        "model.layers.0.linear_attn.conv1d.weight": np.zeros((16, 1, 4), np.float32),
    }
    tensors |= {f"{layer}.v_proj.{name}": tensor for name, tensor in packed.items()}
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors")
    return read_base_shapes(folder)


PACKED = {
    "bitsandbytes": {"weight": np.zeros((64, 1), np.uint8), "weight.absmax": np.zeros((2,), np.float32)},
    "gptq": {"qweight": np.zeros((2, 8), np.int32), "scales": np.zeros((1, 8), np.float16)},
    "compressed-tensors": {"weight_packed": np.zeros((8, 2), np.int32), "weight_scale": np.zeros((8, 1), np.float16)},
}
