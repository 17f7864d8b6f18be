"""Train an adapter: Unsloth's model in TRL's trainer, on tokenized records. Heavy to import."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tunewright_trainer.train import model as models  # isort: skip - unsloth comes before trl
from datasets import Dataset
from trl import SFTConfig, SFTTrainer

from tunewright_evaluator.progress_server import ProgressBoard
from tunewright_trainer.accelerator import is_out_of_memory
from tunewright_trainer.chat.tokenizer import Example
from tunewright_trainer.config import TrainingConfig
from tunewright_trainer.errors import Reason, TrainerError
from tunewright_trainer.micro_batch import MicroBatch, explain_out_of_memory
from tunewright_trainer.process.stopping import Stopper
from tunewright_trainer.train.callbacks import RunCallback, ValidationStoppedError
from tunewright_trainer.train.checkpoints import Checkpoint, CheckpointStore
from tunewright_trainer.train.data import PaddingCollator


@dataclasses.dataclass(frozen=True, slots=True)
class FitResult:
    """Where training ended: at ``total_steps`` unless it was stopped. ``metrics`` has the logged values."""

    checkpoint: Checkpoint
    stopped: bool
    metrics: list[dict[str, Any]]


def fit(
    config: TrainingConfig,
    model_folder: Path,
    train: Sequence[Example],
    validation: Sequence[Example],
    *,
    resume: Checkpoint | None,
    work: Path,
    checkpoints: CheckpointStore,
    board: ProgressBoard,
    stopper: Stopper,
) -> FitResult:
    """Train from a checkpoint or from the beginning until the last step or SIGTERM.

    Raises:
        TrainerError: out of memory, a diverged training, or invalid settings.
        StorageError: the last checkpoint could not be stored.
    """
    try:
        with stopper.interruptible():
            trainer, callback = _build_trainer(
                config,
                model_folder,
                train,
                validation,
                work=work,
                checkpoints=checkpoints,
                board=board,
                stopper=stopper,
            )
        trainer.train(resume_from_checkpoint=str(resume.folder) if resume else None)
    except Exception as error:
        if is_out_of_memory(error):
            micro_batch = MicroBatch(config.micro_batch_size, config.gradient_accumulation_steps)
            raise explain_out_of_memory(micro_batch, config.max_sequence_length) from error
        raise
    if callback.diverged_at is not None:
        raise TrainerError(
            Reason.DIVERGED,
            f"{callback.divergence}, at step {callback.diverged_at} of {config.total_steps}; lower "
            f"training.learningRate (now {config.learning_rate:g}), or look for unusual records",
        )
    checkpoints.finish()
    step = int(trainer.state.global_step)
    return FitResult(
        checkpoint=Checkpoint(step, work / f"checkpoint-{step}"),
        stopped=step < config.total_steps,
        metrics=callback.metrics,
    )


def _build_trainer(
    config: TrainingConfig,
    model_folder: Path,
    train: Sequence[Example],
    validation: Sequence[Example],
    *,
    work: Path,
    checkpoints: CheckpointStore,
    board: ProgressBoard,
    stopper: Stopper,
) -> tuple[Any, RunCallback]:
    model, tokenizer = models.load_for_training(model_folder, config)
    collator = PaddingCollator(tokenizer.pad_token_id)
    callback = RunCallback(board, checkpoints, stopper, collator, config.total_steps)
    arguments = SFTConfig(
        output_dir=str(work),
        max_steps=config.total_steps,
        per_device_train_batch_size=config.micro_batch_size,
        per_device_eval_batch_size=config.micro_batch_size,
        gradient_accumulation_steps=config.gradient_accumulation_steps,
        learning_rate=config.learning_rate,
        lr_scheduler_type=config.learning_rate_schedule,
        warmup_steps=config.warmup_steps,
        optim=config.optimizer,
        weight_decay=config.weight_decay,
        max_length=config.max_sequence_length,
        seed=config.seed,
        data_seed=config.seed,
        # Logging a loss waits for the accelerator; 100 points are enough for a curve.
        logging_steps=max(1, config.total_steps // 100),
        # By default, the trainer replaces NaN and infinities by the mean of other losses.
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_steps=config.checkpoint_steps,
        eval_strategy="steps" if validation else "no",
        eval_steps=min(config.checkpoint_steps, config.total_steps) if validation else None,
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataset_kwargs={"skip_prepare_dataset": True},
    )
    trainer = _Trainer(
        model=model,
        args=arguments,
        processing_class=tokenizer,
        train_dataset=_to_dataset(train),
        eval_dataset=_to_dataset(validation) if validation else None,
        data_collator=collator,
        callbacks=[callback],
    )
    return trainer, callback


# trl is not installed where types are checked, hence the ignore.
class _Trainer(SFTTrainer):  # type: ignore[misc]
    """A trainer that also stops during a validation, with a checkpoint, when the process is asked to stop."""

    def evaluate(self, *arguments: Any, **options: Any) -> dict[str, float]:
        """See `transformers.Trainer.evaluate`; an interrupted validation returns no metrics."""
        try:
            return dict(super().evaluate(*arguments, **options))
        except ValidationStoppedError:
            # The trainer sets these only after a complete evaluation. Without them, it would evaluate again at the
            # end of the epoch.
            self.control.should_evaluate = False
            self.control.should_save = True
            self.control.should_training_stop = True
            return {}


def _to_dataset(examples: Sequence[Example]) -> Any:
    return Dataset.from_list([{"input_ids": example.input_ids, "labels": example.labels} for example in examples])
