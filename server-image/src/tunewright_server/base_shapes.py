"""The shapes of a base model's linear layers, read from its safetensors headers: what an adapter must fit."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from tunewright_server import weights

_LAYERS = "layers."
_MATRIX = 2


@dataclasses.dataclass(frozen=True)
class BaseShapes:
    """Module path → (output, input) of its weight matrix.

    A module whose weights are packed (quantised on disk) or of another rank has no known shape: None.
    """

    modules: Mapping[str, tuple[int, int] | None]
    by_layer_path: Mapping[str, str]
    """``layers.<n>.…`` → the one module with that ending; wrapped models differ in what comes before."""

    def find(self, module: str) -> str | None:
        """Return the base's name of an adapter's module, or None.

        The names may differ before ``layers.``: the same text model is ``model.layers…`` on its own,
        ``language_model.model.layers…`` in one checkpoint of a model with vision and the other way round in another.
        """
        if module in self.modules:
            return module
        position = module.find(_LAYERS)
        return self.by_layer_path.get(module[position:]) if position >= 0 else None

    @property
    def largest_adapter_elements_per_rank(self) -> int:
        """Return how many numbers an adapter on every known module has for each unit of rank."""
        return sum(shape[0] + shape[1] for shape in self.modules.values() if shape is not None)


def read_base_shapes(folder: Path) -> BaseShapes:
    """Read the headers of all safetensors files in a base model's folder.

    Raises:
        weights.WeightsError: a file is not safetensors, or there is none.
    """
    modules: dict[str, tuple[int, int] | None] = {}
    paths = sorted(folder.glob("*.safetensors"))
    if not paths:
        raise weights.WeightsError(f"{folder} holds no safetensors file")
    for path in paths:
        for tensor in weights.read_tensors(path).values():
            if not tensor.name.endswith(".weight"):
                continue
            plain = len(tensor.shape) == _MATRIX and tensor.dtype in weights.FLOAT_TYPES
            modules[tensor.name.removesuffix(".weight")] = (tensor.shape[0], tensor.shape[1]) if plain else None
    endings: dict[str, list[str]] = {}
    for module in modules:
        position = module.find(_LAYERS)
        if position >= 0:
            endings.setdefault(module[position:], []).append(module)
    unique = {ending: names[0] for ending, names in endings.items() if len(names) == 1}
    return BaseShapes(modules, unique)
