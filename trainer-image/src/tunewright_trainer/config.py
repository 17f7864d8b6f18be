"""The resolved training configuration: every number that training uses, logged and stored with the adapter."""

from __future__ import annotations

import hashlib
import json
import math

from tunewright_contracts.document import Message, Sha256
from tunewright_contracts.phase_result import DatasetSummary
from tunewright_contracts.run_spec import RunSpec
from tunewright_trainer.limits import length_limit
from tunewright_trainer.micro_batch import plan_micro_batch

DEFAULT_TARGET_MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
_LENGTH_MULTIPLE = 8
_RECIPE = {"lossOn": "assistant tokens"}
"""Choices in the code that affect the result.

Change this value together with the code, so that training does not resume from a checkpoint of the old recipe.
"""


class TrainingConfig(Message):
    """Hyperparameters with every "auto" resolved: steps are optimizer steps, lengths are tokens."""

    base_model: str
    base_model_digest: Sha256
    dataset_digest: Sha256
    quantization: str
    rank: int
    alpha: int
    dropout: float
    target_modules: tuple[str, ...]
    total_steps: int
    epochs: float
    batch_size: int
    micro_batch_size: int
    gradient_accumulation_steps: int
    learning_rate: float
    learning_rate_schedule: str = "linear"
    warmup_steps: int
    optimizer: str = "adamw_8bit"
    weight_decay: float = 0.01
    max_sequence_length: int
    checkpoint_steps: int
    seed: int

    @property
    def fingerprint(self) -> str:
        """The digest of everything that affects the result; the micro-batch size does not.

        Checkpoints and results are stored under it: when it changes, interrupted jobs start from the beginning.
        """
        content = self.to_wire() | _RECIPE
        for name in ("microBatchSize", "gradientAccumulationSteps", "checkpointSteps"):
            del content[name]
        return f"sha256:{hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()}"


def resolve_config(spec: RunSpec, dataset: DatasetSummary) -> TrainingConfig:
    """Return the configuration of a job for its prepared data. Pure."""
    training = spec.training
    steps_per_epoch = math.ceil(dataset.train / training.batch_size)
    total_steps = training.max_steps or training.epochs * steps_per_epoch
    micro_batch = plan_micro_batch(training.batch_size, training.micro_batch_size)
    limit, _ = length_limit(spec)
    # Auto is the length of the longest record. `prepare` rejected records over the limit, so no record is truncated.
    longest = min(limit, dataset.max_tokens or limit)
    length = training.max_sequence_length or math.ceil(longest / _LENGTH_MULTIPLE) * _LENGTH_MULTIPLE
    return TrainingConfig(
        base_model=spec.base_model.name,
        base_model_digest=spec.base_model.digest,
        dataset_digest=dataset.digest,
        quantization=training.quantization,
        rank=training.lora.rank,
        alpha=training.lora.alpha,
        dropout=float(training.lora.dropout),
        target_modules=training.lora.target_modules or spec.base_model.target_modules or DEFAULT_TARGET_MODULES,
        total_steps=total_steps,
        epochs=round(total_steps / steps_per_epoch, 2),
        batch_size=training.batch_size,
        micro_batch_size=micro_batch.size,
        gradient_accumulation_steps=micro_batch.accumulation,
        learning_rate=float(training.learning_rate),
        warmup_steps=math.ceil(total_steps * training.warmup_percent / 100),
        max_sequence_length=min(length, spec.base_model.context_length),
        checkpoint_steps=training.checkpoint_steps,
        seed=training.seed,
    )
