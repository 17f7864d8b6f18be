"""An adapter's `adapter_config.json`: check the settings that vLLM can serve, and return each module's rank.

vLLM ignores some settings that change the meaning of the weights. It uses others in the engine's loop, where a bad
value would stop all tenants' answers. So only settings that are known to be safe are accepted.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tunewright_contracts.adapter_manifest import CONFIG_NAME
from tunewright_storage.adapter_reasons import AdapterError, AdapterReason
from tunewright_storage.quoting import list_names, quote

# vLLM uses the keys of rank_pattern and alpha_pattern as regular expressions in the engine's loop.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.]{1,200}")
_MAX_BYTES = 256 * 1024
_MAX_ALPHA = 65536
_MAX_PATTERN_KEYS = 64
"""vLLM compares every module with every key, in the engine's loop: 29,000 keys blocked it for half an hour."""
_MAX_TARGET_CHARACTERS = 1000
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


@dataclasses.dataclass(frozen=True, slots=True)
class AdapterConfig:
    """The checked settings of a plain LoRA adapter."""

    rank: int
    rank_pattern: Mapping[str, int]
    targets: tuple[object, ...] | None
    """``target_modules``; None for a regular expression of PEFT, for which only the tensors' names can be checked."""
    alpha_names: frozenset[str] = frozenset()
    """The keys of ``alpha_pattern``."""

    @property
    def pattern_names(self) -> frozenset[str]:
        """The keys of ``rank_pattern`` and ``alpha_pattern``, which must match modules."""
        return frozenset(self.rank_pattern) | self.alpha_names

    def rank_of(self, module: str) -> int:
        """Return a module's rank as PEFT and vLLM do: of the first pattern that its name ends with, otherwise ``r``."""
        for key, rank in self.rank_pattern.items():
            if module == key or module.endswith(f".{key}"):
                return rank
        return self.rank


def read_adapter_config(path: Path, max_rank: int) -> AdapterConfig:
    """Read and check an adapter's configuration.

    Raises:
        AdapterError: it breaks a rule; the message names the first one.
    """
    data = _read_object(path)
    if data.get("peft_type") != "LORA":
        raise AdapterError(
            AdapterReason.UNSUPPORTED_ADAPTER,
            f"{CONFIG_NAME}: peft_type is {quote(data.get('peft_type'))}, not 'LORA'; train a LoRA adapter",
        )
    unsupported = _find_unsupported(data)
    if unsupported:
        raise AdapterError(
            AdapterReason.UNSUPPORTED_ADAPTER,
            f"{CONFIG_NAME}: vLLM cannot serve {list_names(unsupported)}; train an adapter without it",
        )
    rank = data.get("r")
    if not isinstance(rank, int) or isinstance(rank, bool) or rank <= 0:
        raise AdapterError(
            AdapterReason.NOT_AN_ADAPTER,
            f"{CONFIG_NAME}: r is {quote(rank)}, not above 0; publish the adapter again with the rank that it was "
            "trained with",
        )
    check_rank(rank, max_rank, CONFIG_NAME)
    _check_alpha(data.get("lora_alpha"), "lora_alpha")
    ranks, alphas = _read_pattern(data, "rank_pattern"), _read_pattern(data, "alpha_pattern")
    rank_pattern = {key: check_rank(value, max_rank, f"{CONFIG_NAME} rank_pattern") for key, value in ranks.items()}
    for alpha in alphas.values():
        _check_alpha(alpha, "alpha_pattern")
    return AdapterConfig(rank, rank_pattern, _read_targets(data), frozenset(alphas))


def check_rank(rank: object, max_rank: int, where: str) -> int:
    """Return a rank that the server accepts.

    Raises:
        AdapterError: it is not a number from 1 to ``max_rank``.
    """
    if not isinstance(rank, int) or isinstance(rank, bool) or rank < 1 or rank > max_rank:
        raise AdapterError(
            AdapterReason.RANK_TOO_HIGH,
            f"{where} has rank {quote(rank)}, but this server accepts 1 to {max_rank}; train with a lower "
            "training.lora.rank, or raise the ModelServer's spec.lora.maxRank",
        )
    return rank


def _read_object(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ValueError(f"it has more than {_MAX_BYTES} bytes")
        data = json.loads(path.read_bytes())
        if not isinstance(data, dict):
            raise TypeError("it is not a JSON object")
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise AdapterError(
            AdapterReason.NOT_AN_ADAPTER, f"{CONFIG_NAME} cannot be read: {error}; publish the adapter again"
        ) from error
    return data


def _read_pattern(data: Mapping[str, Any], field: str) -> dict[str, object]:
    pattern = data.get(field) or {}
    if isinstance(pattern, dict) and len(pattern) > _MAX_PATTERN_KEYS:
        raise AdapterError(
            AdapterReason.UNSUPPORTED_ADAPTER,
            f"{CONFIG_NAME}: {field} has {len(pattern)} keys, but at most {_MAX_PATTERN_KEYS} are accepted; train an "
            "adapter with fewer different ranks and alphas",
        )
    if not isinstance(pattern, dict) or not all(_PLAIN_NAME.fullmatch(str(key)) for key in pattern):
        raise AdapterError(
            AdapterReason.UNSUPPORTED_ADAPTER,
            f"{CONFIG_NAME}: {field} can contain only plain names; publish the adapter again without wildcards",
        )
    return pattern


def _read_targets(data: Mapping[str, Any]) -> tuple[object, ...] | None:
    targets = data.get("target_modules")
    if isinstance(targets, str) and len(targets) > _MAX_TARGET_CHARACTERS:
        raise AdapterError(
            AdapterReason.UNSUPPORTED_ADAPTER,
            f"{CONFIG_NAME}: target_modules has {len(targets)} characters, but at most {_MAX_TARGET_CHARACTERS} are "
            "accepted; publish the adapter again with a list of module names",
        )
    return tuple(targets) if isinstance(targets, list) else None


def _find_unsupported(data: Mapping[str, Any]) -> list[str]:
    """Return the settings that vLLM's PEFTHelper rejects, or ignores although they change the weights' meaning."""
    found = [flag for flag in _UNSUPPORTED_FLAGS if data.get(flag)]
    if data.get("bias", "none") != "none":
        found.append("bias")
    initialisation = data.get("init_lora_weights", True)
    if isinstance(initialisation, str) and initialisation.lower() not in _PLAIN_INITIALISATIONS:
        found.append(f"init_lora_weights={initialisation}")
    return found


def _check_alpha(alpha: object, field: str) -> None:
    """Reject an alpha that makes answers NaN: vLLM's JSON parser accepts NaN, Infinity and 1e300."""
    number = isinstance(alpha, int | float) and not isinstance(alpha, bool)
    if not number or not 0 < alpha <= _MAX_ALPHA:  # type: ignore[operator] # also False for NaN
        raise AdapterError(
            AdapterReason.NOT_AN_ADAPTER,
            f"{CONFIG_NAME}: {field} is {quote(alpha)}, not a number above 0 and at most {_MAX_ALPHA}; "
            "publish the adapter again with the alpha that it was trained with",
        )
