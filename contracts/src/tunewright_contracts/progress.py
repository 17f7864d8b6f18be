"""The progress that trainer and evaluator pods serve at ``GET /progress`` on `PROGRESS_PORT`; the operator polls it."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from tunewright_contracts.document import Document
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
    evaluated: Count | None = None
    to_evaluate: Count | None = None
    peak_memory_mebibytes: Count | None = None
    updated_at: Time
