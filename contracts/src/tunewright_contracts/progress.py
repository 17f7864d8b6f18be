"""The progress that trainer and evaluator pods serve at ``GET /progress`` on `PROGRESS_PORT`; the operator polls it."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from tunewright_contracts.document import Document, Message
from tunewright_contracts.values import Count, Time

PROGRESS_PORT = 8787
PROGRESS_PATH = "/progress"


class Phase(StrEnum):
    """What the pod is doing."""

    STARTING = "Starting"
    PREPARING = "Preparing"
    LOADING_MODEL = "LoadingModel"
    TRAINING = "Training"
    EVALUATING = "Evaluating"
    PUBLISHING = "Publishing"
    FINISHED = "Finished"


class LostCheckpoint(Message):
    """Training resumed from the step ``resumed`` (0: the beginning) instead of the ``recorded`` one."""

    recorded: Count
    resumed: Count

    def describe(self) -> str:
        """Return a sentence for the conditions of the job."""
        start = f"resumed from step {self.resumed}" if self.resumed else "started from the beginning"
        return (
            f"Training {start}, although an earlier attempt stored a checkpoint of step {self.recorded}: "
            "that one is missing, damaged, of another configuration or not authentic; the pod's log shows why."
        )


def find_lost(recorded: int | None, resumed: int) -> LostCheckpoint | None:
    """Return which checkpoint is lost; None if training resumed from the recorded step or a later one."""
    return LostCheckpoint(recorded=recorded, resumed=resumed) if recorded is not None and resumed < recorded else None


class Progress(Document):
    """A snapshot: steps are optimizer steps, losses are means per token, times are RFC 3339.

    ``evaluated`` counts answers, of ``to_evaluate``; an evaluator sets only these, besides phase and time.
    """

    max_bytes: ClassVar[int] = 64 << 10

    phase: Phase
    attempt: Count = 1
    step: Count = 0
    total_steps: Count = 0
    train_loss: float | None = None
    validation_loss: float | None = None
    tokens_per_second: float | None = None
    estimated_finish: Time | None = None
    checkpoint_step: Count | None = None
    resumed_from_step: Count | None = None
    lost_checkpoint: LostCheckpoint | None = None
    evaluated: Count | None = None
    to_evaluate: Count | None = None
    peak_memory_mebibytes: Count | None = None
    updated_at: Time
