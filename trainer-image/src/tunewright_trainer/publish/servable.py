"""Check that servers can load the adapter: its settings before training, and its files before they are published."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from tunewright_contracts.run_spec import RunSpec
from tunewright_storage.adapter_content import check_content, find_missing_targets
from tunewright_storage.adapter_reasons import AdapterError, AdapterReason
from tunewright_storage.base_shapes import BaseShapes
from tunewright_storage.quoting import list_names
from tunewright_trainer.config import DEFAULT_TARGET_MODULES
from tunewright_trainer.errors import Reason, TrainerError

MAX_RANK = 512
"""The highest rank that vLLM supports."""
_MODULE = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*")
_NOT_ADAPTABLE = re.compile(
    r"lm_head|embed_(tokens|in|out)|\w*embeddings?|wte|wpe|\w*norm\d*|ln_\w+|conv1d|\w*rotary_emb|act_fn|\w*dropout"
)
"""Names of modules that are no linear layers, or that vLLM does not serve with LoRA: output head and embeddings."""


def check_adapter_shape(spec: RunSpec) -> None:
    """Check target modules and rank by what is known without the base model's weights.

    The names of its linear layers are known if its inspection recorded them.

    Raises:
        TrainerError: no server can load such an adapter; the message names the field.
    """
    lora = spec.training.lora
    if not 1 <= lora.rank <= MAX_RANK:
        raise TrainerError(
            Reason.INVALID_TRAINING,
            f"spec.training.lora.rank is {lora.rank}, but vLLM supports ranks from 1 to {MAX_RANK}; choose one of them",
        )
    field, modules = _find_target_modules(spec)
    for module in modules:
        if not _MODULE.fullmatch(module):
            raise TrainerError(
                Reason.INVALID_TRAINING,
                f"{field} has {module!r}, which is not a module's name; write names such as q_proj, without wildcards",
            )
        if _NOT_ADAPTABLE.fullmatch(module.rpartition(".")[2].lower()):
            raise TrainerError(
                Reason.INVALID_TRAINING,
                f"{field} has {module!r}, and vLLM cannot serve an adapter of it; remove it, and name linear layers "
                "of the attention or of the MLP",
            )
    linear = spec.base_model.linear_modules
    missing = [module for module in modules if module.rpartition(".")[2] not in linear]
    if linear and missing:
        usable = ", ".join(name for name in linear if not _NOT_ADAPTABLE.fullmatch(name.lower()))
        raise TrainerError(Reason.INVALID_TRAINING, f"{_describe_missing(field, spec, missing)}; choose from: {usable}")


def check_targets(spec: RunSpec, base: BaseShapes) -> None:
    """Check that each target module is a linear layer of the base model.

    Raises:
        TrainerError: one is not; the message names the field.
    """
    field, modules = _find_target_modules(spec)
    missing = find_missing_targets(modules, base.modules)
    if missing:
        raise TrainerError(
            Reason.INVALID_TRAINING,
            f"{_describe_missing(field, spec, missing)}, so no server can load such an adapter; remove them",
        )


def check_files(folder: Path, base: BaseShapes) -> None:
    """Check a trained adapter's files as a server does.

    Raises:
        TrainerError: every server would refuse it; the message is the server's.
    """
    try:
        check_content(folder, MAX_RANK, base)
    except AdapterError as error:
        diverged = error.failure.reason is AdapterReason.NON_FINITE_WEIGHTS
        raise TrainerError(Reason.DIVERGED if diverged else Reason.NOT_SERVABLE, str(error)) from error


def _describe_missing(field: str, spec: RunSpec, missing: Sequence[object]) -> str:
    return f"{field}: base model {spec.base_model.name} has no linear layers {list_names(missing)}"


def _find_target_modules(spec: RunSpec) -> tuple[str, tuple[str, ...]]:
    """Return the target modules, and the field that has them."""
    if spec.training.lora.target_modules:
        return "spec.training.lora.targetModules", spec.training.lora.target_modules
    field = f"spec.training.targetModules of BaseModel {spec.base_model.name}"
    return field, spec.base_model.target_modules or DEFAULT_TARGET_MODULES
