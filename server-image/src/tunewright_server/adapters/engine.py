"""The interface to vLLM: load and unload an adapter in the server's process, through the app's state."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol


class EngineRefusedError(Exception):
    """vLLM did not load or unload an adapter; the message is vLLM's."""


class Engine(Protocol):
    """What the pod needs from the inference engine."""

    async def load(self, name: str, folder: Path) -> None:
        """Load an adapter under a name that is not in use.

        Raises:
            EngineRefusedError: it cannot be loaded.
        """

    async def unload(self, name: str) -> None:
        """Unload an adapter and free its slot; do nothing if it is not loaded.

        Raises:
            EngineRefusedError: it is still loaded.
        """

    def read_capacity(self) -> int | None:
        """Return how many sequences the engine computes at a time; None if that is unknown."""


class VllmEngine:
    """vLLM 0.25 to 0.32: uses objects in ``app.state`` that HTTP does not reach."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def load(self, name: str, folder: Path) -> None:
        """Load an adapter; see `Engine.load`."""
        from vllm.entrypoints.serve.lora.protocol import LoadLoRAAdapterRequest  # noqa: PLC0415 - only in the image

        known = self._models.lora_requests.get(name)
        if known is not None and known.lora_path == str(folder):
            return  # an earlier unload failed; the path contains the digest, so the content is the same
        request = LoadLoRAAdapterRequest(lora_name=name, lora_path=str(folder))
        _raise_on_error(await self._models.load_lora_adapter(request))

    async def unload(self, name: str) -> None:
        """Unload an adapter; see `Engine.unload`."""
        from vllm.entrypoints.serve.lora.protocol import UnloadLoRAAdapterRequest  # noqa: PLC0415 - only in the image

        known = self._models.lora_requests.get(name)
        if known is None:
            return
        _raise_on_error(await self._models.unload_lora_adapter(UnloadLoRAAdapterRequest(lora_name=name)))
        # vLLM's unload removes only the name; the weights stay in their slot until another adapter evicts them.
        await self._models.engine_client.remove_lora(known.lora_int_id)

    def read_capacity(self) -> int | None:
        """Return vLLM's `max_num_seqs`; see `Engine.read_capacity`."""
        scheduler = getattr(getattr(self._app.state, "vllm_config", None), "scheduler_config", None)
        found = getattr(scheduler, "max_num_seqs", None)
        return found if isinstance(found, int) and found > 0 else None

    @property
    def _models(self) -> Any:
        return self._app.state.openai_serving_models


def _raise_on_error(answer: object) -> None:
    error = getattr(answer, "error", None)
    if error is not None:
        raise EngineRefusedError(str(error.message))
