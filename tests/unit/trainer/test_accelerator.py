"""Memory figures come from torch if it is loaded, otherwise from the process; nothing loads torch for them."""

import gc
import sys
import types
import weakref

import pytest

from tunewright_trainer import accelerator
from tunewright_trainer.accelerator import is_out_of_memory


class OutOfMemoryError(RuntimeError):
    """Like torch.OutOfMemoryError."""


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OutOfMemoryError("CUDA"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:124] . DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (MemoryError(), True),
        (RuntimeError("shapes differ"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_is_out_of_memory(error, expected):
    assert is_out_of_memory(error) is expected


@pytest.fixture
def use_torch(monkeypatch):
    """Replace torch by a fake with or without a GPU, and return the calls to it."""

    def use(available):
        asked = []
        cuda = types.SimpleNamespace(
            is_available=lambda: available,
            max_memory_allocated=lambda: 3 << 30,
            empty_cache=lambda: asked.append("empty_cache"),
        )
        monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(cuda=cuda))
        return asked

    return use


@pytest.mark.parametrize("available", [True, False])
def test_has_accelerator(use_torch, available):
    use_torch(available)
    assert accelerator.has_accelerator() is available


def test_peak_memory_is_that_of_the_gpu_if_there_is_one(use_torch):
    use_torch(True)
    assert accelerator.peak_memory_mebibytes() == 3 << 10


def test_peak_memory_is_that_of_the_process_otherwise(use_torch):
    before = accelerator.peak_memory_mebibytes()
    use_torch(False)
    assert 1 < before <= accelerator.peak_memory_mebibytes() < 1 << 20


class Cycle:
    def __init__(self):
        self.itself = self


@pytest.mark.parametrize(("available", "expected"), [(True, ["empty_cache"]), (False, [])])
def test_free_memory_collects_cycles_and_empties_the_cache_of_a_gpu(use_torch, available, expected):
    asked = use_torch(available)
    gc.disable()
    try:
        reference = weakref.ref(Cycle())
        assert reference() is not None
        accelerator.free_memory()
        assert reference() is None
    finally:
        gc.enable()
    assert asked == expected


def test_torch_is_not_loaded_for_memory_figures(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    accelerator.free_memory()
    assert accelerator.peak_memory_mebibytes() > 1
    assert "torch" not in sys.modules
