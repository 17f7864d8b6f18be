"""The resolved training configuration with which tests of the trainer start."""

from __future__ import annotations

from typing import Any

from tunewright_trainer.config import TrainingConfig
from tunewright_trainer.process.patience import Patience

NO_PATIENCE = Patience(0, lambda _seconds: False)

DIGEST = "sha256:" + "0" * 64
CONFIG = TrainingConfig(
    base_model="tiny",
    base_model_digest=DIGEST,
    dataset_digest=DIGEST,
    quantization="None",
    rank=8,
    alpha=8,
    dropout=0.0,
    target_modules=("q_proj",),
    total_steps=6,
    epochs=1,
    batch_size=1,
    micro_batch_size=1,
    gradient_accumulation_steps=1,
    learning_rate=1e-3,
    warmup_steps=1,
    max_sequence_length=8,
    checkpoint_steps=2,
    seed=1,
)


def make_config(**fields: Any) -> TrainingConfig:
    """Return the configuration with some fields changed."""
    return CONFIG.updated(**fields)


class Time:
    """A clock that moves only when a caller waits; after ``stop_after`` waits, the process is asked to stop."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.now = 0.0
        self.waits: list[float] = []
        self._stop_after = stop_after

    def clock(self) -> float:
        """Return the time in seconds."""
        return self.now

    def wait(self, seconds: float) -> bool:
        """Move the clock, and return whether the process was asked to stop."""
        self.waits.append(seconds)
        self.now += seconds
        return self._stop_after is not None and len(self.waits) >= self._stop_after
