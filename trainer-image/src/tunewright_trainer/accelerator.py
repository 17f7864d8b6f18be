"""Find out about the accelerator and its memory. Only `has_accelerator` imports torch; the others use it if loaded."""

from __future__ import annotations

import gc
import resource
import sys
from typing import Any

_MARKERS = ("out of memory", "can't allocate memory", "cannot allocate memory")


def has_accelerator() -> bool:
    """Return whether torch sees a GPU."""
    import torch  # noqa: PLC0415 - heavy

    return bool(torch.cuda.is_available())


def free_memory() -> None:
    """Return the memory of unreferenced tensors to the system."""
    gc.collect()
    torch = _loaded_torch()
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def peak_memory_mebibytes() -> int:
    """Return the peak memory use of the accelerator, or of this process if there is no accelerator."""
    torch = _loaded_torch()
    if torch is not None and torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated()) >> 20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an exception is an allocation failure of torch, CUDA or Python."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(marker in str(error).lower() for marker in _MARKERS)


def _loaded_torch() -> Any:
    """Return the torch module, or None if it is not imported yet: until then no accelerator memory is in use."""
    return sys.modules.get("torch")
