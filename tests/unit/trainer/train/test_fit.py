"""SIGTERM while the trainer trains or validates.

Fakes replace the libraries and keep the order of calls of transformers.
"""

import importlib
import sys
import types

import pytest

from support.training import make_config
from tunewright_evaluator.progress_server import ProgressBoard
from tunewright_trainer.chat.tokenizer import Example
from tunewright_trainer.process.stopping import Stopper

CONFIG = make_config()
PREDICTIONS = 5


class FakeTrainer:
    """Steps, evaluates and saves in the order of transformers 5.17 (`Trainer._maybe_log_save_evaluate`)."""

    stop_at = None
    stopper = None
    saves = True

    def __init__(self, *, args, callbacks, data_collator, train_dataset, eval_dataset, **_):
        self.args, (self._callback,) = args, callbacks
        FakeTrainer.arguments = args
        self.collator = FakeTrainer.collator = data_collator
        self._train_dataset, self._eval_dataset = train_dataset, eval_dataset
        self.state = types.SimpleNamespace(global_step=0, max_steps=args.max_steps)
        self.control = types.SimpleNamespace(should_training_stop=False, should_save=False, should_evaluate=False)
        self.done = FakeTrainer.done = []

    def train(self, resume_from_checkpoint=None):
        self._tell("on_train_begin")
        while self.state.global_step < self.args.max_steps and not self.control.should_training_stop:
            self.state.global_step += 1
            self.collator.pad(self._train_dataset)
            self._reach("step")
            self.control.should_evaluate = self.state.global_step % self.args.eval_steps == 0
            self.control.should_save = self.saves and self.state.global_step % self.args.save_steps == 0
            self._tell("on_step_end")
            self._finish_step()
        self._finish_step()  # at the end of the epoch

    def evaluate(self, ignore_keys=None):
        for number in range(1, PREDICTIONS + 1):
            self.collator.pad(self._eval_dataset)
            self._reach(f"prediction {number} of")
            self._tell("on_prediction_step")
        self.control.should_evaluate = False
        self._tell("on_log", logs={"eval_loss": 1.0})
        self._tell("on_evaluate")
        return {"eval_loss": 1.0}

    def _finish_step(self):
        if self.control.should_evaluate:
            self.evaluate(ignore_keys=None)
        if self.control.should_save:
            self.control.should_save = False
            self.done.append(f"saved {self.state.global_step}")
            self._tell("on_save")

    def _reach(self, what):
        self.done.append(f"{what} {self.state.global_step}")
        if self.done[-1] == self.stop_at:
            self.stopper.request()

    def _tell(self, event, **values):
        getattr(self._callback, event, lambda *_, **__: None)(self.args, self.state, self.control, **values)


class NoCheckpoints:
    latest_step = None

    def __init__(self):
        self.saved = []

    def save(self, step, folder, *, last=False):
        self.saved.append((step, last))
        return True

    def finish(self):
        pass


@pytest.fixture
def fit(monkeypatch, tmp_path):
    """Train until SIGTERM arrives at a given moment; return the result, the calls, and the checkpoints."""
    libraries = {
        "transformers": {"TrainerCallback": object},
        "trl": {"SFTTrainer": FakeTrainer, "SFTConfig": types.SimpleNamespace},
        "datasets": {"Dataset": types.SimpleNamespace(from_list=list)},
        "tunewright_trainer.train.model": {
            "load_for_training": lambda _folder, _config: (None, types.SimpleNamespace(pad_token_id=0))
        },
    }
    package = importlib.import_module("tunewright_trainer.train")
    for name, content in libraries.items():
        module = types.ModuleType(name)
        module.__dict__.update(content)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(package, "model", sys.modules["tunewright_trainer.train.model"], raising=False)
    for name in ("callbacks", "fit"):
        monkeypatch.delitem(sys.modules, f"tunewright_trainer.train.{name}", raising=False)
        monkeypatch.setattr(package, name, None, raising=False)
    fitting = importlib.import_module("tunewright_trainer.train.fit")

    def run(stop_at):
        stopper, checkpoints = Stopper(), NoCheckpoints()
        monkeypatch.setattr(FakeTrainer, "stop_at", stop_at)
        monkeypatch.setattr(FakeTrainer, "stopper", stopper)
        examples = [Example([1], [1])]
        result = fitting.fit(
            CONFIG, tmp_path, examples, examples, resume=None, work=tmp_path, checkpoints=checkpoints,
            board=ProgressBoard(), stopper=stopper,
        )  # fmt: skip
        return result, FakeTrainer.done, checkpoints.saved

    yield run
    for name in ("callbacks", "fit"):  # the modules refer to the fakes
        sys.modules.pop(f"tunewright_trainer.train.{name}", None)


def test_without_sigterm(fit):
    result, done, saved = fit(None)
    assert not result.stopped
    assert FakeTrainer.arguments.logging_nan_inf_filter is False, "a loss that is NaN must be logged"
    assert result.checkpoint.step == 6
    assert saved == [(2, False), (4, False), (6, True)]
    assert f"prediction {PREDICTIONS} of 6" in done


def test_the_tokens_of_a_validation_do_not_count_for_the_speed(fit):
    fit(None)
    assert FakeTrainer.collator.tokens == 6


@pytest.mark.parametrize("step", [3, 4])
def test_sigterm_in_a_step_ends_training_with_a_checkpoint_and_without_validation(fit, step):
    result, done, saved = fit(f"step {step}")
    assert (result.stopped, result.checkpoint.step) == (True, step)
    assert saved == [(2, False), (step, True)]
    assert done[-2:] == [f"step {step}", f"saved {step}"]


def test_sigterm_in_a_validation_interrupts_it_and_keeps_a_checkpoint(fit):
    result, done, saved = fit("prediction 2 of 4")
    assert (result.stopped, result.checkpoint.step) == (True, 4)
    assert saved == [(2, False), (4, True)]
    assert done[-3:] == ["prediction 1 of 4", "prediction 2 of 4", "saved 4"]
    assert [row["step"] for row in result.metrics if "eval_loss" in row] == [2]


def test_sigterm_in_a_validation_keeps_a_checkpoint_where_none_was_due(fit, monkeypatch):
    monkeypatch.setattr(FakeTrainer, "saves", False)
    _result, _done, saved = fit("prediction 2 of 4")
    assert saved == [(4, True)]
