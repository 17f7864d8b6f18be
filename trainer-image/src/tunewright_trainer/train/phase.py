"""The train phase: train or resume, score, publish. If the job is already finished, return the same result."""

from __future__ import annotations

from pathlib import Path

import structlog

from tunewright_contracts.adapter_manifest import Score
from tunewright_contracts.authentication.document_key import DocumentKey
from tunewright_contracts.phase_result import DatasetSummary, Outcome, PhaseResult
from tunewright_contracts.progress import LostCheckpoint, Phase, find_lost
from tunewright_contracts.run_spec import RunSpec
from tunewright_contracts.storage_uri import StorageURI
from tunewright_evaluator.progress_server import ProgressBoard
from tunewright_storage.base_model import fetch_base_model
from tunewright_storage.base_shapes import read_base_shapes
from tunewright_storage.store import Store
from tunewright_trainer import accelerator, run_folder
from tunewright_trainer.chat.tokenizer import ConversationTokenizer
from tunewright_trainer.config import TrainingConfig, resolve_config
from tunewright_trainer.dataset.record import Split
from tunewright_trainer.dataset.storage import fetch_dataset, read_split
from tunewright_trainer.errors import Reason, TrainerError
from tunewright_trainer.evaluate import metrics, scoring
from tunewright_trainer.limits import length_limit
from tunewright_trainer.process.patience import Patience
from tunewright_trainer.process.settings import Settings
from tunewright_trainer.process.stopping import Stopper
from tunewright_trainer.publish import adapter as publishing
from tunewright_trainer.publish import servable
from tunewright_trainer.publish.manifest import Provenance
from tunewright_trainer.train.checkpoints import Checkpoint, CheckpointStore
from tunewright_trainer.train.data import encode_conversations
from tunewright_trainer.train.result import digest_inputs, read_result, write_result

log = structlog.get_logger(__name__)


def train(
    spec: RunSpec,
    store: Store,
    settings: Settings,
    board: ProgressBoard,
    stopper: Stopper,
    *,
    patience: Patience,
    key: DocumentKey,
) -> PhaseResult:
    """Train, score and publish an adapter from prepared data.

    Raises:
        TrainerError, StorageError, StorageURIError: the job cannot continue.
        StopRequestedError: SIGTERM arrived outside of training.
    """
    job = _TrainPhase(spec, store, settings, board, stopper, patience=patience, key=key)
    return job.run()


class _TrainPhase:
    """The steps of one attempt, in the order in which they run."""

    def __init__(
        self,
        spec: RunSpec,
        store: Store,
        settings: Settings,
        board: ProgressBoard,
        stopper: Stopper,
        *,
        patience: Patience,
        key: DocumentKey,
    ) -> None:
        self._spec = spec
        self._store = store
        self._settings = settings
        self._board = board
        self._stopper = stopper
        self._patience = patience
        self._key = key
        self._lost: LostCheckpoint | None = None
        self._run_uri = StorageURI.parse(spec.run_uri)
        self._model_folder = settings.work / "base-model"

    def run(self) -> PhaseResult:
        with self._stopper.interruptible():
            dataset = self._fetch_dataset()
            config = resolve_config(self._spec, dataset)
            inputs = digest_inputs(config, self._spec)
            finished = self._find_finished(inputs)
            if finished is not None:
                return finished
            log.info("training_configuration", **config.to_wire())
            self._store.write(self._run_uri.join(run_folder.CONFIG_NAME), config.to_json().encode())
            self._board.update(phase=Phase.LOADING_MODEL, total_steps=config.total_steps)
            self._patience.repeat(lambda: fetch_base_model(self._spec.base_model, self._model_folder, self._store))
            servable.check_targets(self._spec, read_base_shapes(self._model_folder))
            tokenizer = ConversationTokenizer.from_folder(self._model_folder, self._spec.base_model.chat_template)
            checkpoints = CheckpointStore(
                self._store,
                self._run_uri,
                self._spec.attempt,
                self._settings.pod_uid,
                config.fingerprint,
                key=self._key,
            )
            newest = checkpoints.find_newest(self._settings.work / "resume")
            self._report_lost(newest)
        if newest is None or newest.step < config.total_steps:
            checkpoint, stopped = self._fit(config, tokenizer, checkpoints, newest)
            if stopped:
                return self._suspended(checkpoint.step, config.total_steps)
            newest = checkpoint
        else:
            self._board.update(step=newest.step, checkpoint_step=newest.step, resumed_from_step=newest.step)
        with self._stopper.interruptible():
            scores = self._score(config, tokenizer, newest, dataset)
        return self._conclude(inputs, config, dataset, newest, scores)

    def _fetch_dataset(self) -> DatasetSummary:
        metrics.check_metrics(self._spec.evaluation.metrics)
        if self._spec.dataset_uri is None:
            raise TrainerError(
                Reason.INVALID_RUN_SPEC,
                (
                    "the run specification has no address of prepared data (datasetUri); "
                    "use the trainer image of the operator's release"
                ),
            )
        found = fetch_dataset(
            self._store,
            StorageURI.parse(self._spec.dataset_uri),
            self._dataset_folder,
            expected_digest=self._spec.dataset_digest,
            manifest_digest=self._spec.dataset_manifest_digest,
        )
        return found.summarise()

    @property
    def _dataset_folder(self) -> Path:
        return self._settings.work / "dataset"

    def _find_finished(self, inputs: str) -> PhaseResult | None:
        """Return the recorded result if it is still valid: a published adapter must still be complete."""
        result = read_result(self._store, self._run_uri, inputs, self._key)
        if result is None:
            return None
        if result.adapter is not None and not publishing.verify_published(self._store, result.adapter):
            log.warning("published_adapter_damaged", uri=result.adapter.uri)
            return None
        log.info("result_found")
        return result

    def _report_lost(self, newest: Checkpoint | None) -> None:
        """Report a checkpoint of an earlier attempt that cannot be used: its steps are trained again."""
        self._lost = find_lost(self._spec.checkpoint_step, newest.step if newest is not None else 0)
        if self._lost is not None:
            log.warning("checkpoint_lost", **self._lost.to_wire())
            self._board.update(lost_checkpoint=self._lost)

    def _fit(
        self,
        config: TrainingConfig,
        tokenizer: ConversationTokenizer,
        checkpoints: CheckpointStore,
        resume: Checkpoint | None,
    ) -> tuple[Checkpoint, bool]:
        with self._stopper.interruptible():
            limit, _ = length_limit(self._spec)
            train = encode_conversations(read_split(self._dataset_folder, Split.TRAIN), tokenizer, limit)
            validation = encode_conversations(read_split(self._dataset_folder, Split.VALIDATION), tokenizer, limit)
            from tunewright_trainer.train.fit import fit  # noqa: PLC0415 - heavy
        self._board.update(
            phase=Phase.TRAINING,
            step=resume.step if resume else 0,
            resumed_from_step=resume.step if resume else None,
            checkpoint_step=resume.step if resume else None,
        )
        result = fit(
            config,
            self._model_folder,
            train,
            validation,
            resume=resume,
            work=self._settings.work / "run",
            checkpoints=checkpoints,
            board=self._board,
            stopper=self._stopper,
        )
        run_folder.write_lines(
            self._store, self._run_uri.join(run_folder.metrics_name(self._spec.attempt)), result.metrics
        )
        log.info("training_ended", step=result.checkpoint.step, stopped=result.stopped)
        return result.checkpoint, result.stopped

    def _score(
        self, config: TrainingConfig, tokenizer: ConversationTokenizer, checkpoint: Checkpoint, dataset: DatasetSummary
    ) -> tuple[Score, ...]:
        evaluation = self._spec.evaluation
        records = scoring.choose_held_out(read_split(self._dataset_folder, Split.EVALUATION), evaluation.max_samples)
        if not records or not evaluation.metrics:
            return ()
        from tunewright_trainer.train import model as models  # noqa: PLC0415 - heavy

        accelerator.free_memory()
        self._board.update(phase=Phase.EVALUATING, evaluated=0, to_evaluate=2 * len(records))
        with models.loaded_for_scoring(self._model_folder, checkpoint.folder, config) as model:
            answers = scoring.answer_all(
                model,
                tokenizer,
                records,
                evaluation.max_tokens,
                lambda done: self._board.update(evaluated=done),
                taught=dataset.stop_token_ids or (),
            )
        run_folder.write_lines(self._store, self._run_uri.join(run_folder.SAMPLES_NAME), metrics.sample_rows(answers))
        scores = metrics.score_answers(evaluation.metrics, answers)
        for score in scores:
            log.info("held_out_score", **score.to_wire())
        return scores

    def _conclude(
        self,
        inputs: str,
        config: TrainingConfig,
        dataset: DatasetSummary,
        checkpoint: Checkpoint,
        scores: tuple[Score, ...],
    ) -> PhaseResult:
        misses = metrics.find_below_minimum(self._spec.evaluation.metrics, scores) if scores else []
        if misses:
            result = PhaseResult(
                outcome=Outcome.FAILED,
                reason=Reason.BELOW_MINIMUM,
                message=f"{'; '.join(misses)}. Nothing was published; provide more or better data, train longer, or "
                f"lower the minimum. All answers are in {self._run_uri.join(run_folder.SAMPLES_NAME)}",
                dataset=dataset,
                scores=scores,
                progress_step=checkpoint.step,
                lost_checkpoint=self._lost,
            )
        else:
            self._board.update(phase=Phase.PUBLISHING)
            provenance = Provenance(self._spec, config, dataset, scores)
            servable.check_files(checkpoint.folder, read_base_shapes(self._model_folder))
            adapter = publishing.publish(self._store, checkpoint.folder, self._settings.work / "adapter", provenance)
            shown = ", ".join(f"{score.type} {score.base:.3f} → {score.tuned:.3f}" for score in scores)
            result = PhaseResult(
                outcome=Outcome.SUCCEEDED,
                reason=Reason.PUBLISHED,
                message=f"adapter of rank {adapter.rank} published at {adapter.uri}" + (f"; {shown}" if shown else ""),
                adapter=adapter,
                dataset=dataset,
                scores=scores,
                progress_step=checkpoint.step,
                lost_checkpoint=self._lost,
            )
        write_result(self._store, self._run_uri, inputs, result, self._key)
        self._board.update(phase=Phase.FINISHED, peak_memory_mebibytes=accelerator.peak_memory_mebibytes())
        return result

    def _suspended(self, step: int, total_steps: int) -> PhaseResult:
        return PhaseResult(
            outcome=Outcome.SUSPENDED,
            reason=Reason.SUSPENDED,
            message=f"stopped by SIGTERM after step {step} of {total_steps}; the next attempt continues from there",
            progress_step=step,
        )
