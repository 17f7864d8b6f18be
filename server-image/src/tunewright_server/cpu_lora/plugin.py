"""The plugin that makes vLLM's CPU build use `GroupedPunicaWrapper`.

vLLM calls `register` in each of its processes before it loads the model. It finds the function through the entry point
in `tunewright_server-0.dist-info` (https://docs.vllm.ai/en/latest/design/plugin_system.html).
"""

from __future__ import annotations

WRAPPER = "tunewright_server.cpu_lora.wrapper.GroupedPunicaWrapper"


def register() -> None:
    """Make the CPU platform return our class for applying adapters; other platforms keep theirs."""
    from vllm.platforms import current_platform  # noqa: PLC0415 - only in the image

    if current_platform.is_cpu():
        type(current_platform).get_punica_wrapper = classmethod(lambda _: WRAPPER)
