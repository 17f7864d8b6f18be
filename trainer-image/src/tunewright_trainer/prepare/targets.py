"""Check the shape of the adapter before a GPU is allocated: no server can load an adapter of another shape."""

from __future__ import annotations

import re

from tunewright_contracts.run_spec import RunSpec
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

    Raises:
        TrainerError: no server can load such an adapter; the message names the field.
    """
    lora = spec.training.lora
    if not 1 <= lora.rank <= MAX_RANK:
        raise TrainerError(
            Reason.INVALID_TRAINING,
            f"spec.training.lora.rank is {lora.rank}, but vLLM supports ranks from 1 to {MAX_RANK}; choose one of them",
        )
    if lora.target_modules:
        field, modules = "spec.training.lora.targetModules", lora.target_modules
    else:
        field = f"spec.training.targetModules of BaseModel {spec.base_model.name}"
        modules = spec.base_model.target_modules or DEFAULT_TARGET_MODULES
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
