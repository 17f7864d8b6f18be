"""The progress that trainer and evaluator pods serve at ``GET /progress`` on `PROGRESS_PORT`; the operator polls it."""

from __future__ import annotations

from enum import StrEnum

from tunewright_contracts.document import Document

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

    phase: Phase
    attempt: int = 1
    step: int = 0
    total_steps: int = 0
    train_loss: float | None = None
    validation_loss: float | None = None
    tokens_per_second: float | None = None
    estimated_finish: str | None = None
    checkpoint_step: int | None = None
    resumed_from_step: int | None = None
    evaluated: int | None = None
    to_evaluate: int | None = None
    peak_memory_mebibytes: int | None = None
    updated_at: str
