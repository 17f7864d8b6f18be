"""The work between training steps: report progress, store checkpoints, stop on SIGTERM or NaN. Heavy to import."""

from __future__ import annotations

import datetime as dt
import math
import time
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from tunewright_evaluator.progress_server import ProgressBoard
from tunewright_trainer.accelerator import peak_memory_mebibytes
from tunewright_trainer.process.stopping import Stopper
from tunewright_trainer.train.checkpoints import CheckpointStore, delete_local
from tunewright_trainer.train.data import PaddingCollator
from tunewright_trainer.train.pace import Pace

MAX_OVERFLOWS = 32
"""So many logged steps in a row with gradients that are NaN or infinite end training.

In fp16, the scale of the loss is halved after each of them, so it is not the reason any longer.
"""


class ValidationStoppedError(Exception):
    """SIGTERM arrived during a validation, which may take longer than the pod's grace period."""


# transformers is not installed where types are checked, hence the ignore.
class RunCallback(TrainerCallback):  # type: ignore[misc]
    """Report, store and stop.

    ``metrics`` collects the logged values. ``diverged_at`` is the step at which training diverged, and ``divergence``
    describes how. An infinite gradient norm alone is harmless: in the first steps in fp16, the loss is scaled too high,
    and such steps are skipped. If all steps are skipped, the adapter learns nothing.
    """

    def __init__(
        self,
        board: ProgressBoard,
        checkpoints: CheckpointStore,
        stopper: Stopper,
        collator: PaddingCollator,
        total_steps: int,
    ) -> None:
        self._board = board
        self._checkpoints = checkpoints
        self._stopper = stopper
        self._collator = collator
        self._pace = Pace(total_steps)
        self._pause_began = 0.0
        self._tokens = 0
        self._saved: list[Path] = []
        self.metrics: list[dict[str, Any]] = []
        self.diverged_at: int | None = None
        self.divergence = ""
        self._first_step = 0
        self._overflows = 0
        self._has_finite_gradient = False

    def on_train_begin(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
        """Start the clock."""
        self._first_step = state.global_step
        self._pace.record(state.global_step, self._collator.tokens, time.monotonic())

    def on_step_end(self, _args: Any, state: Any, control: Any, **_: Any) -> None:
        """Report progress; stop with a checkpoint if the process was asked to stop."""
        self._tokens = self._collator.tokens
        self._pace.record(state.global_step, self._tokens, time.monotonic())
        self._board.update(
            step=state.global_step,
            checkpoint_step=self._checkpoints.latest_step,
            peak_memory_mebibytes=peak_memory_mebibytes(),
            **self._pace.estimate(dt.datetime.now(dt.UTC)),
        )
        self._pause_began = time.monotonic()
        if self._stopper.requested:
            control.should_training_stop = True
            control.should_evaluate = False
        if self._is_last(state):
            control.should_save = True

    def on_step_begin(self, _args: Any, _state: Any, _control: Any, **_: Any) -> None:
        """Exclude validation and checkpoints, which run between two steps, from the speed."""
        if self._pause_began:
            self._pace.skip(time.monotonic() - self._pause_began)

    def on_evaluate(self, _args: Any, _state: Any, _control: Any, **_: Any) -> None:
        """Exclude the validation's tokens, which the same collator counts, from the speed."""
        self._collator.tokens = self._tokens

    def on_prediction_step(self, _args: Any, _state: Any, _control: Any, **_: Any) -> None:
        """Interrupt a validation if the process was asked to stop.

        Raises:
            ValidationStoppedError: to the caller of ``evaluate``.
        """
        if self._stopper.requested:
            raise ValidationStoppedError

    def on_log(self, _args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        """Report losses; training that diverged ends."""
        logs = logs or {}
        self.metrics.append({"step": state.global_step, **logs})
        if "loss" in logs:
            self._board.update(train_loss=_finite(logs["loss"]))
        if "eval_loss" in logs:
            self._board.update(validation_loss=_finite(logs["eval_loss"]))
        losses = [logs[name] for name in ("loss", "eval_loss") if name in logs]
        if not all(math.isfinite(value) for value in losses):
            self._diverge(state, control, "the loss became NaN or infinite")
        if "grad_norm" in logs:
            self._note_gradient(logs["grad_norm"], state, control)

    def on_train_end(self, _args: Any, state: Any, control: Any, **_: Any) -> None:
        """Report a training in which every step was skipped."""
        complete = self._first_step == 0 and state.global_step >= state.max_steps
        if complete and self._overflows and not self._has_finite_gradient:
            self._diverge(
                state, control, "the gradients of every logged step were NaN or infinite, so nothing was learned"
            )

    def on_save(self, args: Any, state: Any, _control: Any, **_: Any) -> None:
        """Store the checkpoint that the trainer wrote, and keep only the newest two on the pod's disk."""
        if self.diverged_at is not None:
            return
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if not self._checkpoints.save(state.global_step, folder, last=self._is_last(state)):
            delete_local(folder)
            return
        self._saved.append(folder)
        # Only one upload runs at a time, so the older ones are uploaded or have failed.
        for old in self._saved[:-2]:
            delete_local(old)
        del self._saved[:-2]

    def _note_gradient(self, norm: float, state: Any, control: Any) -> None:
        self._overflows = 0 if math.isfinite(norm) else self._overflows + 1
        self._has_finite_gradient = self._has_finite_gradient or math.isfinite(norm)
        if self._overflows >= MAX_OVERFLOWS:
            self._diverge(
                state, control, f"the gradients of {MAX_OVERFLOWS} logged steps in a row were NaN or infinite"
            )

    def _diverge(self, state: Any, control: Any, how: str) -> None:
        if self.diverged_at is None:
            self.diverged_at, self.divergence = state.global_step, how
        control.should_training_stop = True

    def _is_last(self, state: Any) -> bool:
        return bool(self._stopper.requested or state.global_step >= state.max_steps)


def _finite(value: float) -> float | None:
    """Return the value, or None for NaN and infinities, which JSON cannot represent."""
    return value if math.isfinite(value) else None
