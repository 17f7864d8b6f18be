"""The reports between steps. A fake replaces the library, of which only the base class is used."""

import importlib
import math
import sys
import types

import pytest

from tunewright_evaluator.progress_server import ProgressBoard
from tunewright_trainer.process.stopping import Stopper
from tunewright_trainer.train.data import PaddingCollator

NAME = "tunewright_trainer.train.callbacks"


class Checkpoints:
    latest_step = 2

    def __init__(self):
        self.saved = []
        self.takes = True

    def save(self, step, folder, *, last=False):
        self.saved.append((step, last))
        return self.takes


@pytest.fixture
def callbacks(monkeypatch):
    library = types.ModuleType("transformers")
    library.TrainerCallback = object
    monkeypatch.setitem(sys.modules, "transformers", library)
    monkeypatch.delitem(sys.modules, NAME, raising=False)
    monkeypatch.setattr(importlib.import_module("tunewright_trainer.train"), "callbacks", None, raising=False)
    yield importlib.import_module(NAME)
    sys.modules.pop(NAME, None)  # the module refers to the fake


class Run:
    """A callback with its arguments; `call` calls it as the trainer does."""

    def __init__(self, module, folder):
        self.board, self.stopper, self.checkpoints = ProgressBoard(), Stopper(), Checkpoints()
        self.collator = PaddingCollator(0)
        self.state = types.SimpleNamespace(global_step=0, max_steps=10)
        self.control = types.SimpleNamespace(should_training_stop=False, should_save=False, should_evaluate=True)
        self.folder = folder
        self.callback = module.RunCallback(self.board, self.checkpoints, self.stopper, self.collator, 10)

    def call(self, event, **values):
        arguments = types.SimpleNamespace(output_dir=str(self.folder))
        getattr(self.callback, event)(arguments, self.state, self.control, **values)

    def step(self, number):
        self.state.global_step = number
        self.call("on_step_end")


@pytest.fixture
def run(callbacks, tmp_path):
    return Run(callbacks, tmp_path)


def test_a_step_is_reported_with_the_checkpoint_that_is_stored(run):
    run.call("on_train_begin")
    run.step(3)
    progress = run.board.snapshot()
    assert (progress.step, progress.checkpoint_step) == (3, 2)
    assert progress.peak_memory_mebibytes > 0
    assert not run.control.should_save


def test_the_last_step_is_saved(run):
    run.step(10)
    assert run.control.should_save
    assert not run.control.should_training_stop


def test_sigterm_ends_training_with_a_checkpoint_and_without_validation(run):
    run.stopper.request()
    run.step(4)
    assert (run.control.should_training_stop, run.control.should_save, run.control.should_evaluate) == (
        True,
        True,
        False,
    )


def test_losses_are_shown_and_kept(run):
    run.state.global_step = 5
    run.call("on_log", logs={"loss": 1.5, "learning_rate": 1e-4})
    run.call("on_log", logs={"eval_loss": 1.25})
    progress = run.board.snapshot()
    assert (progress.train_loss, progress.validation_loss) == (1.5, 1.25)
    assert run.callback.metrics == [
        {"step": 5, "loss": 1.5, "learning_rate": 1e-4},
        {"step": 5, "eval_loss": 1.25},
    ]
    assert run.callback.diverged_at is None


@pytest.mark.parametrize("logs", [{"loss": math.nan}, {"eval_loss": math.inf}, {"loss": -math.inf, "grad_norm": 1.0}])
def test_a_loss_that_is_not_finite_ends_training_and_saves_nothing(run, logs):
    run.state.global_step = 5
    run.call("on_log", logs=logs)
    assert run.callback.diverged_at == 5
    assert run.control.should_training_stop
    run.call("on_save")
    assert run.checkpoints.saved == []
    assert "null" not in run.board.snapshot().to_json()


@pytest.mark.parametrize("name", ["entropy", "grad_norm"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_other_figures_may_be_not_finite(run, name, value):
    """In the first steps in fp16, the gradients overflow until the loss is scaled less, and these steps are skipped."""
    run.call("on_log", logs={"loss": 1.0, name: value})
    assert run.callback.diverged_at is None
    assert not run.control.should_training_stop


def write_checkpoint(run, step):
    (run.folder / f"checkpoint-{step}").mkdir()
    run.state.global_step = step
    run.call("on_save")


def test_two_checkpoints_stay_on_the_disk(run):
    for step in (2, 4, 6, 10):
        write_checkpoint(run, step)
    assert run.checkpoints.saved == [(2, False), (4, False), (6, False), (10, True)]
    assert sorted(path.name for path in run.folder.iterdir()) == ["checkpoint-10", "checkpoint-6"]


def test_a_skipped_checkpoint_takes_no_disk(run):
    run.checkpoints.takes = False
    write_checkpoint(run, 2)
    assert list(run.folder.iterdir()) == []


def test_a_validation_is_interrupted_by_sigterm_only(run, callbacks):
    run.call("on_prediction_step")
    run.stopper.request()
    with pytest.raises(callbacks.ValidationStoppedError):
        run.call("on_prediction_step")


@pytest.mark.parametrize(
    ("norms", "first_step", "last_step", "divergence"),
    [
        ([math.inf] * 9 + [1.0], 0, 10, ""),
        ([math.inf] * 31 + [1.0] + [math.inf] * 31, 0, 10, ""),
        ([1.0] + [math.nan] * 32, 0, 3, "the gradients of 32 logged steps in a row were NaN or infinite"),
        ([math.inf] * 5, 0, 10, "the gradients of every logged step were NaN or infinite, so nothing was learned"),
        ([math.inf] * 5, 5, 10, ""),  # resumed: earlier steps may have learned
        ([math.inf] * 5, 0, 9, ""),  # suspended: another attempt continues
        ([], 0, 10, ""),
    ],
)
def test_gradients_that_are_never_finite_are_reported(run, norms, first_step, last_step, divergence):
    run.state.global_step = first_step
    run.call("on_train_begin")
    run.state.global_step = last_step
    for norm in norms:
        run.call("on_log", logs={"loss": 1.0, "grad_norm": norm})
    run.call("on_train_end")
    assert run.callback.divergence == divergence
    assert run.callback.diverged_at == (last_step if divergence else None)


def test_the_first_divergence_is_reported(run):
    for step in (3, 4):
        run.state.global_step = step
        run.call("on_log", logs={"loss": math.nan})
    assert (run.callback.diverged_at, run.callback.divergence) == (3, "the loss became NaN or infinite")
