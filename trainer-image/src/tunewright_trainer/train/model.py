"""Load base models and adapters through Unsloth. Heavy: import this module inside a phase only."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import unsloth  # isort: skip - it patches transformers, trl and peft, so it comes before them
from peft import PeftModel

from tunewright_storage.adapter_content import find_missing_targets
from tunewright_storage.quoting import list_names
from tunewright_trainer.accelerator import free_memory, has_accelerator
from tunewright_trainer.config import TrainingConfig
from tunewright_trainer.errors import Reason, TrainerError

FastLanguageModel = unsloth.FastLanguageModel


def load_for_training(folder: Path, config: TrainingConfig) -> tuple[Any, Any]:
    """Load a base model with a fresh LoRA adapter and return (model, Hugging Face tokenizer).

    Raises:
        TrainerError: Unsloth cannot load this architecture, or a target module does not exist.
    """
    # On a GPU, "unsloth" offloads activations; on a CPU, recomputing them only costs time.
    checkpointing: str | bool = "unsloth" if has_accelerator() else False
    try:
        model, tokenizer = FastLanguageModel.from_pretrained(
            model_name=str(folder),
            max_seq_length=config.max_sequence_length,
            load_in_4bit=config.quantization == "NF4",
            use_gradient_checkpointing=checkpointing,
            local_files_only=True,
        )
    except (ValueError, KeyError, NotImplementedError) as error:
        raise TrainerError(
            Reason.INVALID_TRAINING,
            f"base model {config.base_model} cannot be loaded: {error}; choose one that Unsloth supports",
        ) from error
    _check_target_modules(model, config)
    model = FastLanguageModel.get_peft_model(
        model,
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules=list(config.target_modules),
        use_gradient_checkpointing=checkpointing,
        random_state=config.seed,
        max_seq_length=config.max_sequence_length,
    )
    return model, tokenizer


@contextlib.contextmanager
def loaded_for_scoring(folder: Path, adapter: Path, config: TrainingConfig) -> Iterator[Any]:
    """Load a base model and a trained adapter for generation; memory is freed when the block ends.

    The model has 16 bits, as in a server, with one exception: on a GPU, an NF4 model stays NF4, because 16 bits may not
    fit into its memory. On a CPU, NF4 would generate many times slower.
    """
    model, _tokenizer = FastLanguageModel.from_pretrained(
        model_name=str(folder),
        max_seq_length=config.max_sequence_length,
        load_in_4bit=config.quantization == "NF4" and has_accelerator(),
        local_files_only=True,
    )
    model = PeftModel.from_pretrained(model, str(adapter))
    try:
        FastLanguageModel.for_inference(model)
        yield model
    finally:
        del model
        free_memory()


def _check_target_modules(model: Any, config: TrainingConfig) -> None:
    missing = find_missing_targets(config.target_modules, (name for name, _ in model.named_modules()))
    if missing:
        raise TrainerError(
            Reason.INVALID_TRAINING,
            f"base model {config.base_model} has no modules {list_names(missing)}; correct training.lora.targetModules "
            "of the job or training.targetModules of the BaseModel",
        )
