"""The shapes of a base model's linear layers, from its safetensors headers: an adapter must fit them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path

from tunewright_storage.safetensors_file import FLOAT_TYPES, SafetensorsError, Tensor, read_tensors

_LAYERS = "layers."
_MATRIX = 2
_ENTRY_BYTES = 256
"""Of a header's entry, without the module's name: prefixes, ``lora_A.weight``, type, shape and offsets."""
_OTHER_HEADER_BYTES = 2 << 20
"""Of a header, without its entries: metadata and padding."""
_PLAIN = ".weight"
_PACKED = (".qweight", ".weight_packed")
"""The names of packed weights in GPTQ and AWQ, and in compressed-tensors; bitsandbytes packs into ``.weight``."""


@dataclasses.dataclass(frozen=True)
class BaseShapes:
    """Module path → (output, input) of its weight matrix; None if it is packed (quantized on disk).

    Modules whose weights are not a matrix (norms, convolutions) are not linear layers and are not included.
    """

    modules: Mapping[str, tuple[int, int] | None]
    by_layer_path: Mapping[str, str]
    """``layers.<n>.…`` → the only module whose path ends so; wrapped models differ in the part before it."""

    def find(self, module: str) -> str | None:
        """Return the base model's name of an adapter's module, or None.

        The names may differ before ``layers.``: the same text model is ``model.layers…`` alone, and
        ``language_model.model.layers…`` or ``model.language_model.layers…`` as a part of a model with vision.
        """
        if module in self.modules:
            return module
        position = module.find(_LAYERS)
        return self.by_layer_path.get(module[position:]) if position >= 0 else None

    @property
    def largest_adapter_header_bytes(self) -> int:
        """Return how long the safetensors header of an adapter on every module can be."""
        return _OTHER_HEADER_BYTES + sum(2 * (len(module) + _ENTRY_BYTES) for module in self.modules)

    @property
    def largest_adapter_elements_per_rank(self) -> int | None:
        """Return how many numbers an adapter on all modules has per unit of rank, or None if a shape is unknown."""
        shapes = [shape for shape in self.modules.values() if shape is not None]
        return sum(sum(shape) for shape in shapes) if len(shapes) == len(self.modules) else None


def find_matrices(tensors: Iterable[Tensor]) -> dict[str, tuple[int, int] | None]:
    """Return the modules whose weight is a matrix, as in `BaseShapes.modules`."""
    modules: dict[str, tuple[int, int] | None] = {}
    for tensor in tensors:
        module, dot, kind = tensor.name.rpartition(".")
        if dot + kind in _PACKED or (dot + kind == _PLAIN and tensor.dtype not in FLOAT_TYPES):
            modules[module] = None
        elif dot + kind == _PLAIN and len(tensor.shape) == _MATRIX:
            modules[module] = (tensor.shape[0], tensor.shape[1])
    return modules


def read_base_shapes(folder: Path) -> BaseShapes:
    """Read the headers of all safetensors files in a base model's folder.

    Raises:
        SafetensorsError: a file is not safetensors, or there is no file.
    """
    modules: dict[str, tuple[int, int] | None] = {}
    paths = sorted(folder.glob("*.safetensors"))
    if not paths:
        raise SafetensorsError(f"{folder} contains no safetensors file")
    for path in paths:
        modules |= find_matrices(read_tensors(path).values())
    endings: dict[str, list[str]] = {}
    for module in modules:
        position = module.find(_LAYERS)
        if position >= 0:
            endings.setdefault(module[position:], []).append(module)
    unique = {ending: names[0] for ending, names in endings.items() if len(names) == 1}
    return BaseShapes(modules, unique)
