"""How models are loaded. A fake replaces Unsloth: it records the settings and refuses some."""

import importlib
import sys
import types

import pytest

from support.training import make_config
from tunewright_trainer import accelerator
from tunewright_trainer.errors import Reason, TrainerError

NAME = "tunewright_trainer.train.model"
CONFIG = make_config(quantization="NF4", alpha=16, target_modules=("q_proj", "v_proj"), max_sequence_length=512, seed=7)


class FakeUnsloth:
    """A fake `FastLanguageModel`: records its calls; loading raises `error`."""

    def __init__(self):
        self.asked = {}
        self.error = None
        self.modules = ("model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.v_proj")

    def from_pretrained(self, **options):
        self.asked["load"] = options
        if self.error is not None:
            raise self.error
        return types.SimpleNamespace(named_modules=lambda: [(name, None) for name in self.modules]), "tokenizer"

    def get_peft_model(self, model, **options):
        self.asked["adapter"] = options
        return model

    def for_inference(self, model):
        self.asked["inference"] = model


@pytest.fixture
def unsloth(monkeypatch):
    unsloth = FakeUnsloth()
    peft = types.SimpleNamespace(from_pretrained=lambda model, adapter: (model, adapter))
    for name, content in {"unsloth": {"FastLanguageModel": unsloth}, "peft": {"PeftModel": peft}}.items():
        module = types.ModuleType(name)
        module.__dict__.update(content)
        monkeypatch.setitem(sys.modules, name, module)
    return unsloth


@pytest.fixture
def use_gpu(monkeypatch):
    def use(available):
        torch = types.SimpleNamespace(cuda=types.SimpleNamespace(is_available=lambda: available, empty_cache=int))
        monkeypatch.setitem(sys.modules, "torch", torch)

    return use


@pytest.fixture
def models(unsloth, monkeypatch, use_gpu):
    use_gpu(available=False)
    monkeypatch.delitem(sys.modules, NAME, raising=False)
    monkeypatch.setattr(importlib.import_module("tunewright_trainer.train"), "model", None, raising=False)
    yield importlib.import_module(NAME)
    sys.modules.pop(NAME, None)  # the module refers to the fakes


@pytest.mark.parametrize(("gpu", "checkpointing"), [(True, "unsloth"), (False, False)])
def test_training_gets_the_configured_adapter(models, unsloth, use_gpu, tmp_path, gpu, checkpointing):
    use_gpu(gpu)
    assert models.load_for_training(tmp_path, CONFIG)[1] == "tokenizer"
    assert unsloth.asked["load"] == {
        "model_name": str(tmp_path),
        "max_seq_length": 512,
        "load_in_4bit": True,
        "use_gradient_checkpointing": checkpointing,
        "local_files_only": True,
    }
    assert unsloth.asked["adapter"] == {
        "r": 8,
        "lora_alpha": 16,
        "lora_dropout": 0.0,
        "target_modules": ["q_proj", "v_proj"],
        "use_gradient_checkpointing": checkpointing,
        "random_state": 7,
        "max_seq_length": 512,
    }


@pytest.mark.parametrize("error", [ValueError("unknown architecture"), KeyError("mamba"), NotImplementedError("no")])
def test_a_model_that_the_library_refuses(models, unsloth, tmp_path, error):
    unsloth.error = error
    with pytest.raises(TrainerError, match=r"base model tiny cannot be loaded: .*; choose one") as raised:
        models.load_for_training(tmp_path, CONFIG)
    assert raised.value.reason is Reason.INVALID_TRAINING


def test_another_error_is_no_error_of_the_user(models, unsloth, tmp_path):
    unsloth.error = RuntimeError("CUDA error: out of memory")
    with pytest.raises(RuntimeError):
        models.load_for_training(tmp_path, CONFIG)


def test_target_modules_that_the_model_does_not_have(models, unsloth, tmp_path):
    unsloth.modules = ("model.layers.0.self_attn.q_proj",)
    with pytest.raises(TrainerError, match="base model tiny has no modules 'v_proj'; correct") as raised:
        models.load_for_training(tmp_path, CONFIG)
    assert raised.value.reason is Reason.INVALID_TRAINING
    assert "adapter" not in unsloth.asked


def test_a_target_module_can_be_a_path(models, unsloth, tmp_path):
    config = CONFIG.updated(target_modules=("layers.0.self_attn.q_proj",))
    models.load_for_training(tmp_path, config)
    assert unsloth.asked["adapter"]["target_modules"] == ["layers.0.self_attn.q_proj"]


@pytest.mark.parametrize(
    ("gpu", "quantization", "in_4_bit"), [(True, "NF4", True), (False, "NF4", False), (True, "None", False)]
)
def test_scoring_uses_nf4_only_on_a_gpu(models, unsloth, use_gpu, tmp_path, gpu, quantization, in_4_bit):
    use_gpu(gpu)
    config = CONFIG.updated(quantization=quantization)
    with models.loaded_for_scoring(tmp_path, tmp_path / "adapter", config) as model:
        assert model[1] == str(tmp_path / "adapter")
        assert unsloth.asked["inference"] is model
    assert unsloth.asked["load"]["load_in_4bit"] is in_4_bit


def test_memory_is_freed_after_scoring_even_after_an_error(models, unsloth, tmp_path, monkeypatch):
    freed = []
    monkeypatch.setattr(models, "free_memory", lambda: freed.append(1))
    with pytest.raises(KeyError), models.loaded_for_scoring(tmp_path, tmp_path, CONFIG):
        raise KeyError
    assert freed == [1]
    assert accelerator.free_memory is not models.free_memory
