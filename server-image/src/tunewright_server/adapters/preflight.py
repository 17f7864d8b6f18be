"""What must be true of an adapter before vLLM may open it.

vLLM loads adapters silently that hold NaN, that target nothing, or that belong to another base model, and what it does
refuse it refuses inside the engine. So everything is checked here first, without torch.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tunewright_contracts import reasons
from tunewright_contracts.adapter_manifest import CONFIG_NAME, CONTENT_NAMES, WEIGHTS_NAME, AdapterManifest
from tunewright_contracts.serving_plan import AdapterEntry, AdapterSource
from tunewright_contracts.storage_uri import StorageURI, StorageURIError
from tunewright_server.adapters import weights
from tunewright_server.adapters.base_shapes import BaseShapes
from tunewright_server.wording import list_names, quote

_PREFIX = "base_model.model."
_TENSOR = re.compile(r"base_model\.model\.(?P<module>[A-Za-z0-9_.]+)\.lora_(?P<half>[AB])\.weight")
# vLLM uses the keys of rank_pattern and alpha_pattern as regular expressions in the engine's own loop, where a bad one
# would stop every tenant's answers.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.]{1,200}")
_MAX_CONFIG_BYTES = 256 * 1024
_MAX_ALPHA = 65536
_MOST_BYTES_ON_A_PACKED_BASE = 8 * 1024**3
"""Where sizes cannot be computed: rank 128 on 70 billion parameters in float32 has 6.6 GB. It keeps a tenant from filling the disk."""
_SIZE_SLACK_BYTES = 64 * 1024 * 1024
_MOST_BYTES_PER_NUMBER = 4
_UNSUPPORTED_FLAGS = (
    "use_dora",
    "lora_bias",
    "use_qalora",
    "use_bdlora",
    "alora_invocation_tokens",
    "layer_replication",
    "modules_to_save",
)
_PLAIN_INITIALISATIONS = frozenset({"gaussian", "eva", "orthogonal", "mica", "lora_ga"})


class AdapterReason(reasons.Reason):
    """Why an adapter is not loaded; beside these, `storage.StorageReason` tells what storage said."""

    INVALID_ENTRY = (
        "InvalidEntry",
        "The plan names the adapter otherwise than its digest does: operator and server image do not fit together.",
        "Install operator and server image of one release.",
    )
    SOURCE_NOT_ALLOWED = (
        "SourceNotAllowed",
        "The server's `adapterSources` do not let the adapter's namespace serve from its address.",
        "Publish below an allowed prefix, or ask the server's owner to add one.",
    )
    BASE_MODEL_MISMATCH = (
        "BaseModelMismatch",
        "The adapter was trained on other weights than the server runs.",
        "Serve it on a server of its own base model, or train it again.",
    )
    RANK_TOO_HIGH = (
        "RankTooHigh",
        "The adapter's rank is over the server's `spec.lora.maxRank`, or is no rank.",
        "Train with a lower rank, or have the server's raised.",
    )
    NOT_AN_ADAPTER = (
        "NotAnAdapter",
        "`adapter_config.json` cannot be read, or its rank or alpha is no usable number.",
        "Publish it again with the configuration that it was trained with.",
    )
    UNSUPPORTED_ADAPTER = (
        "UnsupportedAdapter",
        "The adapter is of a kind that vLLM cannot serve: not plain LoRA, or not of floats.",
        "Train it again without what the message names.",
    )
    FORBIDDEN_FILE = (
        "ForbiddenFile",
        "The adapter's folder holds something that no adapter may have, such as a pickle, a link or a folder.",
        "Publish it again without that file, as safetensors only.",
    )
    NOT_SAFETENSORS = (
        "NotSafetensors",
        "The weights are not whole safetensors: truncated, changed, or another format.",
        "Publish it again.",
    )
    UNKNOWN_MODULES = (
        "UnknownModules",
        "The weights belong to modules that the base model does not have, or those of a named module are missing.",
        "Train it on the base model that the server runs.",
    )
    SHAPE_MISMATCH = (
        "ShapeMismatch",
        "The weights' shapes do not fit the base model or the stated rank.",
        "Train it on the base model that the server runs, or publish it with the rank that it was trained with.",
    )
    NON_FINITE_WEIGHTS = (
        "NonFiniteWeights",
        "The weights hold NaN or infinity: the training diverged.",
        "Train again with a lower `learningRate`.",
    )
    TOO_LARGE = (
        "AdapterTooLarge",
        "The adapter has more bytes than one of the server's highest rank can have.",
        "Publish its LoRA weights only.",
    )
    LOAD_FAILED = (
        "LoadFailed",
        "vLLM did not load the adapter, or the pod failed on the way, for example by a full disk; the message says how.",
        "Nothing, if the next attempt succeeds; else mend what the message names.",
    )
    NO_SLOT = (
        "WaitingForSlot",
        "All adapter slots of the pod are in use.",
        "Nothing: it is loaded when another one is gone.",
    )


class AdapterError(Exception):
    """An adapter cannot be served; ``reason`` is a condition reason, the message says what, where and what to do."""

    def __init__(self, reason: str, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.reason = str(reason)
        self.retryable = retryable


def check_entry(entry: AdapterEntry, sources: Iterable[AdapterSource]) -> StorageURI:
    """Check a plan's entry by itself and return its address.

    Raises:
        AdapterError: the name is not its digest's, or its namespace may not serve from there.
    """
    if not entry.name.endswith(f"--{entry.digest.removeprefix('sha256:')[:12]}"):
        raise AdapterError(
            AdapterReason.INVALID_ENTRY,
            f"{entry.name} does not end with the first 12 digits of {entry.digest}; install operator and server image of one release",
        )
    try:
        uri = StorageURI.parse(entry.uri)
    except StorageURIError as error:
        raise AdapterError(
            AdapterReason.SOURCE_NOT_ALLOWED, f"{entry.name}: {error}; publish the adapter below an allowed prefix"
        ) from error
    allowed = [source.uri_prefix for source in sources if source.namespace == entry.namespace]
    for prefix in allowed:
        try:
            if uri.is_within(StorageURI.parse(prefix)):
                return uri
        except StorageURIError:
            continue  # a prefix that means nothing allows nothing
    raise AdapterError(
        AdapterReason.SOURCE_NOT_ALLOWED,
        f"{entry.uri} is not below what namespace {entry.namespace} may serve ({', '.join(allowed) or 'nothing'}); "
        "add its prefix to the ModelServer's spec.adapterSources or publish the adapter below an allowed one",
    )


def check_manifest(manifest: AdapterManifest, base_digest: str, max_rank: int, base: BaseShapes) -> None:
    """Check what the manifest says before any weights are fetched.

    Raises:
        AdapterError: another base model, a rank over the server's, or a size that no adapter of that rank has.
    """
    if manifest.base_model.digest != base_digest:
        raise AdapterError(
            AdapterReason.BASE_MODEL_MISMATCH,
            f"the adapter was trained on {quote(manifest.base_model.name)} {manifest.base_model.digest}, this server runs "
            f"{base_digest}; train it again on this base model or name a ModelServer that runs the other",
        )
    _check_rank(manifest.rank, max_rank, "the manifest")
    size = sum(file.size for file in manifest.files)
    limit = _find_most_bytes(max_rank, base)
    if size > limit:
        raise AdapterError(
            AdapterReason.TOO_LARGE,
            f"the adapter has {size} bytes, an adapter of rank {max_rank} at most {limit}; publish its LoRA weights only",
        )


def _find_most_bytes(max_rank: int, base: BaseShapes) -> int:
    per_rank = base.largest_adapter_elements_per_rank
    if per_rank is None:
        return _MOST_BYTES_ON_A_PACKED_BASE
    return per_rank * max_rank * _MOST_BYTES_PER_NUMBER + _SIZE_SLACK_BYTES


def check_folder(folder: Path, max_rank: int, base: BaseShapes) -> None:
    """Check a fetched adapter: its files, its configuration and every number of its weights.

    Raises:
        AdapterError: with the first rule that it breaks.
    """
    for path in sorted(folder.iterdir()):
        if path.is_symlink() or not path.is_file() or path.name not in CONTENT_NAMES:
            raise AdapterError(
                AdapterReason.FORBIDDEN_FILE,
                f"{quote(path.name)}: an adapter holds {WEIGHTS_NAME}, {CONFIG_NAME} and tokenizer files only; publish it again without",
            )
    config = _read_config(folder / CONFIG_NAME)
    _check_config(config, max_rank)
    path = folder / WEIGHTS_NAME
    try:
        tensors = weights.read_tensors(path)
    except (OSError, weights.WeightsError) as error:
        raise AdapterError(
            AdapterReason.NOT_SAFETENSORS, f"{WEIGHTS_NAME} is not whole safetensors: {error}; publish it again"
        ) from error
    _check_tensors(tensors, config, base)
    bad = weights.find_non_finite(path, tensors)
    if bad is not None:
        raise AdapterError(
            AdapterReason.NON_FINITE_WEIGHTS,
            f"{WEIGHTS_NAME}: {quote(bad)} holds NaN or infinity, the training diverged; train again with a lower learningRate",
        )


def _read_config(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MAX_CONFIG_BYTES:
            raise ValueError(f"it is over {_MAX_CONFIG_BYTES} bytes")
        config = json.loads(path.read_bytes())
        if not isinstance(config, dict):
            raise TypeError("it is no JSON object")
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise AdapterError(
            AdapterReason.NOT_AN_ADAPTER, f"{CONFIG_NAME} cannot be read: {error}; publish the adapter again"
        ) from error
    return config


def _check_config(config: dict[str, Any], max_rank: int) -> None:
    if config.get("peft_type") != "LORA":
        raise AdapterError(
            AdapterReason.UNSUPPORTED_ADAPTER,
            f"{CONFIG_NAME}: peft_type is {quote(config.get('peft_type'))}, not 'LORA'; train a LoRA adapter",
        )
    unsupported = _find_unsupported(config)
    if unsupported:
        raise AdapterError(
            AdapterReason.UNSUPPORTED_ADAPTER,
            f"{CONFIG_NAME}: vLLM cannot serve {list_names(unsupported)}; train without",
        )
    rank = config.get("r")
    if not isinstance(rank, int) or isinstance(rank, bool) or rank <= 0:
        raise AdapterError(
            AdapterReason.NOT_AN_ADAPTER,
            f"{CONFIG_NAME}: r is {quote(rank)}, not above 0; publish the adapter again with the rank that it was trained with",
        )
    _check_rank(rank, max_rank, CONFIG_NAME)
    _check_alpha(config.get("lora_alpha"), "lora_alpha")
    for field in ("rank_pattern", "alpha_pattern"):
        pattern = config.get(field) or {}
        if not isinstance(pattern, dict) or not all(_PLAIN_NAME.fullmatch(str(key)) for key in pattern):
            raise AdapterError(
                AdapterReason.UNSUPPORTED_ADAPTER,
                f"{CONFIG_NAME}: {field} may hold plain names only; write it without wildcards and publish the adapter again",
            )
    for rank in (config.get("rank_pattern") or {}).values():
        _check_rank(rank, max_rank, f"{CONFIG_NAME} rank_pattern")
    for alpha in (config.get("alpha_pattern") or {}).values():
        _check_alpha(alpha, "alpha_pattern")


def _find_unsupported(config: dict[str, Any]) -> list[str]:
    """Return what vLLM's PEFTHelper refuses, or would ignore: it changes what the weights mean."""
    found = [flag for flag in _UNSUPPORTED_FLAGS if config.get(flag)]
    if config.get("bias", "none") != "none":
        found.append("bias")
    initialisation = config.get("init_lora_weights", True)
    if isinstance(initialisation, str) and initialisation.lower() not in _PLAIN_INITIALISATIONS:
        found.append(f"init_lora_weights={initialisation}")
    return found


def _check_rank(rank: object, max_rank: int, where: str) -> None:
    if not isinstance(rank, int) or isinstance(rank, bool) or rank < 1 or rank > max_rank:
        raise AdapterError(
            AdapterReason.RANK_TOO_HIGH,
            f"{where} has rank {quote(rank)}, this server takes 1 to {max_rank}; train with a lower training.lora.rank or "
            "raise the ModelServer's spec.lora.maxRank",
        )


def _check_alpha(alpha: object, field: str) -> None:
    """Refuse a scale that makes answers NaN: JSON as vLLM reads it has NaN, Infinity and 1e300."""
    number = isinstance(alpha, int | float) and not isinstance(alpha, bool)
    if not number or not 0 < alpha <= _MAX_ALPHA:  # type: ignore[operator] # also False for NaN
        raise AdapterError(
            AdapterReason.NOT_AN_ADAPTER,
            f"{CONFIG_NAME}: {field} is {quote(alpha)}, not a number above 0 and at most {_MAX_ALPHA}; publish the adapter again with "
            "the alpha that it was trained with",
        )


def _check_tensors(tensors: dict[str, weights.Tensor], config: dict[str, Any], base: BaseShapes) -> None:
    halves: dict[str, dict[str, weights.Tensor]] = {}
    for tensor in tensors.values():
        match = _TENSOR.fullmatch(tensor.name)
        if match is None:
            raise AdapterError(
                AdapterReason.UNKNOWN_MODULES,
                f"{WEIGHTS_NAME}: {quote(tensor.name)} is not {_PREFIX}<module>.lora_A.weight or .lora_B.weight; "
                "train target modules that are linear layers of this base model",
            )
        if tensor.dtype not in weights.FLOAT_TYPES:
            raise AdapterError(
                AdapterReason.UNSUPPORTED_ADAPTER,
                f"{WEIGHTS_NAME}: {quote(tensor.name)} is {quote(tensor.dtype)}, not a float type; publish the adapter again in one",
            )
        halves.setdefault(match["module"], {})[match["half"]] = tensor
    if not halves:
        raise AdapterError(
            AdapterReason.UNKNOWN_MODULES, f"{WEIGHTS_NAME} holds no tensor; publish the adapter again with its weights"
        )
    unknown = sorted(module for module in halves if base.find(module) is None)
    if unknown:
        raise AdapterError(
            AdapterReason.UNKNOWN_MODULES,
            f"the base model has no {list_names(unknown)}; train it on this base model",
        )
    for module, pair in halves.items():
        _check_pair(module, pair, config, base.modules[base.find(module) or module])
    _check_targets(halves, config.get("target_modules"))


def _check_pair(
    module: str, pair: dict[str, weights.Tensor], config: dict[str, Any], shape: tuple[int, int] | None
) -> None:
    if set(pair) != {"A", "B"}:
        raise AdapterError(
            AdapterReason.SHAPE_MISMATCH,
            f"{quote(module)} has only lora_{''.join(pair)}, not both halves; publish the adapter again with both",
        )
    rank = _rank_of(module, config)
    first, second = pair["A"].shape, pair["B"].shape
    output, into = shape if shape is not None else ((second or (0,))[0], (first or (0,))[-1])
    if first != (rank, into) or second != (output, rank):
        raise AdapterError(
            AdapterReason.SHAPE_MISMATCH,
            f"{quote(module)}: lora_A is {quote(list(first))} and lora_B {quote(list(second))}, rank {rank} on this base model needs "
            f"{[rank, into]} and {[output, rank]}; train it on this base model with that rank",
        )


def _rank_of(module: str, config: dict[str, Any]) -> int:
    """Return a module's rank as PEFT and vLLM find it: the first pattern that is a suffix of its name, else ``r``."""
    for key, rank in (config.get("rank_pattern") or {}).items():
        if module == key or module.endswith(f".{key}"):
            return int(rank)
    return int(config["r"])


def _check_targets(halves: dict[str, dict[str, weights.Tensor]], targets: object) -> None:
    if not isinstance(targets, list):
        return  # a regular expression of PEFT's; the tensors' own names were checked
    missing = [
        target for target in targets if not any(module == target or module.endswith(f".{target}") for module in halves)
    ]
    if missing or not targets:
        raise AdapterError(
            AdapterReason.UNKNOWN_MODULES,
            f"{CONFIG_NAME}: target_modules names {list_names(missing) or 'nothing'}, for which there are no weights; "
            "publish the adapter again with the weights and the modules that it was trained with",
        )
