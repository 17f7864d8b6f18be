"""Check an adapter's files against its base model, without torch.

vLLM silently loads adapters that contain NaN, have no target modules or belong to another base model. Others it rejects
only inside the engine. So the trainer checks an adapter before it publishes it, and a server before vLLM opens it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from tunewright_contracts.adapter_manifest import CONFIG_NAME, CONTENT_NAMES, WEIGHTS_NAME
from tunewright_storage.adapter_config import AdapterConfig, read_adapter_config
from tunewright_storage.adapter_reasons import AdapterError, AdapterReason
from tunewright_storage.base_shapes import BaseShapes
from tunewright_storage.quoting import list_names, quote
from tunewright_storage.safetensors_file import FLOAT_TYPES, SafetensorsError, Tensor, find_non_finite, read_tensors

_PREFIX = "base_model.model."
_TENSOR = re.compile(r"base_model\.model\.(?P<module>[A-Za-z0-9_.]+)\.lora_(?P<half>[AB])\.weight")


def check_folder(folder: Path, max_rank: int, base: BaseShapes) -> None:
    """Check an adapter's folder: its files, its configuration and every number of its weights.

    Raises:
        AdapterError: it breaks a rule; the message names the first one.
    """
    for path in sorted(folder.iterdir()):
        if path.is_symlink() or not path.is_file() or path.name not in CONTENT_NAMES:
            raise AdapterError(
                AdapterReason.FORBIDDEN_FILE,
                f"{quote(path.name)}: an adapter can have only {WEIGHTS_NAME}, {CONFIG_NAME} and tokenizer files; "
                "publish it again without other files",
            )
    check_content(folder, max_rank, base)


def check_content(folder: Path, max_rank: int, base: BaseShapes) -> None:
    """Check an adapter's configuration and every number of its weights; the folder may have other files.

    Raises:
        AdapterError: it breaks a rule; the message names the first one.
    """
    config = read_adapter_config(folder / CONFIG_NAME, max_rank)
    path = folder / WEIGHTS_NAME
    try:
        tensors = read_tensors(path, base.largest_adapter_header_bytes)
    except (OSError, SafetensorsError) as error:
        raise AdapterError(
            AdapterReason.NOT_SAFETENSORS,
            f"{WEIGHTS_NAME} is not a complete safetensors file: {error}; publish the adapter again",
        ) from error
    _check_tensors(tensors, config, base)
    bad = find_non_finite(path, tensors)
    if bad is not None:
        raise AdapterError(
            AdapterReason.NON_FINITE_WEIGHTS,
            f"{WEIGHTS_NAME}: {quote(bad)} contains NaN or infinity, because the training diverged; train again with a "
            "lower learningRate",
        )


def _check_tensors(tensors: dict[str, Tensor], config: AdapterConfig, base: BaseShapes) -> None:
    halves: dict[str, dict[str, Tensor]] = {}
    for tensor in tensors.values():
        match = _TENSOR.fullmatch(tensor.name)
        if match is None:
            raise AdapterError(
                AdapterReason.UNKNOWN_MODULES,
                f"{WEIGHTS_NAME}: {quote(tensor.name)} is not {_PREFIX}<module>.lora_A.weight or .lora_B.weight; "
                "train target modules that are linear layers of this base model",
            )
        if tensor.dtype not in FLOAT_TYPES:
            raise AdapterError(
                AdapterReason.UNSUPPORTED_ADAPTER,
                f"{WEIGHTS_NAME}: {quote(tensor.name)} is {quote(tensor.dtype)}, not a float type; publish the adapter "
                "again with float weights",
            )
        halves.setdefault(match["module"], {})[match["half"]] = tensor
    if not halves:
        raise AdapterError(
            AdapterReason.UNKNOWN_MODULES, f"{WEIGHTS_NAME} has no tensors; publish the adapter again with its weights"
        )
    unknown = sorted(module for module in halves if base.find(module) is None)
    if unknown:
        raise AdapterError(
            AdapterReason.UNKNOWN_MODULES,
            f"the base model has no modules {list_names(unknown)}; train the adapter on this base model",
        )
    for module, pair in halves.items():
        _check_pair(module, pair, config, base.modules[base.find(module) or module])
    _check_targets(halves, config)
    _check_patterns([*halves, *base.modules], config)


def _check_pair(module: str, pair: dict[str, Tensor], config: AdapterConfig, shape: tuple[int, int] | None) -> None:
    if set(pair) != {"A", "B"}:
        raise AdapterError(
            AdapterReason.SHAPE_MISMATCH,
            f"{quote(module)} has only lora_{''.join(pair)}; publish the adapter again with lora_A and lora_B",
        )
    rank = config.rank_of(module)
    first, second = pair["A"].shape, pair["B"].shape
    output, into = shape if shape is not None else ((second or (0,))[0], (first or (0,))[-1])
    if first != (rank, into) or second != (output, rank):
        raise AdapterError(
            AdapterReason.SHAPE_MISMATCH,
            f"{quote(module)}: lora_A is {quote(list(first))} and lora_B {quote(list(second))}, but rank {rank} on "
            f"this base model needs {[rank, into]} and {[output, rank]}; train it on this base model with that rank",
        )


def _check_targets(halves: dict[str, dict[str, Tensor]], config: AdapterConfig) -> None:
    if config.targets is None:
        return
    missing = find_missing_targets(config.targets, halves)
    if missing or not config.targets:
        raise AdapterError(
            AdapterReason.UNKNOWN_MODULES,
            f"{CONFIG_NAME}: target_modules is {list_names(missing) or 'empty'}, without weights; publish the adapter "
            "again with the weights and the modules that it was trained with",
        )


def find_missing_targets(targets: Iterable[object], modules: Iterable[str]) -> list[object]:
    """Return the target modules that match none of the modules, as PEFT matches them."""
    endings = {ending for module in modules for ending in _endings(module)}
    return [target for target in targets if not isinstance(target, str) or target not in endings]


def _check_patterns(modules: Iterable[str], config: AdapterConfig) -> None:
    if not config.pattern_names:
        return
    unknown = set(config.pattern_names)
    for module in modules:
        unknown.difference_update(_endings(module))
    if unknown:
        raise AdapterError(
            AdapterReason.UNKNOWN_MODULES,
            f"{CONFIG_NAME}: rank_pattern or alpha_pattern has {list_names(sorted(unknown))}, but the base model has "
            "no such module; train the adapter on this base model",
        )


def _endings(module: str) -> Iterator[str]:
    """Yield the names that mean a module in PEFT's settings: its path, and each end of the path after a dot."""
    yield module
    while "." in module:
        module = module.partition(".")[2]
        yield module
