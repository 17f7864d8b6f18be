"""The train phase with fakes for the two heavy calls (fit, generate): what runs, what is kept, what repeats."""

import contextlib
import dataclasses
import hashlib
import json
import sys
import types

import numpy as np
import pytest
from safetensors.numpy import save_file

from support.document_keys import KEY
from support.training import NO_PATIENCE
from tunewright_contracts.phase_result import Outcome
from tunewright_contracts.progress import LostCheckpoint, Phase
from tunewright_contracts.storage_uri import StorageURI
from tunewright_evaluator.progress_server import ProgressBoard
from tunewright_storage.adapter import read_manifest
from tunewright_storage.base_model import digest_base_model
from tunewright_storage.errors import StorageError, StorageReason
from tunewright_trainer.config import DEFAULT_TARGET_MODULES
from tunewright_trainer.errors import Reason, TrainerError
from tunewright_trainer.evaluate import scoring
from tunewright_trainer.evaluate.metrics import Answers
from tunewright_trainer.prepare.phase import prepare
from tunewright_trainer.process.stopping import Stopper, StopRequestedError
from tunewright_trainer.train.checkpoints import Checkpoint
from tunewright_trainer.train.phase import train

RUN = StorageURI.parse("s3://bucket/adapters/runs/support/tickets-12345678")
TOTAL_STEPS = 4
LAYER = "model.layers.0"


class Heavy:
    """Stands for Unsloth.

    `calls` records the calls, `stop_at` ends training early, `right` is the share of good answers."""

    def __init__(self):
        self.calls = []
        self.stop_at = None
        self.right = 1.0
        self.extra_tensors = {}

    def fit(self, config, _model_folder, examples, _validation, *, resume, work, checkpoints, **_):
        step = self.stop_at or config.total_steps
        self.calls.append(("fit", resume.step if resume else 0, step, len(examples)))
        folder = work / f"checkpoint-{step}"
        folder.mkdir(parents=True)
        tensors = {
            f"base_model.model.{LAYER}.q_proj.lora_A.weight": np.full((16, 2), step, np.float32),
            f"base_model.model.{LAYER}.q_proj.lora_B.weight": np.zeros((2, 16), np.float32),
        }
        save_file(tensors | self.extra_tensors, folder / "adapter_model.safetensors")
        peft_config = {"peft_type": "LORA", "r": 16, "lora_alpha": 16, "target_modules": ["q_proj"]}
        (folder / "adapter_config.json").write_text(json.dumps(peft_config))
        checkpoints.save(step, folder)
        checkpoints.finish()
        return types.SimpleNamespace(
            checkpoint=Checkpoint(step, folder),
            stopped=step < config.total_steps,
            metrics=[{"step": step, "loss": 1.0}],
        )

    @contextlib.contextmanager
    def loaded_for_scoring(self, _model_folder, adapter, _config):
        self.calls.append(("score", adapter.name))
        yield None

    def answer_all(self, _model, _tokenizer, records, _max_tokens, report, taught):
        self.taught = taught
        report(2 * len(records))
        good = round(self.right * len(records))
        return [
            Answers(record, base="?", tuned=record.reference if index < good else "?")
            for index, record in enumerate(records)
        ]


@pytest.fixture
def heavy(monkeypatch):
    heavy = Heavy()
    fit = types.SimpleNamespace(fit=heavy.fit)
    model = types.SimpleNamespace(loaded_for_scoring=heavy.loaded_for_scoring)
    import tunewright_trainer.train as package

    for name, module in {"fit": fit, "model": model}.items():
        monkeypatch.setitem(sys.modules, f"tunewright_trainer.train.{name}", module)
        monkeypatch.setattr(package, name, module, raising=False)
    monkeypatch.setattr(scoring, "answer_all", heavy.answer_all)
    return heavy


@pytest.fixture
def job(store, settings, make_spec, jsonl, use_tokenizer, tmp_path):
    """Prepare a job and return a function that runs its train phase; keyword arguments replace sections."""
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    layers = {f"{LAYER}.{module}.weight": np.ones((2, 2), np.float32) for module in DEFAULT_TARGET_MODULES}
    save_file({"w": np.ones(1, np.float32)} | layers, model / "model.safetensors")
    for path in model.iterdir():
        store.upload(path, StorageURI.parse("s3://bucket/models/tiny").join(path.name))
    source = {"name": "tiny", "s3": {"uri": "s3://bucket/models/tiny"}, "contextLength": 4096}
    sections = {
        "baseModel": {**source, "digest": digest_base_model(model).digest},
        "training": {"maxSteps": TOTAL_STEPS},
    }
    (settings.sources_root / "tickets").mkdir(parents=True)
    (settings.sources_root / "tickets" / "a.jsonl").write_text(jsonl(100))
    board = ProgressBoard()
    prepared = prepare(make_spec(**sections), store, settings, board, NO_PATIENCE).dataset
    sections |= {
        "datasetUri": prepared.uri,
        "datasetDigest": prepared.digest,
        "datasetManifestDigest": prepared.manifest_digest,
    }

    def run(stopper=None, **other):
        # Each attempt is a pod with an empty disk.
        number = run.attempts = run.attempts + 1
        pod = dataclasses.replace(settings, work=tmp_path / f"pod-{number}", pod_uid=f"{number:08x}-0000")
        spec = make_spec(**{**sections, "attempt": number, **other})
        return train(spec, store, pod, board, stopper or Stopper(), patience=NO_PATIENCE, key=KEY)

    run.attempts = 0
    run.board = board
    run.prepared = prepared
    return run


def published(store):
    return [
        str(item.uri)
        for item in store.list(StorageURI.parse("s3://bucket/adapters"))
        if "/sha256-" in str(item.uri) and "/datasets/" not in str(item.uri)
    ]


def test_an_adapter_that_no_server_can_load_is_not_published(job, heavy, store):
    heavy.extra_tensors = {"base_model.model.lm_head.modules_to_save.weight": np.zeros((2, 2), np.float32)}
    with pytest.raises(TrainerError, match="train target modules that are linear layers") as error:
        job()
    assert error.value.reason is Reason.NOT_SERVABLE
    assert published(store) == []


def test_target_modules_that_the_base_model_does_not_have_are_refused_before_training(job, heavy):
    with pytest.raises(TrainerError, match=r"targetModules: base model tiny has no linear layers 'k2_proj'") as error:
        job(training={"maxSteps": TOTAL_STEPS, "lora": {"targetModules": ["q_proj", "k2_proj"]}})
    assert error.value.reason is Reason.INVALID_TRAINING
    assert heavy.calls == []


def test_trains_scores_and_publishes(job, heavy, store):
    result = job()
    assert (result.outcome, result.reason) == (Outcome.SUCCEEDED, "Published")
    assert heavy.calls == [("fit", 0, TOTAL_STEPS, job.prepared.train), ("score", f"checkpoint-{TOTAL_STEPS}")]
    assert [(score.base, score.tuned) for score in result.scores] == [(0.0, 1.0)]
    assert f"{result.adapter.uri}/manifest.json" in published(store)
    assert job.board.snapshot().phase is Phase.FINISHED
    assert result.progress_step == TOTAL_STEPS
    for name in ("training-config.json", "metrics-1.jsonl", "samples.jsonl", "result.json"):
        assert store.exists(RUN.join(name))


def test_the_tokens_that_end_answers_reach_scoring_and_the_manifest(job, heavy, store):
    result = job()
    assert job.prepared.stop_token_ids == (0xE002,)
    assert heavy.taught == (0xE002,)
    manifest = read_manifest(store, StorageURI.parse(result.adapter.uri))
    assert manifest.stop_token_ids == result.adapter.stop_token_ids == (0xE002,)


def test_a_second_run_on_finished_work_only_reads(job, heavy):
    first = job()
    heavy.calls.clear()
    assert job() == first
    assert heavy.calls == []


def test_finished_training_is_not_trained_again(job, heavy, store):
    first = job()
    store.delete_prefix(RUN.join("result.json"))  # killed before the result was written
    heavy.calls.clear()
    assert job().adapter == first.adapter
    assert heavy.calls == [("score", f"step-{TOTAL_STEPS:06d}")]


def test_a_lost_adapter_is_published_again(job, heavy, store):
    first = job()
    store.delete_prefix(StorageURI.parse(first.adapter.uri))
    assert job().adapter == first.adapter
    assert f"{first.adapter.uri}/manifest.json" in published(store)


def test_suspended_then_resumed(job, heavy):
    heavy.stop_at = 3
    result = job()
    assert (result.outcome, result.progress_step) == (Outcome.SUSPENDED, 3)
    assert "after step 3 of 4" in result.message
    heavy.stop_at = None
    assert job().outcome is Outcome.SUCCEEDED
    assert [call[:3] for call in heavy.calls if call[0] == "fit"] == [("fit", 0, 3), ("fit", 3, 4)]
    assert job.board.snapshot().resumed_from_step == 3


@pytest.mark.parametrize(
    ("recorded", "lost"),
    [(None, None), (3, None), (2, None), (4, LostCheckpoint(recorded=4, resumed=3))],
    ids=["nothing recorded", "the newest one", "an older one", "a newer one"],
)
def test_a_recorded_checkpoint_that_is_gone_is_reported(job, heavy, recorded, lost):
    heavy.stop_at = 3
    job()
    heavy.stop_at = None
    result = job(checkpointStep=recorded)
    assert result.lost_checkpoint == lost
    assert job.board.snapshot().lost_checkpoint == lost


def test_data_that_an_earlier_release_prepared_is_verified_by_its_records(job, heavy):
    assert job(datasetManifestDigest=None).outcome is Outcome.SUCCEEDED


def test_a_run_specification_that_an_earlier_release_wrote_is_trained(job, heavy):
    """It stopped after it had written the ConfigMap; this release created the Job."""
    assert job(datasetManifestDigest=None, datasetDigest=None).outcome is Outcome.SUCCEEDED


def test_the_held_out_digest_reaches_the_manifest(job, heavy, store):
    result = job()
    digest = f"sha256:{hashlib.sha256(store.read(StorageURI.parse(result.adapter.evaluation_dataset_uri))).hexdigest()}"
    assert result.adapter.evaluation_dataset_digest == job.prepared.evaluation_digest == digest
    assert read_manifest(store, StorageURI.parse(result.adapter.uri)).evaluation_dataset_digest == digest


def test_stopped_before_training(job, heavy):
    stopper = Stopper()
    stopper.request()
    with pytest.raises(StopRequestedError):
        job(stopper)
    assert heavy.calls == []


def test_a_result_below_the_minimum_is_not_published_in_any_run(job, heavy, store):
    heavy.right = 0.0
    evaluation = {"metrics": [{"type": "ExactMatch", "minimum": "0.5"}]}
    result = job(evaluation=evaluation)
    assert (result.outcome, result.reason) == (Outcome.FAILED, Reason.BELOW_MINIMUM)
    assert "ExactMatch is 0.000" in result.message
    assert published(store) == []
    heavy.calls.clear()
    assert job(evaluation=evaluation) == result
    assert heavy.calls == []


def test_a_lower_minimum_scores_again_without_training(job, heavy):
    heavy.right = 0.0
    job(evaluation={"metrics": [{"type": "ExactMatch", "minimum": "0.5"}]})
    heavy.calls.clear()
    assert job(evaluation={"metrics": [{"type": "ExactMatch", "minimum": "0"}]}).outcome is Outcome.SUCCEEDED
    assert [call[0] for call in heavy.calls] == ["score"]


def test_no_metrics_no_scores(job, heavy):
    result = job(evaluation={"metrics": []})
    assert result.scores == ()
    assert [call[0] for call in heavy.calls] == ["fit"]


def test_changed_base_model(job, heavy, store):
    store.write(StorageURI.parse("s3://bucket/models/tiny/config.json"), b'{"changed": true}')
    with pytest.raises(StorageError, match="the files were changed") as error:
        job()
    assert error.value.reason is StorageReason.DIGEST_MISMATCH
    assert heavy.calls == []


def test_a_run_document_without_prepared_data(job, heavy):
    with pytest.raises(TrainerError, match="datasetUri") as error:
        job(datasetUri=None)
    assert error.value.reason is Reason.INVALID_RUN_SPEC


def test_prepared_data_that_was_deleted(job, heavy, store):
    store.delete_prefix(StorageURI.parse(job.prepared.uri))
    with pytest.raises(TrainerError, match="no longer contains prepared data") as error:
        job()
    assert error.value.reason is Reason.DATASET_CHANGED
