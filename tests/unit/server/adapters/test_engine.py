"""Load and unload through the registry of vLLM 0.32."""

import dataclasses
import sys
import types
from pathlib import Path

import pytest

from tunewright_server.adapters.engine import EngineRefusedError, VllmEngine

FOLDER = Path("/state/adapters/support--1/sha256-1")


@dataclasses.dataclass
class LoadRequest:
    lora_name: str
    lora_path: str


@dataclasses.dataclass
class UnloadRequest:
    lora_name: str


class Models:
    """A fake of `app.state.openai_serving_models`: the registry, and the engine with the weights."""

    def __init__(self) -> None:
        self.lora_requests: dict[str, types.SimpleNamespace] = {}
        self.engine_client = self
        self.calls: list[tuple] = []
        self.problem: str | None = None

    async def load_lora_adapter(self, request):
        self.calls.append(("load", request.lora_name, request.lora_path))
        known = types.SimpleNamespace(lora_path=request.lora_path, lora_int_id=len(self.lora_requests) + 1)
        return self._answer(lambda: self.lora_requests.update({request.lora_name: known}))

    async def unload_lora_adapter(self, request):
        self.calls.append(("forget", request.lora_name))
        return self._answer(lambda: self.lora_requests.pop(request.lora_name))

    async def remove_lora(self, number):
        self.calls.append(("free", number))

    def _answer(self, change):
        if self.problem is None:
            change()
            return "Success"
        return types.SimpleNamespace(error=types.SimpleNamespace(message=self.problem))


@pytest.fixture
def models(monkeypatch):
    protocol = types.ModuleType("vllm.entrypoints.serve.lora.protocol")
    protocol.LoadLoRAAdapterRequest, protocol.UnloadLoRAAdapterRequest = LoadRequest, UnloadRequest
    for name in ("vllm", "vllm.entrypoints", "vllm.entrypoints.serve", "vllm.entrypoints.serve.lora"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, protocol.__name__, protocol)
    return Models()


@pytest.fixture
def engine(models):
    return VllmEngine(types.SimpleNamespace(state=types.SimpleNamespace(openai_serving_models=models)))


async def test_an_unloaded_adapter_frees_its_slot(engine, models):
    await engine.load("support--1", FOLDER)
    await engine.unload("support--1")
    assert models.calls == [("load", "support--1", str(FOLDER)), ("forget", "support--1"), ("free", 1)]


async def test_the_same_content_under_the_same_name_is_not_loaded_again(engine, models):
    await engine.load("support--1", FOLDER)
    await engine.load("support--1", FOLDER)
    assert len(models.calls) == 1
    await engine.load("support--1", FOLDER.with_name("sha256-2"))
    assert len(models.calls) == 2


async def test_unloading_an_adapter_that_is_not_loaded_does_nothing(engine, models):
    await engine.unload("support--1")
    assert models.calls == []


async def test_vllms_refusal_is_passed_on(engine, models):
    models.problem = "rank over the limit"
    with pytest.raises(EngineRefusedError, match="rank over the limit"):
        await engine.load("support--1", FOLDER)
    models.problem = None
    await engine.load("support--1", FOLDER)
    models.problem = "busy"
    with pytest.raises(EngineRefusedError, match="busy"):
        await engine.unload("support--1")
    assert ("free", 1) not in models.calls


@pytest.mark.parametrize(
    ("config", "capacity"),
    [
        ({"scheduler_config": types.SimpleNamespace(max_num_seqs=256)}, 256),
        ({"scheduler_config": types.SimpleNamespace(max_num_seqs=0)}, None),
        ({"scheduler_config": types.SimpleNamespace(max_num_seqs="256")}, None),
        ({"scheduler_config": types.SimpleNamespace()}, None),
        ({}, None),
    ],
)
def test_the_capacity_is_vllms_number_of_sequences(config, capacity):
    state = types.SimpleNamespace(vllm_config=types.SimpleNamespace(**config))
    assert VllmEngine(types.SimpleNamespace(state=state)).read_capacity() == capacity


def test_an_app_without_a_configuration_has_no_known_capacity(engine):
    assert engine.read_capacity() is None
